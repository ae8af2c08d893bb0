//! What travels to an entity and back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::{ids::Subject, model::Command, principal::Principal, rejection::Rejection, task::Circumstance};

/// Who asks, when, under which key.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Who acts.
    pub by: Principal,
    /// For whom, where that differs.
    pub on_behalf_of: Option<Principal>,
    /// When the request came in.
    pub now: DateTime<Utc>,
    /// Makes a repeated request harmless.
    pub key: Option<Key>,
    /// Ties events, logs and calls together.
    pub trace: String,
    /// The event that led to the request.
    pub cause: Option<u64>,
    /// The id of what the command makes inside its entity; remembered with the key, so that the same request hears it
    /// again.
    pub made: Option<Uuid>,
}

impl Meta {
    /// Returns what a decision is made under.
    pub fn circumstance(&self) -> Circumstance {
        Circumstance { by: self.by, now: self.now }
    }
}

/// An idempotency key, scoped to its principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// SHA-256 of the request: the same key with another request is a mistake.
    pub request_hash: Vec<u8>,
}

impl Key {
    /// Makes the key of something that Link itself does at most once.
    pub fn internal(text: String) -> Self {
        // It may be made of what an agent says, and has to fit an index.
        let text = if text.len() > 200 { hex_digest(&text) } else { text };
        Self { text, request_hash: vec![] }
    }
}

fn hex_digest(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a command took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The entity that decided it.
    pub subject: Subject,
    /// The last event of its commit.
    pub offset: u64,
    /// What it made inside its entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Uuid>,
}

/// Why a command took no effect, or may have.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The domain said no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too much is waiting already; nothing was done.
    #[error("too many commands wait for this entity")]
    Overloaded,
    /// It may or may not have been done; the same key tells.
    #[error("{0}")]
    Unavailable(String),
    /// A bug: nothing was done.
    #[error("the command could not be decided because of a bug in Link")]
    Bug,
}

/// A command on its way to its entity.
pub struct Envelope {
    pub(super) command: Command,
    pub(super) meta: Arc<Meta>,
    pub(super) reply: oneshot::Sender<Result<Receipt, CommandError>>,
    /// How often it had to be decided again.
    pub(super) again: u32,
}

impl Envelope {
    pub(super) fn answer(self, result: Result<Receipt, CommandError>) {
        // A caller who no longer listens asks again with the same key.
        let _ = self.reply.send(result);
    }
}
