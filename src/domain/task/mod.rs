//! A task: its states, its delegations and its attempts (requirements 3.2, 3.3, 3.6).
//!
//! One open delegation at a time, one attempt holding it at a time, a fence that only rises. What other tasks
//! mean for this one (gates) is decided by the workspace, which adds `task:ready` and the blocking transitions.

mod attempt;
mod checkpoints;
mod clocks;
mod decide;
mod delegation;
mod fan_out;
mod hand_off;
mod interrupts;
mod ladder;
mod lifecycle;
mod report;
mod review;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    event::TaskEvent,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    right::Stakes,
    run::{InterruptKind, Usage},
};

pub use checkpoints::{CHECKPOINTS_MAX, MANUAL_MAX, NewCheckpoint};
pub use decide::Choice;
pub(super) use delegation::escalated;
pub use fan_out::{
    ChildPolicy, DEPTH_MAX, FanOut, Join, JoinOutcome, NewFanOut, PARTS_MAX, Part, PartResult, PartStatus, PartWords,
};
use hand_off::HandOffs;
pub use hand_off::{HAND_OFFS_MAX, HandOff, OFFER_LASTS, Reason};
use ladder::Tried;
pub use ladder::{Step, TRIES_MAX};
pub use report::{Made, PARTIAL, Report};
pub use review::ROUNDS_MAX;
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

/// A question and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interrupt {
    /// The driver's name for it.
    pub key: String,
    /// What kind of answer is needed.
    pub kind: InterruptKind,
    /// The attempt that asked.
    pub attempt: AttemptId,
    /// A number that stands for what is asked: the same again is the same question.
    pub about: u64,
    /// What an answer has to look like, where the driver says so.
    pub schema: Option<serde_json::Value>,
    /// The instance waits for it no longer.
    pub lapsed: bool,
    /// What is at stake, where it says so.
    #[serde(default)]
    pub stakes: Stakes,
    /// When it expires, where that was agreed.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The answer, once there is one.
    #[serde(
        default,
        deserialize_with = "crate::domain::present::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub answer: Option<serde_json::Value>,
}

