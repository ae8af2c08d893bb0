//! The tables of requirements 3.2 and 3.6, written down once more, and that nothing else ever happens.

use proptest::prelude::*;

use crate::domain::{
    event::{Event, TaskEvent},
    ids::{ProjectId, Subject, TaskId},
    model::Model,
    principal::Principal,
    rejection::Rejection,
    task::{Circumstance, Task, TaskCommand, TaskStatus},
};

use super::{
    ledger::{Ledger, Phase},
    plan::{person, plans, play},
    tries,
};

/// Which step of a task exists, and whether a person may take it by moving the card.
fn step(from: TaskStatus, to: TaskStatus) -> (bool, bool) {
    const NO: (bool, bool) = (false, false);
    const AUTO: (bool, bool) = (true, false);
    const HAND: (bool, bool) = (true, true);
    // Columns: backlog, ready, blocked, in_progress, awaiting_input, in_review, done, failed, cancelled.
    let row = match from {
        TaskStatus::Backlog => [NO, HAND, AUTO, NO, NO, NO, NO, NO, HAND],
        TaskStatus::Ready => [HAND, NO, AUTO, HAND, NO, NO, NO, NO, HAND],
        TaskStatus::Blocked => [HAND, AUTO, NO, NO, NO, NO, NO, NO, HAND],
        TaskStatus::InProgress => [NO, HAND, NO, NO, AUTO, HAND, HAND, HAND, HAND],
        TaskStatus::AwaitingInput => [NO, HAND, NO, HAND, NO, NO, NO, HAND, HAND],
        TaskStatus::InReview => [NO, HAND, NO, HAND, NO, NO, HAND, HAND, HAND],
        TaskStatus::Done | TaskStatus::Failed | TaskStatus::Cancelled => [NO, HAND, NO, NO, NO, NO, NO, NO, NO],
    };
    row[TaskStatus::ALL.iter().position(|status| *status == to).expect("ALL has all")]
}

#[test]
fn every_pair_of_task_states_is_as_the_table_says() {
    let cx = Circumstance { by: Principal::User(person(0)), now: Default::default() };
    for from in TaskStatus::ALL.iter().copied() {
        for to in TaskStatus::ALL.iter().copied() {
            let (exists, by_hand) = step(from, to);
            assert_eq!(from.may_become(to), exists, "{from} → {to}");

            let decided = task_in(from).decide(TaskId(Default::default()), cx, TaskCommand::Transition(to));
            match decided {
                Ok(events) if from == to => assert_eq!(events, vec![]),
                Ok(events) => {
                    assert!(by_hand, "{from} → {to} by hand");
                    assert!(
                        matches!(events[..], [TaskEvent::Transitioned { from: a, to: b, .. }] if (a, b) == (from, to))
                    );
                }
                Err(Rejection::Transition { .. }) => assert!(!by_hand, "{from} → {to} by hand"),
                Err(other) => panic!("{from} → {to}: {other}"),
            }
        }
    }
}

fn task_in(status: TaskStatus) -> Task {
    let mut task = Task::default();
    let created = TaskEvent::Created {
        project: ProjectId(Default::default()),
        number: 1,
        identifier: "K-1".into(),
        title: Default::default(),
        description: Default::default(),
        status,
        priority: Default::default(),
        assignee: None,
        parent: None,
        depends_on: Default::default(),
        claims: Default::default(),
        skills: Default::default(),
    };
    task.apply(1, &created);
    task
}

