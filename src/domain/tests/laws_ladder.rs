//! The ladder after failures: no step twice without news, no more tries than there are, no work where the step does not
//! lead; and an agent that may still be at work is remembered until it is let go.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::domain::{
    agent::{AgentCommand, Availability, NewInstance},
    event::{Event, TaskEvent},
    failure::{FailureClass, Strategy},
    ids::*,
    model::Command,
    principal::Principal,
    rejection::Rejection,
    routing::Bulkheads,
    task::{Made, NewDelegation, QueueReason, Report, Review, Reviewers, Step, TRIES_MAX, TaskCommand},
    text::{Label, Prose},
};

use super::{
    ledger::Phase,
    plan::{plans, play, title},
    plan_work::task_ask,
    scene::{Done, Scene, user},
    tries,
    world::{Ask, World},
};

fn task_events(world: &World) -> impl Iterator<Item = (TaskId, &TaskEvent)> {
    world.log.iter().filter_map(|entry| match (&entry.fact.subject, &entry.fact.event) {
        (Subject::Task(id), Event::Task(event)) => Some((*id, event)),
        _ => None,
    })
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn no_step_is_taken_twice_against_the_same_failure_without_news(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut taken: BTreeMap<TaskId, BTreeSet<(String, Strategy)>> = BTreeMap::new();
        for (task, event) in task_events(&world) {
            let taken = taken.entry(task).or_default();
            match event {
                TaskEvent::DelegationQueued { step: Some(step), .. } if !step.strategy.needs_a_person() => {
                    prop_assert!(taken.insert((step.fingerprint.clone(), step.strategy)), "{step:?}");
                }
                TaskEvent::DelegationQueued { reason: QueueReason::Retry, .. } => {}
                TaskEvent::DelegationQueued { tries: 0, .. } | TaskEvent::InterruptResolved { .. } => taken.clear(),
                TaskEvent::Updated { title, description, .. } if title.is_some() || description.is_some() => {
                    taken.clear();
                }
                TaskEvent::ArtifactRecorded { .. } => taken.clear(),
                _ => {}
            }
        }
    }

    #[test]
    fn a_task_has_no_more_tries_than_there_are_until_a_person_has_a_say(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut used: BTreeMap<TaskId, u32> = BTreeMap::new();
        for entry in &world.log {
            let (Subject::Task(task), Event::Task(event)) = (&entry.fact.subject, &entry.fact.event) else { continue };
            let used = used.entry(*task).or_default();
            match event {
                TaskEvent::AttemptStarted { .. } => *used += 1,
                TaskEvent::DelegationQueued { tries, .. } if *tries < *used => {
                    prop_assert!(*tries == 0 && entry.by.user().is_some(), "{} gave tries back", entry.by);
                    *used = 0;
                }
                _ => {}
            }
            prop_assert!(*used <= TRIES_MAX);
        }
    }

    #[test]
    fn every_failure_has_a_step_and_a_pause_or_a_person(plan in plans(120)) {
        let world = play(&plan, |_| {});
        for commit in world.commits() {
            let events = || commit.iter().filter_map(|entry| match &entry.fact.event {
                Event::Task(event) => Some(event),
                _ => None,
            });
            let failed = events().any(|event| matches!(event, TaskEvent::DelegationRecovering { .. }));
            for event in events() {
                match event {
                    TaskEvent::DelegationQueued { step, not_before, .. } => {
                        prop_assert_eq!(step.is_some(), failed);
                        prop_assert_eq!(not_before.is_some(), failed);
                    }
                    TaskEvent::DelegationEscalated { step, .. } => prop_assert!(step.is_some() || !failed),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_agenda_goes_where_the_step_leads_while_there_is_such_a_place(plan in plans(120), seed in any::<u64>()) {
        play(&plan, |world| {
            let agenda = world.workspace.schedule().agenda(world.now + chrono::TimeDelta::hours(2), seed, Bulkheads::default());
            for offer in agenda.dispatch {
                let Some(step) = &world.ledger.delegations[&offer.delegation].step else { continue };
                let named = world.ledger.delegations[&offer.delegation].agent;
                if !leads_to(step, offer.agent, offer.instance) {
                    assert!(!elsewhere(world, step, named), "{step:?} and yet {offer:?}");
                }
            }
        });
    }

    #[test]
    fn an_agent_that_may_still_be_at_work_is_listed_until_it_is_let_go(plan in plans(120)) {
        let world = play(&plan, |_| {});
        let schedule = serde_json::to_value(world.workspace.schedule()).unwrap();
        let listed: BTreeSet<String> = schedule["stopping"].as_object().unwrap().keys().cloned().collect();
        let left = world.ledger.attempts.values().filter(|attempt| attempt.stopping);
        prop_assert_eq!(listed, left.map(|attempt| attempt.id.to_string()).collect::<BTreeSet<_>>());
    }
}

fn leads_to(step: &Step, agent: AgentId, instance: InstanceId) -> bool {
    match step.strategy {
        Strategy::SameInstance => instance == step.instance,
        Strategy::OtherInstance => agent == step.agent && !step.failed_instances.contains(&instance),
        Strategy::OtherAgent => !step.failed_agents.contains(&agent),
        Strategy::AddContext | Strategy::OtherModel => agent == step.agent,
        Strategy::SplitTask | Strategy::AskPerson => true,
    }
}

/// Whether there is an active agent with an instance that answers where the step leads. All of these have one model.
fn elsewhere(world: &World, step: &Step, named: Option<AgentId>) -> bool {
    let active =
        world.ledger.agents.iter().filter(|(id, staff)| {
            staff.availability == Availability::Active && named.is_none_or(|named| named == **id)
        });
    step.strategy != Strategy::OtherModel
        && active.into_iter().any(|(agent, staff)| {
            let answering = staff.slots.keys().filter(|id| staff.healthy.get(id) != Some(&false));
            answering.into_iter().any(|instance| leads_to(step, *agent, *instance))
        })
}

fn step_of(done: &Done) -> Step {
    let step = done.as_ref().unwrap().iter().find_map(|done| match &done.fact.event {
        Event::Task(TaskEvent::DelegationQueued { step, .. } | TaskEvent::DelegationEscalated { step, .. }) => {
            step.as_deref().cloned()
        }
        _ => None,
    });
    step.expect("a step was taken")
}

fn add_instance(scene: &mut Scene, model: Option<&str>) -> InstanceId {
    let id = InstanceId(scene.world.fresh());
    let new = NewInstance { id, url: "y".into(), model: model.map(Into::into), slots: 2, turns_max: 9 };
    scene.agent(AgentCommand::AddInstance(new)).unwrap();
    id
}

fn where_it_runs(scene: &Scene, attempt: AttemptId) -> (AgentId, InstanceId) {
    let known = &scene.world.ledger.attempts[&attempt];
    (known.agent, known.instance)
}

#[test]
fn after_its_instance_is_lost_the_work_goes_to_another_one_of_the_same_agent() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let lost = where_it_runs(&scene, attempt.0).1;
    let other = add_instance(&mut scene, None);

    let done = scene.fail(task, attempt, FailureClass::InstanceLost);
    assert_eq!(step_of(&done).strategy, Strategy::OtherInstance);
    let next = scene.start(task);
    assert_eq!(where_it_runs(&scene, next.0), (scene.agent, other));

    // There is no third one; where it was first may have come back.
    let done = scene.fail(task, next, FailureClass::InstanceLost);
    let step = step_of(&done);
    assert_eq!(step.strategy, Strategy::SameInstance);
    assert_eq!(step.failed_instances, [lost, other].into());
}

#[test]
fn work_that_shows_nothing_is_asked_for_again_and_then_of_another_model() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let other = add_instance(&mut scene, Some("better"));
    let done = scene.fail(task, attempt, FailureClass::TestsFailed);
    assert_eq!(step_of(&done).strategy, Strategy::AddContext);
    let mut steps = vec![];
    for _ in 0..2 {
        let attempt = scene.start(task);
        let done = scene.fail(task, attempt, FailureClass::TestsFailed);
        steps.push(step_of(&done).strategy);
        if steps.len() == 1 {
            let offered = scene.world.workspace.schedule().agenda(
                scene.world.now + chrono::TimeDelta::hours(1),
                7,
                Bulkheads::default(),
            );
            let expected = if where_it_runs(&scene, attempt.0).1 == other { scene.instance } else { other };
            assert_eq!(offered.dispatch[0].instance, expected);
        }
    }
    assert_eq!(steps, vec![Strategy::OtherModel, Strategy::AskPerson]);
    assert_eq!(scene.phase(delegation), Phase::Escalated);
}

#[test]
fn refused_work_goes_to_another_agent_where_nobody_named_one() {
    let mut scene = Scene::new();
    let task = scene.task();
    let id = DelegationId(scene.world.fresh());
    let review = Review::by(0, Reviewers::Others);
    let new = NewDelegation {
        id,
        agent: None,
        team: None,
        instructions: Prose::default(),
        review,
        terms: Default::default(),
    };
    scene.run(task, 0, TaskCommand::Delegate(new)).unwrap();
    let attempt = scene.start(task);
    let (other, instance) = (AgentId(scene.world.fresh()), InstanceId(scene.world.fresh()));
    let instances = vec![NewInstance { id: instance, url: "z".into(), model: None, slots: 1, turns_max: 9 }];
    let (name, runtime, skills) = (title("other"), Default::default(), Default::default());
    let register = AgentCommand::Register { name, runtime, skills, max_concurrency: 1, instances };
    let ask = Ask { subject: Subject::Agent(other), by: user(0), command: Command::Agent(register) };
    scene.world.run(ask).unwrap();

    let done = scene.fail(task, attempt, FailureClass::Refused);
    assert_eq!(step_of(&done).strategy, Strategy::OtherAgent);
    let next = scene.start(task);
    assert_eq!(where_it_runs(&scene, next.0), (other, instance));
    let done = scene.fail(task, next, FailureClass::Refused);
    assert_eq!(step_of(&done).strategy, Strategy::AskPerson);
    assert_eq!(scene.phase(id), Phase::Escalated);
}

#[test]
fn what_is_too_large_is_for_a_person_to_split_with_a_proposal() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Others);
    let attempt = scene.start(task);
    let done = scene.fail(task, attempt, FailureClass::BudgetExhausted).unwrap();
    let proposal = done.iter().find_map(|done| match &done.fact.event {
        Event::Task(TaskEvent::DelegationEscalated { proposal, owner, .. }) => Some((proposal.clone(), *owner)),
        _ => None,
    });
    let (proposal, owner) = proposal.expect("a person is asked");
    assert!(proposal.unwrap().starts_with("Split the task"));
    assert_eq!(owner, Some(user(0)));
}

