//! Decisions by example: who may review, how often is tried, and what a person's say changes.

use serde_json::json;

use crate::domain::{
    event::{Event, TaskEvent},
    failure::FailureClass,
    principal::Principal,
    rejection::Rejection,
    routing::Bulkheads,
    run::InterruptKind,
    task::{QueueReason, ROUNDS_MAX, Report, Reviewers, Route, TRIES_MAX, TaskCommand, TaskStatus, Verdict},
    text::Prose,
    workspace::Completed,
};

use super::{
    ledger::Phase,
    scene::{Scene, user},
};

/// Returns the tries, round and reason of the last `delegation:queued`.
fn queued(done: &[Completed]) -> (u32, u32, QueueReason) {
    let queued = done.iter().find_map(|done| match &done.fact.event {
        Event::Task(TaskEvent::DelegationQueued { tries, round, reason, .. }) => Some((*tries, *round, *reason)),
        _ => None,
    });
    queued.expect("it is in the queue again")
}

#[test]
fn work_without_a_review_is_done_when_it_is_handed_in() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::Done, Phase::Completed));
}

#[test]
fn neither_an_agent_nor_who_delegated_reviews_and_nobody_counts_twice() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 2, Reviewers::Others);
    let early = scene.review(task, user(1), delegation, Verdict::Approve);
    assert!(matches!(early, Err(Rejection::Transition { .. })), "nothing is handed in yet");
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();

    let agent = Principal::Agent(scene.agent);
    for by in [user(0), agent] {
        for verdict in [Verdict::Approve, Verdict::RequestChanges, Verdict::Reject] {
            assert!(matches!(scene.review(task, by, delegation, verdict), Err(Rejection::Forbidden(_))));
        }
    }
    scene.review(task, user(1), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.review(task, user(1), delegation, Verdict::Approve), Ok(vec![]));
    assert_eq!(scene.status(task), TaskStatus::InReview);
    scene.review(task, user(2), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}

#[test]
fn who_delegated_may_review_where_anyone_may() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 1, Reviewers::Anyone);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    scene.review(task, user(0), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}

#[test]
fn approvals_of_one_round_do_not_count_in_the_next() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 2, Reviewers::Others);
    for (first, second, last) in [(1, 2, Verdict::RequestChanges), (2, 1, Verdict::Approve)] {
        let attempt = scene.start(task);
        scene.submit(task, attempt).unwrap();
        scene.review(task, user(first), delegation, Verdict::Approve).unwrap();
        assert_eq!(scene.status(task), TaskStatus::InReview);
        scene.review(task, user(second), delegation, last).unwrap();
    }
    assert_eq!(scene.status(task), TaskStatus::Done);
}

#[test]
fn rejected_work_ends_the_delegation_and_frees_the_task() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 1, Reviewers::Others);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    scene.review(task, user(1), delegation, Verdict::Reject).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::Ready, Phase::Failed));
}

#[test]
fn after_the_last_round_of_changes_a_person_decides() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 1, Reviewers::Others);
    for round in 1..=ROUNDS_MAX {
        let attempt = scene.start(task);
        scene.submit(task, attempt).unwrap();
        let done = scene.review(task, user(1), delegation, Verdict::RequestChanges).unwrap();
        assert_eq!(queued(&done), (0, round, QueueReason::ChangesRequested));
        assert_eq!(scene.status(task), TaskStatus::InProgress);
    }
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    scene.review(task, user(1), delegation, Verdict::RequestChanges).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::AwaitingInput, Phase::Escalated));
}

#[test]
fn after_the_last_try_a_person_decides_and_their_say_gives_the_tries_back() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    for _ in 0..2 {
        for n in 1..=TRIES_MAX {
            let attempt = scene.start(task);
            scene.report(task, attempt, Report::Accepted).unwrap();
            // Each time something else, or the ladder would end before the tries do.
            let message = format!("broke in part {}", ["a", "b", "c", "d", "e", "f"][n as usize - 1]);
            let report = Report::Failed { class: FailureClass::TestsFailed, message, retry_after_ms: None };
            let done = scene.report(task, attempt, report).unwrap();
            if n < TRIES_MAX {
                assert_eq!(queued(&done), (n, 0, QueueReason::Retry));
            }
        }
        assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::AwaitingInput, Phase::Escalated));

        let done = scene.run(task, 0, TaskCommand::Resume(delegation)).unwrap();
        assert_eq!(queued(&done), (0, 0, QueueReason::Resumed));
        assert_eq!(scene.status(task), TaskStatus::InProgress);
    }
}

#[test]
fn what_trying_again_cannot_mend_goes_to_a_person_at_once() {
    for class in [FailureClass::ProviderAuth, FailureClass::Refused, FailureClass::AgentBlocked] {
        let mut scene = Scene::new();
        let task = scene.task();
        let delegation = scene.delegate(task, 0, Reviewers::Others);
        let attempt = scene.start(task);
        scene.fail(task, attempt, class).unwrap();
        assert_eq!(scene.phase(delegation), Phase::Escalated, "{class:?}");
    }
}

#[test]
fn a_claim_without_evidence_is_a_failed_attempt() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let artifact = scene.world.fresh().into();
    scene.report(task, attempt, Report::Submitted { text: Prose::fitted(" \n"), artifact }).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::Ready, Phase::Queued));
}

