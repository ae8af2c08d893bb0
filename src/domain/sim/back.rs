//! People who remember what a task was like, change it, and go back.

use std::collections::BTreeMap;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, Parts, TaskState, digest},
    event::{Event, Recorded, TaskEvent},
    ids::*,
    task::{NewCheckpoint, TaskChange, TaskCommand},
    text::Title,
};

use super::{
    link::{Answer, Ask},
    play::{Happening, World},
};

impl World {
    /// Somebody makes a checkpoint, changes the task, and goes back a while later.
    pub fn somebody_experiments(&mut self, task: TaskId) {
        let Some(to) = self.remember(task, CheckpointReason::Manual) else { return };
        let title = Some(Title::fitted(&format!("another title {}", self.now)));
        let by = self.somebody();
        self.tell(&Ask::task(task, by, TaskCommand::Update(TaskChange { title, ..Default::default() })));
        let wait = self.between(10_000, 300_000);
        self.later(wait, Happening::GoBack(task, to));
    }

    /// Makes a checkpoint; returns its id, whatever became of it.
    pub fn remember(&mut self, task: TaskId, reason: CheckpointReason) -> Option<CheckpointId> {
        let manifest = self.manifest(task)?;
        let (id, by) = (self.node.fresh(), self.somebody());
        let new = NewCheckpoint { id, name: None, reason, manifest };
        self.tell(&Ask::task(task, by, TaskCommand::Checkpoint(new)));
        Some(id)
    }

    /// Goes back to a checkpoint, if it was made: then the task has to be what it was.
    pub fn go_back(&mut self, task: TaskId, to: CheckpointId) {
        if !self.node.up {
            return self.later(3_000, Happening::GoBack(task, to));
        }
        let own = self.log_of(task);
        let made = own.iter().find_map(|recorded| match &recorded.event {
            Event::Task(TaskEvent::Checkpointed { checkpoint, manifest, .. }) if *checkpoint == to => {
                Some((**manifest).clone())
            }
            _ => None,
        });
        let (Some(made), Some(now)) = (made, self.manifest(task)) else { return };
        let restored = made.restored(&own, &BTreeMap::new());
        self.watch.kept("I25", restored.is_ok(), || format!("checkpoint {to} is not what it says: {restored:?}"));
        let Ok(state) = restored else { return };
        let (id, by) = (self.node.fresh(), self.somebody());
        let before = NewCheckpoint { id, name: None, reason: CheckpointReason::Rollback, manifest: now };
        let answer = self.tell(&Ask::task(task, by, TaskCommand::RollBack { to, state, before }));
        if matches!(answer, Answer::Done(_)) {
            let now = self.manifest(task).map(|now| now.task);
            let same = now.as_ref() == Some(&made.task);
            self.watch.kept("I25", same, || format!("task {task} went back to {to} and is something else"));
        }
    }

    fn log_of(&self, task: TaskId) -> Vec<Recorded> {
        let own = self.node.log.iter().filter(|recorded| recorded.subject == Subject::Task(task));
        own.cloned().collect()
    }

    fn manifest(&self, task: TaskId) -> Option<Manifest> {
        let head = self.node.log.len() as u64;
        let state = TaskState::of(&self.log_of(task), head)?;
        // These worlds have no conversations.
        let parts = Parts { task: Some(digest(&state)), conversations: Some(vec![]), session: Some(None) };
        parts.whole(head).ok()
    }
}
