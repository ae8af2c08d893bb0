//! Tasks wait for each other without circles, start only when they may, and hear once that they can.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    event::{Event, TaskEvent},
    ids::{Subject, TaskId},
    routing::Bulkheads,
    task::TaskStatus,
    workspace::Gate,
};

use super::{
    ledger::{Ledger, Phase},
    plan::{plans, play},
    tries,
};

/// Removes tasks that wait for nothing that is left, until none can be removed.
fn is_acyclic(ledger: &Ledger) -> bool {
    let waits = |id: &TaskId| {
        let gates = ledger.tasks[id].gates.iter();
        gates.filter(|(_, gate)| matches!(gate, Gate::Blocks | Gate::ReviewReadyOk)).map(|(id, _)| *id).collect()
    };
    let mut left: BTreeMap<TaskId, Vec<TaskId>> = ledger.tasks.keys().map(|id| (*id, waits(id))).collect();
    while let Some(free) = left.iter().find(|(_, gates)| gates.iter().all(|id| !left.contains_key(id))) {
        let free = *free.0;
        left.remove(&free);
    }
    left.is_empty()
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn tasks_never_wait_in_a_circle(plan in plans(120)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            ledger.fold(entry);
            if matches!(entry.fact.event, Event::Task(TaskEvent::DependencyAdded { .. })) {
                prop_assert!(is_acyclic(&ledger));
            }
        }
    }

    #[test]
    fn no_attempt_starts_behind_a_closed_gate(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            if let Event::Task(TaskEvent::AttemptStarted { .. }) = entry.fact.event {
                let Subject::Task(id) = entry.fact.subject else { unreachable!() };
                prop_assert!(ledger.gates_are_open(id));
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn a_task_is_blocked_exactly_while_it_waits_to_be_started(plan in plans(120)) {
        play(&plan, |world| {
            for (id, card) in &world.ledger.tasks {
                let waits = !world.ledger.gates_are_open(*id);
                let idle = world.ledger.open_delegations(*id).is_empty();
                match card.status {
                    TaskStatus::Blocked => assert!(waits && idle, "{} is blocked for nothing", card.identifier),
                    // What was handed to an agent has started; it keeps its place in the queue.
                    TaskStatus::Ready => assert!(!waits || !idle, "{} is ready and waits", card.identifier),
                    _ => {}
                }
            }
        });
    }

    #[test]
    fn a_task_hears_once_per_unblocking_that_it_is_ready(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for commit in world.commits() {
            let blocked: Vec<TaskId> =
                ledger.tasks.iter().filter(|(_, card)| card.status == TaskStatus::Blocked).map(|(id, _)| *id).collect();
            commit.iter().for_each(|entry| ledger.fold(entry));
            for id in ledger.tasks.keys() {
                let heard = commit.iter().filter(|entry| {
                    entry.fact.subject == Subject::Task(*id)
                        && matches!(entry.fact.event, Event::Task(TaskEvent::Ready { .. }))
                });
                let unblocked = blocked.contains(id) && ledger.tasks[id].status == TaskStatus::Ready;
                prop_assert_eq!(heard.count(), usize::from(unblocked));
            }
        }
    }

    #[test]
    fn a_queued_delegation_behind_a_closed_gate_is_not_offered(plan in plans(100)) {
        play(&plan, |world| {
            for offer in world.workspace.schedule().agenda(world.now, 7, Bulkheads::default()).dispatch {
                assert!(world.ledger.gates_are_open(offer.task));
                assert_eq!(world.ledger.delegations[&offer.delegation].phase, Phase::Queued);
            }
        });
    }
}
