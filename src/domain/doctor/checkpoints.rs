//! The second reading of checkpoints: each is of what was there, and there are no more than there may be.

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest},
    event::TaskEvent,
    ids::*,
    task::{CHECKPOINTS_MAX, MANUAL_MAX},
};

use super::ledger::Doctor;

/// A checkpoint that was not dropped.
#[derive(Clone)]
pub(super) struct Kept {
    offset: u64,
    manual: bool,
    manifest: Box<Manifest>,
}

impl Doctor {
    /// Returns the checkpoints that a task can go back to, with where each was made.
    pub fn checkpoints(&self) -> impl Iterator<Item = (TaskId, impl Iterator<Item = (CheckpointId, u64, &Manifest)>)> {
        self.checkpoints.iter().map(|(task, own)| {
            let kept = own.iter().map(|(id, kept)| (*id, kept.offset, &*kept.manifest));
            (*task, kept)
        })
    }

    pub(super) fn remembered(&mut self, offset: u64, task: TaskId, event: &TaskEvent) {
        match event {
            TaskEvent::Checkpointed { checkpoint, reason, manifest, dropped, .. } => {
                let own = self.checkpoints.entry(task).or_default();
                own.retain(|id, _| !dropped.contains(id));
                let manual = *reason == CheckpointReason::Manual;
                let kept = Kept { offset, manual, manifest: manifest.clone() };
                let again = own.insert(*checkpoint, kept).is_some();
                let by_people = own.values().filter(|kept| kept.manual).count();
                let many = by_people > MANUAL_MAX || own.len() - by_people > CHECKPOINTS_MAX;
                if again {
                    self.found("I18", offset, format!("checkpoint {checkpoint} was made twice"));
                }
                if many {
                    self.found("I21", offset, format!("task {task} has more checkpoints than it may have"));
                }
                if manifest.at >= offset {
                    self.found("I25", offset, format!("checkpoint {checkpoint} is of what comes after it"));
                }
            }
            TaskEvent::RolledBack { checkpoint, before, at, .. } => {
                let own = self.checkpoints.entry(task).or_default();
                let known = own.get(checkpoint).is_some_and(|kept| kept.manifest.at == *at);
                if !known || !own.contains_key(before) {
                    self.found("I25", offset, format!("task {task} went back to a checkpoint that is not there"));
                }
            }
            _ => {}
        }
    }
}
