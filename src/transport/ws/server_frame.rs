//! What the server says: one type for every frame, written in either encoding.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    actors::{
        client::SUBSCRIPTIONS_MAX,
        encoding::Encoding,
        feed::{Committed, Signal},
        subscription::Told,
    },
    api::problem::{FieldError, Problem},
    domain::ids::WorkspaceId,
    transport::values::{BYTES_MAX, DEPTH_MAX, VALUES_MAX},
};

use super::{calls::CALLS_MAX, client_frame::TOPICS_MAX};

/// A frame of the server.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome {
        /// Names the connection in the logs.
        connection: Uuid,
        /// The caller's id.
        user: String,
        /// Between two pings of the server.
        heartbeat_ms: u64,
        /// What is too much.
        limits: Limits,
        /// Who answers.
        server: Server,
    },
    /// It is done.
    Ok {
        /// Of what was asked.
        id: Value,
        /// What was asked for.
        data: Value,
        /// Where the change is readable.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    },
    /// It is not done.
    Error(Failure),
    /// The subscription stands.
    Subscribed {
        /// Of what was asked.
        id: Value,
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The last offset of the log.
        head: u64,
    },
    /// Something happened.
    Event(Arc<Committed>),
    /// The replay is over.
    CaughtUp {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// Up to here.
        offset: u64,
    },
    /// Nothing up to here was meant for this client.
    Cursor {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// Up to here.
        offset: u64,
    },
    /// The offset that was asked for is beyond the log.
    Reset {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The last offset of the log.
        head: u64,
        /// What to do.
        reason: &'static str,
    },
    /// Something ephemeral happened.
    Signal(Arc<Signal>),
    /// The server is about to close the socket.
    Goodbye {
        /// The code of the close.
        code: u16,
        /// Why.
        reason: &'static str,
        /// When to come back.
        retry_after_ms: u64,
    },
    /// The answer to `ping`.
    Pong {
        /// Of what was asked.
        id: Value,
    },
}

/// What is too much for one socket.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Bytes of a frame.
    frame_bytes: usize,
    /// Nesting of a frame.
    depth: usize,
    /// Values in a frame.
    values: usize,
    /// Topics of a subscription.
    topics: usize,
    /// Subscriptions.
    subscriptions: usize,
    /// Calls under way at once.
    calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: BYTES_MAX,
            depth: DEPTH_MAX,
            values: VALUES_MAX,
            topics: TOPICS_MAX,
            subscriptions: SUBSCRIPTIONS_MAX,
            calls: CALLS_MAX,
        }
    }
}

/// Who answers.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    version: &'static str,
    node: String,
}

/// A problem, as frames say it.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    #[serde(skip_serializing_if = "Value::is_null")]
    id: Value,
    code: String,
    message: String,
    retryable: bool,
    next_actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_id: String,
}

impl ServerFrame {
    /// Greets.
    pub fn welcome(connection: Uuid, user: String, heartbeat: Duration, node: String) -> Self {
        let heartbeat_ms = u64::try_from(heartbeat.as_millis()).unwrap_or(u64::MAX);
        let server = Server { version: env!("CARGO_PKG_VERSION"), node };
        Self::Welcome { connection, user, heartbeat_ms, limits: Limits::default(), server }
    }

    /// Says that something without an answer of its own is done.
    pub fn done(id: Value) -> Self {
        Self::Ok { id, data: Value::Null, offset: None }
    }

    /// Says a problem.
    pub fn failed(id: Value, problem: Problem) -> Self {
        let Problem { detail: message, code, retryable, next_actions, errors, trace_id, .. } = problem;
        Self::Error(Failure { id, code, message, retryable, next_actions, errors, trace_id })
    }

    /// Returns the whole frame as it goes over the socket; of what many sockets hear, the bytes that they share.
    pub fn encode(&self, encoding: Encoding) -> Bytes {
        match self {
            Self::Event(event) => event.encoded.get_or_encode(encoding, self),
            Self::Signal(signal) => signal.encoded.get_or_encode(encoding, self),
            Self::Welcome { .. } | Self::Ok { .. } | Self::Error(_) | Self::Goodbye { .. } | Self::Pong { .. } => {
                encoding.frame(self)
            }
            Self::Subscribed { .. } | Self::CaughtUp { .. } | Self::Cursor { .. } | Self::Reset { .. } => {
                encoding.frame(self)
            }
        }
    }

    /// Returns the whole frame that says what a client is told.
    pub fn of(encoding: Encoding, told: &Told) -> Bytes {
        Self::from(told.clone()).encode(encoding)
    }
}

impl From<Told> for ServerFrame {
    fn from(told: Told) -> Self {
        match told {
            Told::Subscribed { id, workspace, head } => Self::Subscribed { id, workspace, head },
            Told::Unsubscribed { id } => Self::done(id),
            Told::Reset { workspace, head, reason } => Self::Reset { workspace, head, reason },
            Told::Event(event) => Self::Event(event),
            Told::CaughtUp { workspace, offset } => Self::CaughtUp { workspace, offset },
            Told::Cursor { workspace, offset } => Self::Cursor { workspace, offset },
            Told::Signal(signal) => Self::Signal(signal),
        }
    }
}
