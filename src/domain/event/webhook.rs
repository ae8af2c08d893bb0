//! What happens to a webhook. Its whole address and its secrets are kept sealed, so the log only names them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    ids::SealedId,
    webhook::{Description, Pattern},
};

/// What happens to a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum WebhookEvent {
    /// An endpoint wants to hear of events, from the next one on.
    #[serde(rename = "webhook:created")]
    Created {
        /// Where it is, without path and query: those may hold secrets.
        origin: String,
        /// Names the sealed address.
        url: SealedId,
        /// Names the sealed secret that signs.
        secret: SealedId,
        /// What it is for.
        description: Description,
        /// Which events it hears of.
        events: BTreeSet<Pattern>,
    },
    /// Fields changed.
    #[serde(rename = "webhook:updated")]
    Updated {
        /// Where it is now, if that changed.
        origin: Option<String>,
        /// Names the new sealed address, if it changed.
        url: Option<SealedId>,
        /// The new description, if it changed.
        description: Option<Description>,
        /// Which events it hears of now, if that changed.
        events: Option<BTreeSet<Pattern>>,
    },
    /// Another secret signs from now on.
    #[serde(rename = "webhook:secret_rotated")]
    SecretRotated {
        /// Names the new sealed secret.
        secret: SealedId,
        /// Names the one before.
        former: SealedId,
        /// Until when the one before signs too.
        former_until: DateTime<Utc>,
    },
    /// Nothing is sent any more; the place in the log stays.
    #[serde(rename = "webhook:disabled")]
    Disabled {
        /// Why.
        reason: String,
    },
    /// It hears of events again, from where it stopped.
    #[serde(rename = "webhook:enabled")]
    Enabled {},
    /// It is gone.
    #[serde(rename = "webhook:deleted")]
    Deleted {},
}
