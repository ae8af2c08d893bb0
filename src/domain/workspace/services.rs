//! Services: other programs as members, with a role as people have. And the API keys of services and agents, as far as
//! the workspace has to know: whose they are, and that they were made and revoked. The keys themselves are nowhere.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MemberRole, Workspace};
use crate::domain::{
    event::WorkspaceEvent,
    ids::{KeyId, ServiceId},
    permission::Permission,
    principal::{Principal, Service},
    rejection::Rejection,
    text::{Label, Title},
};

/// Services of one workspace.
pub const SERVICES_MAX: usize = 100;
/// Keys of one agent or service that were not revoked.
pub const KEYS_OF_ONE_MAX: usize = 100;

/// What can be asked about services and keys.
#[derive(Clone, Debug)]
pub enum ServiceCommand {
    /// Let a program in.
    Add {
        /// Its id.
        service: ServiceId,
        /// Its name.
        name: Label,
        /// As what.
        role: MemberRole,
    },
    /// Take a program out; its keys and grants go with it.
    Remove(ServiceId),
    /// Note that a key was made for an agent or a service.
    IssueKey(Issued),
    /// Note that a key was revoked.
    RevokeKey(KeyId),
}

/// A key, without the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// Its id.
    pub key: KeyId,
    /// The agent or service that it is bound to.
    pub holder: Principal,
    /// What it is for.
    pub name: Title,
    /// How it begins.
    pub prefix: String,
    /// What it is good for, of what its holder may.
    pub scopes: BTreeSet<Permission>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// What the workspace knows of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    name: Label,
    pub(super) role: MemberRole,
}

impl Workspace {
    pub(super) fn decide_service(
        &self,
        by: Principal,
        command: ServiceCommand,
    ) -> Result<Vec<WorkspaceEvent>, Rejection> {
        use ServiceCommand as C;
        match command {
            C::Add { service, name, role } => {
                if self.services.len() >= SERVICES_MAX {
                    return Err(Rejection::Busy("a workspace has at most 100 services"));
                }
                if self.services.values().any(|known| known.name == name) {
                    return Err(Rejection::Taken { what: "the service's name", value: name.to_string() });
                }
                self.must_be_role(role)?;
                self.must_reach(by, [role])?;
                Ok(vec![WorkspaceEvent::ServiceAdded { service, name, role }])
            }
            C::Remove(service) => {
                let account = self.services.get(&service).ok_or(Rejection::NotFound("service"))?;
                self.must_reach(by, [account.role])?;
                let who = Principal::Service(Service::Account(service));
                let keys = self.keys_of(who).map(|key| WorkspaceEvent::KeyRevoked { key, holder: who });
                let gone = keys.chain(self.grants_of(who));
                Ok(gone.chain([WorkspaceEvent::ServiceRemoved { service }]).collect())
            }
            C::IssueKey(issued) => {
                self.must_reach_holder(by, issued.holder)?;
                if self.keys_of(issued.holder).count() >= KEYS_OF_ONE_MAX {
                    return Err(Rejection::Busy("there are 100 keys for it already: revoke one first"));
                }
                let Issued { key, holder, name, prefix, scopes, expires_at } = issued;
                Ok(vec![WorkspaceEvent::KeyIssued { key, holder, name, prefix, scopes, expires_at }])
            }
            C::RevokeKey(key) => {
                let holder = *self.keys.get(&key).ok_or(Rejection::NotFound("key"))?;
                self.must_reach_holder(by, holder)?;
                Ok(vec![WorkspaceEvent::KeyRevoked { key, holder }])
            }
        }
    }

    /// Whoever holds a key can do what its holder may: nobody gets one for somebody who may more than they do.
    fn must_reach_holder(&self, by: Principal, holder: Principal) -> Result<(), Rejection> {
        match holder {
            Principal::Agent(agent) if self.schedule.knows(agent) => Ok(()),
            Principal::Agent(_) => Err(Rejection::NotFound("agent")),
            Principal::Service(Service::Account(service)) => {
                let account = self.services.get(&service).ok_or(Rejection::NotFound("service"))?;
                self.must_reach(by, [account.role])
            }
            Principal::User(_) | Principal::Team(_) | Principal::Service(_) => Err(Rejection::NotFound("service")),
        }
    }

    fn keys_of(&self, holder: Principal) -> impl Iterator<Item = KeyId> {
        self.keys.iter().filter(move |(_, whose)| **whose == holder).map(|(key, _)| *key)
    }

