//! Each promise that a log can show is broken in a log on purpose, and the doctor finds it.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::domain::{
    checkpoint::CheckpointReason,
    conversation::{ConversationCommand, ConversationKind, Part, TurnPolicy},
    doctor::{Doctor, Finding, INVARIANTS, Shown},
    event::{AgentEvent, ConversationEvent, Event, Recorded, TaskEvent as E},
    failure::FailureClass,
    ids::*,
    model::Command,
    principal::Principal,
    task::{Expiry, Lapse, Report, Reviewers, TaskCommand, TaskStatus, Verdict},
    text::{Prose, Words},
    workspace::Gate,
};

use super::{
    plan_checkpoints::{new as checkpoint, way_back},
    scene::{Scene, paths_of, user},
    world::Ask,
};

/// What happened in a small workspace, and who was in it.
struct Story {
    log: Vec<Recorded>,
    scene: Scene,
    /// It was done, after a question; `second` waited for it, `third` went on beside it and failed twice.
    first: TaskId,
    second: TaskId,
    third: TaskId,
}

fn story() -> Story {
    let mut scene = Scene::new();
    let (first, second, third) = (scene.task_at(&["src"]), scene.task(), scene.task_at(&["docs"]));
    scene.waits_for(second, first);
    for task in [first, third] {
        scene.delegate(task, 1, Reviewers::Anyone);
    }
    let (done, fails) = (scene.start(first), scene.start(third));
    scene.report(first, done, Report::Accepted).unwrap();
    let interrupt = scene.asks(first, done, "q");
    let delegation = scene.world.ledger.attempts[&done.0].delegation;
    let answer = serde_json::json!("yes");
    scene.run(first, 0, TaskCommand::Answer { delegation, interrupt, answer }).unwrap();
    scene.report(first, done, Report::Delivered(interrupt)).unwrap();
    scene.submit(first, done).unwrap();
    scene.review(first, user(1), delegation, Verdict::Approve).unwrap();
    scene.delegate(second, 0, Reviewers::Anyone);
    scene.start(second);
    scene.fail(third, fails, FailureClass::HttpServerError).unwrap();
    let again = scene.start(third);
    scene.fail(third, again, FailureClass::StreamCut).unwrap();
    let made = checkpoint(&scene.world, third, CheckpointReason::Manual);
    let (id, manifest) = (made.id, made.manifest.clone());
    scene.run(third, 0, TaskCommand::Checkpoint(made)).unwrap();
    let back = way_back(&scene.world, third, id, &manifest);
    scene.run(third, 0, back).unwrap();
    talk(&mut scene);
    Story { log: scene.world.whole_log(), scene, first, second, third }
}

/// Two people talk among themselves.
fn talk(scene: &mut Scene) {
    let subject = Subject::Conversation(ConversationId(scene.world.fresh()));
    let create = ConversationCommand::Create {
        kind: ConversationKind::Dm,
        title: None,
        project: None,
        task: None,
        participants: [user(1)].into(),
        turn_policy: TurnPolicy::default(),
    };
    let parts = vec![Part::Text { text: Words::fitted("hello") }];
    let post =
        ConversationCommand::Post { message: scene.world.fresh().into(), parts, parent: None, mentions: [].into() };
    for command in [create, post] {
        scene.world.run(Ask { subject, by: user(0), command: Command::Conversation(command) }).unwrap();
    }
}

impl Story {
    fn at(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.log.iter().position(|recorded| is(&recorded.event)).expect("it happened")
    }

    /// The how many-th event of a task that is one of these.
    fn nth(&self, of: TaskId, nth: usize, is: impl Fn(&E) -> bool) -> usize {
        let own = self.log.iter().enumerate().filter(|(_, recorded)| recorded.subject == Subject::Task(of));
        let mut own = own.filter(|(_, recorded)| matches!(&recorded.event, Event::Task(event) if is(event)));
        own.nth(nth).expect("it happened").0
    }

