//! Delegations: one at a time, never stuck, done only with evidence and the approvals of those who may give them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::{
    event::{Event, TaskEvent},
    ids::{Subject, TaskId},
    principal::Principal,
    task::{Reviewers, TaskCommand, TaskStatus},
};

use super::{
    ledger::{Ledger, Mandate, Phase},
    plan::{plans, play},
    plan_work::{FAILED, FINAL, REPORTS, any_report, task_ask},
    tries,
    world::{Entry, World},
};

fn task_event(entry: &Entry) -> Option<(TaskId, &TaskEvent)> {
    match (&entry.fact.subject, &entry.fact.event) {
        (Subject::Task(id), Event::Task(event)) => Some((*id, event)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn a_task_has_one_open_delegation_one_live_attempt_and_rising_fences(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            ledger.fold(entry);
            let Some((id, _)) = task_event(entry) else { continue };
            prop_assert!(ledger.open_delegations(id).len() <= 1);
            prop_assert!(ledger.live().iter().filter(|attempt| attempt.task == id).count() <= 1);
            prop_assert!(ledger.tasks[&id].fences.is_sorted_by(|a, b| a < b), "{:?}", ledger.tasks[&id].fences);
            for attempt in ledger.live() {
                prop_assert!(!ledger.delegations[&attempt.delegation].phase.is_over());
            }
        }
    }

    #[test]
    fn every_open_delegation_has_a_next_move(plan in plans(120)) {
        play(&plan, |world| {
            for (id, mandate) in &world.ledger.delegations {
                let live = world.ledger.live().into_iter().any(|attempt| attempt.delegation == *id);
                let asked = world.ledger.questions.values().any(|asked| asked.delegation == *id && asked.open);
                let next = match mandate.phase {
                    Phase::Queued => is_queued(world, mandate) && !live,
                    Phase::Dispatching | Phase::Running | Phase::Cancelling => live && !asked,
                    Phase::Awaiting => live && asked,
                    // A person is asked, and nothing runs meanwhile.
                    Phase::Paused | Phase::Reviewing | Phase::Escalated => !live && !asked,
                    Phase::Completed | Phase::Failed | Phase::Cancelled => !live && !asked,
                    Phase::New | Phase::Submitted | Phase::Recovering => false,
                };
                assert!(next, "{id} is {:?} and stays so: live {live}, asked {asked}", mandate.phase);
            }
        });
    }

    #[test]
    fn a_report_that_ends_an_attempt_is_never_refused(plan in plans(100)) {
        let mut world = play(&plan, |_| {});
        let live: Vec<_> = world.ledger.live().into_iter().cloned().collect();
        for attempt in live {
            for kind in FAILED..REPORTS {
                let report = any_report(&world, &attempt, kind, kind);
                let command = TaskCommand::Report { attempt: attempt.id, fence: attempt.fence, report };
                let ask = task_ask(attempt.task, Principal::Agent(attempt.agent), command);
                if world.ledger.attempts[&attempt.id].live {
                    let done = world.run(ask);
                    prop_assert!(done.is_ok(), "{:?}", done.map(|_| ()));
                }
            }
            prop_assert!(!world.ledger.attempts[&attempt.id].live);
        }
    }

    #[test]
    fn work_is_done_only_with_evidence_and_the_approvals_of_those_who_may(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            ledger.fold(entry);
            let Some((_, TaskEvent::DelegationCompleted { delegation })) = task_event(entry) else { continue };
            let mandate = &ledger.delegations[delegation];
            prop_assert!(!mandate.evidence.is_empty());
            prop_assert!(mandate.approvals.len() >= usize::from(mandate.review.approvals));
            prop_assert!(mandate.approvals.iter().all(|who| may_approve(mandate, who)));
        }
    }

    #[test]
    fn a_task_with_a_delegation_becomes_done_only_by_its_completion(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for commit in world.commits() {
            let busy: BTreeSet<_> =
                ledger.tasks.keys().filter(|id| !ledger.open_delegations(**id).is_empty()).copied().collect();
            for entry in commit {
                ledger.fold(entry);
                let Some((id, TaskEvent::Transitioned { to: TaskStatus::Done, .. })) = task_event(entry) else {
                    continue;
                };
                let completed = commit.iter().any(|other| {
                    matches!(task_event(other), Some((task, TaskEvent::DelegationCompleted { .. })) if task == id)
                });
                prop_assert_eq!(completed, busy.contains(&id));
            }
        }
    }

    #[test]
    fn after_a_cancel_the_next_final_report_ends_it_and_nothing_completes_it(plan in plans(100), kind in FINAL..REPORTS) {
        let mut world = play(&plan, |_| {});
        prop_assert!(!world.ledger.delegations.values().any(|known| known.cancel_wanted && known.phase == Phase::Completed));
        let live: Vec<_> = world.ledger.live().into_iter().cloned().collect();
        for attempt in live {
            let command = TaskCommand::Cancel { delegation: attempt.delegation, reason: "enough".into() };
            world.run(task_ask(attempt.task, Principal::User(super::plan::person(0)), command)).unwrap();
            prop_assert_eq!(world.ledger.delegations[&attempt.delegation].phase, Phase::Cancelling);

            let report = any_report(&world, &attempt, kind, 0);
            let command = TaskCommand::Report { attempt: attempt.id, fence: attempt.fence, report };
            world.run(task_ask(attempt.task, Principal::Agent(attempt.agent), command)).unwrap();
            prop_assert_eq!(world.ledger.delegations[&attempt.delegation].phase, Phase::Cancelled);
            prop_assert_ne!(world.ledger.tasks[&attempt.task].status, TaskStatus::Done);
        }
    }
}

/// Queued in the schedule, for an agent that may take it some day.
fn is_queued(world: &World, mandate: &Mandate) -> bool {
    let schedule = serde_json::to_value(world.workspace.schedule()).unwrap();
    let queue = schedule["queue"].as_object().unwrap();
    let here = queue.values().any(|waiting| waiting["task"].as_str() == Some(&mandate.task.to_string()));
    let able = mandate.agent.is_none_or(|agent| {
        use crate::domain::agent::Availability as A;
        matches!(world.ledger.agents[&agent].availability, A::Active | A::Paused)
    });
    here && able
}

fn may_approve(mandate: &Mandate, who: &Principal) -> bool {
    let named = mandate.review.approvers.is_empty() || mandate.review.approvers.contains(who);
    who.user().is_some() && named && (mandate.review.by == Reviewers::Anyone || *who != mandate.delegator)
}
