//! Work goes from agent to agent without getting lost, never round in a circle, and not for ever.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use crate::domain::{
    agent::{AgentCommand, Availability, NewInstance, RuntimeKind},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::{AgentId, AttemptId, DelegationId, Subject, TaskId},
    model::Command,
    principal::{Principal, Service},
    rejection::Rejection,
    routing::Bulkheads,
    task::{HAND_OFFS_MAX, HandOff, NewDelegation, Review, Reviewers, TRIES_MAX, TaskCommand, Terms},
    text::{Label, Prose},
};

use super::{
    ledger::Phase,
    plan::{plans, play, title},
    plan_work::task_ask,
    scene::{Done, Scene, user},
    tries,
    world::Ask,
};

proptest! {
    #![proptest_config(tries(120))]

    #[test]
    fn agents_hand_nothing_back_to_whoever_had_it_and_not_on_for_ever(plan in plans(220)) {
        let world = play(&plan, |_| {});
        // Who had the work since a person had a say, read from the log alone.
        let mut had: BTreeMap<TaskId, Vec<AgentId>> = BTreeMap::new();
        let mut offered: BTreeMap<TaskId, Principal> = BTreeMap::new();
        for entry in &world.log {
            let (Subject::Task(task), Event::Task(event)) = (entry.fact.subject, &entry.fact.event) else { continue };
            let had = had.entry(task).or_default();
            match event {
                TaskEvent::DelegationQueued { tries: 0, .. } if entry.by.user().is_some() => had.clear(),
                TaskEvent::InterruptResolved { .. } => had.clear(),
                TaskEvent::HandOffOffered { by, .. } => drop(offered.insert(task, *by)),
                TaskEvent::HandOffAccepted { from, to, .. } => {
                    if offered[&task].user().is_some() {
                        had.clear();
                    } else {
                        prop_assert!(!had.contains(to) && from != to, "{to} had it before");
                    }
                    had.push(*from);
                    prop_assert!(had.len() <= HAND_OFFS_MAX);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn an_accepted_offer_leaves_one_agent_with_the_work_and_a_declined_one_somebody(plan in plans(150)) {
        let world = play(&plan, |_| {});
        for commit in world.commits() {
            for entry in commit {
                let Event::Task(event) = &entry.fact.event else { continue };
                let queued = |wanted: AgentId| commit.iter().any(|entry| matches!(&entry.fact.event,
                    Event::Task(TaskEvent::DelegationQueued { agent: Some(agent), .. }) if *agent == wanted));
                if let TaskEvent::HandOffAccepted { to, .. } = event {
                    prop_assert!(queued(*to), "nobody has the work");
                }
            }
        }
        // Nothing is offered of what is over.
        for delegation in world.ledger.offers.keys() {
            prop_assert!(!world.ledger.delegations[delegation].phase.is_over());
        }
    }
}

/// Registers another agent with a free instance.
fn hire(scene: &mut Scene, name: &str, runtime: RuntimeKind) -> AgentId {
    let (id, instance) = (AgentId(scene.world.fresh()), scene.world.fresh().into());
    let instances = match runtime {
        RuntimeKind::Peer => vec![],
        _ => vec![NewInstance { id: instance, url: "x".into(), model: None, slots: 1, turns_max: 9 }],
    };
    let (name, skills) = (title(name), Default::default());
    let command = AgentCommand::Register { name, runtime, skills, max_concurrency: 1, instances };
    scene.world.run(Ask { subject: Subject::Agent(id), by: user(0), command: Command::Agent(command) }).unwrap();
    id
}

fn ask(scene: &mut Scene, task: TaskId, by: Principal, command: HandOff) -> Done {
    scene.world.run(task_ask(task, by, TaskCommand::HandOff(command)))
}

/// Answers what the agenda says, as the conductor would.
fn settle(scene: &mut Scene) -> usize {
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    let conductor = Principal::Service(Service::Conductor);
    let count = agenda.errands.len();
    for errand in agenda.errands {
        scene.world.run(task_ask(errand.task, conductor, errand.chore.command())).unwrap();
    }
    count
}

#[test]
fn an_agent_that_cannot_answer_takes_work_when_it_has_room_and_the_first_is_fenced_off() {
    let mut scene = Scene::new();
    let other = hire(&mut scene, "other", RuntimeKind::Penguin);
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Anyone);
    let running = scene.start(task);
    let first = Principal::Agent(scene.agent);
    let offer = || HandOff::Offer { delegation, to: other, reason: Prose::fitted("you know ovens") };
    assert!(matches!(ask(&mut scene, task, Principal::Agent(other), offer()), Err(Rejection::Forbidden(_))));
    ask(&mut scene, task, first, offer()).unwrap();
    assert!(matches!(ask(&mut scene, task, user(0), offer()), Err(Rejection::Busy(_))));
    assert_eq!(scene.phase(delegation), Phase::Dispatching, "the first goes on until the other has it");
    assert_eq!(settle(&mut scene), 1);
    assert_eq!(scene.report(task, running, crate::domain::task::Report::Accepted).unwrap_err(), Rejection::Fenced);
    let next = scene.start(task);
    assert_eq!(scene.world.ledger.attempts[&next.0].agent, other);
    // It may not give it back; a person may decide so.
    let back = HandOff::Offer { delegation, to: scene.agent, reason: Prose::default() };
    assert!(matches!(ask(&mut scene, task, Principal::Agent(other), back.clone()), Err(Rejection::Busy(_))));
    ask(&mut scene, task, user(0), back).unwrap();
}

#[test]
fn work_is_not_offered_to_an_agent_that_lacks_a_skill_it_requires() {
    let mut scene = Scene::new();
    let other = hire(&mut scene, "other", RuntimeKind::Penguin);
    let skills: std::collections::BTreeSet<Label> = [Label::fitted("baking")].into();
    let learns = |skills| AgentCommand::Update { name: None, skills: Some(skills), max_concurrency: None };
    scene.agent(learns(skills.clone())).unwrap();
    let (id, task) = (scene.world.fresh().into(), scene.task());
    let terms = Terms { skills: skills.clone(), ..Terms::default() };
    let (instructions, review) = (Prose::default(), Review::default());
    let new = NewDelegation { id, agent: None, team: None, instructions, review, terms };
    scene.run(task, 0, TaskCommand::Delegate(new)).unwrap();
    scene.start(task);
    let offer = || HandOff::Offer { delegation: id, to: other, reason: Prose::default() };
    assert!(matches!(ask(&mut scene, task, user(0), offer()), Err(Rejection::Busy(_))));
    let subject = Subject::Agent(other);
    scene.world.run(Ask { subject, by: user(0), command: Command::Agent(learns(skills)) }).unwrap();
    ask(&mut scene, task, user(0), offer()).unwrap();
    // It has forgotten it by the time it is asked.
    scene.world.run(Ask { subject, by: user(0), command: Command::Agent(learns(Default::default())) }).unwrap();
    assert_eq!(settle(&mut scene), 1);
    assert!(!scene.world.ledger.offers.contains_key(&id), "it is declined");
    assert_eq!(scene.phase(id), Phase::Dispatching);
}

/// A task at which an agent works, and that is offered to a peer.
struct Offered {
    scene: Scene,
    task: TaskId,
    delegation: DelegationId,
    running: (AttemptId, u64),
    peer: AgentId,
}

fn offered() -> Offered {
    let mut scene = Scene::new();
    let peer = hire(&mut scene, "peer", RuntimeKind::Peer);
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Anyone);
    let running = scene.start(task);
    let offer = HandOff::Offer { delegation, to: peer, reason: Prose::default() };
    ask(&mut scene, task, user(0), offer).unwrap();
    Offered { scene, task, delegation, running, peer }
}

#[test]
fn an_offer_that_nobody_answers_lapses_and_the_first_goes_on() {
    let Offered { mut scene, task, delegation, running, peer } = offered();
    assert_eq!(settle(&mut scene), 0, "a peer answers by itself");
    scene.world.pass(TimeDelta::minutes(11).num_milliseconds());
    assert_eq!(settle(&mut scene), 1);
    scene.submit(task, running).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Completed);
    assert!(matches!(
        ask(&mut scene, task, Principal::Agent(peer), HandOff::Accept(delegation)),
        Err(Rejection::Transition { .. })
    ));
}

#[test]
fn when_nobody_takes_work_whose_agent_has_ended_a_person_is_asked() {
    let Offered { mut scene, task, delegation, running, peer } = offered();
    scene.fail(task, running, FailureClass::StreamCut).unwrap();
    assert_eq!(scene.offered(), vec![], "it waits for the answer");
    let no = HandOff::Decline { delegation, reason: crate::domain::task::Reason::fitted("busy") };
    ask(&mut scene, task, Principal::Agent(peer), no).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Escalated);
}

