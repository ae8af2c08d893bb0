//! Names, numbers and roles: what must hold over a whole workspace.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::domain::{
    conversation::ConversationKind,
    event::{ConversationEvent, Event, ProjectEvent, TaskEvent, WorkspaceEvent},
    ids::Subject,
    principal::Principal,
    workspace::Role,
};

use super::{
    ledger::Ledger,
    plan::{plans, play},
    tries,
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
        play(&plan, |world| assert!(world.ledger.members.values().any(|role| *role == Role::Owner)));
    }

    #[test]
    fn nobody_gives_changes_or_takes_a_role_above_their_own(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            let own = entry.by.user().and_then(|user| ledger.members.get(&user).copied());
            let before = |user| ledger.members.get(user).copied();
            let reached = match &entry.fact.event {
                Event::Workspace(WorkspaceEvent::MemberAdded { role, .. }) => Some(*role),
                Event::Workspace(WorkspaceEvent::MemberUpdated { user, role }) => before(user).max(Some(*role)),
                Event::Workspace(WorkspaceEvent::MemberRemoved { user }) if entry.by != Principal::User(*user) => {
                    before(user)
                }
                _ => None,
            };
            prop_assert!(own >= reached, "{own:?} reached {reached:?}");
            ledger.fold(entry);
        }
    }

    #[test]
    fn messages_are_numbered_without_gaps_and_strangers_change_nothing_between_others(plan in plans(120)) {
        let world = play(&plan, |_| {});
        let (mut last, mut own) = (BTreeMap::new(), BTreeMap::<Subject, BTreeSet<Principal>>::new());
        for entry in &world.log {
            let Event::Conversation(event) = &entry.fact.event else { continue };
            let subject = entry.fact.subject;
            if let Some(people) = own.get(&subject) {
                prop_assert!(people.contains(&entry.by), "a stranger did {event:?}");
            }
            match event {
                ConversationEvent::Created { kind: ConversationKind::Dm, participants, .. } => {
                    prop_assert!(participants.contains(&entry.by));
                    own.insert(subject, participants.clone());
                }
                ConversationEvent::ParticipantAdded { participant } => {
                    if let Some(people) = own.get_mut(&subject) {
                        people.insert(*participant);
                    }
                }
                ConversationEvent::ParticipantRemoved { participant } => {
                    if let Some(people) = own.get_mut(&subject) {
                        people.remove(participant);
                    }
                }
                ConversationEvent::Message { seq, author, .. } => {
                    let before = last.insert(subject, *seq).unwrap_or(0);
                    prop_assert_eq!((*seq, *author), (before + 1, entry.by));
                }
                _ => {}
            }
        }
    }
}
