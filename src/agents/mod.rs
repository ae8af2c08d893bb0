//! Agent runtimes: how Link drives an agent server. A driver turns what its agent says into Link's own
//! activities; no foreign name, id or error shape leaves it.
//!
//! A driver never decides what a failure means for the task. It says what happened; "connection lost" is
//! [`FailureClass::DispatchUnknown`] or a reconciliation with the instance, never a guess.

pub mod peer;
pub mod penguin;
pub mod scripted;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::domain::{
    failure::FailureClass,
    ids::{AttemptId, DelegationId, InstanceId, TaskId, UserId, WorkspaceId},
    principal::Principal,
    run::{InterruptKind, Usage},
};

/// One agent server and how to talk to it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// The instance, for logs and metrics.
    pub instance: InstanceId,
    /// Base address, as in `http://127.0.0.1:8000`.
    pub url: String,
    /// Secrets by name: `api_key`, `link_key`. Never logged.
    pub credentials: std::collections::BTreeMap<String, String>,
    /// Model to ask for, where the runtime lets the caller choose.
    pub model: Option<String>,
    /// Most model turns (agent loop iterations) for one attempt.
    pub turns_max: u32,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("instance", &self.instance).field("url", &self.url).finish_non_exhaustive()
    }
}

/// The work of one attempt.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The attempt; a driver derives its idempotency key and the remote session's id from it.
    pub attempt: AttemptId,
    /// The fence that the attempt came with.
    pub fence: u64,
    /// The delegation that the attempt belongs to.
    pub delegation: DelegationId,
    /// The task to move forward.
    pub task: TaskId,
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The person who answers for the work.
    pub on_behalf_of: UserId,
    /// What the agent is asked to do: the whole text, context included.
    pub prompt: String,
}

/// What an earlier activation of the same attempt left behind; all of it came from the driver itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// How to find the run again (remote session id, request id, …); set once the instance has the work.
    pub remote: Option<Value>,
    /// How far the stream was read (event id and boot id).
    pub cursor: Option<Value>,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// The instance has the work; `remote` finds it again.
    Accepted {
        /// See [`Bookmark::remote`].
        remote: Value,
    },
    /// The stream was read up to here; sent at most once a second.
    Cursor(Value),
    /// The work moved on. `percent` only from evidence.
    Progress {
        /// 0–100, or unknown.
        percent: Option<u8>,
        /// One word: `working`, `tool`, `testing`, …
        phase: String,
        /// One line for people.
        message: Option<String>,
    },
    /// The next piece of the answer being written; ephemeral.
    Delta {
        /// The piece.
        text: String,
    },
    /// A tool call ended.
    Tool {
        /// The tool's name.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// One line: the command, the path.
        summary: String,
    },
    /// The agent made or changed something.
    Artifact(Produced),
    /// The agent needs an answer; `key` is the driver's name for the question.
    Interrupt {
        /// The driver's stable name for the question.
        key: String,
        /// What kind of answer is needed.
        kind: InterruptKind,
        /// What is asked, for a person to read.
        prompt: String,
        /// Details: options, tool, resource, JSON Schema of the answer.
        details: Value,
    },
    /// The question is closed at the instance without Link's answer (it expired there).
    InterruptClosed {
        /// The driver's name for the question.
        key: String,
    },
    /// Tokens and cost of the run so far, as totals.
    Usage(Usage),
    /// Whoever takes the reports shall say so when all that came before this one is durable.
    Settled(Mark),
}

/// A place in a run's reports, and where to say that it was reached.
#[derive(Clone, Debug)]
pub struct Mark {
    reached: watch::Sender<u64>,
    place: u64,
}

impl Mark {
    /// Makes a mark.
    pub fn new(reached: watch::Sender<u64>, place: u64) -> Self {
        Self { reached, place }
    }

    /// Says that everything up to the place is durable.
    pub fn reach(&self) {
        self.reached.send_if_modified(|reached| {
            let further = self.place > *reached;
            *reached = self.place.max(*reached);
            further
        });
    }
}

