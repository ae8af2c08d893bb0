//! A task: its states, its delegations and its attempts (requirements 3.2, 3.3, 3.6).
//!
//! One open delegation at a time, one attempt holding it at a time, a fence that only rises. What other tasks
//! mean for this one (gates) is decided by the workspace, which adds `task:ready` and the blocking transitions.

mod attempt;
mod checkpoints;
mod clocks;
mod command;
mod decide;
mod delegation;
mod fan_out;
mod hand_off;
mod interrupts;
mod ladder;
mod lifecycle;
mod nudges;
mod report;
mod review;
mod terms;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{event::TaskEvent, ids::*, principal::Principal, rejection::Rejection, run::Usage};

pub use checkpoints::{CHECKPOINTS_MAX, MANUAL_MAX, NewCheckpoint};
pub use command::TaskCommand;
pub use decide::Choice;
pub(super) use delegation::escalated;
pub use fan_out::{
    ChildPolicy, DEPTH_MAX, FanOut, Join, JoinOutcome, NewFanOut, PARTS_MAX, Part, PartResult, PartStatus, PartWords,
};
use hand_off::HandOffs;
pub use hand_off::{HAND_OFFS_MAX, HandOff, OFFER_LASTS, Reason};
pub use interrupts::Interrupt;
use ladder::Tried;
pub use ladder::{Step, TRIES_MAX};
pub use nudges::{Nudges, Standstill};
pub use report::{Made, PARTIAL, Report};
pub use review::ROUNDS_MAX;
pub use terms::{EXPIRY_SECS_MAX, Expiry, Lapse, SKILLS_MAX, Terms};
pub use types::*;

/// What a command is decided under: who, when.
#[derive(Clone, Copy, Debug)]
pub struct Circumstance {
    /// Who asks.
    pub by: Principal,
    /// When.
    pub now: DateTime<Utc>,
}

/// The state of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Task {
    exists: bool,
    status: TaskStatus,
    assignee: Option<Principal>,
    /// What whoever does it has to be good at.
    #[serde(default)]
    skills: BTreeSet<super::text::Label>,
    version: u64,
    fence: u64,
    /// Attempts since a person last had a say, whatever started them.
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    tried: Tried,
    /// The names of what attempts have made, as numbers: something of a new name is news.
    #[serde(default)]
    made: BTreeSet<u64>,
    delegation: Option<Delegation>,
    #[serde(default)]
    hand_offs: HandOffs,
    /// It is split into parts that are not joined yet.
    #[serde(default)]
    fan_out: Option<FanOutId>,
    /// Delegations that ended, so that a late report can be told from a wrong one.
    ended: BTreeMap<DelegationId, DelegationStatus>,
    /// Attempts of any age and whether their cancel was followed by a late result.
    attempts: BTreeMap<AttemptId, AttemptState>,
    /// Questions that nobody answered in time, the newest of them.
    #[serde(default)]
    expired: BTreeSet<InterruptId>,
    #[serde(default)]
    checkpoints: BTreeMap<CheckpointId, checkpoints::Kept>,
    /// How many there have been.
    #[serde(default)]
    checkpoints_made: u64,
}

/// One request to move the task forward with an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Delegation {
    id: DelegationId,
    status: DelegationStatus,
    agent: Option<AgentId>,
    #[serde(default)]
    team: Option<TeamId>,
    instructions: super::text::Prose,
    delegator: Principal,
    review: Review,
    #[serde(default)]
    terms: Terms,
    round: u32,
    not_before: Option<DateTime<Utc>>,
    attempt: Option<Holder>,
    interrupts: BTreeMap<InterruptId, Interrupt>,
    /// What the running attempt has asked so far, so that a question which comes in again is not a new one.
    #[serde(default)]
    asked: BTreeMap<String, InterruptId>,
    approvals: Vec<Principal>,
    evidence: Vec<ArtifactId>,
}

/// The attempt that holds the delegation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Holder {
    id: AttemptId,
    agent: AgentId,
    fence: u64,
    percent: Option<u8>,
    #[serde(default)]
    nudges: Nudges,
}

/// What became of an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AttemptState {
    delegation: DelegationId,
    agent: AgentId,
    instance: InstanceId,
    open: bool,
    /// It no longer counts, and its agent may still be at work.
    stopping: bool,
    usage: Usage,
}

impl Task {
    /// Tells whether the attempt no longer counts and its agent may still be at work.
    pub fn is_stopping(&self, attempt: AttemptId) -> bool {
        self.attempts.get(&attempt).is_some_and(|known| known.stopping)
    }

    /// Returns what the running attempt's driver has to know after a restart.
    pub fn session_state(&self, attempt: AttemptId) -> Option<SessionState> {
        let delegation = self.delegation.as_ref()?;
        let holder = delegation.attempt.filter(|holder| holder.id == attempt)?;
        Some(SessionState {
            fence: holder.fence,
            cancelling: delegation.status == DelegationStatus::Cancelling,
            interrupts: delegation.interrupts.clone(),
            nudges: holder.nudges,
            delegator: delegation.delegator,
        })
    }

    fn open_delegation(&self, id: DelegationId) -> Result<&Delegation, Rejection> {
        match &self.delegation {
            Some(open) if open.id == id => Ok(open),
            _ => match self.ended.get(&id) {
                Some(status) => Err(Rejection::Transition {
                    what: "a delegation that has ended",
                    from: status.name().into(),
                    to: "anything".into(),
                }),
                None => Err(Rejection::NotFound("delegation")),
            },
        }
    }

    fn transitioned(&self, to: TaskStatus, reason: &str) -> TaskEvent {
        TaskEvent::Transitioned { from: self.status, to, reason: reason.into() }
    }

    /// The transition that brings the task to `to`, or nothing when it is there.
    fn brought_to(&self, to: TaskStatus, reason: &str) -> Option<TaskEvent> {
        (self.status != to).then(|| self.transitioned(to, reason))
    }
}
