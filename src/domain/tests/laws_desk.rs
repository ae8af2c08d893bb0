//! What waits for people never hangs in silence.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use crate::domain::{
    agent::{AgentCommand, Availability},
    event::{Event, TaskEvent},
    principal::Principal,
    rejection::Rejection,
    task::{Expiry, Lapse, Matter, NewDelegation, Report, Review, Reviewers, TaskCommand, TaskStatus, Terms, Verdict},
    text::Prose,
    workspace::{Due, Patience, REMINDERS_MAX, Reminder},
};

use super::{
    ledger::{Ledger, Mandate, Phase},
    plan::{plans, play},
    scene::{Scene, user},
    tries,
};

/// Returns how many approvals cannot come together, as far as roles say: grants only ever make it fewer here.
fn missing(ledger: &Ledger, mandate: &Mandate) -> usize {
    let counts = |who: &&Principal| {
        let named = mandate.review.approvers.is_empty() || mandate.review.approvers.contains(who);
        named && (mandate.review.by == Reviewers::Anyone || **who != mandate.delegator)
    };
    let people: Vec<Principal> = ledger.members.keys().copied().map(Principal::User).collect();
    let left = people.iter().filter(counts).filter(|who| !mandate.approvals.contains(who)).count();
    usize::from(mandate.review.approvals).saturating_sub(mandate.approvals.len() + left)
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn a_review_that_its_approvers_can_no_longer_end_is_said_to_be_stuck(plan in plans(150)) {
        play(&plan, |world| {
            for (id, mandate) in &world.ledger.delegations {
                if mandate.phase == Phase::Reviewing && missing(&world.ledger, mandate) > 0 {
                    assert!(mandate.stuck, "{id} hangs: {mandate:?}");
                }
            }
        });
    }

    #[test]
    fn each_reminder_is_sent_once_to_somebody_in_its_time_and_only_while_nobody_has_decided(plan in plans(200)) {
        let world = play(&plan, |_| {});
        let (mut ledger, mut sent) = (Ledger::default(), BTreeMap::new());
        for entry in &world.log {
            if let Event::Task(TaskEvent::ReminderSent { delegation, interrupt, matter, nth, to }) = &entry.fact.event {
                let mandate = &ledger.delegations[delegation];
                let waits = match (matter, interrupt) {
                    (Matter::Question, Some(id)) => ledger.questions[id].open,
                    (Matter::Review, None) => mandate.phase == Phase::Reviewing,
                    (Matter::Escalation, None) => mandate.phase == Phase::Escalated,
                    (Matter::Queue, None) => mandate.phase == Phase::Queued && mandate.overdue,
                    _ => false,
                };
                prop_assert!(waits, "{matter} of a delegation that is {:?}", mandate.phase);
                let since = if interrupt.is_some() { 0 } else { mandate.since };
                let before = sent.insert((*delegation, *interrupt, since), *nth).unwrap_or(0);
                prop_assert!(*nth == before + 1 && *nth <= REMINDERS_MAX, "{nth} after {before}");
                prop_assert!(!to.is_empty(), "nobody was told");
                let here = |who: &Principal| who.user().is_some_and(|user| ledger.members.contains_key(&user));
                prop_assert!(to.iter().all(here), "somebody was told who is no member");
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn a_question_expires_only_where_that_was_agreed_and_not_before_its_time(plan in plans(200)) {
        let world = play(&plan, |_| {});
        let (mut ledger, mut opened) = (Ledger::default(), BTreeMap::new());
        for entry in &world.log {
            ledger.fold(entry);
            match &entry.fact.event {
                Event::Task(TaskEvent::InterruptOpened { interrupt, .. }) => drop(opened.insert(*interrupt, entry.at)),
                Event::Task(
                    TaskEvent::InterruptResolved { interrupt, policy: Some(policy), .. }
                    | TaskEvent::InterruptClosed { interrupt, policy: Some(policy), .. },
                ) => {
                    let delegation = ledger.questions[interrupt].delegation;
                    prop_assert_eq!(ledger.delegations[&delegation].terms.expiry.as_ref(), Some(policy));
                    let age = entry.at - opened[interrupt];
                    prop_assert!(age >= TimeDelta::seconds(policy.after_secs as i64), "after {age}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn reminders_come_at_growing_intervals_and_go_up_the_chain_until_there_were_enough() {
    let mut scene = Scene::new();
    let delegation = delegated(&mut scene, named(1, &[1])).unwrap();
    let task = scene.world.ledger.delegations[&delegation].task;
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    let (mut hours, mut told) = (vec![], vec![]);
    let begun = scene.world.now;
    for _ in 0..2_000 {
        scene.world.pass(3_600_000);
        for due in scene.world.workspace.schedule().due(scene.world.now, &Patience::default()).reminders {
            let Reminder { delegation, interrupt, matter, nth, .. } = due;
            let remind = TaskCommand::Remind { delegation, interrupt, matter, nth };
            let done = scene.run(task, 0, remind.clone()).unwrap();
            assert!(matches!(scene.run(task, 0, remind), Err(Rejection::Busy(_))), "once is enough");
            let Event::Task(TaskEvent::ReminderSent { to, .. }) = &done[0].fact.event else { panic!("{done:?}") };
            told.push(to.len());
            hours.push((scene.world.now - begun).num_hours());
        }
    }
    // 4, 8, 16, 32, 64 and 128 hours after the one before.
    assert_eq!(hours, [4, 12, 28, 60, 124, 252]);
    assert_eq!(told, [1, 1, 2, 2, 2, 2], "from the third on the owner of the workspace hears of it");
    scene.review(task, user(1), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.world.workspace.schedule().due(scene.world.now, &Patience::default()), Due::default());
}

#[test]
fn what_was_in_the_queue_for_too_long_is_said_once_and_stays_there() {
    let mut scene = Scene::new();
    scene.agent(AgentCommand::Want(Availability::Paused)).unwrap();
    let delegation = delegated(&mut scene, Review::by(0, Reviewers::Others)).unwrap();
    let task = scene.world.ledger.delegations[&delegation].task;
    let overdue = |scene: &Scene| scene.world.workspace.schedule().due(scene.world.now, &Patience::default()).overdue;
    scene.world.pass(7_199_000);
    assert_eq!(overdue(&scene), []);
    scene.world.pass(1_000);
    assert_eq!(overdue(&scene), [(task, delegation)]);
    let say = TaskCommand::SayOverdue { delegation, reason: "the agent is paused".into() };
    scene.run(task, 0, say.clone()).unwrap();
    assert!(matches!(scene.run(task, 0, say), Err(Rejection::Busy(_))));
    assert_eq!((overdue(&scene), scene.phase(delegation)), (vec![], Phase::Queued));
    scene.agent(AgentCommand::Want(Availability::Active)).unwrap();
    scene.start(task);
}

#[test]
fn an_answer_that_comes_after_the_question_expired_hears_why_it_is_too_late() {
    for then in [Lapse::Deny, Lapse::Escalate, Lapse::Answer(json!("blue"))] {
        let mut scene = Scene::new();
        let (id, task) = (scene.world.fresh().into(), scene.task());
        let terms = Terms { expiry: Some(Expiry { after_secs: 60, then: then.clone() }), ..Terms::default() };
        let (agent, instructions, review) = (Some(scene.agent), Prose::default(), Review::default());
        scene
            .run(task, 0, TaskCommand::Delegate(NewDelegation { id, agent, team: None, instructions, review, terms }))
            .unwrap();
        let attempt = scene.start(task);
        let interrupt = scene.asks(task, attempt, "q1");
        let expire = TaskCommand::Expire { delegation: id, interrupt };
        assert!(matches!(scene.run(task, 0, expire.clone()), Err(Rejection::Busy(_))), "it is not time yet");
        scene.world.pass(60_000);
        assert_eq!(scene.world.workspace.schedule().due(scene.world.now, &Patience::default()).expired.len(), 1);
        scene.run(task, 0, expire).unwrap();
        assert_eq!(scene.world.workspace.schedule().due(scene.world.now, &Patience::default()), Due::default());
        let late = TaskCommand::Answer { delegation: id, interrupt, answer: json!("red") };
        assert!(matches!(scene.run(task, 1, late.clone()), Err(Rejection::Busy(why)) if why.contains("in time")));
        match then {
            Lapse::Escalate => assert_eq!(scene.phase(id), Phase::Escalated),
            Lapse::Deny | Lapse::Answer(_) => {
                assert_eq!(scene.phase(id), Phase::Running);
                scene.report(task, attempt, Report::Delivered(interrupt)).unwrap();
                assert!(matches!(scene.run(task, 1, late), Err(Rejection::Busy(_))));
            }
        }
    }
}

fn delegated(scene: &mut Scene, review: Review) -> Result<crate::domain::ids::DelegationId, Rejection> {
    let (id, task) = (scene.world.fresh().into(), scene.task());
    let (agent, instructions) = (Some(scene.agent), Prose::fitted("please"));
    scene
        .run(
            task,
            0,
            TaskCommand::Delegate(NewDelegation {
                id,
                agent,
                team: None,
                instructions,
                review,
                terms: Default::default(),
            }),
        )
        .map(|_| id)
}

fn named(approvals: u8, approvers: &[usize]) -> Review {
    Review { approvals, by: Reviewers::Others, approvers: approvers.iter().map(|n| user(*n)).collect() }
}

#[test]
fn a_review_that_nobody_could_end_is_refused() {
    let mut scene = Scene::new();
    assert!(
        matches!(delegated(&mut scene, named(2, &[0, 1])), Err(Rejection::Busy(_))),
        "who delegates does not count"
    );
    assert!(matches!(delegated(&mut scene, named(1, &[5])), Err(Rejection::NotFound("member"))));
    assert!(matches!(delegated(&mut scene, Review::by(3, Reviewers::Others)), Err(Rejection::Busy(_))));
    delegated(&mut scene, named(2, &[1, 2])).unwrap();
}

#[test]
fn only_named_approvers_review_and_so_many_of_them_as_was_agreed() {
    let mut scene = Scene::new();
    let delegation = delegated(&mut scene, named(1, &[1])).unwrap();
    let task = scene.world.ledger.delegations[&delegation].task;
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    for verdict in [Verdict::Approve, Verdict::RequestChanges, Verdict::Reject] {
        assert!(matches!(scene.review(task, user(2), delegation, verdict), Err(Rejection::Forbidden(_))));
    }
    let name = |approvers: &[usize]| TaskCommand::SetApprovers {
        delegation,
        approvers: approvers.iter().map(|n| user(*n)).collect(),
    };
    assert!(matches!(scene.run(task, 2, name(&[2])), Err(Rejection::Forbidden(_))), "not themselves");
    assert!(matches!(scene.run(task, 0, name(&[0])), Err(Rejection::Forbidden(_))));
    scene.run(task, 0, name(&[2])).unwrap();
    assert!(matches!(scene.review(task, user(1), delegation, Verdict::Approve), Err(Rejection::Forbidden(_))));
    scene.review(task, user(2), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}
