//! Events as doors describe them, and what a subscription to them wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::{
    ids::{Subject, WorkspaceId},
    principal::Principal,
};

/// One committed event of a workspace's log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its number in the log: 1, 2, 3 …
    pub offset: u64,
    /// Its id.
    pub id: Uuid,
    /// What happened, as `noun:verb`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub subject: Subject,
    /// Who did it.
    pub actor: Principal,
    /// For whom, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Principal>,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The offset of the event that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The trace of the request that led to it.
    pub trace: String,
    /// What happened, in detail; see docs/events.md.
    pub data: Map<String, Value>,
}

/// An event that comes by itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LiveEvent {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
}

/// What a subscription to a workspace's events wants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Of which workspace.
    pub workspace_id: WorkspaceId,
    /// Only events about these, as `kind:id`; all when there is none.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub topics: Vec<String>,
    /// From after this offset; from now on when absent.
    pub after: Option<u64>,
    /// The tracked id of the last event that was seen. It wins over `after`; clients send it by themselves.
    #[serde(default, rename = "lastEventId")]
    pub last_event_id: Option<String>,
}
