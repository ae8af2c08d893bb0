//! How fast an agent's frames are read. What comes faster is not refused: it waits in the socket.

use std::time::Duration;

use tokio::time::Instant;

/// Frames a second.
pub const FRAMES: u32 = 500;
/// Bytes a second.
pub const BYTES: u32 = 2 << 20;

/// What may still be read; a second's worth may come at once.
#[derive(Debug)]
pub struct Pace {
    /// In seconds, as the scarcer of frames and bytes counts them.
    debt: f64,
    at: Instant,
}

impl Pace {
    /// Starts without a debt.
    pub fn new(now: Instant) -> Self {
        Self { debt: 0.0, at: now }
    }

    /// Counts a frame, and returns when the next one may be read.
    pub fn count(&mut self, bytes: usize, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let cost = (1.0 / f64::from(FRAMES)).max(bytes as f64 / f64::from(BYTES));
        self.debt = (self.debt - passed).max(0.0) + cost;
        self.at = now;
        now + Duration::from_secs_f64((self.debt - 1.0).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_read_at_once_and_a_flood_at_its_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let within_a_second = (1..FRAMES).all(|_| pace.count(10, start) == start);
        assert!(within_a_second);
        let mut now = start;
        for _ in 0..5 * FRAMES {
            now = pace.count(10, now);
        }
        let took = (now - start).as_secs_f64();
        assert!((4.9..5.1).contains(&took), "{took}");
    }

    #[test]
    fn large_frames_count_by_their_bytes_and_a_pause_is_no_credit() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(pace.count(BYTES as usize, later), later);
        assert_eq!(pace.count(BYTES as usize, later), later + Duration::from_secs(1));
    }
}
