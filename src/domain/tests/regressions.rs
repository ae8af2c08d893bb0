//! What went wrong once: each of these was a bug that a random plan found, or would have.

use serde_json::{Value, json};

use crate::domain::{
    agent::{AgentCommand, AgentStatus, Availability, NewInstance},
    conversation::{ConversationCommand, ConversationKind, Part},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::{ConversationId, ServiceId, Subject},
    model::{Command, Model},
    principal::{Principal, Service},
    rejection::Rejection,
    run::{InterruptKind, Usage},
    session::{Session, SessionCommand},
    task::{
        Expiry, Lapse, NewDelegation, Report, Review, Reviewers, Route, TaskCommand, TaskStatus as S, Terms, Verdict,
    },
    text::{Prose, Words},
};

use super::{
    ledger::Phase,
    plan_work::task_ask,
    scene::{Scene, user},
    world::Ask,
};

#[test]
fn an_attempt_can_fail_although_a_gate_closed_meanwhile_and_the_next_one_waits_for_the_gate() {
    let mut scene = Scene::new();
    let (task, other) = (scene.task(), scene.task());
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    scene.waits_for(task, other);

    scene.fail(task, attempt, FailureClass::StreamCut).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Queued);
    assert_eq!(scene.offered(), vec![]);
    scene.moves(other, &[S::InProgress, S::Done]);
    assert_eq!(scene.offered(), vec![task]);
}

#[test]
fn a_queued_delegation_behind_a_new_gate_takes_no_slot_from_others() {
    let mut scene = Scene::new();
    let (first, second, other) = (scene.task(), scene.task(), scene.task());
    scene.agent(AgentCommand::Update { name: None, skills: None, max_concurrency: Some(1) }).unwrap();
    scene.delegate(first, 0, Reviewers::Others);
    scene.delegate(second, 0, Reviewers::Others);
    scene.waits_for(first, other);
    assert_eq!(scene.offered(), vec![second]);
}

#[test]
fn an_attempt_can_fail_although_its_agent_takes_no_more_work_and_a_person_is_asked() {
    for wanted in [Availability::Draining, Availability::Retired] {
        let mut scene = Scene::new();
        let task = scene.task();
        let delegation = scene.delegate(task, 0, Reviewers::Others);
        let attempt = scene.start(task);
        scene.report(task, attempt, Report::Accepted).unwrap();
        scene.agent(AgentCommand::Want(wanted)).unwrap();

        scene.fail(task, attempt, FailureClass::StreamCut).unwrap();
        assert_eq!((scene.phase(delegation), scene.status(task)), (Phase::Escalated, S::AwaitingInput));
    }
}

#[test]
fn changes_can_be_requested_of_an_agent_that_takes_no_more_work() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 1, Reviewers::Others);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    scene.agent(AgentCommand::Want(Availability::Retired)).unwrap();
    scene.review(task, user(1), delegation, Verdict::RequestChanges).unwrap();
    assert_eq!((scene.phase(delegation), scene.status(task)), (Phase::Escalated, S::AwaitingInput));
}

#[test]
fn what_waits_for_an_agent_that_is_retired_does_not_wait_for_ever() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    scene.agent(AgentCommand::Want(Availability::Paused)).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Queued);
    scene.agent(AgentCommand::Want(Availability::Retired)).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Escalated);
    assert_eq!(scene.world.ledger.agents[&scene.agent].status, AgentStatus::Retired);
}

#[test]
fn a_reopened_task_goes_through_ready_to_blocked() {
    let mut scene = Scene::new();
    let (task, other) = (scene.task(), scene.task());
    scene.moves(task, &[S::InProgress]);
    scene.waits_for(task, other);
    scene.moves(task, &[S::Cancelled, S::Ready]);
    assert_eq!(scene.path(task), vec![S::Ready, S::InProgress, S::Cancelled, S::Ready, S::Blocked]);
    scene.moves(other, &[S::InProgress, S::Done]);
    assert_eq!(scene.status(task), S::Ready);
}

