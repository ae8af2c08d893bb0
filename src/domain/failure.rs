//! Why an attempt failed, who is to blame, and whether trying again can help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The class of an attempt's failure; it decides what happens next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The instance did not accept the connection.
    ConnectRefused,
    /// The instance answered with a server error.
    HttpServerError,
    /// The instance's stream broke and could not be resumed.
    StreamCut,
    /// The instance is gone: no heartbeat, or it forgot the run.
    InstanceLost,
    /// It is unknown whether the instance took the work.
    DispatchUnknown,
    /// The model's provider asked to slow down or was overloaded.
    ProviderRateLimit,
    /// The model's provider failed.
    ProviderError,
    /// The model's provider wants money.
    ProviderQuota,
    /// The model's provider, or the instance, did not accept the credentials.
    ProviderAuth,
    /// The work no longer fits the model's context.
    ContextOverflow,
    /// The instance no longer knows the session.
    SessionNotFound,
    /// The agent lives but shows no activity.
    Silent,
    /// The agent does the same thing again and again.
    LoopDetected,
    /// The agent claims success and shows nothing for it.
    EvidenceMissing,
    /// The agent says that it cannot go on.
    AgentBlocked,
    /// The agent refused the work.
    Refused,
    /// A permission was denied.
    PermissionDenied,
    /// A budget of tokens, money or turns is used up.
    BudgetExhausted,
    /// The time limit passed.
    TimeLimit,
    /// The driver or its settings are wrong.
    Misconfigured,
    /// Nothing above fits.
    Unknown,
}

/// Whom a failure is charged to; only competence says something about an agent's skill.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Machines and networks.
    Infrastructure,
    /// The agent.
    Competence,
    /// The task as it was written.
    Specification,
    /// A rule, a budget or a setting.
    Policy,
    /// Not known.
    Unknown,
}

impl FailureClass {
    /// Returns whom this failure is charged to.
    pub fn blame(self) -> Blame {
        use FailureClass as F;
        match self {
            F::ConnectRefused
            | F::HttpServerError
            | F::StreamCut
            | F::InstanceLost
            | F::DispatchUnknown
            | F::ProviderRateLimit
            | F::ProviderError
            | F::ContextOverflow
            | F::SessionNotFound
            | F::Silent => Blame::Infrastructure,
            F::LoopDetected | F::EvidenceMissing | F::Refused => Blame::Competence,
            F::AgentBlocked => Blame::Specification,
            F::ProviderQuota
            | F::ProviderAuth
            | F::PermissionDenied
            | F::BudgetExhausted
            | F::TimeLimit
            | F::Misconfigured => Blame::Policy,
            F::Unknown => Blame::Unknown,
        }
    }

    /// Tells whether trying again, without a person, can help.
    pub fn retryable(self) -> bool {
        match self.blame() {
            Blame::Infrastructure | Blame::Unknown => true,
            Blame::Competence => self == Self::EvidenceMissing,
            Blame::Specification | Blame::Policy => false,
        }
    }
}
