//! Custom roles, and grants on single things: what a workspace decides about who may do what.

use serde::{Deserialize, Serialize};

use super::{MemberRole, Role, Workspace, rooms::Privacy};
use crate::domain::{
    access::{Decision, Effect, Grant, Rights, Standing},
    event::WorkspaceEvent,
    ids::{AgentId, ConversationId, GrantId, RoleId, Subject, UserId},
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    rejection::Rejection,
    text::Label,
};

/// Custom roles of one workspace.
pub const ROLES_MAX: usize = 100;
/// Grants of one workspace.
pub const GRANTS_MAX: usize = 10_000;
/// Grants for one principal: they are read when it subscribes or lists.
pub const GRANTS_OF_ONE_MAX: usize = 500;

/// What can be asked about who may do what.
#[derive(Clone, Debug)]
pub enum AccessCommand {
    /// Make a role.
    CreateRole {
        /// Its id.
        role: RoleId,
        /// Its name.
        name: Label,
        /// What it is.
        permissions: Permissions,
    },
    /// Change a role, for everyone who has it.
    UpdateRole {
        /// Which.
        role: RoleId,
        /// Its new name.
        name: Option<Label>,
        /// What it is from now on.
        permissions: Option<Permissions>,
    },
    /// Take a role away that nobody has.
    DeleteRole(RoleId),
    /// Say what somebody may, or may not, do with a thing and with what is below it. It replaces the grant of the
    /// same effect for the same principal on the same thing.
    SetGrant(Grant),
    /// Take a grant away.
    RemoveGrant(GrantId),
}

/// A role that a workspace made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CustomRole {
    name: Label,
    permissions: Permissions,
}

impl Workspace {
    pub(super) fn decide_access(
        &self,
        by: Principal,
        command: AccessCommand,
    ) -> Result<Vec<WorkspaceEvent>, Rejection> {
        use AccessCommand as C;
        match command {
            C::CreateRole { role, name, permissions } => {
                if self.roles.len() >= ROLES_MAX {
                    return Err(Rejection::Busy("a workspace has at most 100 roles of its own"));
                }
                self.must_be_free(role, &name)?;
                self.must_hold_for_role(by, permissions)?;
                Ok(vec![WorkspaceEvent::RoleCreated { role, name, permissions }])
            }
            C::UpdateRole { role, name, permissions } => {
                let before = self.roles.get(&role).ok_or(Rejection::NotFound("role"))?;
                let (name, permissions) =
                    (name.unwrap_or_else(|| before.name.clone()), permissions.unwrap_or(before.permissions));
                self.must_be_free(role, &name)?;
                self.must_hold_for_role(by, before.permissions.union(permissions))?;
                if (&name, permissions) == (&before.name, before.permissions) {
                    return Ok(vec![]);
                }
                Ok(vec![WorkspaceEvent::RoleUpdated { role, name, permissions }])
            }
            C::DeleteRole(role) => {
                let known = self.roles.get(&role).ok_or(Rejection::NotFound("role"))?;
                self.must_hold_for_role(by, known.permissions)?;
                let services = self.services.values().map(|service| service.role);
                if self.members.values().copied().chain(services).any(|has| has == MemberRole::Custom(role)) {
                    return Err(Rejection::Busy("members have this role: give them another one first"));
                }
                Ok(vec![WorkspaceEvent::RoleDeleted { role }])
            }
            C::SetGrant(grant) => self.set_grant(by, grant),
            C::RemoveGrant(id) => {
                let grant = self.grants.get(&id).ok_or(Rejection::NotFound("grant"))?;
                self.must_reach_grant(by, grant)?;
                Ok(vec![removed(grant)])
            }
        }
    }

