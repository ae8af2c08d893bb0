//! What a person lets an agent decide on their behalf: within limits, for a time, and never more than they may
//! themselves.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ids::{AgentId, RightId, Subject, UserId},
    permission::Permission,
    run::InterruptKind,
};

/// The most decisions of one right.
pub const USES_MAX: u32 = 1_000;

/// What can be decided on somebody's behalf.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decides {
    /// Questions in words.
    Question,
    /// Permissions, and more money, tokens or turns.
    Approval,
    /// Reviews of what was handed in.
    Review,
}

impl Decides {
    /// Says what a kind of question is; credentials are nobody's to give but a person's.
    pub fn of(kind: InterruptKind) -> Option<Self> {
        match kind {
            InterruptKind::Question => Some(Self::Question),
            InterruptKind::Approval | InterruptKind::Budget => Some(Self::Approval),
            InterruptKind::Auth => None,
        }
    }

    /// Returns what whoever decides it has to be allowed.
    pub fn needs(self) -> Permission {
        match self {
            Self::Question | Self::Approval => Permission::Delegate,
            Self::Review => Permission::Review,
        }
    }
}

/// How much can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Little.
    Low,
    /// Something.
    Medium,
    /// Much.
    High,
}

/// What is at stake in a question, where it says so.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Stakes {
    /// What it costs, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// How risky it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

impl Stakes {
    /// Reads them from a question's details: `cost_usd`, and `risk` as `low`, `medium` or `high`. Any other word for the
    /// risk counts as high.
    pub fn of(details: &Value) -> Self {
        let cost_usd = details.get("cost_usd").and_then(Value::as_f64);
        let risk = details.get("risk").filter(|risk| !risk.is_null()).map(|risk| match risk.as_str() {
            Some("low") => Risk::Low,
            Some("medium") => Risk::Medium,
            _ => Risk::High,
        });
        Self { cost_usd, risk }
    }
}

/// What an agent may decide on somebody's behalf.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Right {
    /// Its id.
    pub id: RightId,
    /// Whose it is.
    pub agent: AgentId,
    /// On whose behalf.
    pub grantor: UserId,
    /// The project or the task.
    pub subject: Subject,
    /// What.
    pub decides: BTreeSet<Decides>,
    /// Nothing that costs more, in US dollars.
    pub cost_usd_max: Option<f64>,
    /// Nothing that is riskier.
    pub risk_max: Option<Risk>,
    /// So often.
    pub uses_max: u32,
    /// Until then.
    pub expires_at: DateTime<Utc>,
}

impl Right {
    /// Says what it is not good for, of what is to be decided.
    pub fn excludes(&self, decides: Decides, stakes: Stakes) -> Option<&'static str> {
        let dear =
            matches!((self.cost_usd_max, stakes.cost_usd), (Some(most), Some(cost)) if cost.is_nan() || cost > most);
        let risky = matches!((self.risk_max, stakes.risk), (Some(most), Some(risk)) if risk > most);
        match self.decides.contains(&decides) {
            false => Some("the right is not for decisions of this kind"),
            true if dear => Some("what is asked costs more than the right is good for"),
            true if risky => Some("what is asked is riskier than the right is good for"),
            true => None,
        }
    }
}