    pub(super) fn apply_service(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::ServiceAdded { service, name, role } => {
                self.services.insert(*service, Account { name: name.clone(), role: *role });
            }
            WorkspaceEvent::ServiceRemoved { service } => {
                self.services.remove(service);
            }
            WorkspaceEvent::KeyIssued { key, holder, .. } => {
                self.keys.insert(*key, *holder);
            }
            WorkspaceEvent::KeyRevoked { key, .. } => {
                self.keys.remove(key);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        event::Event,
        ids::{Subject, UserId, WorkspaceId},
        workspace::{Role, WorkspaceCommand},
    };

    const HOME: WorkspaceId = WorkspaceId(uuid::Uuid::from_u128(1));
    const OWNER: Principal = Principal::User(UserId(uuid::Uuid::from_u128(2)));
    const ADMIN: Principal = Principal::User(UserId(uuid::Uuid::from_u128(3)));
    const BUILD: ServiceId = ServiceId(uuid::Uuid::from_u128(4));
    const KEY: KeyId = KeyId(uuid::Uuid::from_u128(5));

    fn workspace() -> Workspace {
        let mut workspace = Workspace::default();
        let owner = UserId(uuid::Uuid::from_u128(2));
        run(&mut workspace, OWNER, WorkspaceCommand::Create { name: Title::fitted("Lab"), owner }).unwrap();
        let user = UserId(uuid::Uuid::from_u128(3));
        run(&mut workspace, OWNER, WorkspaceCommand::AddMember { user, role: Role::Admin.into() }).unwrap();
        workspace
    }

    fn run(
        workspace: &mut Workspace,
        by: Principal,
        command: WorkspaceCommand,
    ) -> Result<Vec<WorkspaceEvent>, Rejection> {
        let events = workspace.decide(HOME, by, command)?;
        for event in &events {
            workspace.apply(0, DateTime::UNIX_EPOCH, &Subject::Workspace(HOME), &Event::Workspace(event.clone()));
        }
        Ok(events)
    }

    fn add(workspace: &mut Workspace, by: Principal, role: Role) -> Result<Vec<WorkspaceEvent>, Rejection> {
        let command = ServiceCommand::Add { service: BUILD, name: Label::fitted("build"), role: role.into() };
        run(workspace, by, WorkspaceCommand::Services(command))
    }

    fn issue(workspace: &mut Workspace, by: Principal) -> Result<Vec<WorkspaceEvent>, Rejection> {
        let issued = Issued {
            key: KEY,
            holder: Principal::Service(Service::Account(BUILD)),
            name: Title::fitted("ci"),
            prefix: "link_sk_abcd".into(),
            scopes: [Permission::Read].into(),
            expires_at: DateTime::UNIX_EPOCH,
        };
        run(workspace, by, WorkspaceCommand::Services(ServiceCommand::IssueKey(issued)))
    }

    #[test]
    fn nobody_lets_a_service_in_above_themselves_nor_gets_a_key_for_one() {
        let mut workspace = workspace();
        assert!(matches!(add(&mut workspace, ADMIN, Role::Owner), Err(Rejection::Forbidden(_))));
        add(&mut workspace, OWNER, Role::Owner).unwrap();
        assert!(matches!(issue(&mut workspace, ADMIN), Err(Rejection::Forbidden(_))));
        issue(&mut workspace, OWNER).unwrap();
        let revoke = WorkspaceCommand::Services(ServiceCommand::RevokeKey(KEY));
        assert!(matches!(run(&mut workspace, ADMIN, revoke), Err(Rejection::Forbidden(_))));
    }

    #[test]
    fn a_service_that_leaves_leaves_nothing_behind() {
        let mut workspace = workspace();
        add(&mut workspace, ADMIN, Role::Member).unwrap();
        let who = Principal::Service(Service::Account(BUILD));
        assert_eq!(workspace.held(who), Some(Role::Member.permissions()));
        issue(&mut workspace, ADMIN).unwrap();
        let gone = run(&mut workspace, ADMIN, WorkspaceCommand::Services(ServiceCommand::Remove(BUILD))).unwrap();
        assert!(gone.contains(&WorkspaceEvent::KeyRevoked { key: KEY, holder: who }));
        assert_eq!((workspace.held(who), workspace.keys.len()), (None, 0));
        assert!(matches!(issue(&mut workspace, ADMIN), Err(Rejection::NotFound("service"))));
    }
}
