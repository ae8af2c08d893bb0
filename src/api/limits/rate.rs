//! How often something may happen: the generic cell rate algorithm (ITU-T I.371), which is a token bucket that needs
//! one number per caller.

/// A steady rate with a burst on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between two, at the steady rate.
    interval_us: i64,
    /// How many may come at once after a pause.
    burst: i64,
}

impl Rate {
    /// Allows so many a second, and ten seconds' worth at once.
    pub fn per_second(count: u32) -> Self {
        Self::of(1_000_000 / i64::from(count.max(1)), i64::from(count.max(1)) * 10)
    }

    /// Allows one in so many seconds, and so many at once.
    pub fn one_in(seconds: u32, burst: u32) -> Self {
        Self::of(i64::from(seconds.max(1)) * 1_000_000, i64::from(burst.max(1)))
    }

    fn of(interval_us: i64, burst: i64) -> Self {
        Self { interval_us: interval_us.max(1), burst }
    }

    /// Takes one at `now_us`: the new mark of the caller, or how long to wait, in µs. The mark is the time until which
    /// everything so far would have taken at the steady rate; a new caller's is 0.
    pub fn take(self, mark_us: i64, now_us: i64) -> Result<i64, i64> {
        let window = self.interval_us.saturating_mul(self.burst);
        // A clock that was set back must not lock anyone out for longer than an empty bucket does.
        let mark = mark_us.clamp(now_us, now_us.saturating_add(window));
        let ahead = mark - now_us;
        let most = window - self.interval_us;
        if ahead > most { Err(ahead - most) } else { Ok(mark + self.interval_us) }
    }

    /// Gives one back.
    pub fn give_back(self, mark_us: i64) -> i64 {
        mark_us - self.interval_us
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_only_the_steady_rate() {
        let rate = Rate::per_second(2);
        let mut mark = 0;
        for _ in 0..20 {
            mark = rate.take(mark, 1_000).unwrap();
        }
        assert_eq!(rate.take(mark, 1_000), Err(500_000));
        mark = rate.take(mark, 501_000).unwrap();
        assert!(rate.take(mark, 501_000).is_err());
        assert!(rate.take(rate.give_back(mark), 501_000).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_out_no_longer_than_an_empty_bucket() {
        let rate = Rate::per_second(10);
        let mark = rate.take(0, 1_000_000_000_000).unwrap();
        let wait = rate.take(mark, 0).unwrap_err();
        assert_eq!(wait, 100_000);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_passes_more_than_its_share_and_the_burst(
            count in 1u32..50,
            steps in proptest::collection::vec(0i64..400_000, 1..300),
        ) {
            let rate = Rate::per_second(count);
            let (mut mark, mut now, mut passed) = (0, 1_000_000, vec![]);
            for step in steps {
                now += step;
                match rate.take(mark, now) {
                    Ok(next) => { mark = next; passed.push(now); }
                    Err(wait) => prop_assert!(rate.take(mark, now + wait).is_ok(), "the wait that was named is enough"),
                }
            }
            for (nth, from) in passed.iter().enumerate() {
                for (further, to) in passed[nth..].iter().enumerate() {
                    let most = i64::from(count) * 10 + (to - from) / (1_000_000 / i64::from(count)) + 1;
                    prop_assert!(further as i64 <= most, "{further} within {} µs", to - from);
                }
            }
        }
    }
}
