//! What a client may say.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    actors::{encoding::Encoding, feed::Topics},
    api::problem::{self, Problem},
    domain::{
        ids::{Subject, WorkspaceId},
        presence::Presence,
    },
    transport::values,
};

/// The longest `id` of a frame that is text.
pub const ID_LENGTH_MAX: usize = 128;
/// The most topics of one subscription.
pub const TOPICS_MAX: usize = 256;

/// A frame of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Who calls; the first frame.
    Hello {
        /// Proves it.
        token: String,
    },
    /// Send me the events of a workspace.
    Subscribe {
        /// Comes back in the answer.
        id: Value,
        /// Of which workspace.
        workspace: WorkspaceId,
        /// About what; everything, where there are none.
        #[serde(default)]
        topics: Vec<String>,
        /// From after which offset; from now on, where there is none.
        after: Option<u64>,
    },
    /// Send me no more of them.
    Unsubscribe {
        /// Comes back in the answer.
        id: Value,
        /// Of which workspace.
        workspace: WorkspaceId,
    },
    /// Do something.
    Call {
        /// Comes back in the answer.
        id: Value,
        /// The operation.
        op: String,
        /// Its input.
        #[serde(default)]
        input: Value,
        /// Makes a repetition harmless.
        key: Option<String>,
    },
    /// I am here, or not.
    Presence {
        /// In which workspace.
        workspace: WorkspaceId,
        /// How I am.
        status: Presence,
    },
    /// I am writing, or no longer.
    Typing {
        /// In which workspace.
        workspace: WorkspaceId,
        /// Where.
        topic: Subject,
        /// Whether I am.
        on: bool,
    },
    /// A fresh token.
    Auth {
        /// Comes back in the answer.
        id: Value,
        /// Proves that it is still me.
        token: String,
    },
    /// Are you there?
    Ping {
        /// Comes back in the answer.
        id: Value,
    },
}

/// Why a frame could not be read, and the `id` to say it to.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// The frame's `id`, as far as it has one.
    pub id: Value,
    /// What is wrong.
    pub problem: Problem,
}

impl ClientFrame {
    /// Reads a frame.
    pub fn read(encoding: Encoding, bytes: &[u8]) -> Result<Self, Unreadable> {
        let without_id = |problem| Unreadable { id: Value::Null, problem };
        let value = values::parse(encoding, bytes).map_err(without_id)?;
        let id = value.get("id").cloned().unwrap_or_default();
        if !is_small(&id) {
            let detail = format!("must be a number or at most {ID_LENGTH_MAX} bytes of text");
            return Err(without_id(Problem::field("id", detail)));
        }
        serde_json::from_value(value).map_err(|error| {
            let problem = Problem::new(problem::INVALID_INPUT, format!("no frame looks like this: {error}"));
            Unreadable { id, problem }
        })
    }
}

/// Tells whether an `id` may be repeated in an answer: many may wait at once.
pub fn is_small(id: &Value) -> bool {
    match id {
        Value::Null | Value::Number(_) => true,
        Value::String(text) => text.len() <= ID_LENGTH_MAX,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Reads a topic filter.
pub fn parse_topics(topics: &[String]) -> Result<Topics, Problem> {
    if topics.len() > TOPICS_MAX {
        return Err(Problem::field("topics", format!("at most {TOPICS_MAX} topics")));
    }
    if topics.is_empty() || topics.iter().any(|topic| topic == "*") {
        return Ok(Topics::All);
    }
    let subjects = topics.iter().map(|topic| topic.parse::<Subject>());
    let subjects = subjects.collect::<Result<Vec<_>, _>>();
    subjects.map(Topics::Some).map_err(|error| Problem::field("topics", error.to_string()))
}
