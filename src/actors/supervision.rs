//! How often something may fail before it is left alone for a while.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Failures within [`Self::WINDOW`] that are still met with a quick restart.
const QUICK_RESTARTS_MAX: usize = 3;
/// The longest pause between two restarts.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Remembers failures and says how long to wait before the next try.
#[derive(Debug, Default)]
pub struct Intensity {
    failures: VecDeque<Instant>,
}

impl Intensity {
    /// Failures older than this are forgiven.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// Notes a failure and returns how long to wait: not at all at first, then doubling up to half a minute.
    pub fn failed(&mut self, now: Instant) -> Duration {
        while self.failures.front().is_some_and(|time| now - *time > Self::WINDOW) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let beyond = self.failures.len().saturating_sub(QUICK_RESTARTS_MAX);
        if beyond == 0 {
            return Duration::ZERO;
        }
        (Duration::from_millis(250) * 2u32.pow(beyond.min(8) as u32)).min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_now_and_then_is_met_quickly_and_a_storm_is_not() {
        let (mut intensity, start) = (Intensity::default(), Instant::now());
        let pauses: Vec<Duration> = (0..12).map(|n| intensity.failed(start + Duration::from_secs(n))).collect();
        assert!(pauses[..3].iter().all(|pause| *pause < Duration::from_millis(100)));
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[11], PAUSE_MAX);
        assert!(intensity.failed(start + Duration::from_secs(600)) < Duration::from_millis(100));
    }
}
