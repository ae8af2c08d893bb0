//! The words of a task's life.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    claim::Claims,
    ids::*,
    principal::Principal,
    routing::Decision,
    text::{Label, Prose, Title},
};

use super::{Interrupt, Nudges, Terms};

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Returns the name used on the wire.
            pub fn name(self) -> &'static str { match self { $(Self::$variant => $name),+ } }
            /// Returns every value, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.name()) }
        }
    };
}

/// Where a task stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Not yet wanted.
    #[default]
    Backlog,
    /// Can be started.
    Ready,
    /// Waits for other tasks.
    Blocked,
    /// Someone works on it.
    InProgress,
    /// An open question stops it.
    AwaitingInput,
    /// Reviewers have to decide.
    InReview,
    /// Done.
    Done,
    /// Given up.
    Failed,
    /// No longer wanted.
    Cancelled,
}
named!(TaskStatus {
    Backlog = "backlog",
    Ready = "ready",
    Blocked = "blocked",
    InProgress = "in_progress",
    AwaitingInput = "awaiting_input",
    InReview = "in_review",
    Done = "done",
    Failed = "failed",
    Cancelled = "cancelled",
});

impl TaskStatus {
    /// Tells whether nothing more is expected to happen.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Returns the column of the board that shows this state.
    pub fn column(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Ready | Self::Blocked => "todo",
            Self::InProgress | Self::AwaitingInput => "in_progress",
            Self::InReview => "review",
            Self::Done => "done",
            Self::Failed | Self::Cancelled => "cancelled",
        }
    }

    /// The table of requirements 3.2: which steps exist at all.
    pub fn may_become(self, to: Self) -> bool {
        use TaskStatus as S;
        matches!(
            (self, to),
            (S::Backlog, S::Ready | S::Blocked | S::Cancelled)
                | (S::Ready, S::Backlog | S::Blocked | S::InProgress | S::Cancelled)
                | (S::Blocked, S::Backlog | S::Ready | S::Cancelled)
                | (S::InProgress, S::AwaitingInput | S::InReview | S::Done | S::Ready | S::Failed | S::Cancelled)
                | (S::AwaitingInput, S::InProgress | S::Ready | S::Failed | S::Cancelled)
                | (S::InReview, S::InProgress | S::Done | S::Ready | S::Failed | S::Cancelled)
                | (S::Done | S::Failed | S::Cancelled, S::Ready)
        )
    }
}

/// How urgent a task is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Not said.
    #[default]
    None,
    /// Can wait.
    Low,
    /// As usual.
    Medium,
    /// Soon.
    High,
    /// Now.
    Urgent,
}

/// Where a delegation stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelegationStatus {
    /// Waits for a free slot.
    Queued,
    /// An attempt was started, the instance has not accepted yet.
    Dispatching,
    /// The agent works.
    Running,
    /// A person stopped it for now.
    Paused,
    /// An open question stops it.
    Awaiting,
    /// Reviewers have to decide.
    Reviewing,
    /// A person has to decide how to go on.
    Escalated,
    /// The running attempt is being stopped.
    Cancelling,
    /// Accepted.
    Completed,
    /// Without a result.
    Failed,
    /// Not wanted any more.
    Cancelled,
}
named!(DelegationStatus {
    Queued = "queued",
    Dispatching = "dispatching",
    Running = "running",
    Paused = "paused",
    Awaiting = "awaiting",
    Reviewing = "reviewing",
    Escalated = "escalated",
    Cancelling = "cancelling",
    Completed = "completed",
    Failed = "failed",
    Cancelled = "cancelled",
});

/// A reviewer's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The work is right.
    Approve,
    /// Nearly: the comment says what is missing, and the agent goes on.
    RequestChanges,
    /// The work is wrong: the delegation ends.
    Reject,
}

/// Who has to approve.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// How many approvals; 0 means that the work counts as done when it is handed in.
    #[schemars(range(max = 10))]
    pub approvals: u8,
    /// Whose approvals count.
    pub by: Reviewers,
    /// Who may review, where they were named: then nobody else can.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub approvers: BTreeSet<Principal>,
}

/// The most approvers that can be named.
pub const APPROVERS_MAX: usize = 20;

impl Review {
    /// Asks for so many approvals, of nobody in particular.
    pub fn by(approvals: u8, by: Reviewers) -> Self {
        Self { approvals, by, approvers: BTreeSet::new() }
    }

