//! No two agents may write to the same path, whatever is planned, and nobody waits for a path for ever.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    claim::Claims,
    event::{Event, TaskEvent},
    ids::{AttemptId, ProjectId, Subject, TaskId},
    rejection::Rejection,
    routing::{Bulkheads, Hold},
    task::{Reviewers, TaskChange, TaskCommand},
};

use super::{
    plan::{plans, play},
    scene::{Scene, paths_of},
    tries,
    world::World,
};

/// Every path that an agent was told it may write to, and not known to have let go of, read from the log alone.
fn written(world: &World, mut check: impl FnMut(&BTreeMap<AttemptId, (TaskId, ProjectId, Claims)>)) {
    let (mut wanted, mut held) = (BTreeMap::<TaskId, (ProjectId, Claims)>::new(), BTreeMap::new());
    for entry in &world.log {
        let (Subject::Task(task), Event::Task(event)) = (entry.fact.subject, &entry.fact.event) else { continue };
        match event {
            TaskEvent::Created { project, claims, .. } => drop(wanted.insert(task, (*project, claims.clone()))),
            TaskEvent::Updated { claims: Some(claims), .. } => {
                wanted.get_mut(&task).expect("made before").1.clone_from(claims);
                let own = held.values_mut().filter(|(holder, ..): &&mut (TaskId, ProjectId, Claims)| *holder == task);
                own.for_each(|(_, _, paths)| paths.extend(claims.iter().cloned()));
            }
            TaskEvent::AttemptStarted { attempt, .. } => {
                let (project, claims) = wanted[&task].clone();
                held.insert(*attempt, (task, project, claims));
            }
            TaskEvent::AttemptReleased { attempt, .. } => drop(held.remove(attempt)),
            TaskEvent::AttemptSucceeded { attempt } | TaskEvent::AttemptCancelled { attempt, .. } => {
                held.remove(attempt);
            }
            TaskEvent::AttemptFailed { attempt, class, .. } | TaskEvent::AttemptLost { attempt, class, .. }
                if !class.may_still_run() =>
            {
                held.remove(attempt);
            }
            _ => {}
        }
        check(&held);
    }
}

fn overlap(one: &Claims, other: &Claims) -> bool {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    one.iter().any(|a| {
        other.iter().any(|b| {
            let (a, b) = (parts(a.as_str()), parts(b.as_str()));
            a.starts_with(&b) || b.starts_with(&a)
        })
    })
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn two_agents_never_hold_the_same_path(plan in plans(200)) {
        let world = play(&plan, |_| {});
        written(&world, |held| {
            let held: Vec<_> = held.values().collect();
            for (nth, (task, project, paths)) in held.iter().enumerate() {
                for (other, elsewhere, theirs) in &held[nth + 1..] {
                    let same = task == other || project != elsewhere;
                    assert!(same || !overlap(paths, theirs), "{paths:?} and {theirs:?}");
                }
            }
        });
    }
}

fn hold(scene: &Scene, delegation: crate::domain::ids::DelegationId) -> (Hold, Option<TaskId>) {
    let held = scene.world.workspace.schedule().held(delegation, scene.world.now, Bulkheads::default());
    let held = held.expect("it is queued");
    (held.why, held.holder)
}

#[test]
fn a_task_waits_for_the_one_that_has_its_path_and_begins_when_that_lets_go() {
    let mut scene = Scene::new();
    let [wide, narrow, apart] = [&["src"][..], &["src/api"], &["docs"]].map(|paths| scene.task_at(paths));
    let [first, second, third] = [wide, narrow, apart].map(|task| scene.delegate(task, 0, Reviewers::Anyone));
    assert_eq!(scene.offered(), [wide, apart]);
    assert_eq!(hold(&scene, second), (Hold::PathClaimed, Some(wide)));
    let running = scene.start(wide);
    assert_eq!(hold(&scene, second), (Hold::PathClaimed, Some(wide)));
    assert_eq!(hold(&scene, third).0, Hold::Next);

    // Its agent may still write until it is known to have stopped.
    scene.run(wide, 0, TaskCommand::Pause(first)).unwrap();
    assert_eq!(scene.offered(), [apart]);
    let command = TaskCommand::Release { attempt: running.0, stopped: true, late_result: None };
    scene.run(wide, 0, command).unwrap();
    assert_eq!(scene.offered(), [narrow, apart]);
}

#[test]
fn who_came_first_is_not_passed_by_those_that_want_less() {
    let mut scene = Scene::new();
    let [left, both, right] = [&["src/a"][..], &["src"], &["src/b"]].map(|paths| scene.task_at(paths));
    let [_, second, third] = [left, both, right].map(|task| scene.delegate(task, 0, Reviewers::Anyone));
    let running = scene.start(left);
    assert_eq!(scene.offered(), vec![]);
    assert_eq!(hold(&scene, second), (Hold::PathClaimed, Some(left)));
    assert_eq!(hold(&scene, third), (Hold::PathClaimed, Some(both)), "it would keep the other one waiting for ever");
    scene.submit(left, running).unwrap();
    assert_eq!(scene.offered(), [both]);

    // One that cannot begin, however long others wait, keeps nobody waiting.
    let gate = scene.task();
    scene.waits_for(both, gate);
    assert_eq!(scene.offered(), [right]);
}

#[test]
fn an_agent_at_work_gets_no_path_that_another_one_has() {
    let mut scene = Scene::new();
    let [one, other] = [&["a"][..], &["b"]].map(|paths| scene.task_at(paths));
    for task in [one, other] {
        scene.delegate(task, 0, Reviewers::Anyone);
        scene.start(task);
    }
    let claim =
        |paths: &[&str]| TaskCommand::Update(TaskChange { claims: Some(paths_of(paths)), ..Default::default() });
    assert!(matches!(scene.run(one, 0, claim(&["a", "b/x"])), Err(Rejection::Busy(_))));
    scene.run(one, 0, claim(&["c"])).unwrap();
    // What it was told at first it may still be writing to.
    assert!(matches!(scene.run(other, 0, claim(&["a/b"])), Err(Rejection::Busy(_))));
    assert!(matches!(scene.run(other, 0, claim(&["c"])), Err(Rejection::Busy(_))));
    scene.run(other, 0, claim(&["d"])).unwrap();
}
