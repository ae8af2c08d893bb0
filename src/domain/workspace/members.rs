//! Members and roles.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::domain::{
    event::WorkspaceEvent,
    ids::{Subject, TeamId, UserId, WorkspaceId},
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
        role: Role,
    },
    /// Change a role.
    UpdateMember {
        /// Whose.
        user: UserId,
        /// To what.
        role: Role,
    },
    /// Take a person out.
    RemoveMember(UserId),
    /// Form a team of members and agents.
    FormTeam {
        /// Its id.
        team: TeamId,
        /// Its name.
        name: Title,
        /// Who is in it.
        members: BTreeSet<Principal>,
    },
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
                self.must_reach(by, role)?;
                match self.role(user) {
                    Some(has) if has == role => Ok(vec![]),
                    Some(_) => Err(Rejection::Busy("they are a member already: change the role instead")),
                    None => Ok(vec![WorkspaceEvent::MemberAdded { user, role }]),
                }
            }
            (Some(_), C::UpdateMember { user, role }) => {
                let before = self.role(user).ok_or(Rejection::NotFound("member"))?;
                self.must_reach(by, before.max(role))?;
                if before == role {
                    return Ok(vec![]);
                }
                if role != Role::Owner {
                    self.must_not_be_last_owner(user)?;
                }
                Ok(vec![WorkspaceEvent::MemberUpdated { user, role }])
            }
            (Some(_), C::RemoveMember(user)) => {
                let has = self.role(user).ok_or(Rejection::NotFound("member"))?;
                if by != Principal::User(user) {
                    self.must_reach(by, has)?;
                }
                self.must_not_be_last_owner(user)?;
                Ok(vec![WorkspaceEvent::MemberRemoved { user }])
            }
            (Some(_), C::FormTeam { team, .. }) if self.teams.contains_key(&team) => {
                Err(Rejection::Busy("the team exists already"))
            }
            (Some(_), C::FormTeam { team, name, members }) => {
                if self.teams.values().any(|taken| *taken == name) {
                    return Err(Rejection::Taken { what: "the team's name", value: name.to_string() });
                }
                members.iter().try_for_each(|who| self.must_know(Some(who)))?;
                Ok(vec![WorkspaceEvent::TeamFormed { team, name, members }])
            }
        }
    }

    /// Nobody gives, changes or takes a role above their own.
    fn must_reach(&self, by: Principal, role: Role) -> Result<(), Rejection> {
        match by.user().and_then(|user| self.role(user)) {
            Some(own) if own >= role => Ok(()),
            _ => Err(Rejection::Forbidden("nobody can give, change or take a role above their own")),
        }
    }

    fn must_not_be_last_owner(&self, user: UserId) -> Result<(), Rejection> {
        let others = self.members.iter().any(|(id, role)| *id != user && *role == Role::Owner);
        if self.role(user) == Some(Role::Owner) && !others {
            return Err(Rejection::Busy("the last owner cannot leave: make another member an owner first"));
        }
        Ok(())
    }
}