    /// Says why somebody's word on the work does not count, if it does not.
    pub fn excludes(&self, who: Principal, delegator: Principal) -> Option<&'static str> {
        match who.user() {
            None => Some("only a person can review the work of an agent"),
            Some(_) if self.by == Reviewers::Others && who == delegator => {
                Some("whoever delegated the work cannot review it: ask another member")
            }
            Some(_) if !self.approvers.is_empty() && !self.approvers.contains(&who) => {
                Some("only those who were named as approvers can review this work")
            }
            Some(_) => None,
        }
    }
}

/// Whose approvals count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reviewers {
    /// Any member but the one who delegated; the agent that did the work never counts.
    #[default]
    Others,
    /// Any member, the delegator included.
    Anyone,
}

/// Why a delegation is in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueReason {
    /// It is new.
    Created,
    /// The attempt before failed in a way that another one may not.
    Retry,
    /// A reviewer asked for more.
    ChangesRequested,
    /// A person chose another agent.
    Reassigned,
    /// A person let it go on.
    Resumed,
    /// Another agent took it over.
    HandedOff,
    /// The task was split into parts: it goes on when they are joined.
    FannedOut,
}

/// Why an agent and an instance were chosen.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// In words.
    pub reason: String,
    /// Instances that were possible.
    pub candidates: u32,
    /// The team that it was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// All that the choice rests on; routes from before agents were compared have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Box<Decision>>,
}

/// What people are reminded of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    /// A question is open.
    Question,
    /// Work waits for a review.
    Review,
    /// A person has to decide how it goes on.
    Escalation,
    /// It has been in the queue for too long.
    Queue,
}
named!(Matter { Question = "question", Review = "review", Escalation = "escalation", Queue = "queue" });

/// A task to make.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Where it belongs.
    pub project: ProjectId,
    /// What is to be done, in a line.
    pub title: Title,
    /// What is to be done.
    pub description: Prose,
    /// Whether it starts in the backlog or ready.
    pub parked: Parked,
    /// How urgent.
    pub priority: Priority,
    /// Who answers for it.
    pub assignee: Option<Principal>,
    /// What it is a part of.
    pub parent: Option<TaskId>,
    /// What it waits for.
    pub depends_on: BTreeSet<TaskId>,
    /// The paths that its agent alone may write to while it works.
    pub claims: Claims,
    /// What whoever does it has to be good at.
    pub skills: BTreeSet<Label>,
}

/// Whether a new task starts in the backlog.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Parked {
    /// In the backlog.
    Backlog,
    /// Ready, or blocked when a gate is closed.
    #[default]
    No,
}

/// Fields of a task to change; `None` means unchanged.
#[derive(Clone, Debug, Default)]
pub struct TaskChange {
    /// The new title.
    pub title: Option<Title>,
    /// The new description.
    pub description: Option<Prose>,
    /// The new priority.
    pub priority: Option<Priority>,
    /// The new assignee; `Some(None)` takes it away.
    pub assignee: Option<Option<Principal>>,
    /// The new claims.
    pub claims: Option<Claims>,
    /// The new skills that it requires.
    pub skills: Option<BTreeSet<Label>>,
    /// The version that the caller saw.
    pub expected_version: Option<u64>,
}

/// A delegation to make.
#[derive(Clone, Debug)]
pub struct NewDelegation {
    /// Its id.
    pub id: DelegationId,
    /// To whom; `None` lets Link choose.
    pub agent: Option<AgentId>,
    /// Of which team, where no agent is named; else of the one that the task is assigned to.
    pub team: Option<TeamId>,
    /// What to do beyond the task's own words.
    pub instructions: Prose,
    /// Who has to approve.
    pub review: Review,
    /// What else was agreed.
    pub terms: Terms,
}

/// What the driver of an attempt has to know of the task.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// The fence that its reports must carry.
    pub fence: u64,
    /// The attempt shall stop.
    pub cancelling: bool,
    /// Questions: open ones, and answered ones that were not delivered.
    pub interrupts: BTreeMap<InterruptId, Interrupt>,
    /// What its agent was told, since it last moved.
    pub nudges: Nudges,
    /// Who asked for the work.
    pub delegator: Principal,
}
