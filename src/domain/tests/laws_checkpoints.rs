//! Checkpoints: whole or not there, what they say is found again, going back is one more event and can be undone, and a
//! branch is nobody else's.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::domain::{
    checkpoint::{CheckpointPart, CheckpointReason, Parts, TalkMark, TaskState, digest, in_force, is_in},
    doctor::{Doctor, Finding},
    event::{ConversationEvent, Event, TaskEvent},
    failure::FailureClass,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    task::{
        CHECKPOINTS_MAX, Circumstance, MANUAL_MAX, NewCheckpoint, Report, Reviewers, Task, TaskChange, TaskCommand,
        TaskStatus,
    },
    text::{Prose, Title},
};

use super::{
    ledger::Phase,
    plan::{plans, play},
    plan_checkpoints::{made, manifest, new, talks, way_back},
    plan_work::task_ask,
    scene::Scene,
    tries,
    world::World,
};

/// The digest of a task as it is now.
fn now(world: &World, task: TaskId) -> String {
    let state = TaskState::of(&world.recorded(Subject::Task(task)), world.head());
    digest(&state.expect("the task was made"))
}

fn open(world: &World, task: TaskId) -> bool {
    let busy = world
        .ledger
        .delegations
        .values()
        .any(|known| known.task == task && matches!(known.phase, Phase::Reviewing | Phase::Cancelling));
    !busy && !world.ledger.tasks[&task].status.is_closed()
}

proptest! {
    #![proptest_config(tries(60))]

    #[test]
    fn what_a_checkpoint_says_is_found_again_whatever_came_after_it(plan in plans(150)) {
        let world = play(&plan, |_| {});
        for task in world.ledger.tasks.keys() {
            let (own, talks) = (world.recorded(Subject::Task(*task)), talks(&world, *task));
            for (_, manifest) in made(&own) {
                let state = manifest.restored(&own, &talks).expect("it is whole");
                prop_assert_eq!(digest(&state), manifest.task);
            }
        }
    }

    #[test]
    fn after_going_back_the_task_is_what_it_was_and_going_back_from_there_undoes_it(plan in plans(150)) {
        let mut world = play(&plan, |_| {});
        let tasks: Vec<TaskId> = world.ledger.tasks.keys().copied().collect();
        for task in tasks.into_iter().filter(|task| open(&world, *task)).collect::<Vec<_>>() {
            let known = made(&world.recorded(Subject::Task(task)));
            for (to, manifest) in known.into_iter().take(4) {
                let (former, before) = (now(&world, task), world.log.len());
                let back = way_back(&world, task, to, &manifest);
                let TaskCommand::RollBack { before: NewCheckpoint { id: undo, .. }, .. } = &back else { unreachable!() };
                let undo = *undo;
                let by = Principal::User(super::plan::person(0));
                match world.run(task_ask(task, by, back)) {
                    Ok(_) => {}
                    // Whoever answered for it then may have left.
                    Err(Rejection::Busy(_) | Rejection::NotFound(_)) => continue,
                    Err(other) => panic!("{other:?}"),
                }
                prop_assert_eq!(now(&world, task), manifest.task);
                prop_assert!(world.log.len() > before);
                let own = made(&world.recorded(Subject::Task(task)));
                let manifest = &own.iter().find(|(id, _)| *id == undo).expect("it was made first").1;
                let back = way_back(&world, task, undo, manifest);
                if world.run(task_ask(task, by, back)).is_ok() {
                    prop_assert_eq!(now(&world, task), former);
                }
            }
        }
    }

    #[test]
    fn what_is_written_into_a_branch_changes_no_digest_of_its_parent(plan in plans(250)) {
        let mut marks = std::collections::BTreeMap::<ConversationId, (TalkMark, usize)>::new();
        play(&plan, |world| {
            let Some(last) = world.log.last() else { return };
            let Subject::Conversation(written) = last.fact.subject else { return };
            let Some(parent) = world.ledger.branches.get(&written).copied() else { return };
            let log = world.recorded(Subject::Conversation(parent));
            let mark = TalkMark::of(parent, &log, world.head());
            let own = log.iter().filter(|recorded| says(&recorded.event)).count();
            if let Some((before, count)) = marks.insert(parent, (mark.clone(), own))
                && count == own
            {
                assert_eq!(before, mark, "the branch {written} changed {parent}");
            }
        });
    }
}

/// Whether an event changes what is said in its conversation.
fn says(event: &Event) -> bool {
    use ConversationEvent as E;
    let Event::Conversation(event) = event else { return false };
    matches!(event, E::Message { .. } | E::MessageEdited { .. } | E::MessageDeleted { .. } | E::Merged { .. })
}

