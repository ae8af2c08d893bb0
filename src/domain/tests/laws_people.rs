//! Names, numbers and roles: what must hold over a whole workspace.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    access::{Effect, Grant},
    event::{Event, ProjectEvent, TaskEvent, WorkspaceEvent},
    ids::{GrantId, RoleId, Subject, TaskId, TeamId, WorkspaceId},
    model::Command,
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    rejection::Rejection,
    text::Label,
    workspace::{AccessCommand, MemberRole, NewTeam, Role, TeamChange, TeamCommand, TeamPolicy, WorkspaceCommand},
};

use super::{
    ledger::Ledger,
    plan::{person, plans, play, title},
    scene::{Done, Scene, user},
    tries,
    world::Ask,
};

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn tasks_of_a_project_are_numbered_without_gaps(plan in plans(120)) {
        let world = play(&plan, |_| {});
        let (mut keys, mut last) = (BTreeMap::new(), BTreeMap::new());
        for entry in &world.log {
            match &entry.fact.event {
                Event::Project(ProjectEvent::Created { key, .. }) => {
                    prop_assert!(!keys.values().any(|taken| taken == key), "{key} is taken");
                    prop_assert!((2..=10).contains(&key.len()) && key.chars().all(|c| c.is_ascii_alphanumeric()));
                    keys.insert(entry.fact.subject, key.clone());
                }
                Event::Task(TaskEvent::Created { project, number, identifier, .. }) => {
                    let project = Subject::Project(*project);
                    let before = last.insert(project, *number).unwrap_or(0);
                    prop_assert_eq!(*number, before + 1);
                    prop_assert_eq!(identifier, &format!("{}-{number}", keys[&project]));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn there_is_always_an_owner(plan in plans(150)) {
        play(&plan, |world| assert!(world.ledger.members.values().any(|role| *role == Role::Owner.into())));
    }

    #[test]
    fn a_key_belongs_to_somebody_who_is_there_and_goes_with_them(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            match &entry.fact.event {
                Event::Workspace(WorkspaceEvent::KeyIssued { holder, .. }) => {
                    let there = match holder {
                        Principal::Agent(id) => ledger.agents.contains_key(id),
                        Principal::Service(Service::Account(id)) => ledger.services.contains(id),
                        _ => false,
                    };
                    prop_assert!(there, "a key for {holder}");
                }
                Event::Workspace(WorkspaceEvent::ServiceRemoved { service }) => {
                    let who = Principal::Service(Service::Account(*service));
                    prop_assert!(ledger.keys.values().all(|holder| *holder != who), "a key outlives its service");
                }
                _ => {}
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn a_grant_is_about_something_and_somebody_that_exists_and_nobody_else_than_an_owner_changes_their_own(
        plan in plans(150)
    ) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            let owns = entry.by.user().and_then(|user| ledger.held(user)).unwrap_or_default();
            match &entry.fact.event {
                Event::Workspace(WorkspaceEvent::GrantSet { subject, principal, effect, permissions, .. }) => {
                    prop_assert!(owns.contains(Permission::Own) || *principal != entry.by);
                    prop_assert!(Permissions::ON_THINGS.includes(*permissions));
                    prop_assert!(*effect == Effect::Deny || permissions.contains(Permission::Read));
                    let exists = match subject {
                        Subject::Project(id) => ledger.projects.contains_key(id),
                        Subject::Task(id) => ledger.tasks.contains_key(id),
                        Subject::Conversation(id) => ledger.conversations.contains(id),
                        _ => false,
                    };
                    prop_assert!(exists, "a grant on {subject}");
                }
                Event::Workspace(WorkspaceEvent::MemberRemoved { user }) => {
                    let left = ledger.grants.values().any(|(_, who)| *who == Principal::User(*user));
                    prop_assert!(!left, "grants outlive the member");
                }
                _ => {}
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn nobody_gives_changes_or_takes_a_role_above_their_own(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            let own = entry.by.user().and_then(|user| ledger.held(user)).unwrap_or_default();
            let before = ledger.clone();
            ledger.fold(entry);
            let held = |ledger: &Ledger, user| ledger.held(user).unwrap_or_default();
            let role = |ledger: &Ledger, role| ledger.roles.get(role).copied().unwrap_or_default();
            let Event::Workspace(event) = &entry.fact.event else { continue };
            let reached = match event {
                WorkspaceEvent::MemberRemoved { user } if entry.by == Principal::User(*user) => continue,
                WorkspaceEvent::MemberAdded { user, .. }
                | WorkspaceEvent::MemberUpdated { user, .. }
                | WorkspaceEvent::MemberRemoved { user } => held(&before, *user).union(held(&ledger, *user)),
                WorkspaceEvent::RoleCreated { role: id, .. }
                | WorkspaceEvent::RoleUpdated { role: id, .. }
                | WorkspaceEvent::RoleDeleted { role: id } => role(&before, id).union(role(&ledger, id)),
                _ => continue,
            };
            prop_assert!(own.includes(reached), "{own:?} reached {reached:?}");
        }
    }
}

fn manage(scene: &mut Scene, by: usize, command: WorkspaceCommand) -> Done {
    let subject = Subject::Workspace(WorkspaceId(uuid::Uuid::from_u128(1)));
    scene.world.run(Ask { subject, by: user(by), command: Command::Workspace(command) })
}

/// Gives person 1 a role of these permissions.
fn with_role(scene: &mut Scene, permissions: &[Permission]) {
    let (role, permissions) = (RoleId(scene.world.fresh()), permissions.iter().copied().collect());
    let create = AccessCommand::CreateRole { role, name: Label::fitted("doorman"), permissions };
    manage(scene, 0, WorkspaceCommand::Access(create)).unwrap();
    let role = MemberRole::Custom(role);
    manage(scene, 0, WorkspaceCommand::UpdateMember { user: person(1), role }).unwrap();
}

/// Lets somebody work on a task, or not.
fn grant(scene: &mut Scene, by: usize, task: TaskId, principal: Principal, effect: Effect) -> Done {
    let (id, subject) = (GrantId(scene.world.fresh()), Subject::Task(task));
    let grant = Grant { id, subject, principal, effect, permissions: Permission::Converse.into() };
    manage(scene, by, WorkspaceCommand::Access(AccessCommand::SetGrant(grant)))
}

fn form(scene: &mut Scene, members: &[Principal], lead: Option<Principal>) -> TeamId {
    let (id, members) = (TeamId(scene.world.fresh()), members.iter().copied().collect());
    let policy = if lead.is_some() { TeamPolicy::Leader } else { TeamPolicy::RoundRobin };
    let new = NewTeam { id, name: title(id.to_string()), members, lead, policy };
    manage(scene, 0, WorkspaceCommand::Teams(TeamCommand::Form(new))).unwrap();
    id
}

fn of_team(scene: &mut Scene, by: usize, team: TeamId, members: &[Principal]) -> Done {
    let change = TeamChange { members: Some(members.iter().copied().collect()), ..TeamChange::default() };
    manage(scene, by, WorkspaceCommand::Teams(TeamCommand::Update { team, change }))
}

#[test]
fn a_role_that_was_made_here_is_good_for_those_whose_built_in_role_holds_no_more() {
    use Permission as P;
    let mut scene = Scene::new();
    with_role(&mut scene, &[P::Read, P::Converse, P::ManageMembers, P::ManageAccess]);
    let task = scene.task();
    let (guest, member) = (Role::Guest.into(), Role::Member.into());
    manage(&mut scene, 1, WorkspaceCommand::AddMember { user: person(3), role: guest }).unwrap();
    grant(&mut scene, 1, task, user(3), Effect::Deny).unwrap();
    for above in [
        WorkspaceCommand::UpdateMember { user: person(3), role: member },
        WorkspaceCommand::UpdateMember { user: person(2), role: guest },
        WorkspaceCommand::RemoveMember(person(2)),
    ] {
        let done = manage(&mut scene, 1, above);
        assert!(matches!(done, Err(Rejection::Forbidden(_))), "{done:?}");
    }
    manage(&mut scene, 1, WorkspaceCommand::RemoveMember(person(3))).unwrap();
}

#[test]
fn who_does_not_manage_access_moves_nobody_in_or_out_of_a_team_that_something_was_granted_to() {
    use Permission as P;
    let mut scene = Scene::new();
    let (task, agent) = (scene.task(), Principal::Agent(scene.agent));
    with_role(&mut scene, &[P::Read, P::Converse, P::Work, P::Delegate, P::Review, P::ManageMembers]);
    let team = form(&mut scene, &[agent], None);
    of_team(&mut scene, 1, team, &[agent, user(2)]).expect("nothing was granted to it yet");
    grant(&mut scene, 0, task, Principal::Team(team), Effect::Deny).unwrap();
    for members in [&[user(2)][..], &[agent], &[agent, user(2), user(0)]] {
        let done = of_team(&mut scene, 1, team, members);
        assert!(matches!(done, Err(Rejection::Forbidden(_))), "{done:?}");
    }
    let done = manage(&mut scene, 1, WorkspaceCommand::Teams(TeamCommand::Dissolve(team)));
    assert!(matches!(done, Err(Rejection::Forbidden(_))), "{done:?}");
    let name = TeamChange { name: Some(title("cooks")), ..TeamChange::default() };
    let rename = TeamCommand::Update { team, change: name };
    manage(&mut scene, 1, WorkspaceCommand::Teams(rename)).expect("that gives nobody anything");
    of_team(&mut scene, 0, team, &[user(2)]).unwrap();
}

#[test]
fn whoever_leaves_the_workspace_leaves_its_teams_and_comes_back_into_none_of_them() {
    let mut scene = Scene::new();
    let agent = Principal::Agent(scene.agent);
    let (led, other) = (form(&mut scene, &[user(1), agent], Some(user(1))), form(&mut scene, &[user(1)], None));
    manage(&mut scene, 1, WorkspaceCommand::RemoveMember(person(1))).unwrap();
    let teams = |scene: &Scene| [led, other].map(|team| scene.world.ledger.teams[&team].clone());
    assert_eq!(teams(&scene), [[agent].into(), [].into()]);
    let role = Role::Guest.into();
    manage(&mut scene, 0, WorkspaceCommand::AddMember { user: person(1), role }).unwrap();
    assert_eq!(teams(&scene), [[agent].into(), [].into()]);
    of_team(&mut scene, 0, led, &[agent, user(2)]).expect("it needs no lead any more");
}
