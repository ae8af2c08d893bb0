//! What Link says to an agent that has connected; see docs/peers.md.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    ids::{AgentId, AttemptId, DelegationId, InstanceId, TaskId, UserId, WorkspaceId},
    principal::Principal,
};

/// What Link says to an agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Told {
    /// The answer to `hello`.
    Welcome(Box<Welcome>),
    /// Please do this.
    Assign {
        /// The attempt.
        attempt: AttemptId,
        /// To be sent along with everything about it.
        fence: u64,
        /// What to do, and what to know for it.
        context: Box<Work>,
    },
    /// Go on, and send again whatever was not acknowledged.
    Resume {
        /// The attempt.
        attempt: AttemptId,
        /// Its fence.
        fence: u64,
        /// The last frame that Link has kept.
        acked: u64,
    },
    /// Stop, and say `stopped`.
    Cancel {
        /// The attempt.
        attempt: AttemptId,
        /// Its fence.
        fence: u64,
        /// `cancelled`: a person wants it. `not_held`: the attempt is over, or is another one's; nothing more is heard.
        reason: &'static str,
    },
    /// The answer to a question.
    Answer {
        /// The attempt.
        attempt: AttemptId,
        /// Its fence.
        fence: u64,
        /// The agent's name for the question.
        interrupt: String,
        /// The answer.
        answer: Value,
    },
    /// Somebody said something in a conversation about the task.
    Message {
        /// The attempt.
        attempt: AttemptId,
        /// Its fence.
        fence: u64,
        /// Who.
        from: Principal,
        /// What, part by part.
        parts: Value,
    },
    /// Everything about the attempt up to here is durable.
    Ack {
        /// The attempt.
        attempt: AttemptId,
        /// The last frame.
        seq: u64,
    },
    /// Something that the agent sent was of no use.
    Error {
        /// About which attempt, if it could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
        /// The frame's number, if it had one: it is done with.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// As in `/docs`.
        code: String,
        /// What is wrong.
        message: String,
    },
    /// The server is about to close the socket.
    Goodbye {
        /// The code of the close.
        code: u16,
        /// Why.
        reason: &'static str,
        /// When to come back.
        retry_after_ms: u64,
    },
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Welcome {
    /// Names the connection.
    pub connection: Uuid,
    /// Who the key says that this is.
    pub agent: AgentId,
    /// Which of the agent's servers.
    pub instance: InstanceId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// How often to say `heartbeat`.
    pub heartbeat_ms: u64,
    /// After so long without a frame, no new work is handed out.
    pub suspect_ms: u64,
    /// After so long without a frame, the work is another one's.
    pub lost_ms: u64,
    /// What is too much.
    pub limits: Limits,
    /// Who answers.
    pub server: Server,
}

/// What is too much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// Nesting of a frame.
    pub depth: usize,
    /// Values in a frame.
    pub values: usize,
    /// Bytes of an artifact's content.
    pub content_bytes: usize,
    /// Frames a second; faster ones wait in the socket.
    pub frames_per_second: u32,
    /// Bytes a second; faster ones wait in the socket.
    pub bytes_per_second: u32,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Link's version.
    pub version: &'static str,
    /// The node's name.
    pub node: String,
}

/// What to do, and what to know for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The task to move forward.
    pub task: TaskId,
    /// The delegation that the attempt belongs to.
    pub delegation: DelegationId,
    /// The person who answers for the work.
    pub on_behalf_of: UserId,
    /// What is asked for: the whole text.
    pub prompt: String,
}
