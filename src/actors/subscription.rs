//! What a client asks for when it subscribes, and why it may be refused.

use serde_json::Value;

use crate::domain::ids::WorkspaceId;

use super::feed::Topics;

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