/// Which step of a delegation exists.
fn leads(from: Phase, to: Phase) -> bool {
    use Phase as P;
    // What still runs can be fenced off: paused, given to another agent, told to stop.
    let stoppable = matches!(to, P::Paused | P::Queued | P::Cancelling);
    match from {
        P::New => to == P::Queued,
        // The named agent may leave before its turn comes: then a person has to decide.
        P::Queued => matches!(to, P::Queued | P::Dispatching | P::Paused | P::Escalated | P::Cancelled),
        P::Dispatching => stoppable || matches!(to, P::Running | P::Recovering),
        P::Running => stoppable || matches!(to, P::Awaiting | P::Submitted | P::Recovering),
        P::Awaiting => stoppable || matches!(to, P::Running | P::Awaiting | P::Recovering | P::Escalated),
        P::Paused => matches!(to, P::Queued | P::Cancelled),
        P::Submitted => matches!(to, P::Reviewing | P::Completed),
        P::Reviewing => {
            matches!(to, P::Reviewing | P::Completed | P::Queued | P::Failed | P::Escalated | P::Cancelled)
        }
        P::Recovering => matches!(to, P::Queued | P::Escalated),
        P::Escalated => matches!(to, P::Queued | P::Cancelled),
        P::Cancelling => to == P::Cancelled,
        P::Completed | P::Failed | P::Cancelled => false,
    }
}

proptest! {
    #![proptest_config(tries(130))]

    #[test]
    fn only_steps_of_the_tables_are_taken(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            if let (Subject::Task(id), Event::Task(event)) = (&entry.fact.subject, &entry.fact.event) {
                let before = ledger.tasks.get(id).map(|card| card.status);
                match event {
                    TaskEvent::Transitioned { from, to, reason } => {
                        prop_assert_eq!(Some(*from), before, "{}", reason);
                        prop_assert!(step(*from, *to).0, "{from} → {to}: {reason}");
                    }
                    TaskEvent::Ready { .. } => prop_assert_eq!(before, Some(TaskStatus::Blocked)),
                    TaskEvent::Created { status, .. } => prop_assert!(
                        matches!(status, TaskStatus::Backlog | TaskStatus::Ready | TaskStatus::Blocked)
                    ),
                    _ => {}
                }
                if let Some((delegation, to)) = ledger.phase_after(event) {
                    let from = ledger.delegations.get(&delegation).map_or(Phase::New, |known| known.phase);
                    prop_assert!(leads(from, to), "{from:?} → {to:?} by {event:?}");
                }
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn the_live_state_says_what_the_log_says(plan in plans(100)) {
        play(&plan, |world| {
            for (subject, model) in &world.models {
                let (Subject::Task(id), Model::Task(_, task)) = (subject, model) else { continue };
                let task = serde_json::to_value(task).unwrap();
                assert_eq!(task["status"], world.ledger.tasks[id].status.name());
                let open = world.ledger.open_delegations(*id);
                let phase = open.first().map(|(_, known)| format!("{:?}", known.phase).to_lowercase());
                assert_eq!(task["delegation"]["status"].as_str(), phase.as_deref());
                let live = world.ledger.live().into_iter().find(|attempt| attempt.task == *id);
                assert_eq!(task["delegation"]["attempt"]["fence"].as_u64(), live.map(|attempt| attempt.fence));
            }
        });
    }

    #[test]
    fn a_task_shows_what_its_delegation_does(plan in plans(100)) {
        use TaskStatus as S;
        play(&plan, |world| {
            for mandate in world.ledger.delegations.values() {
                let status = world.ledger.tasks[&mandate.task].status;
                let fits = match mandate.phase {
                    Phase::Queued | Phase::Dispatching | Phase::Paused => matches!(status, S::Ready | S::InProgress),
                    Phase::Running => status == S::InProgress,
                    Phase::Awaiting => status == S::AwaitingInput,
                    // Whatever failed before it began leaves the task where it was.
                    Phase::Escalated => matches!(status, S::AwaitingInput | S::Ready),
                    Phase::Reviewing => status == S::InReview,
                    Phase::Cancelling => {
                        matches!(status, S::Ready | S::InProgress | S::AwaitingInput | S::Cancelled)
                    }
                    Phase::Completed | Phase::Failed | Phase::Cancelled => true,
                    Phase::New | Phase::Submitted | Phase::Recovering => false,
                };
                assert!(fits, "the task is {status} while its delegation is {:?}", mandate.phase);
            }
        });
    }
}
