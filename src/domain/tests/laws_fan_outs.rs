//! A task that was split waits for its parts, hears once what came of them, and leaves none of them behind unnoticed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, in_force, is_in},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::{AttemptId, CheckpointId, DelegationId, FanOutId, Subject, TaskId},
    pack::joined_parts,
    principal::{Principal, Service},
    rejection::Rejection,
    routing::Bulkheads,
    task::{
        ChildPolicy, FanOut, Join, JoinOutcome, NewFanOut, Part, PartResult, PartStatus, Priority, Report, Review,
        Reviewers, TaskChange, TaskCommand, TaskStatus,
    },
    text::{Prose, Text},
    workspace::Gate,
};

use super::{
    ledger::Phase,
    plan::{plans, play, title},
    plan_checkpoints::{new as checkpoint, way_back},
    plan_work::task_ask,
    scene::{Done, Scene, user},
    tries,
};

proptest! {
    #![proptest_config(tries(120))]

    #[test]
    fn a_split_task_has_no_attempt_until_its_parts_are_joined(plan in plans(200)) {
        play(&plan, |world| {
            for attempt in world.ledger.live() {
                assert!(!world.ledger.splits.contains_key(&attempt.task), "it waits for its parts");
            }
        });
    }

    #[test]
    fn a_join_says_what_came_of_every_part_and_comes_when_it_is_decided(plan in plans(200)) {
        let world = play(&plan, |_| {});
        let mut opened: BTreeMap<FanOutId, (Vec<TaskId>, Join)> = BTreeMap::new();
        let mut status: BTreeMap<TaskId, TaskStatus> = BTreeMap::new();
        for entry in &world.log {
            let (Subject::Task(task), Event::Task(event)) = (entry.fact.subject, &entry.fact.event) else { continue };
            match event {
                TaskEvent::Created { status: born, .. } => drop(status.insert(task, *born)),
                TaskEvent::Transitioned { to, .. } => drop(status.insert(task, *to)),
                TaskEvent::FanOutOpened { fan_out, parts, join, .. } => {
                    opened.insert(*fan_out, (parts.iter().map(|part| part.task).collect(), *join));
                }
                TaskEvent::FanOutJoined { fan_out, outcome, parts, .. } => {
                    let (tasks, join) = opened.remove(fan_out).expect("it was split, and joined once");
                    prop_assert_eq!(&parts.iter().map(|part| part.task).collect::<Vec<_>>(), &tasks);
                    let done = tasks.iter().filter(|part| status[part] == TaskStatus::Done).count();
                    let told = parts.iter().filter(|part| part.status == PartStatus::Done).count();
                    prop_assert_eq!(done, told);
                    if *outcome == JoinOutcome::Enough {
                        prop_assert!(done >= join.needs(tasks.len()));
                    }
                    for part in parts.iter().filter(|part| part.attempt.is_some() && part.status == PartStatus::Done) {
                        let attempt = &world.ledger.attempts[&part.attempt.expect("just seen")];
                        prop_assert_eq!((attempt.task, Some(attempt.agent)), (part.task, part.agent));
                    }
                }
                _ => {}
            }
        }
        // What is not joined could still come to something.
        for (tasks, join) in opened.values() {
            let over = |part: &&TaskId| status[*part] == TaskStatus::Done;
            prop_assert!(tasks.iter().filter(over).count() < join.needs(tasks.len()));
        }
    }
}

fn part(scene: &Scene) -> Part {
    let (task, delegation) = (scene.world.fresh().into(), scene.world.fresh().into());
    let instructions = Text::fitted("do it");
    Part {
        task,
        delegation,
        title: title("part"),
        instructions,
        agent: Some(scene.agent),
        team: None,
        claims: Default::default(),
    }
}

fn split(
    scene: &mut Scene,
    task: TaskId,
    by: Principal,
    join: Join,
    policy: ChildPolicy,
    parts: usize,
) -> (Done, Vec<Part>) {
    let parts: Vec<Part> = (0..parts).map(|_| part(scene)).collect();
    let expires_at: Option<DateTime<Utc>> = Some(scene.world.now + TimeDelta::hours(2));
    let (id, review) = (FanOutId(scene.world.fresh()), Review::default());
    let new = NewFanOut { id, parts: parts.clone(), join, policy, review, expires_at };
    (scene.world.run(task_ask(task, by, TaskCommand::FanOut(FanOut::Open(new)))), parts)
}

