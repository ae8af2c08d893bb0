//! The one place that knows what time it is and makes ids.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

/// Where time and ids come from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// How far a test has moved this clock.
    moved: Arc<Mutex<TimeDelta>>,
}

impl Clock {
    /// Returns the time, in whole milliseconds: what is stored is what is shown.
    pub fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
        let now = Utc::now() + self.moved.lock().map(|moved| *moved).unwrap_or_default();
        now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now)
    }

    /// Makes a UUIDv7.
    pub fn id<T: From<Uuid>>(&self) -> T {
        #[expect(clippy::disallowed_methods, reason = "this is where ids are made")]
        let id = Uuid::now_v7();
        T::from(id)
    }

    /// Makes a seed, for what is left to chance: whoever uses it writes it down.
    pub fn seed(&self) -> u64 {
        let id: Uuid = self.id();
        id.as_u128() as u64
    }

    /// Moves this clock, for tests.
    pub fn advance(&self, by: TimeDelta) {
        if let Ok(mut moved) = self.moved.lock() {
            *moved += by;
        }
    }
}