#[test]
fn a_part_that_cannot_be_had_makes_no_half_checkpoint() {
    let whole = Parts { task: Some("ab".into()), conversations: Some(vec![]), session: Some(None) };
    assert!(whole.clone().whole(3).is_ok());
    let without = |change: fn(&mut Parts)| {
        let mut parts = whole.clone();
        change(&mut parts);
        parts.whole(3).unwrap_err()
    };
    assert_eq!(without(|parts| parts.task = None), CheckpointPart::Task);
    assert_eq!(without(|parts| parts.conversations = None), CheckpointPart::Conversations);
    assert_eq!(without(|parts| parts.session = None), CheckpointPart::Session);
}

#[test]
fn a_checkpoint_that_is_not_what_it_says_is_refused() {
    let mut scene = Scene::new();
    let task = scene.task();
    let mut wrong = manifest(&scene.world, task);
    wrong.task = digest(&"something else");
    let own = scene.world.recorded(Subject::Task(task));
    assert_eq!(wrong.restored(&own, &Default::default()), Err(CheckpointPart::Task));
    let mut wrong = manifest(&scene.world, task);
    let conversation = ConversationId(scene.world.fresh());
    wrong.conversations.push(TalkMark { conversation, seq: 4, digest: digest(&4) });
    assert_eq!(wrong.restored(&own, &Default::default()), Err(CheckpointPart::Conversations));
}

#[test]
fn going_back_fences_the_running_attempt_off_and_waits_for_a_person() {
    let mut scene = Scene::new();
    let task = scene.task();
    let checkpoint = new(&scene.world, task, CheckpointReason::Manual);
    let (to, of) = (checkpoint.id, checkpoint.manifest.clone());
    scene.run(task, 0, TaskCommand::Checkpoint(checkpoint)).unwrap();
    let delegation = scene.delegate(task, 1, Reviewers::Anyone);
    let attempt = scene.start(task);
    scene.report(task, attempt, Report::Accepted).unwrap();

    let back = way_back(&scene.world, task, to, &of);
    scene.run(task, 0, back).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Paused);
    assert_eq!(scene.report(task, attempt, Report::Accepted), Err(Rejection::Fenced));
    assert!(scene.world.ledger.attempts.contains_key(&attempt.0), "it stays as history");

    // What came in between is not told any more, and what comes now is.
    let log = scene.world.recorded(Subject::Task(task));
    let parts = in_force(&log, scene.world.head());
    let told = |wanted: fn(&TaskEvent) -> bool| {
        let mut all = log.iter().filter(|recorded| is_in(&parts, recorded.offset));
        all.any(|recorded| matches!(&recorded.event, Event::Task(event) if wanted(event)))
    };
    assert!(!told(|event| matches!(event, TaskEvent::AttemptStarted { .. })));
    assert!(told(|event| matches!(event, TaskEvent::Created { .. })));
    scene.run(task, 0, TaskCommand::Resume(delegation)).unwrap();
    let again = scene.start(task);
    assert!(again.1 > attempt.1);
}

#[test]
fn work_under_review_and_closed_tasks_do_not_go_back() {
    let mut scene = Scene::new();
    let task = scene.task();
    let checkpoint = new(&scene.world, task, CheckpointReason::Manual);
    let (to, of) = (checkpoint.id, checkpoint.manifest.clone());
    scene.run(task, 0, TaskCommand::Checkpoint(checkpoint)).unwrap();
    scene.delegate(task, 1, Reviewers::Anyone);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    let back = way_back(&scene.world, task, to, &of);
    assert!(matches!(scene.run(task, 0, back), Err(Rejection::Busy(_))));
    scene.run(task, 0, TaskCommand::Transition(TaskStatus::Cancelled)).unwrap();
    let back = way_back(&scene.world, task, to, &of);
    assert!(matches!(scene.run(task, 0, back), Err(Rejection::Busy(_))));
    let unknown = way_back(&scene.world, task, CheckpointId(scene.world.fresh()), &of);
    assert_eq!(scene.run(task, 0, unknown), Err(Rejection::NotFound("checkpoint")));
}

