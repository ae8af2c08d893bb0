//! Random commands about members, teams, roles and grants.

use crate::domain::{
    access::{Effect, Grant},
    ids::Subject,
    model::Command,
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    text::Label,
    workspace::{AccessCommand, Issued, MemberRole, Role, ServiceCommand, TeamCommand, WorkspaceCommand},
};

use super::{
    plan::{choose, person, title},
    world::{Ask, World},
};

fn ask(world: &World, by: usize, command: WorkspaceCommand) -> Option<Ask> {
    let by = Principal::User(person(by));
    Some(Ask { subject: Subject::Workspace(world.id), by, command: Command::Workspace(command) })
}

pub(super) fn member(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let built_in = [Role::Guest, Role::Member, Role::Admin, Role::Owner].map(MemberRole::Built);
    let custom = world.ledger.roles.keys().copied().map(MemberRole::Custom);
    let (user, role) = (person(b), choose(built_in.into_iter().chain(custom), c)?);
    let command = match a % 6 {
        0 | 1 => WorkspaceCommand::AddMember { user, role },
        2 | 3 => WorkspaceCommand::UpdateMember { user, role },
        4 if b % 4 == 0 => WorkspaceCommand::Rename(title("new")),
        _ => WorkspaceCommand::RemoveMember(user),
    };
    ask(world, a / 6, command)
}

/// A new team, or one that changes or is dissolved.
pub(super) fn team(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let people = [person(b), person(c)].map(Principal::User).into();
    let command = match a % 5 {
        0 | 1 => TeamCommand::Form(super::plan_squad::team(world, pick, people)),
        _ => super::plan_squad::change_team(world, pick, people)?,
    };
    ask(world, a / 5, WorkspaceCommand::Teams(command))
}

fn services(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let ledger = &world.ledger;
    let roles = [Role::Guest, Role::Member, Role::Admin, Role::Owner].map(MemberRole::Built);
    let service = || choose(ledger.services.iter().copied(), b);
    let account = |service| Principal::Service(Service::Account(service));
    let command = match a / 10 % 4 {
        0 => {
            let name = Label::fitted(&format!("service {}", c % 5));
            ServiceCommand::Add { service: world.fresh().into(), name, role: choose(roles, b)? }
        }
        1 => ServiceCommand::Remove(service()?),
        2 if c % 2 == 0 => ServiceCommand::RevokeKey(choose(ledger.keys.keys().copied(), c)?),
        _ => {
            let agents = ledger.agents.keys().map(|agent| Principal::Agent(*agent));
            ServiceCommand::IssueKey(Issued {
                key: world.fresh().into(),
                holder: choose(agents.chain(service().map(account)), c)?,
                name: title("key"),
                prefix: "link_sk_".into(),
                scopes: [Permission::Read].into(),
                expires_at: world.now,
            })
        }
    };
    ask(world, a / 40, WorkspaceCommand::Services(command))
}

pub(super) fn access(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    if a % 10 >= 8 {
        return services(world, pick);
    }
    let ledger = &world.ledger;
    let name = || Label::fitted(&format!("role {}", c % 7));
    let some = |from: Permissions| -> Permissions {
        from.iter().enumerate().filter(|(n, _)| (b >> n) & 1 == 1).map(|(_, permission)| permission).collect()
    };
    let role = choose(ledger.roles.keys().copied(), c);
    let command = match a % 10 {
        0 => {
            let permissions = some(Permissions::IN_ROLES);
            AccessCommand::CreateRole { role: world.fresh().into(), name: name(), permissions }
        }
        1 | 4 => {
            let permissions = (b % 3 > 0).then(|| some(Permissions::IN_ROLES));
            AccessCommand::UpdateRole { role: role?, name: (c % 2 == 0).then(name), permissions }
        }
        2 => AccessCommand::DeleteRole(role?),
        3 => AccessCommand::RemoveGrant(choose(ledger.grants.keys().copied(), c)?),
        _ => {
            let things = ledger.projects.keys().map(|id| Subject::Project(*id));
            let things = things.chain(ledger.tasks.keys().map(|id| Subject::Task(*id)));
            let things = things.chain(ledger.conversations.iter().map(|id| Subject::Conversation(*id)));
            AccessCommand::SetGrant(Grant {
                id: world.fresh().into(),
                subject: choose(things, c)?,
                principal: match choose(ledger.teams.keys().copied(), b).filter(|_| b % 4 == 0) {
                    Some(team) => Principal::Team(team),
                    None => Principal::User(person(b)),
                },
                effect: if c % 2 == 0 { Effect::Allow } else { Effect::Deny },
                permissions: some(Permissions::ON_THINGS),
            })
        }
    };
    ask(world, a / 10, WorkspaceCommand::Access(command))
}
