//! Frames of the WebSocket: what a client may say, and how an error is said back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    actors::feed::Topics,
    api::problem::Problem,
    domain::ids::{Subject, WorkspaceId},
};

/// The longest `id` of a frame that is text.
pub const ID_LENGTH_MAX: usize = 128;
/// The most topics of one subscription.
pub const TOPICS_MAX: usize = 256;

/// What a client may say.
#[derive(Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Frame {
    /// Who calls; the first frame.
    Hello { token: String },
    /// Send me the events of a workspace.
    Subscribe {
        id: Value,
        workspace: WorkspaceId,
        #[serde(default)]
        topics: Vec<String>,
        after: Option<u64>,
    },
    /// Send me no more of them.
    Unsubscribe { id: Value, workspace: WorkspaceId },
    /// Do something.
    Call {
        id: Value,
        op: String,
        #[serde(default)]
        input: Value,
        key: Option<String>,
    },
    /// I am here, or not.
    Presence { workspace: WorkspaceId, status: Presence },
    /// I am writing, or no longer.
    Typing { workspace: WorkspaceId, topic: Subject, on: bool },
    /// A fresh token.
    Auth { id: Value, token: String },
    /// Are you there?
    Ping { id: Value },
}

/// How someone is.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Online,
    Away,
    Working,
    Offline,
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
    if topics.is_empty() || topics.iter().any(|topic| topic == "*") {
        return Ok(Topics::All);
    }
    if topics.len() > TOPICS_MAX {
        return Err(Problem::field("topics", format!("at most {TOPICS_MAX} topics")));
    }
    let subjects = topics.iter().map(|topic| topic.parse::<Subject>());
    let subjects = subjects.collect::<Result<Vec<_>, _>>();
    subjects.map(Topics::Some).map_err(|error| Problem::field("topics", error.to_string()))
}

/// Says a problem.
pub fn failed(id: Value, problem: &Problem) -> Value {
    let mut frame = json!({
        "t": "error", "code": problem.code, "message": problem.detail, "retryable": problem.retryable,
        "next_actions": problem.next_actions,
    });
    if !problem.errors.is_empty() {
        frame["errors"] = json!(problem.errors);
    }
    if !problem.trace_id.is_empty() {
        frame["trace_id"] = json!(problem.trace_id);
    }
    if !id.is_null() {
        frame["id"] = id;
    }
    frame
}