/// Does what is due, as the conductor would.
fn settle(scene: &mut Scene) {
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    for errand in agenda.errands {
        let by = Principal::Service(Service::Conductor);
        scene.world.run(task_ask(errand.task, by, errand.chore.command())).unwrap();
    }
}

fn joined(scene: &Scene, task: TaskId) -> Option<(JoinOutcome, Vec<PartResult>)> {
    scene.world.log.iter().rev().find_map(|entry| match (&entry.fact.subject, &entry.fact.event) {
        (Subject::Task(id), Event::Task(TaskEvent::FanOutJoined { outcome, parts, .. })) if *id == task => {
            Some((*outcome, parts.clone()))
        }
        _ => None,
    })
}

fn work(scene: &mut Scene, part: &Part) -> (AttemptId, u64) {
    let running = scene.start(part.task);
    scene.submit(part.task, running).unwrap();
    running
}

#[test]
fn a_supervisor_waits_for_its_workers_and_goes_on_with_what_they_made() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let delegation = scene.delegate(whole, 0, Reviewers::Anyone);
    let running = scene.start(whole);
    scene.report(whole, running, Report::Accepted).unwrap();
    let supervisor = Principal::Agent(scene.agent);
    let (done, parts) = split(&mut scene, whole, supervisor, Join::All, ChildPolicy::RequestCancel, 2);
    done.unwrap();
    assert_eq!(scene.phase(delegation), Phase::Queued, "nothing of it runs meanwhile");
    assert_eq!(scene.offered(), [parts[0].task, parts[1].task]);
    work(&mut scene, &parts[0]);
    assert_eq!(joined(&scene, whole), None);
    let (last, _) = work(&mut scene, &parts[1]);
    let (outcome, results) = joined(&scene, whole).expect("all of it is done");
    assert_eq!((outcome, results[1].attempt, results[1].artifacts.len()), (JoinOutcome::Enough, Some(last), 1));
    let next = scene.start(whole);
    scene.submit(whole, next).unwrap();
    assert_eq!(scene.status(whole), TaskStatus::Done);
}

#[test]
fn the_first_result_is_enough_for_any_and_the_others_end_as_was_asked_for() {
    for policy in [ChildPolicy::Terminate, ChildPolicy::RequestCancel, ChildPolicy::Abandon] {
        let mut scene = Scene::new();
        let whole = scene.task();
        let (done, parts) = split(&mut scene, whole, user(0), Join::Any, policy, 3);
        done.unwrap();
        assert_eq!(scene.status(whole), TaskStatus::Blocked);
        let running = scene.start(parts[1].task);
        scene.report(parts[1].task, running, Report::Accepted).unwrap();
        work(&mut scene, &parts[0]);
        assert_eq!(joined(&scene, whole).expect("one is enough").0, JoinOutcome::Enough);
        assert_eq!(scene.status(whole), TaskStatus::Ready);
        settle(&mut scene);
        let (at_work, queued) = (scene.phase(parts[1].delegation), scene.phase(parts[2].delegation));
        match policy {
            ChildPolicy::Terminate => assert_eq!((at_work, queued), (Phase::Cancelled, Phase::Cancelled)),
            ChildPolicy::RequestCancel => assert_eq!((at_work, queued), (Phase::Cancelling, Phase::Cancelled)),
            ChildPolicy::Abandon => assert_eq!((at_work, queued), (Phase::Running, Phase::Queued)),
        }
        let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
        assert_eq!(agenda.errands, vec![], "nothing is left to do");
    }
}

fn give_up(scene: &mut Scene, part: &Part) {
    scene.cancel(part.task, part.delegation).unwrap();
}

#[test]
fn a_join_that_cannot_be_reached_any_more_is_decided_at_once_and_its_owner_is_asked() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let delegation = scene.delegate(whole, 0, Reviewers::Anyone);
    let (done, parts) = split(&mut scene, whole, user(0), Join::Quorum(2), ChildPolicy::Terminate, 3);
    done.unwrap();
    work(&mut scene, &parts[0]);
    give_up(&mut scene, &parts[1]);
    assert_eq!(joined(&scene, whole), None, "two may still be done");
    let running = scene.start(parts[2].task);
    scene.fail(parts[2].task, running, FailureClass::AgentBlocked).unwrap();
    assert_eq!(joined(&scene, whole), None, "a person is asked about it, and may mend it");
    give_up(&mut scene, &parts[2]);
    assert_eq!(joined(&scene, whole).expect("it is decided").0, JoinOutcome::Impossible);
    assert_eq!(scene.phase(delegation), Phase::Escalated);
    let asked = scene.world.log.iter().rev().find_map(|entry| match &entry.fact.event {
        Event::Task(TaskEvent::DelegationEscalated { owner, .. }) => *owner,
        _ => None,
    });
    assert_eq!(asked, Some(user(0)));
    scene.run(whole, 0, TaskCommand::Resume(delegation)).unwrap();
    assert_eq!(scene.offered(), [whole]);
}