#[test]
fn nothing_but_a_persons_say_gives_a_task_its_tries_back() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    for part in ["a", "b", "c", "d", "e", "f"] {
        let attempt = scene.start(task);
        let message = format!("broke in {part}");
        let report = Report::Failed { class: FailureClass::StreamCut, message, retry_after_ms: None };
        scene.report(task, attempt, report).unwrap();
    }
    assert_eq!(scene.phase(delegation), Phase::Escalated);
    let agent = Principal::Agent(scene.agent);
    let resumed = scene.world.run(task_ask(task, agent, TaskCommand::Resume(delegation)));
    assert!(matches!(resumed, Err(Rejection::Forbidden(_))));
    scene.cancel(task, delegation).unwrap();

    let new = || NewDelegation {
        id: DelegationId(uuid::Uuid::from_u128(77)),
        agent: None,
        team: None,
        instructions: Prose::default(),
        review: Review::by(0, Reviewers::Others),
        terms: Default::default(),
    };
    let woken = scene.world.run(task_ask(task, agent, TaskCommand::Delegate(new())));
    assert!(matches!(woken, Err(Rejection::Busy(_))), "another trigger has no more tries");
    scene.run(task, 0, TaskCommand::Delegate(new())).unwrap();
    scene.start(task);
}

#[test]
fn the_agent_of_a_paused_attempt_is_told_to_stop_and_what_it_still_makes_is_kept() {
    let mut scene = Scene::new();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Others);
    let old = scene.start(task);
    scene.run(task, 0, TaskCommand::Pause(delegation)).unwrap();
    let stopping: Vec<_> = scene.world.workspace.schedule().stopping().map(|running| running.attempt).collect();
    assert_eq!(stopping, vec![old.0]);

    let agent = Principal::Agent(scene.agent);
    let artifact = scene.world.fresh().into();
    let (kind, name) = (Label::fitted("file"), crate::domain::event::ArtifactName::fitted("late.rs"));
    let made = Made { artifact, kind, name, content: None, details: serde_json::Value::Null };
    let archive = TaskCommand::Archive { attempt: old.0, made };
    scene.world.run(task_ask(task, agent, archive.clone())).unwrap();
    let release = TaskCommand::Release { attempt: old.0, stopped: true, late_result: Some(Prose::fitted("late")) };
    assert_eq!(scene.world.run(task_ask(task, agent, release.clone())).unwrap().len(), 1);
    assert_eq!(scene.world.run(task_ask(task, agent, release)), Ok(vec![]));
    assert_eq!(scene.world.run(task_ask(task, agent, archive)), Err(Rejection::Fenced));
    assert_eq!(scene.world.workspace.schedule().stopping().count(), 0);

    // What came late proves nothing for the attempt that counts.
    scene.run(task, 0, TaskCommand::Resume(delegation)).unwrap();
    let new = scene.start(task);
    let empty = Report::Submitted { text: Prose::fitted(" "), artifact: scene.world.fresh().into() };
    let done = scene.report(task, new, empty);
    assert_eq!(step_of(&done).class, FailureClass::EvidenceMissing);
}