#[test]
fn results_that_came_after_a_checkpoint_count_no_more() {
    let mut scene = Scene::new();
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Anyone);
    let attempt = scene.start(task);
    let made = |scene: &mut Scene, name: &str| {
        let made = crate::domain::task::Made {
            artifact: scene.world.fresh().into(),
            kind: crate::domain::text::Label::fitted("file"),
            name: crate::domain::event::ArtifactName::fitted(name),
            content: None,
            details: serde_json::Value::Null,
        };
        scene.report(task, attempt, Report::Artifact(made.clone())).unwrap();
        made.artifact
    };
    let first = made(&mut scene, "a.rs");
    let checkpoint = new(&scene.world, task, CheckpointReason::Manual);
    let (to, of) = (checkpoint.id, checkpoint.manifest.clone());
    scene.run(task, 0, TaskCommand::Checkpoint(checkpoint)).unwrap();
    let title = Some(Title::fitted("other"));
    let change = TaskChange { title, description: Some(Prose::fitted("else")), ..Default::default() };
    scene.run(task, 0, TaskCommand::Update(change)).unwrap();
    made(&mut scene, "b.rs");
    scene.fail(task, attempt, FailureClass::Refused).unwrap();
    let back = way_back(&scene.world, task, to, &of);
    scene.run(task, 0, back).unwrap();
    let state = TaskState::of(&scene.world.recorded(Subject::Task(task)), scene.world.head()).unwrap();
    assert_eq!((state.title, state.results), (Some(Title::fitted("t")), [first].into()));
}

/// Makes checkpoints, one every so often, and returns those that are left.
fn kept(count: usize, every: TimeDelta, reason: CheckpointReason) -> Result<Vec<usize>, Rejection> {
    let mut scene = Scene::new();
    let id = scene.task();
    let mut task = Task::default();
    for recorded in scene.world.recorded(Subject::Task(id)) {
        let Event::Task(event) = &recorded.event else { continue };
        task.apply(recorded.offset, event);
    }
    let (manifest, mut left) = (manifest(&scene.world, id), vec![]);
    for nth in 0..count {
        let checkpoint = CheckpointId(uuid::Uuid::from_u128(nth as u128));
        let at: DateTime<Utc> = DateTime::UNIX_EPOCH + every * nth as i32;
        let cx = Circumstance { by: super::scene::user(0), now: at };
        let new = NewCheckpoint { id: checkpoint, name: None, reason, manifest: manifest.clone() };
        for event in task.decide(id, cx, TaskCommand::Checkpoint(new))? {
            task.apply(nth as u64 + 9, &event);
            if let TaskEvent::Checkpointed { dropped, .. } = &event {
                left.retain(|other| !dropped.contains(&CheckpointId(uuid::Uuid::from_u128(*other as u128))));
                left.push(nth);
            }
        }
    }
    Ok(left)
}

#[test]
fn checkpoints_of_a_day_stay_and_of_older_ones_every_tenth_and_never_too_many() {
    let hourly = kept(60, TimeDelta::hours(1), CheckpointReason::AttemptStarted).unwrap();
    let (old, young): (Vec<usize>, Vec<usize>) = hourly.into_iter().partition(|nth| *nth < 59 - 24);
    assert_eq!(old, vec![9, 19, 29]);
    assert_eq!(young, (35..60).collect::<Vec<_>>());
    let many = kept(300, TimeDelta::seconds(1), CheckpointReason::Submitted).unwrap();
    assert_eq!(many, (300 - CHECKPOINTS_MAX..300).collect::<Vec<_>>());
}

#[test]
fn checkpoints_of_people_stay_until_there_are_as_many_as_there_may_be() {
    let days = kept(MANUAL_MAX, TimeDelta::days(1), CheckpointReason::Manual).unwrap();
    assert_eq!(days.len(), MANUAL_MAX);
    assert!(matches!(kept(MANUAL_MAX + 1, TimeDelta::days(1), CheckpointReason::Manual), Err(Rejection::Busy(_))));
}

/// Makes a checkpoint, so many younger ones, and goes back to the first after a while.
fn back_to_the_first(younger: usize, after: TimeDelta) -> Vec<Finding> {
    let mut scene = Scene::new();
    let task = scene.task();
    let first = new(&scene.world, task, CheckpointReason::AttemptStarted);
    let (to, of) = (first.id, first.manifest.clone());
    scene.run(task, 0, TaskCommand::Checkpoint(first)).unwrap();
    for _ in 0..younger {
        let checkpoint = new(&scene.world, task, CheckpointReason::AttemptStarted);
        scene.run(task, 0, TaskCommand::Checkpoint(checkpoint)).unwrap();
    }
    scene.world.pass(after.num_milliseconds());
    // It is still there after the first time.
    for _ in 0..2 {
        let back = way_back(&scene.world, task, to, &of);
        scene.run(task, 0, back).unwrap();
    }
    let mut doctor = Doctor::default();
    scene.world.whole_log().iter().for_each(|recorded| doctor.event(recorded));
    doctor.finish()
}

#[test]
fn a_checkpoint_that_a_task_goes_back_to_is_not_dropped_by_that() {
    assert_eq!(back_to_the_first(0, TimeDelta::hours(25)), vec![], "it is older than a day");
    assert_eq!(back_to_the_first(CHECKPOINTS_MAX - 1, TimeDelta::zero()), vec![], "there are as many as there may be");
}