#[test]
fn the_next_attempt_waits_for_its_time() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    scene.fail(task, attempt, FailureClass::StreamCut).unwrap();

    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    assert!(agenda.dispatch.is_empty() && agenda.look_again > Some(scene.world.now));
    let (attempt, agent, instance) = (scene.world.fresh().into(), scene.agent, scene.instance);
    let early = TaskCommand::Dispatch { delegation, attempt, agent, instance, route: Route::default() };
    assert!(matches!(scene.run(task, 0, early), Err(Rejection::Busy(_))));
    assert_eq!(scene.offered(), vec![task]);
}

#[test]
fn the_work_goes_on_when_the_last_of_its_questions_is_gone() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let [first, second] = ["q1", "q2"].map(|key| scene.asks(task, attempt, key));
    scene.asks(task, attempt, "q3");

    let answer = |interrupt| TaskCommand::Answer { delegation, interrupt, answer: json!("yes") };
    scene.run(task, 1, answer(first)).unwrap();
    assert!(matches!(scene.run(task, 2, answer(first)), Err(Rejection::Busy(_))), "it is answered already");
    scene.report(task, attempt, Report::Withdrawn { key: "q3".into() }).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::AwaitingInput, Phase::Awaiting));
    scene.run(task, 1, answer(second)).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::InProgress, Phase::Running));
}

#[test]
fn an_approval_that_runs_out_at_the_instance_stays_open_and_its_answer_serves_when_the_agent_asks_again() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let asked = |scene: &mut Scene, key: &str, prompt: &str| {
        let (interrupt, kind) = (scene.world.fresh().into(), InterruptKind::Approval);
        let details = json!({"schema": {"type": "object", "required": ["approve"]}});
        let report = Report::Asked { interrupt, key: key.into(), kind, prompt: prompt.into(), details };
        scene.report(task, attempt, report).unwrap();
        interrupt
    };
    let interrupt = asked(&mut scene, "p1", "may I write?");
    scene.report(task, attempt, Report::Withdrawn { key: "p1".into() }).unwrap();
    assert_eq!(scene.report(task, attempt, Report::Withdrawn { key: "p1".into() }), Ok(vec![]));
    assert_eq!(scene.phase(delegation), Phase::Awaiting, "the person's time does not run out");

    let answer = |answer| TaskCommand::Answer { delegation, interrupt, answer };
    let wrong = scene.run(task, 1, answer(json!("yes")));
    assert!(matches!(wrong, Err(Rejection::Invalid { path: "answer", .. })), "{wrong:?}");
    scene.run(task, 1, answer(json!({"approve": true}))).unwrap();
    // Nobody at the instance waits for it: it is not delivered, and kept.
    assert_eq!(scene.report(task, attempt, Report::Delivered(interrupt)), Ok(vec![]));

    let other = asked(&mut scene, "p2", "may I delete?");
    assert_eq!(scene.phase(delegation), Phase::Awaiting, "something else is another question");
    let again = asked(&mut scene, "p3", "may I write?");
    assert!(!scene.world.ledger.questions.contains_key(&again), "the same again is the same question");
    assert_eq!(scene.report(task, attempt, Report::Delivered(interrupt)).unwrap().len(), 1);
    let _ = other;
}

#[test]
fn a_pause_fences_the_attempt_off_and_a_resume_starts_a_new_one() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let old = scene.start(task);
    scene.asks(task, old, "q1");
    scene.run(task, 0, TaskCommand::Pause(delegation)).unwrap();
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::InProgress, Phase::Paused));
    assert_eq!(scene.submit(task, old), Err(Rejection::Fenced));
    assert_eq!(scene.offered(), vec![]);

    scene.run(task, 0, TaskCommand::Resume(delegation)).unwrap();
    let new = scene.start(task);
    assert!(new.1 > old.1);
    assert_eq!(scene.submit(task, old), Err(Rejection::Fenced));
    scene.submit(task, new).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}

#[test]
fn a_reassigned_delegation_leaves_the_old_attempt_behind() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let old = scene.start(task);
    scene.fail(task, old, FailureClass::StreamCut).unwrap();
    let old = scene.start(task);
    let agent = scene.agent;
    let done = scene.run(task, 0, TaskCommand::Reassign { delegation, agent }).unwrap();
    assert_eq!(queued(&done), (0, 0, QueueReason::Reassigned));
    assert_eq!(scene.submit(task, old), Err(Rejection::Fenced));
    let new = scene.start(task);
    scene.submit(task, new).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}

#[test]
fn a_result_after_the_cancel_is_kept_and_not_applied() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    scene.cancel(task, delegation).unwrap();
    assert_eq!(scene.cancel(task, delegation), Ok(vec![]));
    assert_eq!(scene.phase(delegation), Phase::Cancelling);

    let done = scene.submit(task, attempt).unwrap();
    let kept = done.iter().any(|done| match &done.fact.event {
        Event::Task(TaskEvent::AttemptCancelled { late_result, .. }) => late_result.as_deref() == Some("done"),
        _ => false,
    });
    assert!(kept);
    assert_eq!((scene.status(task), scene.phase(delegation)), (TaskStatus::Ready, Phase::Cancelled));
}

#[test]
fn a_cancelled_task_stays_cancelled_while_its_agent_stops() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    scene.moves(task, &[TaskStatus::Cancelled]);
    let reopened = scene.run(task, 0, TaskCommand::Transition(TaskStatus::Ready));
    assert!(matches!(reopened, Err(Rejection::Busy(_))), "the agent still has it");
    scene.submit(task, attempt).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Cancelled);
    scene.moves(task, &[TaskStatus::Ready]);
}
