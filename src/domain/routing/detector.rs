//! Notices that something got worse, long before it is clear by how much: the test of Page (1954) and Hinkley (1971).

use serde::{Deserialize, Serialize};

/// The mean that is compared with is that of about so many values: an old one must not outlive its reason.
const MEMORY: u32 = 200;

/// How soon it is alarmed.
#[derive(Clone, Copy, Debug)]
pub struct Sensitivity {
    /// How much worse than the mean is still nothing.
    pub tolerance: f64,
    /// How much of the rest has to add up.
    pub threshold: f64,
    /// Before so many values nothing is said.
    pub samples_min: u32,
}

/// The sum of how much worse than usual values were, against the lowest that it was.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PageHinkley {
    n: u32,
    mean: f64,
    sum: f64,
    low: f64,
}

impl PageHinkley {
    /// Takes a value, larger is worse, and tells whether it is time for an alarm. After one it begins anew.
    pub fn take(&mut self, value: f64, how: Sensitivity) -> bool {
        self.n = self.n.saturating_add(1);
        self.mean += (value - self.mean) / f64::from(self.n.min(MEMORY));
        self.sum += value - self.mean - how.tolerance;
        self.low = self.low.min(self.sum);
        let alarm = self.n >= how.samples_min && self.sum - self.low > how.threshold;
        if alarm {
            *self = Self::default();
        }
        alarm
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOW: Sensitivity = Sensitivity { tolerance: 0.1, threshold: 3.0, samples_min: 5 };

    proptest! {
        #[test]
        fn what_stays_the_same_or_gets_better_raises_no_alarm(from in 0.0..1.0, steps in proptest::collection::vec(0.0..0.01, 1..300)) {
            let (mut detector, mut value) = (PageHinkley::default(), from);
            for step in steps {
                value -= step;
                prop_assert!(!detector.take(value, HOW));
            }
        }

        #[test]
        fn a_jump_is_noticed_within_the_threshold(before in 5_usize..200, jump in 0.5..1.0) {
            let mut detector = PageHinkley::default();
            for _ in 0..before {
                prop_assert!(!detector.take(0.1, HOW));
            }
            // The mean follows the jump, so the first values count most.
            let noticed = (0..100).position(|_| detector.take(0.1 + jump, HOW));
            if before >= 50 {
                prop_assert!(noticed.is_some_and(|n| n <= 14), "{noticed:?}");
            }
        }
    }
}
