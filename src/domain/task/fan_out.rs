//! Splitting a task into parts that several agents do at once. The task then waits for a gate of its own, the join, as it
//! waits for other tasks: no attempt of it runs until its parts have come to what was asked for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    claim::Claims,
    event::TaskEvent,
    ids::{AgentId, ArtifactId, AttemptId, DelegationId, FanOutId, TaskId, TeamId},
    principal::{Principal, Service},
    rejection::Rejection,
    text::{Text, Title},
};

use super::{delegation::requeued, *};

/// The most parts of one fan-out.
pub const PARTS_MAX: usize = 32;
/// So deep may parts of parts be split.
pub const DEPTH_MAX: u32 = 5;

/// What one part is about.
pub type PartWords = Text<1, 16_384>;

/// How many parts are enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// All of them.
    #[default]
    All,
    /// The first.
    Any,
    /// So many; more than there are means all.
    Quorum(#[schemars(range(min = 1, max = 32))] u8),
}

impl Join {
    /// Returns how many of so many parts have to be done.
    pub fn needs(self, parts: usize) -> usize {
        match self {
            Self::All => parts,
            Self::Any => 1,
            Self::Quorum(n) => usize::from(n).min(parts),
        }
    }
}

/// What becomes of parts that are open when the join is decided, or when their task ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChildPolicy {
    /// They are cancelled at once; their agents are fenced off.
    Terminate,
    /// They are cancelled; their agents are asked to stop, and have ten seconds.
    #[default]
    RequestCancel,
    /// They go on.
    Abandon,
}

/// How a join was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinOutcome {
    /// As many parts as were asked for are done.
    Enough,
    /// Too many have failed: it cannot be reached any more.
    Impossible,
    /// Its time was over: what is done is what there is.
    TimedOut,
    /// The task that was split has ended, or its delegation has.
    Ended,
}

/// Where a part stood when the join was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartStatus {
    /// Not over yet.
    #[default]
    Open,
    /// Done.
    Done,
    /// It has ended without a result.
    Failed,
}

/// One part of a task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The task that is made of it.
    pub task: TaskId,
    /// The delegation of that.
    pub delegation: DelegationId,
    /// In a line.
    pub title: Title,
    /// What is to be done.
    pub instructions: PartWords,
    /// Whose it is; nobody lets Link choose.
    pub agent: Option<AgentId>,
    /// Of which team, where no agent is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The paths that its agent alone may write to while it works.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
}

/// What came of a part, and from whom.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartResult {
    /// Which.
    pub task: TaskId,
    /// Its delegation.
    pub delegation: DelegationId,
    /// Where it stood.
    pub status: PartStatus,
    /// Who had it last.
    pub agent: Option<AgentId>,
    /// The attempt that handed it in.
    pub attempt: Option<AttemptId>,
    /// What it handed in.
    pub artifacts: Vec<ArtifactId>,
}

/// A task to split.
#[derive(Clone, Debug)]
pub struct NewFanOut {
    /// Its id.
    pub id: FanOutId,
    /// The parts.
    pub parts: Vec<Part>,
    /// How many of them are enough.
    pub join: Join,
    /// What becomes of the others.
    pub policy: ChildPolicy,
    /// Who has to approve each part.
    pub review: Review,
    /// When the join is decided with what there is.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What can be asked about parts.
#[derive(Clone, Debug)]
pub enum FanOut {
    /// Split the task.
    Open(NewFanOut),
    /// The time of the join is over.
    TimeOut(FanOutId),
    /// The task is a part that nobody waits for any more.
    Wind(ChildPolicy),
}

impl Task {
    pub(super) fn fan_out(&self, cx: Circumstance, command: FanOut) -> Result<Vec<TaskEvent>, Rejection> {
        if !matches!(command, FanOut::Open(_)) && cx.by != Principal::Service(Service::Conductor) {
            return Err(Rejection::Forbidden("this comes by itself"));
        }
        match command {
            FanOut::Open(new) => self.split(cx, new),
            FanOut::TimeOut(id) if self.fan_out == Some(id) => {
                // What came of the parts, the workspace knows and fills in.
                Ok(vec![TaskEvent::FanOutJoined {
                    fan_out: id,
                    outcome: JoinOutcome::TimedOut,
                    owner: None,
                    parts: vec![],
                }])
            }
            FanOut::TimeOut(_) => Ok(vec![]),
            FanOut::Wind(policy) => Ok(self.wind(policy)),
        }
    }