#[test]
fn a_task_whose_queued_delegation_is_cancelled_behind_a_closed_gate_is_blocked() {
    let mut scene = Scene::new();
    let (task, other) = (scene.task(), scene.task());
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    scene.waits_for(task, other);
    assert_eq!(scene.status(task), S::Ready);
    scene.cancel(task, delegation).unwrap();
    assert_eq!(scene.status(task), S::Blocked);
}

#[test]
fn a_task_that_is_cancelled_with_its_queued_delegation_is_not_blocked() {
    let mut scene = Scene::new();
    let (task, other) = (scene.task(), scene.task());
    scene.delegate(task, 0, Reviewers::Others);
    scene.waits_for(task, other);
    scene.moves(task, &[S::Cancelled]);
    assert_eq!(scene.status(task), S::Cancelled);
}

#[test]
fn a_question_that_was_answered_is_not_asked_again() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let interrupt = scene.asks(task, attempt, "q1");
    // Nothing can be delivered before there is an answer.
    assert_eq!(scene.report(task, attempt, Report::Delivered(interrupt)), Ok(vec![]));
    assert_eq!(scene.phase(delegation), Phase::Awaiting);

    scene.run(task, 1, TaskCommand::Answer { delegation, interrupt, answer: json!("yes") }).unwrap();
    scene.report(task, attempt, Report::Delivered(interrupt)).unwrap();
    scene.asks(task, attempt, "q1");
    assert_eq!((scene.phase(delegation), scene.status(task)), (Phase::Running, S::InProgress));
    // The next attempt may well ask the same.
    scene.fail(task, attempt, FailureClass::StreamCut).unwrap();
    let attempt = scene.start(task);
    scene.asks(task, attempt, "q1");
    assert_eq!(scene.phase(delegation), Phase::Awaiting);
}

#[test]
fn an_answer_of_null_is_an_answer_also_after_a_snapshot() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let interrupt = scene.asks(task, attempt, "q1");
    scene.run(task, 1, TaskCommand::Answer { delegation, interrupt, answer: Value::Null }).unwrap();

    let subject = Subject::Task(task);
    let bytes = scene.world.models[&subject].to_snapshot().unwrap();
    let Some(Model::Task(_, thawed)) = Model::from_snapshot(subject, &bytes).unwrap() else { unreachable!() };
    let known = thawed.session_state(attempt.0).unwrap().interrupts;
    assert_eq!(known[&interrupt].answer, Some(Value::Null));

    let mut session = Session::default();
    session.decide(SessionCommand::Bind(Value::Null)).iter().for_each(|event| session.apply(event));
    let thawed: Session = rmp_serde::from_slice(&rmp_serde::to_vec_named(&session).unwrap()).unwrap();
    assert_eq!(thawed, session);
}

#[test]
fn usage_that_is_no_number_can_still_be_read_back() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let used = |input_tokens, cost_usd| Report::Usage(Usage { input_tokens, output_tokens: 0, cost_usd });
    scene.report(task, attempt, used(5, 0.5)).unwrap();
    let done = scene.report(task, attempt, used(9, f64::NAN)).unwrap();
    let (kind, data) = done[0].fact.event.encode();
    assert_eq!(data["usage"]["cost_usd"], 0.5);
    assert_eq!(Event::decode(&kind, data).unwrap(), done[0].fact.event);
    assert_eq!(scene.report(task, attempt, used(5, 0.5)), Ok(vec![]));
}

#[test]
fn an_agents_words_can_always_be_stored() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let asked = Report::Asked {
        interrupt: scene.world.fresh().into(),
        key: "q\0".into(),
        kind: InterruptKind::Question,
        prompt: "may\0 I?".into(),
        details: json!({"a\0": ["\0b"]}),
    };
    let done = scene.report(task, attempt, asked).unwrap();
    let opened = done.iter().find_map(|done| match &done.fact.event {
        Event::Task(TaskEvent::InterruptOpened { key, prompt, details, .. }) => Some((&**key, &**prompt, details)),
        _ => None,
    });
    assert_eq!(opened, Some(("q", "may I?", &json!({"a": ["b"]}))));
    let withdrawn = scene.report(task, attempt, Report::Withdrawn { key: "q\0".into() });
    assert!(!withdrawn.unwrap().is_empty());
}

