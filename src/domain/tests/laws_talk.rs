//! What holds in every conversation, branches and merges included.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use crate::domain::{
    conversation::{ConversationKind, EMOJIS_MAX, MessageKind, QUEUE_MAX, REACTIONS_MAX, StopReason, TurnOutcome},
    event::{ConversationEvent as E, Event},
    ids::{ConversationId, Subject},
    principal::{Principal, Service},
};

use super::{
    plan::{plans, play},
    tries,
    world::{Entry, World},
};

fn said(world: &World) -> impl Iterator<Item = (&Entry, ConversationId, &E)> {
    world.log.iter().filter_map(|entry| match (&entry.fact.subject, &entry.fact.event) {
        (Subject::Conversation(id), Event::Conversation(event)) => Some((entry, *id, event)),
        _ => None,
    })
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn messages_are_numbered_without_gaps_and_strangers_change_nothing_between_others(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let (mut last, mut own) = (BTreeMap::new(), BTreeMap::<ConversationId, BTreeSet<Principal>>::new());
        for (entry, id, event) in said(&world) {
            // Who leaves a direct conversation leaves its branches, whoever takes them out.
            let leaves = matches!(event, E::ParticipantRemoved { .. } | E::TurnStopping { why: StopReason::Dropped, .. });
            let follows = leaves && world.ledger.branches.contains_key(&id);
            let link = entry.by == Principal::Service(Service::Conductor);
            if let Some(people) = own.get(&id).filter(|_| !follows && !link) {
                let ends = matches!(event, E::TurnEnded { .. });
                prop_assert!(ends || people.contains(&entry.by), "a stranger did {event:?}");
            }
            match event {
                E::Created { kind: ConversationKind::Dm, participants, .. }
                | E::Branched { kind: ConversationKind::Dm, participants, .. } => {
                    prop_assert!(participants.contains(&entry.by));
                    own.insert(id, participants.clone());
                }
                E::ParticipantAdded { participant } => {
                    if let Some(people) = own.get_mut(&id) {
                        people.insert(*participant);
                    }
                }
                E::ParticipantRemoved { participant } => {
                    if let Some(people) = own.get_mut(&id) {
                        people.remove(participant);
                    }
                }
                _ => {}
            }
            match event {
                E::Branched { seq, .. } => drop(last.insert(id, *seq)),
                E::Message { seq, author, .. } | E::Merged { seq, author, .. } => {
                    let before = last.insert(id, *seq).unwrap_or(0);
                    prop_assert_eq!((*seq, *author), (before + 1, entry.by));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_branch_of_a_direct_conversation_is_open_to_nobody_else(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let mut own = BTreeMap::<ConversationId, BTreeSet<Principal>>::new();
        // What is committed as one is seen as one.
        for commit in world.commits() {
            for entry in commit {
                let (Subject::Conversation(id), Event::Conversation(event)) =
                    (&entry.fact.subject, &entry.fact.event) else { continue };
                match event {
                    E::Created { participants, .. } | E::Branched { participants, .. } => {
                        own.insert(*id, participants.clone());
                    }
                    E::ParticipantAdded { participant } => drop(own.entry(*id).or_default().insert(*participant)),
                    E::ParticipantRemoved { participant } => drop(own.entry(*id).or_default().remove(participant)),
                    _ => {}
                }
            }
            for (branch, parent) in &world.ledger.branches {
                let (Some(inner), Some(outer)) = (own.get(branch), own.get(parent)) else { continue };
                if world.ledger.kinds[parent] == ConversationKind::Dm {
                    prop_assert_eq!(world.ledger.kinds[branch], ConversationKind::Dm);
                    prop_assert!(outer.is_superset(inner));
                }
            }
        }
    }

    #[test]
    fn a_branch_is_merged_once_whole_and_says_nothing_after_it(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let (mut begun, mut last, mut merged) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (_, id, event) in said(&world) {
            match event {
                E::Branched { seq, .. } => drop((begun.insert(id, *seq), last.insert(id, *seq))),
                E::Message { seq, .. } => {
                    prop_assert!(!merged.contains_key(&id), "something was said in a closed branch");
                    last.insert(id, *seq);
                }
                E::Merged { branch, from, to, message, seq, .. } => {
                    prop_assert_eq!((*from, *to), (begun[branch] + 1, last[branch]));
                    prop_assert!(from <= to && *branch != id);
                    prop_assert!(merged.insert(*branch, (id, *message)).is_none(), "merged twice");
                    last.insert(id, *seq);
                }
                E::Sealed { into, entry } => prop_assert_eq!(merged.get(&id), Some(&(*into, *entry))),
                _ => {}
            }
        }
    }

    #[test]
    fn conflicting_decisions_are_flagged_and_only_those(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let mut known = BTreeMap::<(ConversationId, String), BTreeSet<String>>::new();
        for (_, id, event) in said(&world) {
            let E::Merged { decisions, conflicts, .. } = event else { continue };
            let mut flagged = conflicts.iter();
            for decision in decisions {
                let before = known.entry((id, decision.key.to_string())).or_default();
                let others: Vec<String> =
                    before.iter().filter(|value| **value != *decision.value).cloned().collect();
                before.insert(decision.value.to_string());
                if others.is_empty() {
                    continue;
                }
                let conflict = flagged.next().expect("it is flagged");
                let here: Vec<String> = conflict.here.iter().map(ToString::to_string).collect();
                prop_assert_eq!((here, &conflict.there), (others, &decision.value));
            }
            prop_assert!(flagged.next().is_none());
        }
    }

    #[test]
    fn everybody_reacts_once_in_each_way_and_deleted_messages_stay_as_they_are(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let (mut reactions, mut gone) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
        for (_, _, event) in said(&world) {
            match event {
                E::Reacted { message, who, emoji } => {
                    prop_assert!(!gone.contains(message));
                    let all = reactions.entry(*message).or_default();
                    prop_assert!(all.insert((*who, emoji.clone())), "reacted twice");
                    let emojis: BTreeSet<_> = all.iter().map(|(_, emoji)| emoji).collect();
                    prop_assert!(all.len() <= REACTIONS_MAX && emojis.len() <= EMOJIS_MAX);
                }
                E::Unreacted { message, who, emoji } => {
                    prop_assert!(reactions.entry(*message).or_default().remove(&(*who, emoji.clone())));
                }
                E::MessageEdited { message, .. } => prop_assert!(!gone.contains(message)),
                E::MessageDeleted { message, .. } => {
                    prop_assert!(gone.insert(*message), "deleted twice");
                    reactions.remove(message);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nobody_unreads_a_message(plan in plans(160)) {
        let world = play(&plan, |_| {});
        let mut read = BTreeMap::new();
        for (_, id, event) in said(&world) {
            if let E::Read { reader, seq } = event {
                let before = read.insert((id, *reader), *seq).unwrap_or(0);
                prop_assert!(*seq > before);
            }
        }
    }

    #[test]
    fn an_agent_answers_one_message_at_a_time_in_the_order_in_which_they_came(plan in plans(200)) {
        let world = play(&plan, |_| {});
        let (mut queues, mut running) = (BTreeMap::<_, VecDeque<_>>::new(), BTreeMap::new());
        for (_, id, event) in said(&world) {
            match event {
                E::TurnQueued { turn, agent, .. } => {
                    let queue = queues.entry((id, *agent)).or_default();
                    queue.push_back(*turn);
                    prop_assert!(queue.len() <= QUEUE_MAX);
                }
                E::TurnStarted { turn, agent, .. } => {
                    prop_assert_eq!(queues.entry((id, *agent)).or_default().pop_front(), Some(*turn));
                    prop_assert_eq!(running.insert((id, *agent), *turn), None, "two at once");
                }
                E::TurnStopping { turn, agent, .. } => prop_assert_eq!(running.get(&(id, *agent)), Some(turn)),
                E::TurnEnded { turn, agent, .. } => {
                    let queue = queues.entry((id, *agent)).or_default();
                    let waited = queue.iter().position(|known| known == turn).and_then(|nth| queue.remove(nth));
                    prop_assert!(waited.is_some() || running.remove(&(id, *agent)) == Some(*turn));
                }
                _ => {}
            }
        }
        // Nothing is lost: what waits or runs in the log is what the schedule knows, also after it is folded anew.
        let known: BTreeSet<_> = world.workspace.schedule().turns().map(|known| known.turn).collect();
        prop_assert_eq!(known, running.into_values().collect());
    }

    #[test]
    fn every_turn_ends_with_one_message_unless_it_was_taken_back(plan in plans(200)) {
        let world = play(&plan, |_| {});
        for commit in world.commits() {
            let events: Vec<_> = commit.iter().map(|entry| &entry.fact.event).collect();
            for event in &events {
                let Event::Conversation(E::TurnEnded { outcome, answer, turn, .. }) = event else { continue };
                let messages = events.iter().filter_map(|event| match event {
                    Event::Conversation(E::Message { message, kind, .. }) => Some((*message, *kind)),
                    _ => None,
                });
                let messages: Vec<_> = messages.collect();
                match outcome {
                    TurnOutcome::Answered => {
                        prop_assert_eq!(messages, vec![(answer.expect("it has one"), MessageKind::Said)]);
                    }
                    TurnOutcome::Failed => {
                        prop_assert!(matches!(messages[..], [(_, MessageKind::Note)]), "{turn}: {messages:?}");
                    }
                    TurnOutcome::Interrupted => match answer {
                        Some(message) => prop_assert_eq!(messages, vec![(*message, MessageKind::Partial)]),
                        None => prop_assert_eq!(messages, vec![]),
                    },
                    TurnOutcome::RolledBack | TurnOutcome::Dropped => prop_assert_eq!(messages, vec![]),
                }
            }
        }
    }
}
