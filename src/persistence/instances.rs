//! What readers see of an agent's servers.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ids::InstanceId, routing::Standing};

/// An instance of an agent. Its credentials are shown to nobody.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// Where it is.
    pub url: String,
    /// The model that is asked for.
    pub model: Option<String>,
    /// Attempts at the same time.
    pub slots: u32,
    /// Model turns of one attempt.
    pub turns_max: u32,
    /// What it says that it is good at, where it connects by itself.
    pub skills: Vec<String>,
    /// What the last probe said.
    pub healthy: Option<bool>,
    /// Why not.
    pub cause: Option<String>,
    /// How it serves, by what became of the work on it.
    pub standing: Standing,
    /// Why it stands so.
    pub standing_cause: Option<String>,
    /// How it does now, where this node runs its workspace.
    #[serde(default)]
    pub health: Option<HealthView>,
}

/// How an instance does now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HealthView {
    /// What its breaker lets through: everything (`closed`), nothing (`open`), or one attempt (`half_open`).
    #[schemars(extend("enum" = ["closed", "open", "half_open"]))]
    pub breaker: String,
    /// Until when it lets nothing through.
    pub open_until: Option<DateTime<Utc>>,
    /// How long it takes to accept work, as a moving average that jumps to peaks.
    pub latency_ms: f64,
    /// How often machines and networks did their part, from 0 to 1, as a moving average.
    pub success: f64,
    /// Attempts that it has.
    pub in_flight: u32,
}
