//! What the log teaches about agents and instances: follows each delegation from attempt to attempt, until people or a
//! failure say what the work was worth.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    event::TaskEvent,
    failure::Blame,
    ids::*,
    routing::{Before, Cell, Ended, Learned, Tried},
    task::{QueueReason, TaskStatus},
};

use super::schedule::Running;

/// What was learned, and the delegations that will teach more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lessons {
    /// Shared by the schedules that are published: it changes only when an attempt ends.
    learned: Arc<Learned>,
    trails: BTreeMap<DelegationId, Trail>,
}

/// The work of one agent on a delegation, over all of its attempts in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trail {
    cell: Cell,
    instance: InstanceId,
    /// When the newest attempt started.
    started: DateTime<Utc>,
    /// What the newest attempt has cost so far.
    cost_usd: f64,
    accepted: bool,
    /// Machines or networks failed under the newest attempt.
    failed: bool,
    /// Rounds of changes that were asked of this agent.
    rounds: u32,
    /// What the attempts that brought a result took and cost.
    took_ms: i64,
    spent_usd: f64,
}

impl Lessons {
    pub(super) fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Returns who can go on with the delegation where it stopped: nobody where machines or networks failed.
    pub(super) fn last_agent(&self, delegation: DelegationId) -> Option<AgentId> {
        self.trails.get(&delegation).filter(|trail| !trail.failed).map(|trail| trail.cell.agent)
    }

    /// Returns what an instance has to do with the delegation.
    pub(super) fn before(&self, delegation: DelegationId, instance: InstanceId) -> Option<Before> {
        let trail = self.trails.get(&delegation).filter(|trail| trail.instance == instance)?;
        Some(if trail.failed { Before::Failed } else { Before::Knows })
    }

    /// An attempt of a skill begins.
    pub(super) fn started(&mut self, running: &Running, cell: Cell, at: DateTime<Utc>) {
        let Running { delegation, instance, attempt, .. } = *running;
        Arc::make_mut(&mut self.learned).started(instance, attempt, at);
        let before = self.trails.remove(&delegation);
        let (rounds, took_ms, spent_usd) = match before {
            Some(trail) if trail.cell == cell => (trail.rounds, trail.took_ms, trail.spent_usd),
            // Its work was not enough, and somebody else goes on.
            Some(trail) if trail.rounds > 0 => {
                self.judged(&trail, Ended::Partial, at);
                (0, 0, 0.0)
            }
            _ => (0, 0, 0.0),
        };
        let (cost_usd, accepted, failed) = (0.0, false, false);
        let trail = Trail { cell, instance, started: at, cost_usd, accepted, failed, rounds, took_ms, spent_usd };
        self.trails.insert(delegation, trail);
    }

    /// Folds what happened to an attempt that runs.
    pub(super) fn attempted(&mut self, running: &Running, event: &TaskEvent, at: DateTime<Utc>) {
        let Some(trail) = self.trails.get_mut(&running.delegation) else { return };
        match event {
            TaskEvent::AttemptAccepted { .. } if !trail.accepted => {
                trail.accepted = true;
                Arc::make_mut(&mut self.learned).accepted(running.instance, at - trail.started, at);
            }
            TaskEvent::AttemptUsage { usage, .. } => trail.cost_usd = usage.cost_usd,
            TaskEvent::AttemptSucceeded { .. } => {
                trail.took_ms += (at - trail.started).num_milliseconds().max(0);
                trail.spent_usd += trail.cost_usd;
                Arc::make_mut(&mut self.learned).served(running.instance, running.attempt, at);
            }
            TaskEvent::AttemptFailed { class, .. } | TaskEvent::AttemptLost { class, .. } => {
                trail.failed = class.blame() == Blame::Infrastructure;
                let tried = Tried { instance: running.instance, attempt: running.attempt, since: trail.started };
                let learned = Arc::make_mut(&mut self.learned);
                learned.failed(&trail.cell, tried, *class, at);
                learned.ended(running.instance, running.attempt);
            }
            TaskEvent::AttemptCancelled { .. } | TaskEvent::AttemptSuperseded { .. } => {
                Arc::make_mut(&mut self.learned).ended(running.instance, running.attempt);
            }
            _ => {}
        }
    }

    /// Folds what people, or the end of a delegation, say of the work.
    pub(super) fn decided(&mut self, task: TaskId, event: &TaskEvent, at: DateTime<Utc>) {
        match event {
            TaskEvent::DelegationQueued { delegation, reason: QueueReason::ChangesRequested, .. } => {
                self.trails.entry(*delegation).and_modify(|trail| trail.rounds += 1);
            }
            TaskEvent::DelegationCompleted { delegation } => {
                let Some(trail) = self.trails.remove(delegation) else { return };
                let worth = self.judged(&trail, Ended::Approved { rounds: trail.rounds }, at);
                Arc::make_mut(&mut self.learned).finished(task, trail.cell, worth, at);
            }
            // Nothing but a reviewer's word ends a delegation like this.
            TaskEvent::DelegationFailed { delegation, .. } => {
                let Some(trail) = self.trails.remove(delegation) else { return };
                self.judged(&trail, Ended::Failed, at);
            }
            TaskEvent::DelegationCancelled { delegation, .. } => {
                self.trails.remove(delegation);
            }
            TaskEvent::Transitioned { from: TaskStatus::Done, .. } => {
                Arc::make_mut(&mut self.learned).reopened(task, at);
            }
            _ => {}
        }
    }

    fn judged(&mut self, trail: &Trail, ended: Ended, at: DateTime<Utc>) -> f64 {
        let took = TimeDelta::milliseconds(trail.took_ms);
        Arc::make_mut(&mut self.learned).judged(&trail.cell, ended, trail.spent_usd, took, at)
    }

    /// An instance is no longer used.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        Arc::make_mut(&mut self.learned).forget(instance);
    }
}

/// The attempt that an event is about.
pub(super) fn attempt_of(event: &TaskEvent) -> Option<AttemptId> {
    match event {
        TaskEvent::Progress { attempt, .. }
        | TaskEvent::AttemptAccepted { attempt }
        | TaskEvent::AttemptTool { attempt, .. }
        | TaskEvent::AttemptNudged { attempt, .. }
        | TaskEvent::AttemptUsage { attempt, .. }
        | TaskEvent::AttemptSucceeded { attempt }
        | TaskEvent::AttemptFailed { attempt, .. }
        | TaskEvent::AttemptLost { attempt, .. }
        | TaskEvent::AttemptCancelled { attempt, .. }
        | TaskEvent::AttemptSuperseded { attempt }
        | TaskEvent::AttemptReleased { attempt, .. }
        | TaskEvent::InterruptOpened { attempt, .. }
        | TaskEvent::DelegationSubmitted { attempt, .. }
        | TaskEvent::ArtifactRecorded { attempt, .. } => Some(*attempt),
        _ => None,
    }
}
