//! Checkpoints of the task: what is kept of them, for how long, and how the task goes back to one. Going back is one more
//! event: nothing is deleted, and what was before it is a checkpoint of its own.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, TalkMark, TaskState},
    event::TaskEvent,
    ids::*,
    rejection::Rejection,
    text::Title,
};

use super::{Circumstance, DelegationStatus, Task};

/// For so long every checkpoint stays.
const KEEP_ALL: TimeDelta = TimeDelta::hours(24);
/// Of the older ones that Link made by itself, one of so many stays.
const KEEP_ONE_OF: u64 = 10;
/// The most that Link made by itself.
pub const CHECKPOINTS_MAX: usize = 100;
/// The most that people made; they stay.
pub const MANUAL_MAX: usize = 50;

/// A checkpoint to make.
#[derive(Clone, Debug)]
pub struct NewCheckpoint {
    /// Its id.
    pub id: CheckpointId,
    /// Its name, where somebody gave it one.
    pub name: Option<Title>,
    /// Why it is made.
    pub reason: CheckpointReason,
    /// What it is made of.
    pub manifest: Manifest,
}

/// What a task knows of one of its checkpoints.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    at: u64,
    made_at: DateTime<Utc>,
    manual: bool,
    /// The how many-th it is.
    nth: u64,
    conversations: Vec<TalkMark>,
}

impl Task {
    pub(super) fn checkpoint(&self, cx: Circumstance, new: NewCheckpoint) -> Result<Vec<TaskEvent>, Rejection> {
        self.checkpoint_beside(cx, new, None)
    }

    /// Makes a checkpoint, and drops what is too much, but not the one that is needed.
    fn checkpoint_beside(
        &self,
        cx: Circumstance,
        new: NewCheckpoint,
        needed: Option<CheckpointId>,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let NewCheckpoint { id, name, reason, manifest } = new;
        if self.checkpoints.contains_key(&id) {
            return Ok(vec![]);
        }
        let manual = reason == CheckpointReason::Manual;
        if manual && self.checkpoints.values().filter(|kept| kept.manual).count() >= MANUAL_MAX {
            return Err(Rejection::Busy("the task has as many checkpoints of people as it may have"));
        }
        let surplus = self.surplus(cx.now, !manual, needed);
        let (manifest, made_at, dropped) = (Box::new(manifest), cx.now, surplus);
        Ok(vec![TaskEvent::Checkpointed { checkpoint: id, name, reason, made_at, manifest, dropped }])
    }

    /// Which checkpoints are dropped when another one is made, which may be one of Link's own; the one that is needed is not.
    fn surplus(&self, now: DateTime<Utc>, one_more: bool, needed: Option<CheckpointId>) -> BTreeSet<CheckpointId> {
        let own = || self.checkpoints.iter().filter(|(_, kept)| !kept.manual);
        let free = |id: &CheckpointId| needed != Some(*id);
        let old = |kept: &Kept| now - kept.made_at > KEEP_ALL && !kept.nth.is_multiple_of(KEEP_ONE_OF);
        let mut dropped: BTreeSet<CheckpointId> =
            own().filter(|(id, kept)| free(id) && old(kept)).map(|(id, _)| *id).collect();
        let mut left: Vec<_> = own().filter(|(id, _)| !dropped.contains(*id)).collect();
        left.sort_by_key(|(_, kept)| kept.nth);
        let many = (left.len() + usize::from(one_more)).saturating_sub(CHECKPOINTS_MAX);
        dropped.extend(left.into_iter().map(|(id, _)| *id).filter(free).take(many));
        dropped
    }

    /// Goes back: a running attempt is fenced off and its delegation paused, so that a person says when it goes on.
    pub(super) fn roll_back(
        &self,
        cx: Circumstance,
        to: CheckpointId,
        state: TaskState,
        before: NewCheckpoint,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        use DelegationStatus as D;
        let kept = self.checkpoints.get(&to).ok_or(Rejection::NotFound("checkpoint"))?;
        if self.status.is_closed() {
            return Err(Rejection::Busy("the task is closed: reopen it first"));
        }
        if self.fan_out.is_some() {
            return Err(Rejection::Busy("the task is split into parts: wait until they are joined, or cancel them"));
        }
        let before_id = before.id;
        let (at, conversations) = (kept.at, kept.conversations.clone());
        let mut events = self.checkpoint_beside(cx, before, Some(to))?;
        match self.delegation.as_ref().map(|open| (open.id, open.status)) {
            None | Some((_, D::Paused | D::Escalated)) => {}
            Some((_, D::Reviewing)) => return Err(Rejection::Busy("the work waits for a review: decide that first")),
            Some((_, D::Cancelling)) => return Err(Rejection::Busy("the agent is being stopped: wait for it")),
            Some((id, _)) => events.extend(self.pause(id)?),
        }
        events.push(TaskEvent::RolledBack { checkpoint: to, before: before_id, at, state, conversations });
        Ok(events)
    }

    pub(super) fn apply_checkpoint(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::Checkpointed { checkpoint, reason, made_at, manifest, dropped, .. } => {
                self.checkpoints_made += 1;
                self.checkpoints.retain(|id, _| !dropped.contains(id));
                let kept = Kept {
                    at: manifest.at,
                    made_at: *made_at,
                    manual: *reason == CheckpointReason::Manual,
                    nth: self.checkpoints_made,
                    conversations: manifest.conversations.clone(),
                };
                self.checkpoints.insert(*checkpoint, kept);
            }
            TaskEvent::RolledBack { state, .. } => {
                self.assignee = state.assignee;
                // What was tried is tried again from there: a person wants it so.
                self.tried.forget();
                if let Some(open) = &mut self.delegation {
                    open.evidence = open.evidence.drain(..).filter(|made| state.results.contains(made)).collect();
                }
            }
            _ => {}
        }
    }
}