    fn set_grant(&self, by: Principal, mut grant: Grant) -> Result<Vec<WorkspaceEvent>, Rejection> {
        let invalid = |path, message: &str| Err(Rejection::Invalid { path, message: message.into() });
        match grant.subject {
            Subject::Project(id) if self.projects.contains_key(&id) => {}
            Subject::Task(id) if self.graph.knows(id) => {}
            Subject::Conversation(id) => match self.conversations.place(id, by) {
                Some(Privacy::Open) => {}
                Some(Privacy::Own) => return invalid("subject", "a direct conversation belongs to its participants"),
                Some(Privacy::Others) | None => return Err(Rejection::NotFound("conversation")),
            },
            Subject::Project(_) => return Err(Rejection::NotFound("project")),
            Subject::Task(_) => return Err(Rejection::NotFound("task")),
            Subject::Workspace(_)
            | Subject::Agent(_)
            | Subject::Session(_)
            | Subject::Document(_)
            | Subject::Webhook(_) => {
                return invalid("subject", "grants are on a project, a task or a conversation");
            }
        }
        self.must_know(Some(&grant.principal))?;
        if matches!(grant.principal, Principal::Service(part) if !part.is_account()) {
            return invalid("principal", "a part of Link needs no grant");
        }
        if grant.permissions == Permissions::NONE || !Permissions::ON_THINGS.includes(grant.permissions) {
            return invalid("permissions", "grants are of read, converse, work, delegate and review");
        }
        if grant.effect == Effect::Allow {
            // Nothing can be done with what cannot be seen.
            grant.permissions = grant.permissions.union(Permission::Read.into());
        }
        let same = |known: &&Grant| {
            (known.subject, known.principal, known.effect) == (grant.subject, grant.principal, grant.effect)
        };
        match self.grants.values().find(same) {
            Some(before) => {
                self.must_reach_grant(by, before)?;
                if before.permissions == grant.permissions {
                    return Ok(vec![]);
                }
                grant.id = before.id;
            }
            None => {
                let of_one = self.grants.values().filter(|known| known.principal == grant.principal).count();
                if self.grants.len() >= GRANTS_MAX || of_one >= GRANTS_OF_ONE_MAX {
                    return Err(Rejection::Busy("there are too many grants: put people into teams, or use a role"));
                }
            }
        }
        self.must_reach_grant(by, &grant)?;
        let Grant { id, subject, principal, effect, permissions } = grant;
        Ok(vec![WorkspaceEvent::GrantSet { grant: id, subject, principal, effect, permissions }])
    }

    /// The grants of somebody who leaves go with them.
    pub(super) fn grants_of(&self, who: Principal) -> impl Iterator<Item = WorkspaceEvent> {
        self.grants.values().filter(move |grant| grant.principal == who).map(removed)
    }

    /// Returns what a principal is and has in the workspace; nothing when it does not belong to it.
    pub fn rights(&self, who: Principal) -> Option<Rights> {
        let role = match who {
            Principal::User(user) => self.permissions(self.role(user)?),
            Principal::Agent(agent) => self.schedule.works(agent).then_some(Permissions::OF_AGENTS)?,
            Principal::Service(Service::Account(service)) => self.permissions(self.services.get(&service)?.role),
            Principal::Team(_) | Principal::Service(_) => return None,
        };
        let concerns = |principal: &Principal| match principal {
            Principal::Team(team) => self.teams.get(team).is_some_and(|team| team.members.contains(&who)),
            other => *other == who,
        };
        let grants = self.grants.values().filter(|grant| concerns(&grant.principal)).cloned().collect();
        Some(Rights { who, standing: Standing { role, scopes: Permissions::ALL }, grants })
    }

    /// Decides what a principal may do with a thing of the workspace.
    pub(super) fn decision(&self, who: Principal, subject: Subject) -> Option<Decision> {
        let mut chain = vec![subject];
        match subject {
            Subject::Task(id) => chain.extend(self.graph.project_of(id).map(Subject::Project)),
            Subject::Conversation(id) => chain.extend(self.above(id)),
            _ => {}
        }
        Some(self.rights(who)?.at(&chain))
    }

    /// An agent answers only where it may speak.
    pub(super) fn must_be_heard(&self, agent: AgentId, conversation: ConversationId) -> Result<(), Rejection> {
        let decision = self.decision(Principal::Agent(agent), Subject::Conversation(conversation));
        match decision.is_none_or(|decision| decision.may.contains(Permission::Converse)) {
            true => Ok(()),
            false => Err(Rejection::Forbidden("the agent may not speak in this conversation: a grant denies it")),
        }
    }

