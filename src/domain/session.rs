//! What is remembered of one attempt's run: where it is and how far it was followed. The attempt's life itself is
//! the task's (see `task`); this is only what a restarted driver needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::SessionEvent;

/// The state of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// How to find the run again, once the instance has it.
    #[serde(default, deserialize_with = "super::present::deserialize", skip_serializing_if = "Option::is_none")]
    pub remote: Option<Value>,
    /// How far the stream was followed.
    #[serde(default, deserialize_with = "super::present::deserialize", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
    /// What the attempt was told, as the SHA-256 of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
}

/// What can be asked of a session.
#[derive(Clone, Debug)]
pub enum SessionCommand {
    /// Remember where the run is.
    Bind(Value),
    /// Remember how far it was followed.
    Follow(Value),
    /// Remember what the attempt is told.
    Pack {
        /// The SHA-256 of the text.
        hash: String,
        /// About how many tokens it has.
        tokens: u64,
        /// What did not fit.
        left_out: Vec<String>,
    },
}

impl Session {
    /// Decides a command; what is known already says nothing new.
    pub fn decide(&self, command: SessionCommand) -> Vec<SessionEvent> {
        match command {
            SessionCommand::Bind(remote) if self.remote.as_ref() == Some(&remote) => vec![],
            SessionCommand::Bind(remote) => vec![SessionEvent::Bound { remote }],
            SessionCommand::Follow(cursor) if self.cursor.as_ref() == Some(&cursor) => vec![],
            SessionCommand::Pack { hash, .. } if self.pack.as_ref() == Some(&hash) => vec![],
            SessionCommand::Pack { hash, tokens, left_out } => vec![SessionEvent::Packed { hash, tokens, left_out }],
            SessionCommand::Follow(cursor) => vec![SessionEvent::Followed { cursor }],
        }
    }

    /// Changes the state.
    pub fn apply(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::Bound { remote } => self.remote = Some(remote.clone()),
            SessionEvent::Packed { hash, .. } => self.pack = Some(hash.clone()),
            SessionEvent::Followed { cursor } => self.cursor = Some(cursor.clone()),
        }
    }
}