    fn event(&mut self, at: usize) -> &mut E {
        match &mut self.log[at].event {
            Event::Task(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Puts an event before another one.
    fn insert(&mut self, at: usize, task: TaskId, event: E) {
        let before = self.log.get(at).or(self.log.last()).expect("a log");
        let new =
            Recorded { subject: Subject::Task(task), event: Event::Task(event), audience: None, ..before.clone() };
        self.log.insert(at, new);
    }

    fn push(&mut self, task: TaskId, event: E) {
        self.insert(self.log.len(), task, event);
    }

    fn findings(mut self) -> Vec<Finding> {
        let mut doctor = Doctor::default();
        for (nth, recorded) in self.log.iter_mut().enumerate() {
            recorded.offset = nth as u64 + 1;
            doctor.event(recorded);
        }
        doctor.finish()
    }

    /// Lets agents hand the first task round in a circle.
    fn hand_round(&mut self) {
        let at = self.nth(self.first, 0, |event| matches!(event, E::AttemptAccepted { .. })) + 1;
        let E::AttemptStarted { attempt, delegation, agent: from, .. } =
            self.event(self.nth(self.first, 0, |event| matches!(event, E::AttemptStarted { .. }))).clone()
        else {
            unreachable!()
        };
        let other = AgentId(self.scene.world.fresh());
        for (from, to) in [(other, from), (from, other)] {
            self.insert(at, self.first, E::HandOffAccepted { delegation, from, to });
            let (by, expires_at, reason) = (Principal::Agent(from), self.log[at].at, Prose::default());
            self.insert(at, self.first, E::HandOffOffered { delegation, attempt, from, to, by, reason, expires_at });
        }
    }

    fn instance_is_shut_off(&mut self) {
        let mut scene = Scene::new();
        for _ in 0..6 {
            let task = scene.task();
            let delegation = scene.delegate(task, 0, Reviewers::Anyone);
            let attempt = scene.start(task);
            scene.fail(task, attempt, FailureClass::StreamCut).unwrap();
            scene.cancel(task, delegation).unwrap();
        }
        self.log = scene.world.whole_log();
        let failed = |recorded: &&Recorded| matches!(recorded.event, Event::Task(E::AttemptFailed { .. }));
        let fifth = self.log.iter().filter(failed).nth(4).expect("it failed").at;
        let started = |recorded: &&mut Recorded| matches!(recorded.event, Event::Task(E::AttemptStarted { .. }));
        let sixth = self.log.iter_mut().filter(started).nth(5).expect("it started");
        sixth.at = fifth + TimeDelta::seconds(1);
    }
}

fn started(event: &E) -> bool {
    matches!(event, E::AttemptStarted { .. })
}

fn queued(event: &E) -> bool {
    matches!(event, E::DelegationQueued { .. })
}

/// Breaks a promise.
#[expect(clippy::too_many_lines, reason = "one arm for each promise")]
fn break_it(story: &mut Story, invariant: &str) {
    let (first, second, third) = (story.first, story.second, story.third);
    match invariant {
        "I1" => {
            let at = story.nth(first, 0, |event| matches!(event, E::Transitioned { .. }));
            let E::Transitioned { from, .. } = story.event(at) else { unreachable!() };
            *from = TaskStatus::Done;
        }
        "I2" => {
            let at = story.nth(third, 1, started);
            let E::AttemptStarted { fence, .. } = story.event(at) else { unreachable!() };
            *fence = 1;
        }
        "I3" => {
            let at = story.nth(first, 0, |event| matches!(event, E::AttemptAccepted { .. }));
            let late = story.event(at).clone();
            story.push(first, late);
        }
        "I4" => story.log.iter_mut().for_each(|recorded| recorded.offset += 1),
        "I6" => {
            for (task, depends_on) in [(second, third), (third, second)] {
                story.push(task, E::DependencyAdded { depends_on, gate: Gate::Blocks });
            }
        }
        "I7" => {
            let at = story.nth(second, 0, started);
            story.insert(at, second, E::DependencyAdded { depends_on: third, gate: Gate::Blocks });
        }
        "I8" => {
            let at = story.nth(second, 0, |event| matches!(event, E::Ready { .. }));
            let again = story.event(at).clone();
            story.insert(at, second, again);
        }
        "I9" => {
            let at = story.nth(first, 0, |event| matches!(event, E::InterruptOpened { .. }));
            story.log.truncate(story.nth(first, 0, |event| matches!(event, E::DelegationAwaiting { .. })) + 1);
            story.log.remove(at);
        }
        "I10" => {
            let at = story.nth(first, 0, |event| matches!(event, E::DelegationReviewed { .. }));
            story.log.remove(at);
        }
        "I11" => {
            let agent = Principal::Agent(story.scene.agent);
            let at = story.nth(first, 0, |event| matches!(event, E::InterruptResolved { .. }));
            let E::InterruptResolved { by, .. } = story.event(at) else { unreachable!() };
            *by = agent;
        }
        "I12" => {
            let at = story.nth(first, 0, |event| matches!(event, E::InterruptResolved { .. }));
            story.log.truncate(at);
            let E::AttemptStarted { attempt, .. } = *story.event(story.nth(first, 0, started)) else { unreachable!() };
            story.push(first, E::AttemptSucceeded { attempt });
        }
        "I13" => {
            let at = story.nth(third, 2, queued);
            let E::DelegationQueued { tries, .. } = story.event(at) else { unreachable!() };
            *tries = 0;
        }
        "I14" => {
            let at = story.nth(third, 1, queued);
            let later = story.log[at].at + TimeDelta::hours(10);
            let E::DelegationQueued { not_before, .. } = story.event(at) else { unreachable!() };
            *not_before = Some(later);
        }
        "I15" => {
            let at = story.nth(third, 1, queued);
            let E::DelegationQueued { step: taken, .. } = story.event(at).clone() else { unreachable!() };
            let at = story.nth(third, 2, queued);
            let E::DelegationQueued { step, .. } = story.event(at) else { unreachable!() };
            *step = taken;
        }
        "I17" => {
            let at = story.nth(first, 0, |event| matches!(event, E::DelegationCompleted { .. }));
            let E::DelegationCompleted { delegation } = *story.event(at) else { unreachable!() };
            story.insert(at, first, E::DelegationCancelling { delegation, reason: "enough".into() });
        }
        "I18" => {
            let at = story.nth(first, 0, |event| matches!(event, E::Created { .. }));
            let again = story.event(at).clone();
            story.insert(at + 1, first, again);
        }
        "I19" => story.instance_is_shut_off(),
        "I20" => {
            let at = story.at(|event| matches!(event, Event::Agent(AgentEvent::Registered { .. })));
            let Event::Agent(AgentEvent::Registered { max_concurrency, .. }) = &mut story.log[at].event else {
                unreachable!()
            };
            *max_concurrency = 1;
        }
        "I21" => {
            let at = story.nth(third, 1, queued);
            let E::DelegationQueued { round, .. } = story.event(at) else { unreachable!() };
            *round = 99;
        }
        "I22" => {
            let at = story.at(|event| matches!(event, Event::Conversation(ConversationEvent::Message { .. })));
            story.log[at].audience = None;
        }
        "I24" => {
            let at = story.at(|event| matches!(event, Event::Conversation(ConversationEvent::Message { .. })));
            let again = story.log[at].clone();
            story.log.insert(at, again);
        }
        "I25" => {
            let at = story.nth(third, 0, |event| matches!(event, E::RolledBack { .. }));
            let E::RolledBack { at, .. } = story.event(at) else { unreachable!() };
            *at += 1;
        }
        "I26" => story.hand_round(),
        "I27" => {
            let at = story.nth(third, 0, |event| matches!(event, E::Created { .. }));
            let E::Created { claims, .. } = story.event(at) else { unreachable!() };
            *claims = paths_of(&["src/api"]);
        }
        "I28" => {
            let task = story.second;
            let (from, to) = (TaskStatus::Ready, TaskStatus::Blocked);
            let end = story.nth(task, 0, |event| matches!(event, E::Ready { .. })) + 1;
            story.log.truncate(end);
            story.push(task, E::Transitioned { from, to, reason: "it waits".into() });
        }
        other => panic!("nobody knows how {other} is broken"),
    }
}

#[test]
fn every_promise_that_a_log_can_show_is_found_broken_when_it_is() {
    assert_eq!(story().findings(), vec![], "nothing is wrong with it");
    for (invariant, ..) in INVARIANTS.iter().filter(|(name, _, shown)| *shown == Shown::Log || LOGS_TOO.contains(name))
    {
        let mut story = story();
        break_it(&mut story, invariant);
        let renumbered = *invariant != "I4";
        let findings = if renumbered { story.findings() } else { as_it_is(&story.log) };
        let found: BTreeSet<&str> = findings.iter().map(|finding| finding.invariant).collect();
        assert!(found.contains(invariant), "{invariant}: {findings:#?}");
    }
}

/// What the database shows besides, the log shows in part.
const LOGS_TOO: [&str; 2] = ["I22", "I25"];

fn as_it_is(log: &[Recorded]) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    log.iter().for_each(|recorded| doctor.event(recorded));
    doctor.finish()
}

#[test]
fn an_answer_that_no_person_agreed_to_is_found() {
    let told = |delegator: Principal| {
        let mut story = story();
        let expiry = Some(Expiry { after_secs: 1, then: Lapse::Answer(serde_json::json!("yes")) });
        let at = story.nth(story.first, 0, |event| matches!(event, E::DelegationQueued { .. }));
        let E::DelegationQueued { delegator: by, terms, .. } = story.event(at) else { unreachable!() };
        (*by, terms.expiry) = (delegator, expiry.clone());
        let at = story.nth(story.first, 0, |event| matches!(event, E::InterruptResolved { .. }));
        let E::InterruptResolved { policy, .. } = story.event(at) else { unreachable!() };
        *policy = expiry;
        story.findings().iter().any(|finding| finding.invariant == "I11")
    };
    assert_eq!([user(0), Principal::Agent(AgentId(uuid::Uuid::nil()))].map(told), [false, true]);
}