#[test]
fn what_runs_on_a_removed_instance_still_counts() {
    let mut scene = Scene::new();
    let (first, second) = (scene.task(), scene.task());
    scene.agent(AgentCommand::Update { name: None, skills: None, max_concurrency: Some(1) }).unwrap();
    scene.delegate(first, 0, Reviewers::Others);
    scene.start(first);
    let id = scene.world.fresh().into();
    scene.agent(AgentCommand::RemoveInstance(scene.instance)).unwrap();
    let new = NewInstance { id, url: "y".into(), model: None, slots: 2, turns_max: 9 };
    scene.agent(AgentCommand::AddInstance(new.clone())).unwrap();
    scene.delegate(second, 0, Reviewers::Others);
    assert_eq!(scene.offered(), vec![]);
    assert!(matches!(scene.agent(AgentCommand::AddInstance(new)), Err(Rejection::Busy(_))));
}

#[test]
fn names_of_attempts_and_delegations_are_used_once() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let old = scene.start(task);
    scene.fail(task, old, FailureClass::StreamCut).unwrap();
    scene.world.pass(60_000);
    let (agent, instance) = (scene.agent, scene.instance);
    let again = TaskCommand::Dispatch { delegation, attempt: old.0, agent, instance, route: Route::default() };
    assert_eq!(scene.run(task, 0, again), Err(Rejection::Exists(Subject::Session(old.0))));

    scene.cancel(task, delegation).unwrap();
    let new = NewDelegation {
        id: delegation,
        agent: None,
        team: None,
        instructions: Prose::default(),
        review: Review::default(),
        terms: Default::default(),
    };
    assert!(matches!(scene.run(task, 0, TaskCommand::Delegate(new)), Err(Rejection::Busy(_))));
}

#[test]
fn who_left_a_direct_conversation_edits_nothing_in_it() {
    let mut scene = Scene::new();
    let id = ConversationId(scene.world.fresh());
    let message = scene.world.fresh().into();
    let parts = || vec![Part::Text { text: Words::fitted("hello") }];
    let mut say = |by, command| {
        scene.world.run(Ask { subject: Subject::Conversation(id), by, command: Command::Conversation(command) })
    };
    let (kind, participants) = (ConversationKind::Dm, [user(0)].into());
    let create = ConversationCommand::Create {
        kind,
        title: None,
        project: None,
        task: None,
        participants,
        turn_policy: Default::default(),
    };
    say(user(0), create).unwrap();
    say(user(0), ConversationCommand::Post { message, parts: parts(), parent: None, mentions: Default::default() })
        .unwrap();
    say(user(0), ConversationCommand::RemoveParticipant(user(0))).unwrap();
    let edited = say(user(0), ConversationCommand::Edit { message, author: user(0), parts: parts() });
    assert_eq!(edited, Err(Rejection::NotFound("conversation")));
}

#[test]
fn only_a_person_can_agree_that_silence_means_yes() {
    let mut scene = Scene::new();
    let account = Principal::Service(Service::Account(ServiceId(scene.world.fresh())));
    for by in [user(0), Principal::Agent(scene.agent), account] {
        for then in [Lapse::Deny, Lapse::Escalate, Lapse::Answer(json!({"approve": true}))] {
            let (task, means_yes) = (scene.task(), matches!(then, Lapse::Answer(_)));
            let new = NewDelegation {
                id: scene.world.fresh().into(),
                agent: Some(scene.agent),
                team: None,
                instructions: Prose::default(),
                review: Review::default(),
                terms: Terms { expiry: Some(Expiry { after_secs: 1, then }), ..Terms::default() },
            };
            let done = scene.world.run(task_ask(task, by, TaskCommand::Delegate(new)));
            match means_yes && by != user(0) {
                true => assert!(matches!(done, Err(Rejection::Forbidden(_))), "{by}: {done:?}"),
                false => assert!(done.is_ok(), "{by}: {done:?}"),
            }
        }
    }
}
