//! Members and roles.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessCommand, RightCommand, ServiceCommand, TeamCommand, Workspace};
use crate::domain::{
    event::WorkspaceEvent,
    ids::{RoleId, Subject, UserId, WorkspaceId},
    permission::Permissions,
    principal::Principal,
    rejection::Rejection,
    text::Title,
};

/// What a member may do, in rising order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and talks.
    Guest,
    /// Works.
    Member,
    /// Lets people and agents in.
    Admin,
    /// Everything; the last one cannot leave.
    Owner,
}

impl Role {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// The role of a member: a built-in one, written by its name, or one that the workspace made, written by its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MemberRole {
    /// A built-in one.
    Built(Role),
    /// One that the workspace made.
    Custom(RoleId),
}

impl From<Role> for MemberRole {
    fn from(role: Role) -> Self {
        Self::Built(role)
    }
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Built(role) => f.write_str(role.name()),
            Self::Custom(id) => id.fmt(f),
        }
    }
}

/// The text names no role.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no role: write owner, admin, member, guest or the id of a custom role")]
pub struct NoRole(String);

impl FromStr for MemberRole {
    type Err = NoRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let built_in = [Role::Guest, Role::Member, Role::Admin, Role::Owner];
        match built_in.into_iter().find(|role| role.name() == text) {
            Some(role) => Ok(Self::Built(role)),
            None => text.parse().map(Self::Custom).map_err(|_| NoRole(text.chars().take(80).collect())),
        }
    }
}
impl Serialize for MemberRole {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for MemberRole {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for MemberRole {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MemberRole".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`owner`, `admin`, `member`, `guest`, or the id of a custom role.",
            "pattern": "^(owner|admin|member|guest|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$",
            "examples": ["member"]
        })
    }
}

/// What can be asked of a workspace.
#[derive(Clone, Debug)]
pub enum WorkspaceCommand {
    /// Make it.
    Create {
        /// Its name.
        name: Title,
        /// Its first owner.
        owner: UserId,
    },
    /// Rename it.
    Rename(Title),
    /// Let a person in.
    AddMember {
        /// Who.
        user: UserId,
        /// As what.
        role: MemberRole,
    },
    /// Change a role.
    UpdateMember {
        /// Whose.
        user: UserId,
        /// To what.
        role: MemberRole,
    },
    /// Take a person out.
    RemoveMember(UserId),
    /// Teams.
    Teams(TeamCommand),
    /// Roles and grants.
    Access(AccessCommand),
    /// Services and keys.
    Services(ServiceCommand),
    /// What agents may decide on somebody's behalf.
    Rights(RightCommand),
}

impl Workspace {
    /// Decides a command.
    pub fn decide(
        &self,
        id: WorkspaceId,
        by: Principal,
        command: WorkspaceCommand,
    ) -> Result<Vec<WorkspaceEvent>, Rejection> {
        use WorkspaceCommand as C;
        match (self.id, command) {
            (Some(_), C::Create { .. }) => Err(Rejection::Exists(Subject::Workspace(id))),
            (None, C::Create { name, owner }) => Ok(vec![WorkspaceEvent::Created { name, owner }]),
            (None, _) => Err(Rejection::NotFound("workspace")),
            (Some(_), C::Rename(name)) => Ok(vec![WorkspaceEvent::Renamed { name }]),
            (Some(_), C::AddMember { user, role }) => {
                self.must_be_role(role)?;
                self.must_reach(by, [role])?;
                match self.role(user) {
                    Some(has) if has == role => Ok(vec![]),
                    Some(_) => Err(Rejection::Busy("they are a member already: change the role instead")),
                    // Who left in earlier days may still be in a team.
                    None => Ok(self
                        .out_of_teams(Principal::User(user))
                        .chain([WorkspaceEvent::MemberAdded { user, role }])
                        .collect()),
                }
            }
            (Some(_), C::UpdateMember { user, role }) => {
                let before = self.role(user).ok_or(Rejection::NotFound("member"))?;
                self.must_be_role(role)?;
                self.must_reach(by, [before, role])?;
                if before == role {
                    return Ok(vec![]);
                }
                if role != Role::Owner.into() {
                    self.must_not_be_last_owner(user)?;
                }
                Ok(vec![WorkspaceEvent::MemberUpdated { user, role }])
            }
            (Some(_), C::RemoveMember(user)) => {
                let has = self.role(user).ok_or(Rejection::NotFound("member"))?;
                if by != Principal::User(user) {
                    self.must_reach(by, [has])?;
                }
                self.must_not_be_last_owner(user)?;
                let gone = self.grants_of(Principal::User(user));
                let gone = gone.chain(self.rights_given_by(user)).chain(self.out_of_teams(Principal::User(user)));
                Ok(gone.chain([WorkspaceEvent::MemberRemoved { user }]).collect())
            }
            (Some(_), C::Access(command)) => self.decide_access(by, command),
            (Some(_), C::Services(command)) => self.decide_service(by, command),
            (Some(_), C::Rights(command)) => self.decide_right(by, command),
            (Some(_), C::Teams(command)) => self.decide_team(by, command),
        }
    }

    pub(super) fn apply_member(&mut self, id: WorkspaceId, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::Created { owner, .. } => {
                self.id = Some(id);
                self.members.insert(*owner, Role::Owner.into());
            }
            WorkspaceEvent::Renamed { .. } => {}
            WorkspaceEvent::MemberAdded { user, role } | WorkspaceEvent::MemberUpdated { user, role } => {
                self.members.insert(*user, *role);
            }
            WorkspaceEvent::MemberRemoved { user } => {
                self.members.remove(user);
            }
            WorkspaceEvent::TeamFormed { .. }
            | WorkspaceEvent::TeamUpdated { .. }
            | WorkspaceEvent::TeamDissolved { .. } => self.apply_team(event),
            WorkspaceEvent::RoleCreated { .. }
            | WorkspaceEvent::RoleUpdated { .. }
            | WorkspaceEvent::RoleDeleted { .. }
            | WorkspaceEvent::GrantSet { .. }
            | WorkspaceEvent::GrantRemoved { .. } => self.apply_access(event),
            WorkspaceEvent::RightGiven { .. } | WorkspaceEvent::RightRevoked { .. } => self.apply_right(event),
            WorkspaceEvent::ServiceAdded { .. }
            | WorkspaceEvent::ServiceRemoved { .. }
            | WorkspaceEvent::KeyIssued { .. }
            | WorkspaceEvent::KeyRevoked { .. } => self.apply_service(event),
        }
    }

    /// Nobody gives, changes or takes a role that holds more than their own.
    pub(super) fn must_reach<const N: usize>(&self, by: Principal, roles: [MemberRole; N]) -> Result<(), Rejection> {
        let reached = roles.into_iter().fold(Permissions::NONE, |all, role| all.union(self.permissions(role)));
        match self.held(by) {
            Some(own) if own.includes(reached) => Ok(()),
            _ => Err(Rejection::Forbidden("nobody can give, change or take a role above their own")),
        }
    }

    fn must_not_be_last_owner(&self, user: UserId) -> Result<(), Rejection> {
        let others = self.members.iter().any(|(id, role)| *id != user && *role == Role::Owner.into());
        if self.is(user, Role::Owner) && !others {
            return Err(Rejection::Busy("the last owner cannot leave: make another member an owner first"));
        }
        Ok(())
    }
}
