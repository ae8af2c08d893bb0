//! How well an instance serves: how fast it takes work, and how often machines or networks failed under it. What its
//! agent can do plays no part. The peak-sensitive moving average is that of Finagle and linkerd.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::detector::{PageHinkley, Sensitivity};

/// What is measured fades towards rest this fast.
const DECAY_MS: f64 = 600_000.0;
/// A measurement counts this much beside what is left of those before.
const WEIGHT: f64 = 0.3;
/// What is assumed of an instance that nobody measured; beside work that takes minutes, less makes no difference.
const REST_MS: f64 = 100.0;
/// A failure counts as an answer that took this long.
const PENALTY_MS: f64 = 10_000.0;
/// An instance that always fails costs this share of what dividing by zero would.
const EPSILON: f64 = 0.05;

/// What is known of an instance.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Health {
    latency_ms: f64,
    success: f64,
    at: DateTime<Utc>,
    detector: PageHinkley,
    degraded_until: Option<DateTime<Utc>>,
}

/// An instance's health at a moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Vitals {
    /// How long it takes to accept work.
    pub latency_ms: f64,
    /// How often machines and networks did their part, 0 to 1.
    pub success: f64,
    /// It got slower not long ago.
    pub degraded: bool,
}

impl Default for Health {
    fn default() -> Self {
        let at = DateTime::UNIX_EPOCH;
        Self { latency_ms: REST_MS, success: 1.0, at, detector: PageHinkley::default(), degraded_until: None }
    }
}

impl Health {
    /// Returns how it stands at a time; reading changes nothing.
    pub fn vitals(&self, now: DateTime<Utc>) -> Vitals {
        let left = (-self.elapsed(now) / DECAY_MS).exp();
        Vitals {
            latency_ms: REST_MS + (self.latency_ms - REST_MS) * left,
            success: 1.0 - (1.0 - self.success) * left,
            degraded: self.degraded_until.is_some_and(|until| now < until),
        }
    }

    /// It took work after this long..
    pub fn accepted(&mut self, latency_ms: f64, at: DateTime<Utc>, how: Sensitivity, degraded_for: chrono::TimeDelta) {
        let sample = latency_ms.clamp(REST_MS, 1e9);
        let now = self.vitals(at);
        // A peak counts at once and in full, relief only with time.
        let weight = if sample > now.latency_ms { 1.0 } else { WEIGHT };
        self.latency_ms = now.latency_ms + (sample - now.latency_ms) * weight;
        self.success = now.success;
        self.at = self.at.max(at);
        if self.detector.take(sample.ln(), how) {
            self.degraded_until = Some(at + degraded_for);
        }
    }

    /// Work ended, and machines and networks did their part.
    pub fn served(&mut self, at: DateTime<Utc>) {
        self.went(1.0, REST_MS, at);
    }

    /// Machines or networks failed.
    pub fn failed(&mut self, at: DateTime<Utc>) {
        self.went(0.0, PENALTY_MS, at);
    }

    fn went(&mut self, success: f64, latency_min_ms: f64, at: DateTime<Utc>) {
        let now = self.vitals(at);
        self.latency_ms = now.latency_ms.max(latency_min_ms);
        self.success = now.success + (success - now.success) * WEIGHT;
        self.at = self.at.max(at);
    }

    fn elapsed(&self, now: DateTime<Utc>) -> f64 {
        (now - self.at).num_milliseconds().max(0) as f64
    }
}

impl Vitals {
    /// Returns what handing it one more attempt costs.
    pub fn cost(self, in_flight: u32) -> f64 {
        (f64::from(in_flight) + 1.0) * self.latency_ms / (self.success + EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::{super::LATENCY_ALARM, *};

    fn second(n: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(n))
    }

    fn lived(life: &[(u8, u32)]) -> (Health, u32) {
        let (mut health, mut now) = (Health::default(), 0);
        for (what, pause) in life {
            now += pause;
            match what % 3 {
                0 => health.accepted(f64::from(*what) * 90.0, second(now), LATENCY_ALARM, TimeDelta::minutes(10)),
                1 => health.served(second(now)),
                _ => health.failed(second(now)),
            }
        }
        (health, now)
    }

    proptest! {
        #[test]
        fn vitals_stay_in_their_bounds(life in proptest::collection::vec((any::<u8>(), 0_u32..900), 0..80), in_flight in 0_u32..64) {
            let (health, now) = lived(&life);
            let vitals = health.vitals(second(now));
            prop_assert!((0.0..=1.0).contains(&vitals.success) && vitals.latency_ms >= REST_MS);
            prop_assert!(vitals.cost(in_flight).is_finite() && vitals.cost(in_flight) < vitals.cost(in_flight + 1));
        }

        #[test]
        fn left_alone_an_instance_only_recovers(life in proptest::collection::vec((any::<u8>(), 0_u32..900), 0..80), later in 0_u32..9_000) {
            let (health, now) = lived(&life);
            let (before, after) = (health.vitals(second(now)), health.vitals(second(now + later)));
            prop_assert!(after.success >= before.success - 1e-12 && after.latency_ms <= before.latency_ms + 1e-9);
        }

        #[test]
        fn a_failure_always_costs(life in proptest::collection::vec((any::<u8>(), 0_u32..900), 0..80)) {
            let (mut health, now) = lived(&life);
            let before = health.vitals(second(now));
            health.failed(second(now));
            let after = health.vitals(second(now));
            prop_assert!(after.success < before.success || before.success < 1e-3);
            prop_assert!(after.cost(0) >= before.cost(0) && after.latency_ms >= PENALTY_MS.min(before.latency_ms));
        }
    }
}
