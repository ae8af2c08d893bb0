//! When the next thing is to be said. What it took counts from then, also where the generator came late: otherwise what
//! slows everything down would hide itself.

use std::time::{Duration, Instant};

/// Timers are late by up to so much.
const TIMER: Duration = Duration::from_millis(1);

/// With no more than this a second, the timer's lateness is made up for by turning round, which keeps this core awake.
const SELDOM: usize = 200;

/// So many a second, from a moment on.
#[derive(Clone, Copy)]
pub struct Schedule {
    begun: Instant,
    per_second: usize,
}

impl Schedule {
    pub fn new(begun: Instant, per_second: usize) -> Self {
        Self { begun, per_second }
    }

    /// Waits until the nth is due; returns when that was.
    pub async fn until(self, nth: u64) -> Instant {
        let due = self.begun + Duration::from_secs_f64(nth as f64 / self.per_second as f64);
        if self.per_second > SELDOM {
            tokio::time::sleep_until(due.into()).await;
            return due;
        }
        // To the microsecond: what is seldom said would else wait longer for the timer than for the server.
        tokio::time::sleep_until(due.checked_sub(TIMER).unwrap_or(due).into()).await;
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        due
    }
}
