//! Random checkpoints of tasks, and ways back to them.

use std::collections::BTreeMap;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, Parts, TalkMark, TaskState, digest},
    event::{ConversationEvent, Event, Recorded, TaskEvent},
    ids::*,
    principal::Principal,
    task::{NewCheckpoint, TaskCommand},
};

use super::{
    plan::{choose, person},
    plan_work::task_ask,
    world::{Ask, World},
};

/// What a checkpoint of a task is made of, as an actor puts it together.
pub(super) fn manifest(world: &World, task: TaskId) -> Manifest {
    let (own, head) = (world.recorded(Subject::Task(task)), world.head());
    let talks = talks(world, task);
    let parts = Parts {
        task: TaskState::of(&own, head).map(|state| digest(&state)),
        conversations: Some(talks.iter().map(|(id, log)| TalkMark::of(*id, log, head)).collect()),
        session: Some(None),
    };
    parts.whole(head).expect("the task was made")
}

/// The logs of all conversations about a task.
pub(super) fn talks(world: &World, task: TaskId) -> BTreeMap<ConversationId, Vec<Recorded>> {
    let about = world.log.iter().filter_map(|entry| match (&entry.fact.subject, &entry.fact.event) {
        (
            Subject::Conversation(id),
            Event::Conversation(
                ConversationEvent::Created { task: of, .. } | ConversationEvent::Branched { task: of, .. },
            ),
        ) if *of == Some(task) => Some(*id),
        _ => None,
    });
    about.map(|id| (id, world.recorded(Subject::Conversation(id)))).collect()
}

/// The checkpoints of a task that are in its log, oldest first.
pub(super) fn made(log: &[Recorded]) -> Vec<(CheckpointId, Manifest)> {
    let made = log.iter().filter_map(|recorded| match &recorded.event {
        Event::Task(TaskEvent::Checkpointed { checkpoint, manifest, .. }) => Some((*checkpoint, (**manifest).clone())),
        _ => None,
    });
    made.collect()
}

pub(super) fn new(world: &World, task: TaskId, reason: CheckpointReason) -> NewCheckpoint {
    NewCheckpoint { id: world.fresh().into(), name: None, reason, manifest: manifest(world, task) }
}

/// The way back to a checkpoint, as a door asks for it.
pub(super) fn way_back(world: &World, task: TaskId, to: CheckpointId, of: &Manifest) -> TaskCommand {
    let state = of.restored(&world.recorded(Subject::Task(task)), &talks(world, task)).expect("it is whole");
    TaskCommand::RollBack { to, state, before: new(world, task, CheckpointReason::Rollback) }
}

pub(super) fn checkpoint(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let task = choose(world.ledger.tasks.keys().copied(), a)?;
    let known = made(&world.recorded(Subject::Task(task)));
    let command = match choose(known, b) {
        Some((to, manifest)) if c % 3 == 0 => way_back(world, task, to, &manifest),
        _ => {
            let reason = [CheckpointReason::Manual, CheckpointReason::AttemptStarted][c % 2];
            TaskCommand::Checkpoint(new(world, task, reason))
        }
    };
    Some(task_ask(task, Principal::User(person(c)), command))
}
