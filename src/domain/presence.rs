//! How someone is right now. Ephemeral: never in the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::AgentStatus;

/// How someone is, in rising order: of several connections the highest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Not here.
    #[default]
    Offline,
    /// Here, and busy with something else.
    Away,
    /// Here.
    Online,
    /// Here, and at work.
    Working,
}

impl From<AgentStatus> for Presence {
    fn from(status: AgentStatus) -> Self {
        match status {
            AgentStatus::Working => Self::Working,
            AgentStatus::Idle | AgentStatus::Degraded | AgentStatus::Draining => Self::Online,
            AgentStatus::Paused | AgentStatus::Offline | AgentStatus::Retired => Self::Offline,
        }
    }
}