    /// Returns what a role gives.
    pub(super) fn permissions(&self, role: MemberRole) -> Permissions {
        match role {
            MemberRole::Built(role) => role.permissions(),
            MemberRole::Custom(id) => self.roles.get(&id).map_or(Permissions::NONE, |role| role.permissions),
        }
    }

    /// Returns what somebody may do in the workspace. No role that was made here says that its members may enter, since all
    /// may; the built-in ones do.
    pub(super) fn held(&self, who: Principal) -> Option<Permissions> {
        self.rights(who).map(|rights| rights.standing.role.union(Permission::Enter.into()))
    }

    fn must_be_free(&self, role: RoleId, name: &Label) -> Result<(), Rejection> {
        let built_in = [Role::Guest, Role::Member, Role::Admin, Role::Owner].map(Role::name);
        let taken = self.roles.iter().any(|(id, known)| *id != role && known.name == *name);
        if taken || built_in.contains(&&**name) {
            return Err(Rejection::Taken { what: "the role's name", value: name.to_string() });
        }
        Ok(())
    }

    fn must_hold_for_role(&self, by: Principal, permissions: Permissions) -> Result<(), Rejection> {
        if !Permissions::IN_ROLES.includes(permissions) {
            let message = "only owners own: no other role has this permission".into();
            return Err(Rejection::Invalid { path: "permissions", message });
        }
        match self.held(by) {
            Some(own) if own.includes(permissions) => Ok(()),
            _ => Err(Rejection::Forbidden("nobody can make, change or take a role above their own")),
        }
    }

    /// Nobody gives or takes more than they have there themselves, nor from somebody who has more, nor anything from or
    /// for themselves. Owners may all of that: somebody has to be able to.
    pub(super) fn must_reach_grant(&self, by: Principal, grant: &Grant) -> Result<(), Rejection> {
        let own = self.held(by).unwrap_or_default();
        if own.contains(Permission::Own) {
            return Ok(());
        }
        let there = self.decision(by, grant.subject).map_or(Permissions::NONE, |decision| decision.may);
        if !there.includes(grant.permissions) {
            return Err(Rejection::Forbidden("nobody can give or take more than they may do there themselves"));
        }
        let concerned = match grant.principal {
            Principal::Team(team) => self.teams.get(&team).map(|team| team.members.clone()).unwrap_or_default(),
            one => [one].into(),
        };
        if concerned.contains(&by) {
            return Err(Rejection::Forbidden("only owners can change grants about themselves"));
        }
        match concerned.into_iter().all(|who| own.includes(self.held(who).unwrap_or_default())) {
            true => Ok(()),
            false => {
                Err(Rejection::Forbidden("nobody can give to or take from somebody whose role is above their own"))
            }
        }
    }

    pub(super) fn apply_access(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::RoleCreated { role, name, permissions }
            | WorkspaceEvent::RoleUpdated { role, name, permissions } => {
                self.roles.insert(*role, CustomRole { name: name.clone(), permissions: *permissions });
            }
            WorkspaceEvent::RoleDeleted { role } => {
                self.roles.remove(role);
            }
            WorkspaceEvent::GrantSet { grant: id, subject, principal, effect, permissions } => {
                let (subject, principal, effect, permissions) = (*subject, *principal, *effect, *permissions);
                self.grants.insert(*id, Grant { id: *id, subject, principal, effect, permissions });
            }
            WorkspaceEvent::GrantRemoved { grant, .. } => {
                self.grants.remove(grant);
            }
            _ => {}
        }
    }

    /// A role that is given must exist.
    pub(super) fn must_be_role(&self, role: MemberRole) -> Result<(), Rejection> {
        match role {
            MemberRole::Custom(id) if !self.roles.contains_key(&id) => Err(Rejection::NotFound("role")),
            _ => Ok(()),
        }
    }

    /// Tells whether somebody is a member with a built-in role.
    pub(super) fn is(&self, user: UserId, role: Role) -> bool {
        self.role(user) == Some(MemberRole::Built(role))
    }
}

fn removed(grant: &Grant) -> WorkspaceEvent {
    let Grant { id, subject, principal, effect, .. } = *grant;
    WorkspaceEvent::GrantRemoved { grant: id, subject, principal, effect }
}