#[test]
fn an_agent_that_is_paused_or_leaves_has_it_declined_for_it() {
    for wanted in [Availability::Paused, Availability::Retired] {
        let mut scene = Scene::new();
        let other = hire(&mut scene, "other", RuntimeKind::Penguin);
        let task = scene.task();
        let delegation = scene.delegate(task, 0, Reviewers::Anyone);
        scene.start(task);
        ask(&mut scene, task, user(0), HandOff::Offer { delegation, to: other, reason: Prose::default() }).unwrap();
        let command = Command::Agent(AgentCommand::Want(wanted));
        scene.world.run(Ask { subject: Subject::Agent(other), by: user(0), command }).unwrap();
        assert_eq!(settle(&mut scene), 1);
        assert!(scene.world.ledger.offers.is_empty());
        assert_eq!(scene.phase(delegation), Phase::Dispatching);
    }
}

#[test]
fn work_is_handed_on_five_times_at_most_and_never_beyond_the_tries() {
    let mut scene = Scene::new();
    let agents: Vec<AgentId> = (0..7).map(|n| hire(&mut scene, &format!("a{n}"), RuntimeKind::Penguin)).collect();
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Anyone);
    scene.start(task);
    let (mut has, mut handed) = (scene.agent, 0);
    for to in agents {
        let offer = HandOff::Offer { delegation, to, reason: Prose::default() };
        if ask(&mut scene, task, Principal::Agent(has), offer).is_err() {
            break;
        }
        settle(&mut scene);
        scene.start(task);
        (has, handed) = (to, handed + 1);
    }
    assert_eq!(handed, HAND_OFFS_MAX.min(TRIES_MAX as usize - 1));
}

#[test]
fn an_agent_does_not_reassign_what_it_could_not_hand_off() {
    let mut scene = Scene::new();
    let other = hire(&mut scene, "other", RuntimeKind::Penguin);
    let task = scene.task();
    let delegation = scene.delegate(task, 0, Reviewers::Anyone);
    let reassign = |to| TaskCommand::Reassign { delegation, agent: to };
    for phase in [Phase::Queued, Phase::Dispatching] {
        assert_eq!(scene.phase(delegation), phase);
        for by in [scene.agent, other] {
            let done = scene.world.run(task_ask(task, Principal::Agent(by), reassign(other)));
            assert!(matches!(done, Err(Rejection::Forbidden(_))), "{done:?}");
        }
        if phase == Phase::Queued {
            scene.start(task);
        }
    }
    scene.run(task, 1, reassign(other)).unwrap();
    scene.start(task);
    assert_eq!(scene.phase(delegation), Phase::Dispatching);
}
