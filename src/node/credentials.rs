//! What a running node does about credentials beside its requests: it hears of revocations, and of new signing keys.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{self, MissedTickBehavior};

use crate::api::Services;

use super::keys::KeyFile;

/// Between two turns: so long does a node not know what another one revoked.
const EVERY: Duration = Duration::from_secs(1);

/// The chore.
pub struct Credentials {
    services: Arc<Services>,
    /// Keys of the settings never change.
    file: Option<KeyFile>,
    /// What was in the file.
    known: String,
}

impl Credentials {
    /// Starts from the keys that the node began with.
    pub fn new(services: Arc<Services>, file: Option<KeyFile>, known: String) -> Self {
        Self { services, file, known }
    }

    /// Goes on until it is aborted. A panic ends one turn, not the chore.
    pub async fn keep(mut self) {
        let mut tick = time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if AssertUnwindSafe(self.turn()).catch_unwind().await.is_err() {
                tracing::error!("looking after credentials panicked; the next turn follows");
            }
        }
    }

    async fn turn(&mut self) {
        let context = self.services.context();
        self.services.revocations.follow(&context.pool, context.clock.now()).await;
        self.services.known_keys.write_down(&context.pool).await;
        self.follow_keys();
    }

    fn follow_keys(&mut self) {
        let Some(file) = &self.file else { return };
        let text = match file.read() {
            Ok(text) if text.trim() == self.known.trim() => return,
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(%error, "the file of keys cannot be read; the keys stay as they are");
                return;
            }
        };
        let keys = &self.services.keys;
        if keys.replace(&text).is_ok() && self.services.context().vault.replace(&keys.vault()).is_ok() {
            tracing::info!(signs = keys.kids().first(), "the signing keys have changed");
        } else {
            tracing::error!("the file of keys cannot be used; the keys stay as they are");
        }
        self.known = text;
    }
}
