//! Attempts: only the one that holds the lease is heard, hearing it twice is hearing it once, and nothing that it
//! made is lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    event::{Event, TaskEvent},
    ids::Subject,
    model::{Command, Model},
    principal::Principal,
    rejection::Rejection,
    task::TaskCommand,
};

use super::{
    ledger::Ledger,
    plan::{ask, founded, plans, play},
    plan_work::{REPORTS, any_report, is_report, task_ask},
    tries,
    world::{Ask, World},
};

/// What a task's state and the schedule are, but for the version.
fn state(world: &World, subject: Subject) -> (String, String) {
    let Some(Model::Task(_, task)) = world.models.get(&subject) else { return Default::default() };
    let mut task = serde_json::to_value(task).unwrap();
    task["version"] = 0.into();
    (task.to_string(), format!("{:?}", world.workspace))
}

fn attempt_of(ask: &Ask) -> Option<crate::domain::ids::AttemptId> {
    let Command::Task(command) = &ask.command else { return None };
    let TaskCommand::Report { attempt, .. } = **command else { return None };
    Some(attempt)
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn a_report_with_an_old_fence_or_attempt_changes_nothing(plan in plans(120)) {
        let mut world = play(&plan, |_| {});
        let head = world.head();
        let attempts: Vec<_> = world.ledger.attempts.values().cloned().collect();
        for attempt in attempts {
            for kind in 0..REPORTS {
                for fence in [attempt.fence - 1, attempt.fence, attempt.fence + 1] {
                    if attempt.live && fence == attempt.fence {
                        continue;
                    }
                    let report = any_report(&world, &attempt, kind, kind);
                    let command = TaskCommand::Report { attempt: attempt.id, fence, report };
                    let refused = world.run(task_ask(attempt.task, Principal::Agent(attempt.agent), command));
                    prop_assert_eq!(refused, Err(Rejection::Fenced));
                }
            }
        }
        prop_assert_eq!(world.head(), head);
    }

    #[test]
    fn a_report_heard_again_has_no_second_effect(plan in plans(80)) {
        let mut world = founded();
        let mut heard: Vec<Ask> = vec![];
        for each in &plan {
            world.pass(i64::from(each.ms));
            let Some(ask) = ask(&world, each.kind, &each.pick) else { continue };
            let Ok(done) = world.run(ask.clone()) else { continue };
            // What said nothing when it came may say something later: an answer is delivered after it is given.
            if done.is_empty() || !is_report(&ask) {
                continue;
            }
            // At once, and also those that this attempt sent long before, in any order.
            heard.push(ask.clone());
            for again in heard.iter().rev().filter(|old| attempt_of(old) == attempt_of(&ask)).take(6) {
                let before = state(&world, again.subject);
                drop(world.run(again.clone()));
                prop_assert_eq!(state(&world, again.subject), before, "{:?}", again);
            }
        }
    }

    #[test]
    fn progress_never_goes_back_within_an_attempt(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut seen = BTreeMap::new();
        for entry in &world.log {
            let Event::Task(TaskEvent::Progress { attempt, percent, .. }) = &entry.fact.event else { continue };
            let before = seen.insert(*attempt, *percent).flatten();
            prop_assert!(*percent >= before && *percent <= Some(100), "{before:?} → {percent:?}");
        }
    }

    #[test]
    fn an_agent_that_does_not_move_is_told_each_standstill_once(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let (mut told, mut last) = (BTreeMap::new(), BTreeMap::new());
        for entry in &world.log {
            let Event::Task(TaskEvent::AttemptNudged { attempt, nth, why, since, .. }) = &entry.fact.event else {
                continue;
            };
            let count = told.entry(*attempt).or_insert(0);
            *count += 1;
            prop_assert_eq!(nth, count);
            let before = last.insert((*attempt, *why), *since);
            prop_assert!(before.is_none_or(|before| before < *since), "it was told twice that it is {}", why.name());
        }
    }

    #[test]
    fn usage_never_goes_back_within_an_attempt(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut seen = BTreeMap::new();
        for entry in &world.log {
            let Event::Task(TaskEvent::AttemptUsage { attempt, usage }) = &entry.fact.event else { continue };
            let before = seen.insert(*attempt, *usage).unwrap_or_default();
            prop_assert!(usage.input_tokens >= before.input_tokens && usage.output_tokens >= before.output_tokens);
            prop_assert!(usage.cost_usd >= before.cost_usd && usage.cost_usd.is_finite());
        }
    }

    #[test]
    fn a_question_is_answered_once_and_only_by_a_person_or_as_it_was_agreed(plan in plans(150)) {
        // The ledger itself panics when a question is opened, answered or closed twice.
        let world = play(&plan, |_| {});
        for entry in &world.log {
            if let Event::Task(TaskEvent::InterruptResolved { by, policy, .. }) = &entry.fact.event {
                prop_assert!(by.user().is_some() != policy.is_some(), "{by} answered");
            }
        }
    }

    #[test]
    fn an_attempt_asks_each_question_once(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut keys = std::collections::BTreeSet::new();
        for asked in world.ledger.questions.values() {
            prop_assert!(keys.insert((asked.attempt, asked.key.clone())), "{} was asked twice", asked.key);
        }
    }

    #[test]
    fn what_an_attempt_made_stays_whatever_becomes_of_it(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            // What is handed in names everything that the attempt made.
            if let Event::Task(TaskEvent::DelegationSubmitted { attempt, evidence, .. }) = &entry.fact.event {
                let made = &ledger.attempts[attempt].artifacts;
                prop_assert!(made.iter().all(|artifact| evidence.contains(artifact)));
            }
            ledger.fold(entry);
        }
        // And a report of an artifact that was accepted is in the log for good.
        for ask in world.accepted.iter().filter(|ask| is_report(ask)) {
            let Command::Task(command) = &ask.command else { continue };
            if let TaskCommand::Report { attempt, report: crate::domain::task::Report::Artifact(made), .. } =
                &**command
            {
                prop_assert!(world.ledger.attempts[attempt].artifacts.contains(&made.artifact));
            }
        }
    }
}
