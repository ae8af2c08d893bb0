//! What a run of an agent costs and what it can ask for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens and cost, as totals of one attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
    /// Cost in US dollars.
    pub cost_usd: f64,
}

impl Usage {
    /// Returns the totals after a report: they never fall, and what is no number says nothing about the cost.
    pub fn grown_to(self, reported: Self) -> Self {
        let cost_usd = if reported.cost_usd.is_finite() { reported.cost_usd } else { self.cost_usd };
        Self {
            input_tokens: self.input_tokens.max(reported.input_tokens),
            output_tokens: self.output_tokens.max(reported.output_tokens),
            cost_usd: self.cost_usd.max(cost_usd),
        }
    }
}

/// What kind of answer an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InterruptKind {
    /// A question in words.
    Question,
    /// Yes or no to something that the agent wants to do.
    Approval,
    /// Credentials or a login.
    Auth,
    /// More money, tokens or turns.
    Budget,
}
