//! The webhooks of a workspace: how many there are, and which are switched on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{event::WebhookEvent, ids::WebhookId, rejection::Rejection, webhook::WEBHOOKS_MAX};

/// Which webhooks there are, and whether they are switched on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hooks(BTreeMap<WebhookId, bool>);

impl Hooks {
    /// Returns the webhooks that hear of events.
    pub fn enabled(&self) -> impl Iterator<Item = WebhookId> {
        self.0.iter().filter(|(_, enabled)| **enabled).map(|(id, _)| *id)
    }

    pub(super) fn admit(&self, event: &WebhookEvent) -> Result<(), Rejection> {
        match event {
            WebhookEvent::Created { .. } if self.0.len() >= WEBHOOKS_MAX => {
                Err(Rejection::Busy("the workspace has as many webhooks as it may have: delete one first"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn apply(&mut self, id: WebhookId, event: &WebhookEvent) {
        match event {
            WebhookEvent::Created { .. } | WebhookEvent::Enabled {} => drop(self.0.insert(id, true)),
            WebhookEvent::Disabled { .. } => drop(self.0.insert(id, false)),
            WebhookEvent::Deleted {} => drop(self.0.remove(&id)),
            WebhookEvent::Updated { .. } | WebhookEvent::SecretRotated { .. } => {}
        }
    }
}
