//! Errors as clients see them: RFC 9457 problems with a stable code, a cause and a next step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{actors::request::CommandError, domain::rejection::Rejection, persistence::log};

pub use super::codes::*;

/// The most characters of a text of a problem.
const TEXT_MAX: usize = 400;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Where, as in `parts[0].text`.
    pub path: String,
    /// What.
    pub message: String,
}

/// An error as it goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A link to the documentation of the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What to do about it.
    pub next_actions: Vec<String>,
    /// How long to wait before sending it again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Finds the request in the logs.
    #[serde(default)]
    pub trace_id: String,
}

impl Problem {
    /// Makes a problem of a kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs#errors-{}", code.name),
            title: code.title.into(),
            status: code.status,
            detail: clipped(detail.into()),
            code: code.name.into(),
            retryable: code.retryable,
            next_actions: code.next_actions.iter().map(|action| (*action).to_owned()).collect(),
            retry_after_ms: None,
            errors: vec![],
            trace_id: String::new(),
        }
    }

    /// Makes a problem about one field.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message) = (clipped(path.into()), clipped(message.into()));
        let mut problem = Self::new(INVALID_INPUT, format!("{path}: {message}"));
        problem.errors.push(FieldError { path, message });
        problem
    }

    /// Says what to do about it, where that is not what the code says.
    #[must_use]
    pub fn then(mut self, next_actions: &[&str]) -> Self {
        self.next_actions = next_actions.iter().map(|action| (*action).to_owned()).collect();
        self
    }

    /// What a missing row and a stranger's row look like alike.
    pub fn not_found(what: &str) -> Self {
        Self::new(NOT_FOUND, format!("no such {what}"))
    }
}

/// A problem may quote its input; a megabyte of it helps nobody.
fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        let code = match &rejection {
            Rejection::NotFound(what) => return Self::not_found(what),
            Rejection::Invalid { path, message } => return Self::field(*path, message.clone()),
            Rejection::Exists(_) => ALREADY_EXISTS,
            Rejection::Taken { .. } => NAME_TAKEN,
            Rejection::Transition { .. } => INVALID_TRANSITION,
            Rejection::Version { .. } => VERSION_CONFLICT,
            Rejection::Cycle => DEPENDENCY_CYCLE,
            Rejection::Busy(_) => BUSY,
            Rejection::Forbidden(_) => FORBIDDEN,
            Rejection::Fenced => FENCED,
            Rejection::NoSlot => NO_SLOT,
        };
        Self::new(code, detail)
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::KeyReused => Self::new(KEY_REUSED, error.to_string()),
            CommandError::Overloaded => Self::new(TOO_MANY, error.to_string()),
            CommandError::Unavailable(why) => Self::new(UNAVAILABLE, why),
            CommandError::Bug => Self::new(INTERNAL, error.to_string()),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        // What the database says may hold data of others: it goes to the log, not to the caller.
        tracing::error!(%error, "a read failed");
        Self::new(UNAVAILABLE, "the database did not answer")
    }
}

impl From<log::Error> for Problem {
    fn from(error: log::Error) -> Self {
        tracing::error!(%error, "the log could not be read");
        Self::new(UNAVAILABLE, "the log could not be read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_quotes_little_of_a_long_input() {
        let problem = Problem::field("ä".repeat(100_000), "x".repeat(1 << 20));
        assert!(serde_json::to_string(&problem).unwrap().len() < 4_000);
    }
}
