//! Keeps work away from an instance under which machines or networks fail again and again, and lets one attempt at a
//! time find out whether that is over.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::AttemptId;

/// So many failures within the window, with no success between them, open the breaker.
pub const FAILURES_TO_OPEN: usize = 5;
/// How far apart the first and the last of them may be.
pub const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// How long it stays open at first; each attempt that fails at trying it doubles that.
pub const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);
/// The longest that it stays open.
pub const OPEN_FOR_MAX: TimeDelta = TimeDelta::minutes(10);

/// The breaker of one instance.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// When it failed since the last success: the newest ones, the newest last.
    failures: [Option<DateTime<Utc>>; FAILURES_TO_OPEN],
    tripped: Option<Tripped>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Tripped {
    until: DateTime<Utc>,
    /// How often in a row it opened.
    times: u32,
    /// The one attempt that tries it.
    probe: Option<AttemptId>,
}

/// What a breaker lets through at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Everything.
    Closed,
    /// Nothing before this time.
    Open(DateTime<Utc>),
    /// One attempt; it is there already, or not yet.
    HalfOpen(Option<AttemptId>),
}

impl Breaker {
    /// Returns what it lets through; reading changes nothing.
    pub fn phase(&self, now: DateTime<Utc>) -> Phase {
        match self.tripped {
            None => Phase::Closed,
            Some(tripped) if now < tripped.until => Phase::Open(tripped.until),
            Some(tripped) => Phase::HalfOpen(tripped.probe),
        }
    }

    /// An attempt starts: where one may try, it is this one.
    pub fn started(&mut self, attempt: AttemptId, at: DateTime<Utc>) {
        if self.phase(at) == Phase::HalfOpen(None)
            && let Some(tripped) = &mut self.tripped
        {
            tripped.probe = Some(attempt);
        }
    }

    /// Machines and networks held under an attempt. Once it is open, only the attempt that tries it closes it.
    pub fn served(&mut self, attempt: AttemptId) {
        if self.tripped.is_none_or(|tripped| tripped.probe == Some(attempt)) {
            *self = Self::default();
        }
    }

    /// Machines or networks failed under an attempt that had started at `since`.
    pub fn failed(&mut self, attempt: AttemptId, since: DateTime<Utc>, at: DateTime<Utc>) {
        if let Some(tripped) = self.tripped {
            if tripped.probe == Some(attempt) {
                self.trip(tripped.times + 1, at);
            }
            return;
        }
        // What one crash takes down with it is one failure.
        if self.failures[FAILURES_TO_OPEN - 1].is_some_and(|last| since < last) {
            return;
        }
        self.failures.rotate_left(1);
        self.failures[FAILURES_TO_OPEN - 1] = Some(at);
        if self.failures[0].is_some_and(|first| at - first <= WINDOW) {
            self.trip(1, at);
        }
    }

    /// An attempt ended and says nothing about machines and networks: another one may try.
    pub fn ended(&mut self, attempt: AttemptId) {
        if let Some(tripped) = self.tripped.as_mut().filter(|tripped| tripped.probe == Some(attempt)) {
            tripped.probe = None;
        }
    }

    fn trip(&mut self, times: u32, at: DateTime<Utc>) {
        let doubled = OPEN_FOR * 2_i32.pow(times.saturating_sub(1).min(10));
        self.tripped = Some(Tripped { until: at + doubled.min(OPEN_FOR_MAX), times, probe: None });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn second(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(n)
    }

    fn attempt(n: u32) -> AttemptId {
        Uuid::from_u128(u128::from(n)).into()
    }

    /// Lets attempts begin where the breaker allows it, and end in any way at any time; says how many try it at once.
    fn lived(life: &[(u8, u8, u16)]) -> (Breaker, i64, usize) {
        let (mut breaker, mut now, mut made, mut most) = (Breaker::default(), 0, 0, 0);
        let (mut running, mut trying) = (Vec::<(AttemptId, i64)>::new(), BTreeSet::new());
        for (what, which, pause) in life {
            now += i64::from(*pause % 90);
            if what % 2 == 0 {
                let phase = breaker.phase(second(now));
                if matches!(phase, Phase::Closed | Phase::HalfOpen(None)) {
                    made += 1;
                    breaker.started(attempt(made), second(now));
                    running.push((attempt(made), now));
                    if phase != Phase::Closed {
                        trying.insert(attempt(made));
                    }
                }
            } else if !running.is_empty() {
                let (attempt, since) = running.remove(usize::from(*which) % running.len());
                trying.remove(&attempt);
                match what % 3 {
                    0 => breaker.served(attempt),
                    1 => breaker.failed(attempt, second(since), second(now)),
                    _ => breaker.ended(attempt),
                }
            }
            most = most.max(trying.len());
        }
        (breaker, now, most)
    }

    fn life() -> impl Strategy<Value = Vec<(u8, u8, u16)>> {
        proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u16>()), 0..200)
    }

    proptest! {
        #[test]
        fn never_more_than_one_attempt_tries_it(life in life()) {
            prop_assert!(lived(&life).2 <= 1);
        }

        #[test]
        fn it_opens_after_so_many_failures_in_the_window_and_not_before(gaps in proptest::collection::vec(1_i64..200, FAILURES_TO_OPEN)) {
            let (mut breaker, mut now, mut at) = (Breaker::default(), 0, vec![]);
            for (n, gap) in (0_u32..).zip(gaps) {
                prop_assert_eq!(breaker.phase(second(now)), Phase::Closed);
                now += gap;
                breaker.failed(attempt(n), second(now), second(now));
                at.push(now);
            }
            let open = now - at[0] <= WINDOW.num_seconds();
            prop_assert_eq!(matches!(breaker.phase(second(now)), Phase::Open(_)), open);
        }

        #[test]
        fn a_success_of_the_attempt_that_tries_it_closes_it_and_a_failure_opens_it_for_longer(life in life()) {
            let (breaker, now, _) = lived(&life);
            let (Phase::Open(until), mut breaker) = (breaker.phase(second(now)), breaker) else { return Ok(()) };
            let times = breaker.tripped.unwrap().times;
            breaker.started(attempt(9_999), until);
            let mut worse = breaker;
            breaker.served(attempt(9_999));
            prop_assert_eq!(breaker, Breaker::default());
            worse.failed(attempt(9_999), until, until);
            let Phase::Open(again) = worse.phase(until) else { panic!("it is closed: {worse:?}") };
            prop_assert!(again - until == OPEN_FOR_MAX || again - until == OPEN_FOR * 2_i32.pow(times));
        }

        #[test]
        fn left_alone_it_lets_one_attempt_through_in_the_end(life in life()) {
            let (breaker, now, _) = lived(&life);
            prop_assert!(!matches!(breaker.phase(second(now) + OPEN_FOR_MAX), Phase::Open(_)));
        }
    }

    #[test]
    fn what_one_crash_takes_down_counts_once() {
        let mut breaker = Breaker::default();
        (0..64).for_each(|n| breaker.failed(attempt(n), second(0), second(1)));
        assert_eq!(breaker.phase(second(1)), Phase::Closed);
        (0..64).for_each(|n| breaker.failed(attempt(n), second(i64::from(n) + 2), second(i64::from(n) + 2)));
        assert!(matches!(breaker.phase(second(5)), Phase::Open(_)));
    }
}