    fn split(&self, cx: Circumstance, new: NewFanOut) -> Result<Vec<TaskEvent>, Rejection> {
        self.must_be_split_by(cx.by, &new)?;
        let person = cx.by.user().is_some();
        let tries = if person { 0 } else { self.tries };
        if tries >= TRIES_MAX {
            return Err(Rejection::Busy("the task has used up its tries: a person has to decide how it goes on"));
        }
        let mut events = match &self.delegation {
            Some(_) => self.superseded("the task was split into parts"),
            // Splitting it is the triage.
            None if self.status == TaskStatus::Backlog => {
                vec![self.transitioned(TaskStatus::Ready, "split into parts")]
            }
            None => vec![],
        };
        let owner = match &self.delegation {
            Some(open) => self.owner(open),
            None => [Some(cx.by), self.assignee].into_iter().flatten().find(|who| who.user().is_some()),
        };
        let NewFanOut { id, parts, join, policy, review, expires_at } = new;
        events.push(TaskEvent::FanOutOpened { fan_out: id, parts, join, policy, review, owner, by: cx.by, expires_at });
        // Its own delegation keeps its place behind the join.
        events.extend(self.delegation.as_ref().map(|open| requeued(open, QueueReason::FannedOut, tries)));
        Ok(events)
    }

    fn must_be_split_by(&self, by: Principal, new: &NewFanOut) -> Result<(), Rejection> {
        use DelegationStatus as D;
        let wrong = |message: &str| Err(Rejection::Invalid { path: "parts", message: message.into() });
        let different: BTreeSet<TaskId> = new.parts.iter().map(|part| part.task).collect();
        if new.parts.is_empty() || new.parts.len() > PARTS_MAX || different.len() < new.parts.len() {
            return wrong("1 to 32 parts, each a task of its own");
        }
        if self.fan_out.is_some() {
            return Err(Rejection::Busy("the task is split already: wait until its parts are joined"));
        }
        match &self.delegation {
            None if by.user().is_none() => {
                return Err(Rejection::Forbidden("only a person, or the agent that is at work on it, splits a task"));
            }
            None => {}
            Some(open) => {
                let works = open.attempt.map(|holder| Principal::Agent(holder.agent));
                if by.user().is_none() && works != Some(by) {
                    return Err(Rejection::Forbidden(
                        "only a person, or the agent that is at work on it, splits a task",
                    ));
                }
                if matches!(open.status, D::Reviewing | D::Cancelling) {
                    return Err(Rejection::Busy("its delegation is reviewed or cancelled: wait for that"));
                }
            }
        }
        match self.status {
            TaskStatus::Blocked => Err(Rejection::Busy("the task waits for other tasks")),
            from if from.is_closed() => Err(Rejection::Transition {
                what: "the task",
                from: from.to_string(),
                to: "parts; reopen it first".into(),
            }),
            TaskStatus::InReview => Err(Rejection::Busy("the task is in review: wait for that")),
            _ => Ok(()),
        }
    }

    /// Ends a part that nobody waits for any more.
    fn wind(&self, policy: ChildPolicy) -> Vec<TaskEvent> {
        let reason = "the task that it was a part of goes on without it";
        if self.status.is_closed() || policy == ChildPolicy::Abandon {
            return vec![];
        }
        let mut events = match &self.delegation {
            Some(open) if policy == ChildPolicy::Terminate && open.attempt.is_some() => {
                let mut events: Vec<_> = self.offer_ends(reason).into_iter().collect();
                events.extend(self.closed_interrupts(reason));
                events.extend(open.attempt.map(|holder| TaskEvent::AttemptSuperseded { attempt: holder.id }));
                if open.status != DelegationStatus::Cancelling {
                    events.push(TaskEvent::DelegationCancelling { delegation: open.id, reason: reason.into() });
                }
                events.push(TaskEvent::DelegationCancelled { delegation: open.id, reason: reason.into() });
                events
            }
            Some(open) => self.cancel_events(open, reason),
            None => vec![],
        };
        events.push(self.transitioned(TaskStatus::Cancelled, reason));
        events
    }
}
