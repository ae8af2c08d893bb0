//! Whether the other side of a socket lives. What counts is how often it was asked in vain and not how long it was silent:
//! a node that comes late itself has to read what is waiting before it ends anybody.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Pings without any answer after which a socket ends, when the next one is due.
const UNANSWERED_MAX: u32 = 2;

/// When to ask for a sign of life, and how often that was in vain.
pub(super) struct Pulse {
    ticks: Interval,
    unanswered: u32,
}

impl Pulse {
    /// Begins with a sign of life.
    pub fn new(period: Duration) -> Self {
        Self::after(period, period)
    }

    /// The same, where the first ping is due at another time: sockets that come together do not beat together.
    pub fn after(first: Duration, period: Duration) -> Self {
        let mut ticks = interval_at(Instant::now() + first, period);
        // After a pause there is a whole period again to answer in.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, unanswered: 0 }
    }

    /// Notes a sign of life.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// Waits until the next ping is due, and tells whether there is still somebody to send it to. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> bool {
        self.ticks.tick().await;
        self.unanswered += 1;
        self.unanswered <= UNANSWERED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn who_never_answers_is_asked_twice_and_let_go_when_a_third_ping_is_due() {
        let mut pulse = Pulse::new(PERIOD);
        assert!(pulse.next().await && pulse.next().await && !pulse.next().await);
    }

    #[tokio::test]
    async fn who_answers_stays() {
        let mut pulse = Pulse::new(PERIOD);
        for _ in 0..10 {
            assert!(pulse.next().await && pulse.next().await);
            pulse.heard();
        }
    }

    #[tokio::test]
    async fn a_node_that_stood_still_gives_time_to_answer_before_it_lets_anybody_go() {
        let mut pulse = Pulse::new(PERIOD);
        std::thread::sleep(PERIOD * 20);
        let begun = Instant::now();
        assert!(pulse.next().await && pulse.next().await && !pulse.next().await);
        assert!(begun.elapsed() >= PERIOD, "all pings were due at once");
    }
}