#[test]
fn when_its_time_is_over_a_join_is_decided_with_what_there_is() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let (done, parts) = split(&mut scene, whole, user(0), Join::All, ChildPolicy::Terminate, 2);
    done.unwrap();
    work(&mut scene, &parts[0]);
    settle(&mut scene);
    assert_eq!(joined(&scene, whole), None);
    scene.world.pass(TimeDelta::hours(3).num_milliseconds());
    settle(&mut scene);
    let (outcome, results) = joined(&scene, whole).expect("the time is over");
    let status: Vec<PartStatus> = results.iter().map(|part| part.status).collect();
    assert_eq!((outcome, status), (JoinOutcome::TimedOut, vec![PartStatus::Done, PartStatus::Open]));
    settle(&mut scene);
    assert_eq!(scene.status(parts[1].task), TaskStatus::Cancelled);
    assert_eq!(scene.status(whole), TaskStatus::Ready);
}

#[test]
fn parts_end_with_their_task_and_with_its_delegation() {
    for by_delegation in [true, false] {
        let mut scene = Scene::new();
        let whole = scene.task();
        let delegation: DelegationId = scene.delegate(whole, 0, Reviewers::Anyone);
        let (done, parts) = split(&mut scene, whole, user(0), Join::All, ChildPolicy::RequestCancel, 2);
        done.unwrap();
        match by_delegation {
            true => scene.cancel(whole, delegation).unwrap(),
            false => scene.run(whole, 0, TaskCommand::Transition(TaskStatus::Cancelled)).unwrap(),
        };
        assert_eq!(joined(&scene, whole).expect("it has ended").0, JoinOutcome::Ended);
        settle(&mut scene);
        assert!(parts.iter().all(|part| scene.status(part.task) == TaskStatus::Cancelled));
        let wanted = if by_delegation { TaskStatus::Ready } else { TaskStatus::Cancelled };
        assert_eq!(scene.status(whole), wanted);
    }
}

#[test]
fn a_part_whose_agent_is_being_stopped_already_is_ended_at_once_where_that_is_wanted() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let delegation = scene.delegate(whole, 0, Reviewers::Anyone);
    let (done, parts) = split(&mut scene, whole, user(0), Join::All, ChildPolicy::Terminate, 1);
    done.unwrap();
    scene.start(parts[0].task);
    scene.cancel(parts[0].task, parts[0].delegation).unwrap();
    scene.cancel(whole, delegation).unwrap();
    settle(&mut scene);
    assert_eq!(scene.phase(parts[0].delegation), Phase::Cancelled);
    let told = scene.world.log.iter().filter(|entry| match &entry.fact.event {
        Event::Task(TaskEvent::DelegationCancelling { delegation, .. }) => *delegation == parts[0].delegation,
        _ => false,
    });
    assert_eq!(told.count(), 1, "its agent is told to stop once");
}

#[test]
fn a_task_that_is_split_is_not_taken_back_to_a_checkpoint() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let made = checkpoint(&scene.world, whole, CheckpointReason::Manual);
    let (id, manifest) = (made.id, made.manifest.clone());
    scene.run(whole, 0, TaskCommand::Checkpoint(made)).unwrap();
    split(&mut scene, whole, user(0), Join::All, ChildPolicy::Terminate, 1).0.unwrap();
    let back = way_back(&scene.world, whole, id, &manifest);
    assert!(matches!(scene.run(whole, 0, back), Err(Rejection::Busy(_))));
}

