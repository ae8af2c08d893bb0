//! What was revoked before its time, as this node knows it. Doors ask for every request and every batch, so the answer
//! is in memory; other nodes' revocations arrive within about a second.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

use crate::persistence::revocations::{self, Revoked};

/// Revocations that a node remembers one by one.
const REMEMBERED_MAX: usize = 50_000;
/// How long the question what is new may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The revocations that matter now.
pub struct Revocations {
    known: RwLock<Known>,
    /// When the database was asked last, by its own clock.
    asked_at: Mutex<Option<DateTime<Utc>>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    ended: HashMap<Uuid, DateTime<Utc>>,
    /// When there are more than can be remembered, everything that was proven up to here has to be proven again.
    proven_after: Option<DateTime<Utc>>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { known: RwLock::default(), asked_at: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Revocations {
    /// Remembers what was revoked, and wakes those who hold something open.
    pub fn add(&self, revoked: impl IntoIterator<Item = Revoked>, now: DateTime<Utc>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = (known.ended.len(), known.proven_after);
        known.ended.retain(|_, until| now < *until);
        let tidied = known.ended.len();
        known.ended.extend(revoked.into_iter().filter(|one| now < one.until).map(|one| (one.id, one.until)));
        if known.ended.len() > REMEMBERED_MAX {
            tracing::warn!("too many revocations to remember: everyone has to show again who they are");
            *known = Known { ended: HashMap::new(), proven_after: Some(now) };
        }
        let grown = known.ended.len() > tidied || known.proven_after != before.1;
        metrics::gauge!("link_revocations_known").set(known.ended.len() as f64);
        drop(known);
        if grown {
            self.changed.send_replace(());
        }
    }

    /// Tells whether a login or key was revoked that was proven to be good at a time.
    pub fn covers(&self, id: Uuid, proven_at: DateTime<Utc>) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.ended.contains_key(&id) || known.proven_after.is_some_and(|time| proven_at <= time)
    }

    /// Returns what changes whenever something more was revoked. It begins as changed: whoever asks may have missed
    /// what came before.
    pub fn changes(&self) -> watch::Receiver<()> {
        let mut changes = self.changed.subscribe();
        changes.mark_changed();
        changes
    }

    /// Asks the database what other nodes revoked.
    pub async fn follow(&self, pool: &PgPool, now: DateTime<Utc>) {
        let last = *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = i64::try_from(REMEMBERED_MAX).unwrap_or(i64::MAX) + 1;
        let news = tokio::time::timeout(TIMEOUT, revocations::since(pool, last, limit)).await;
        let outcome = match news {
            Ok(Ok(news)) => {
                self.add(news.revoked, now);
                *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(news.asked_at);
                "ok"
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "revocations of other nodes not read; the next question goes on where this one was");
                "failed"
            }
            Err(_) => {
                tracing::warn!("revocations of other nodes took too long to read; the next question follows");
                "timeout"
            }
        };
        metrics::counter!("link_revocation_polls_total", "outcome" => outcome).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn revoked(id: u128) -> Revoked {
        Revoked { id: Uuid::from_u128(id), until: at(900) }
    }

    #[test]
    fn a_revocation_counts_until_nothing_of_it_can_be_shown() {
        let revocations = Revocations::default();
        let mut changes = revocations.changes();
        changes.mark_unchanged();
        revocations.add([revoked(1)], at(0));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert!(revocations.covers(Uuid::from_u128(1), at(-60)) && !revocations.covers(Uuid::from_u128(2), at(-60)));
        revocations.add([revoked(1)], at(1));
        assert!(!changes.has_changed().unwrap(), "nothing is new");
        revocations.add([], at(901));
        assert!(!revocations.covers(Uuid::from_u128(1), at(0)));
    }

    #[test]
    fn more_than_can_be_remembered_makes_everyone_prove_who_they_are_and_lets_nobody_slip_through() {
        let revocations = Revocations::default();
        revocations.add((0..=REMEMBERED_MAX as u128).map(revoked), at(0));
        assert!(
            revocations.covers(Uuid::from_u128(1), at(-1)) && revocations.covers(Uuid::from_u128(u128::MAX), at(0))
        );
        assert!(!revocations.covers(Uuid::from_u128(u128::MAX), at(0) + TimeDelta::seconds(1)));
    }
}
