//! What a client asks for when it subscribes, why it may be refused, and what it is told.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::ids::WorkspaceId;

use super::feed::{Committed, Signal, Topics};

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The client's name for it.
    pub id: Value,
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which events.
    pub topics: Topics,
    /// From after which offset; `None` means from now on.
    pub after: Option<u64>,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The workspace is not known to this client.
    NotFound,
    /// Too many subscriptions.
    TooMany,
    /// The database did not answer.
    Unavailable,
}

/// What a client is told, for its door to say in its own way.
#[derive(Clone, Debug)]
pub enum Told {
    /// The subscription stands, and this is how long the log is.
    Subscribed {
        /// The client's name for it.
        id: Value,
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The last offset of the log.
        head: u64,
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
    /// Something ephemeral happened.
    Signal(Arc<Signal>),
}