/// What can be asked of a task.
#[derive(Clone, Debug)]
pub enum TaskCommand {
    /// Make it.
    Create(NewTask),
    /// Change fields.
    Update(TaskChange),
    /// Move it to another state by hand.
    Transition(TaskStatus),
    /// Move its card within a column; and to another state, where the column is another.
    Move {
        /// The new state, if it changes.
        status: Option<TaskStatus>,
        /// The new sort key.
        rank: String,
    },
    /// Let it wait for another task.
    AddDependency {
        /// For which.
        depends_on: TaskId,
        /// How.
        gate: super::workspace::Gate,
    },
    /// No longer let it wait.
    RemoveDependency {
        /// For which.
        depends_on: TaskId,
    },
    /// Remember what it is like now.
    Checkpoint(NewCheckpoint),
    /// Go back to what it was like.
    RollBack {
        /// To which checkpoint.
        to: CheckpointId,
        /// What it was like then.
        state: super::checkpoint::TaskState,
        /// What it is like now.
        before: NewCheckpoint,
    },
    /// Give it to an agent.
    Delegate(NewDelegation),
    /// Stop the delegation.
    Cancel {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// Stop the delegation for now.
    Pause(DelegationId),
    /// Queue a paused, escalated or failed delegation again.
    Resume(DelegationId),
    /// Give the open delegation to another agent.
    Reassign {
        /// Which.
        delegation: DelegationId,
        /// To whom.
        agent: AgentId,
    },
    /// Split it into parts, or end one.
    FanOut(FanOut),
    /// Offer the work to another agent, or answer such an offer.
    HandOff(HandOff),
    /// Answer a question.
    Answer {
        /// Of which delegation.
        delegation: DelegationId,
        /// Which question.
        interrupt: InterruptId,
        /// How.
        answer: serde_json::Value,
    },
    /// Approve the work, or not.
    Review {
        /// Of which delegation.
        delegation: DelegationId,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: super::text::Prose,
    },
    /// Name other approvers.
    SetApprovers {
        /// Of which delegation.
        delegation: DelegationId,
        /// Who.
        approvers: BTreeSet<Principal>,
    },
    /// Decide on a person's behalf.
    Decide {
        /// Of which delegation.
        delegation: DelegationId,
        /// With which right.
        right: RightId,
        /// On whose behalf.
        grantor: UserId,
        /// What.
        choice: Choice,
    },
    /// Tell those who can decide once more that nobody has.
    Remind {
        /// Of which delegation.
        delegation: DelegationId,
        /// Of which question, where it is one.
        interrupt: Option<InterruptId>,
        /// What of.
        matter: Matter,
        /// The how manyth.
        nth: u32,
    },
    /// Do what was agreed for a question that nobody answers.
    Expire {
        /// Of which delegation.
        delegation: DelegationId,
        /// Which question.
        interrupt: InterruptId,
    },
    /// Say that the delegation has been in the queue for too long.
    SayOverdue {
        /// Which.
        delegation: DelegationId,
        /// What it waits for.
        reason: String,
    },
    /// Hand the queued delegation to an instance.
    Dispatch {
        /// Which.
        delegation: DelegationId,
        /// The new attempt.
        attempt: AttemptId,
        /// By whom.
        agent: AgentId,
        /// Where.
        instance: InstanceId,
        /// Why there.
        route: Route,
    },
    /// Something that an attempt reports.
    Report {
        /// Which attempt.
        attempt: AttemptId,
        /// The fence that it was started with.
        fence: u64,
        /// What.
        report: Report,
    },
    /// Keep what an attempt that no longer counts still made.
    Archive {
        /// Which attempt.
        attempt: AttemptId,
        /// What it made.
        made: Made,
    },
    /// The agent of an attempt that no longer counts has stopped, or cannot be made to.
    Release {
        /// Which attempt.
        attempt: AttemptId,
        /// Whether it is known to have stopped.
        stopped: bool,
        /// What it still handed in.
        late_result: Option<super::text::Prose>,
    },
}

impl Task {
    /// Decides a command.
    pub fn decide(&self, id: TaskId, cx: Circumstance, command: TaskCommand) -> Result<Vec<TaskEvent>, Rejection> {
        use TaskCommand as C;
        if let C::Create(new) = command {
            return self.create(id, new);
        }
        if !self.exists {
            return Err(Rejection::NotFound("task"));
        }
        match command {
            C::Create(_) => unreachable!("handled above"),
            C::Update(change) => self.update(change),
            C::Transition(to) => self.transition(to),
            C::Move { status, rank } => self.move_card(status, rank),
            C::AddDependency { depends_on, gate } => Ok(vec![TaskEvent::DependencyAdded { depends_on, gate }]),
            C::RemoveDependency { depends_on } => Ok(vec![TaskEvent::DependencyRemoved { depends_on }]),
            C::Checkpoint(new) => self.checkpoint(cx, new),
            C::RollBack { to, state, before } => self.roll_back(cx, to, state, before),
            C::Delegate(new) => self.delegate(cx, new),
            C::Cancel { delegation, reason } => self.cancel(delegation, reason),
            C::Pause(delegation) => self.pause(delegation),
            C::Resume(delegation) => self.resume(cx, delegation),
            C::Reassign { delegation, agent } => self.reassign(cx, delegation, agent),
            C::FanOut(command) => self.fan_out(cx, command),
            C::HandOff(command) => self.hand_off(cx, command),
            C::Answer { delegation, interrupt, answer } => self.answer(cx, delegation, interrupt, answer),
            C::Review { delegation, verdict, comment } => self.review(cx, delegation, verdict, comment),
            C::SetApprovers { delegation, approvers } => self.set_approvers(cx, delegation, approvers),
            C::Decide { delegation, right, grantor, choice } => self.decide_for(cx, delegation, right, grantor, choice),
            C::Remind { delegation, interrupt, matter, nth } => self.remind(delegation, interrupt, matter, nth),
            C::Expire { delegation, interrupt } => self.expire(cx, delegation, interrupt),
            C::SayOverdue { delegation, reason } => self.say_overdue(cx, delegation, reason),
            C::Dispatch { delegation, attempt, agent, instance, route } => {
                self.dispatch(cx, delegation, attempt, agent, instance, route)
            }
            C::Report { attempt, fence, report } => self.report(cx, attempt, fence, report),
            C::Archive { attempt, made } => self.archive(attempt, made),
            C::Release { attempt, stopped, late_result } => self.release(attempt, stopped, late_result),
        }
    }

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
