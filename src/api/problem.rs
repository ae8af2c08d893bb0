//! Errors as clients see them: RFC 9457 problems with a stable code, a cause and a next step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{actors::request::CommandError, domain::rejection::Rejection, persistence::log};

/// The most characters of a text of a problem.
const TEXT_MAX: usize = 400;

/// One kind of error.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Its stable name.
    pub name: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What to do about it.
    pub next_actions: &'static [&'static str],
}

macro_rules! codes {
    ($($const:ident = $name:literal $status:literal $retryable:literal $title:literal [$($next:literal),*];)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $title)]
            pub const $const: Code = Code {
                name: $name, status: $status, title: $title, retryable: $retryable, next_actions: &[$($next),*],
            };
        )+
        /// Every code there is.
        pub const CODES: &[Code] = &[$($const),+];
    };
}

codes! {
    INVALID_INPUT = "invalid_input" 400 false "The input is wrong" ["Correct the fields named in `errors`"];
    MALFORMED = "malformed" 400 false "The request cannot be read" ["Send valid UTF-8 JSON, nested at most 64 deep"];
    TOO_LARGE = "too_large" 413 false "The request is too large" ["Send less than 1 MiB; pass large content by reference"];
    UNSUPPORTED_MEDIA = "unsupported_media_type" 415 false "The body is not JSON" ["Send `content-type: application/json`"];
    UNAUTHENTICATED = "unauthenticated" 401 false "No valid token" ["Log in and send `Authorization: Bearer …`", "Refresh the token if it has expired"];
    BAD_CREDENTIALS = "bad_credentials" 401 false "Address or password is wrong" ["Check both and try again"];
    FORBIDDEN = "forbidden" 403 false "Not allowed" ["Ask an admin of the workspace"];
    NOT_FOUND = "not_found" 404 false "It does not exist" ["Check the id, and that you are a member of its workspace"];
    NO_SUCH_OPERATION = "no_such_operation" 404 false "There is no such operation" ["See /docs or /api/v1/openapi.json"];
    METHOD_NOT_ALLOWED = "method_not_allowed" 405 false "The path exists, the method does not" ["See the `allow` header"];
    ALREADY_EXISTS = "already_exists" 409 false "It exists already" ["Read it, or choose another id"];
    NAME_TAKEN = "name_taken" 409 false "The name is in use" ["Choose another one"];
    INVALID_TRANSITION = "invalid_transition" 409 false "The state does not allow this step" ["Read the current state and choose a step that it allows"];
    VERSION_CONFLICT = "version_conflict" 409 false "Someone else was faster" ["Read it anew, apply your change again, and send the new `expected_version`"];
    DEPENDENCY_CYCLE = "dependency_cycle" 409 false "The dependency would close a cycle" ["Remove another dependency first"];
    BUSY = "busy" 409 false "The current state forbids it" ["Do what `detail` says first"];
    FENCED = "fenced" 409 false "The attempt no longer holds the delegation" ["Stop working on it"];
    NO_SLOT = "no_slot" 409 true "No instance has a free slot" ["Wait until one is free"];
    KEY_REUSED = "idempotency_key_reused" 409 false "The key was used for another request" ["Use a new key for a new request"];
    TOO_MANY = "too_many_requests" 429 true "Too much at once" ["Wait a moment and send it again with the same key"];
    UNAVAILABLE = "unavailable" 503 true "Not available right now" ["Send it again with the same idempotency key"];
    INTERNAL = "internal" 500 false "A bug in Link" ["Report it with the `trace_id`"];
}

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

    #[test]
    fn every_code_has_a_name_of_its_own_and_a_next_step() {
        let names: std::collections::BTreeSet<_> = CODES.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), CODES.len());
        assert!(CODES.iter().all(|code| !code.next_actions.is_empty() && (400..600).contains(&code.status)));
    }
}