impl PartialEq for Mark {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

/// An artifact as a driver reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Produced {
    /// `file`, `text`, `diff`, `link`.
    pub kind: String,
    /// Path or title; unique within the attempt and kind, so that a later report replaces an earlier one.
    pub name: String,
    /// The content, where it is text and at most 256 KiB.
    pub content: Option<String>,
    /// Anything else worth keeping.
    pub details: Value,
}

/// One activity with its name: two reports of the same run with the same `id` are the same report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Stable across reconnects and restarts of Link and of the instance; `None` for what may repeat harmlessly.
    pub id: Option<String>,
    /// What happened.
    pub activity: Activity,
}

/// What Link tells a run.
#[derive(Clone, Debug)]
pub enum Control {
    /// Stop the work at the instance, then end the run with [`Outcome::Cancelled`].
    Cancel,
    /// The answer to a question.
    Answer {
        /// The driver's name for the question.
        key: String,
        /// The answer, as the question's schema wants it; for approvals `{"approve": bool, "message"?}`.
        answer: Value,
    },
    /// Somebody said something in a conversation about the task, or Link itself says that nothing moves. Not every
    /// runtime can hear that: see [`AgentRuntime::out_of_reach`].
    Message {
        /// Who.
        from: Principal,
        /// What, part by part.
        parts: Value,
    },
}

/// How a run ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The agent hands in its work: the final text and whether the agent itself called it finished.
    Submitted {
        /// The agent's final words.
        text: String,
        /// The agent said "done" itself, instead of merely falling silent.
        explicit: bool,
    },
    /// Stopped because Link asked for it.
    Cancelled,
}

/// How a run ended badly; what it produced before was reported before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{class:?}: {message}")]
pub struct Failure {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// One or two sentences for people, without secrets.
    pub message: String,
    /// The instance or provider asked to wait this long.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Makes a failure without a wish to wait.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }
}

/// What a probe learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Changes when the instance restarts.
    pub boot: Option<String>,
    /// The runtime's version.
    pub version: Option<String>,
    /// Sessions that are busy right now, where the runtime tells.
    pub busy: Option<u32>,
}

/// What an instance says became of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It works on it.
    Running,
    /// It is over, and this is how.
    Ended(Result<Outcome, Failure>),
    /// It had the work and has it no longer.
    Missing(Failure),
    /// It never had the work; the submission may still be on its way.
    NotStarted,
}

/// A way to run agents. Dropping the future of [`AgentRuntime::run`] stops watching; it does not stop the work.
pub trait AgentRuntime: Send + Sync {
    /// Asks the instance whether it lives, within a time-out.
    fn probe<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Health, Failure>>;

    /// Starts the attempt's work, or finds it again, and follows it to its end.
    ///
    /// Calling it again for the same attempt, with or without a bookmark, never runs the work twice.
    /// Reports are sent in order; a full channel makes the driver wait.
    fn run<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: Bookmark,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> BoxFuture<'a, Result<Outcome, Failure>>;

    /// Says why a run that is at work on an instance cannot be told anything now, where it cannot.
    fn out_of_reach(&self, _: InstanceId) -> Option<&'static str> {
        None
    }

    /// Hears that an attempt is over, and that nothing more is wanted of its run: its end is in the log, or it no longer
    /// holds its delegation.
    fn settled(&self, _: InstanceId, _: AttemptId, _: u64) {}

    /// Asks the instance what became of an attempt's run, without changing anything there. The error means that it
    /// could not be asked, and says nothing about the run.
    fn inspect<'a>(
        &'a self,
        _: &'a Endpoint,
        _: &'a Assignment,
        _: &'a Bookmark,
    ) -> BoxFuture<'a, Result<Fate, Failure>> {
        let why = "agents of this runtime cannot be asked for their runs";
        Box::pin(std::future::ready(Err(Failure::new(FailureClass::Misconfigured, why))))
    }
}