#[test]
fn only_a_person_or_the_agent_at_work_splits_a_task_once_and_not_for_ever() {
    let mut scene = Scene::new();
    let whole = scene.task();
    let agent = Principal::Agent(scene.agent);
    let by_agent = split(&mut scene, whole, agent, Join::All, ChildPolicy::Abandon, 1).0;
    assert!(matches!(by_agent, Err(Rejection::Forbidden(_))));
    let (done, parts) = split(&mut scene, whole, user(0), Join::All, ChildPolicy::Abandon, 1);
    done.unwrap();
    let again = split(&mut scene, whole, user(0), Join::All, ChildPolicy::Abandon, 1).0;
    assert!(matches!(again, Err(Rejection::Busy(_))));
    // A part that waited for the whole would wait for ever.
    let depends = TaskCommand::AddDependency { depends_on: whole, gate: Gate::Blocks };
    assert_eq!(scene.run(parts[0].task, 0, depends).unwrap_err(), Rejection::Cycle);
    let mut deepest = parts[0].task;
    for _ in 0..4 {
        let (done, parts) = split(&mut scene, deepest, user(0), Join::All, ChildPolicy::Abandon, 1);
        done.unwrap();
        deepest = parts[0].task;
    }
    let deeper = split(&mut scene, deepest, user(0), Join::All, ChildPolicy::Abandon, 1).0;
    assert!(matches!(deeper, Err(Rejection::Busy(_))));
}

#[test]
fn what_came_of_the_parts_is_told_to_whoever_goes_on() {
    let mut scene = Scene::new();
    let whole = scene.task();
    scene.delegate(whole, 0, Reviewers::Anyone);
    let (done, parts) = split(&mut scene, whole, user(0), Join::Any, ChildPolicy::Abandon, 2);
    done.unwrap();
    let running = scene.start(parts[0].task);
    let artifact = scene.world.fresh().into();
    scene.report(parts[0].task, running, Report::Submitted { text: Prose::fitted("forty-two"), artifact }).unwrap();
    let (attempt, _) = scene.start(whole);
    let log = scene.world.recorded(Subject::Task(whole));
    let logs: Vec<_> = parts.iter().map(|part| scene.world.recorded(Subject::Task(part.task))).collect();
    let logs: Vec<&[_]> = logs.iter().map(|log| &log[..]).collect();
    let material = crate::domain::pack::Material::of(attempt, &log, &[], &[], &logs, &[]);
    let text = crate::domain::pack::pack(&material, 10_000).text;
    for known in ["split into 2 parts; 1 are done", "Part `part`: done, by agent", "forty-two", "not done"] {
        assert!(text.contains(known), "{known}: {text}");
    }
}

/// Makes a checkpoint of a task as it is now, and returns its id with what it is of.
fn checkpointed(scene: &mut Scene, task: TaskId) -> (CheckpointId, Manifest) {
    let made = checkpoint(&scene.world, task, CheckpointReason::Manual);
    let known = (made.id, made.manifest.clone());
    scene.run(task, 0, TaskCommand::Checkpoint(made)).unwrap();
    known
}

#[test]
fn parts_of_a_task_that_went_back_are_as_urgent_as_it_is_again() {
    let mut scene = Scene::new();
    let task = scene.task();
    let becomes = |scene: &mut Scene, priority| {
        let change = TaskChange { priority: Some(priority), ..TaskChange::default() };
        scene.run(task, 0, TaskCommand::Update(change)).unwrap();
    };
    becomes(&mut scene, Priority::Urgent);
    let (to, of) = checkpointed(&mut scene, task);
    becomes(&mut scene, Priority::Low);
    let back = way_back(&scene.world, task, to, &of);
    scene.run(task, 0, back).unwrap();
    let (done, _) = split(&mut scene, task, user(0), Join::All, ChildPolicy::default(), 1);
    let urgent = done.unwrap().into_iter().find_map(|done| match done.fact.event {
        Event::Task(TaskEvent::Created { priority, .. }) => Some(priority),
        _ => None,
    });
    assert_eq!(urgent, Some(Priority::Urgent));
}

#[test]
fn what_is_told_of_parts_after_going_back_is_of_those_that_were_joined_before() {
    let mut scene = Scene::new();
    let task = scene.task();
    let joined = |scene: &mut Scene| {
        let (done, parts) = split(scene, task, user(0), Join::All, ChildPolicy::default(), 1);
        done.unwrap();
        work(scene, &parts[0]);
        settle(scene);
        parts[0].task
    };
    let first = joined(&mut scene);
    let (to, of) = checkpointed(&mut scene, task);
    let second = joined(&mut scene);
    let told = |scene: &Scene| {
        let mut log = scene.world.recorded(Subject::Task(task));
        let parts = in_force(&log, scene.world.head());
        log.retain(|recorded| is_in(&parts, recorded.offset));
        joined_parts(&log)
    };
    assert_eq!(told(&scene), [second]);
    let back = way_back(&scene.world, task, to, &of);
    scene.run(task, 0, back).unwrap();
    assert_eq!(told(&scene), [first]);
}
