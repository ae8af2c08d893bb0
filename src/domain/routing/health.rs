//! How well an instance serves: how fast it takes work, and how often machines or networks failed under it. What its
//! agent can do plays no part. The peak-sensitive moving average is that of Finagle and linkerd.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::AttemptId;

use super::{
    breaker::{Breaker, Phase},
    detector::{PageHinkley, Sensitivity},
};

/// For this long an instance that got slower, or fails, gets only a little of the work.
const DEGRADED_FOR: TimeDelta = TimeDelta::minutes(10);
/// Below this share of successes it fails: two in a row are enough, long before the breaker opens.
const SUCCESS_MIN: f64 = 0.5;

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
    degraded: Option<Degraded>,
    breaker: Breaker,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Degraded {
    until: DateTime<Utc>,
    why: Worse,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Worse {
    Slower,
    Failing,
}

/// How an instance stands, as everyone is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It serves as it should.
    #[default]
    Sound,
    /// It got slower, or failed more than once in a row: it gets little work while there is another one.
    Degraded,
    /// It failed again and again: it gets no work for now.
    Open,
    /// One attempt finds out whether that is over.
    HalfOpen,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sound, Self::Degraded, Self::Open, Self::HalfOpen];

    /// Returns its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Degraded => "degraded",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// An instance's health at a moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Vitals {
    /// How long it takes to accept work.
    pub latency_ms: f64,
    /// How often machines and networks did their part, 0 to 1.
    pub success: f64,
    /// It got slower, or failed more than once in a row, not long ago.
    pub degraded: bool,
}

impl Default for Health {
    fn default() -> Self {
        let at = DateTime::UNIX_EPOCH;
        let (detector, breaker) = Default::default();
        Self { latency_ms: REST_MS, success: 1.0, at, detector, degraded: None, breaker }
    }
}

impl Health {
    /// Returns how it stands at a time; reading changes nothing.
    pub fn vitals(&self, now: DateTime<Utc>) -> Vitals {
        let left = (-self.elapsed(now) / DECAY_MS).exp();
        Vitals {
            latency_ms: REST_MS + (self.latency_ms - REST_MS) * left,
            success: 1.0 - (1.0 - self.success) * left,
            degraded: self.degraded(now).is_some(),
        }
    }

    /// Returns what its breaker lets through.
    pub fn phase(&self, now: DateTime<Utc>) -> Phase {
        self.breaker.phase(now)
    }

    /// Returns how it stands, and why.
    pub fn standing(&self, now: DateTime<Utc>) -> (Standing, &'static str) {
        match (self.phase(now), self.degraded(now)) {
            (Phase::Open(_), _) => (Standing::Open, "machines or networks failed under it again and again"),
            (Phase::HalfOpen(_), _) => (Standing::HalfOpen, "one attempt may find out whether it serves again"),
            (Phase::Closed, Some(Worse::Failing)) => (Standing::Degraded, "machines or networks failed under it"),
            (Phase::Closed, Some(Worse::Slower)) => (Standing::Degraded, "it takes work more slowly than it did"),
            (Phase::Closed, None) => (Standing::Sound, "it serves as it should"),
        }
    }

    fn degraded(&self, now: DateTime<Utc>) -> Option<Worse> {
        self.degraded.filter(|degraded| now < degraded.until).map(|degraded| degraded.why)
    }

    /// It is given an attempt.
    pub fn started(&mut self, attempt: AttemptId, at: DateTime<Utc>) {
        self.breaker.started(attempt, at);
    }

    /// An attempt ended and says nothing about it.
    pub fn ended(&mut self, attempt: AttemptId) {
        self.breaker.ended(attempt);
    }

    /// It took work after this long.
    pub fn accepted(&mut self, latency_ms: f64, at: DateTime<Utc>, how: Sensitivity) {
        let sample = latency_ms.clamp(REST_MS, 1e9);
        let now = self.vitals(at);
        // A peak counts at once and in full, relief only with time.
        let weight = if sample > now.latency_ms { 1.0 } else { WEIGHT };
        self.latency_ms = now.latency_ms + (sample - now.latency_ms) * weight;
        self.success = now.success;
        self.at = self.at.max(at);
        if self.detector.take(sample.ln(), how) {
            self.degraded = Some(Degraded { until: at + DEGRADED_FOR, why: Worse::Slower });
        }
    }

    /// Work ended, and machines and networks did their part.
    pub fn served(&mut self, attempt: AttemptId, at: DateTime<Utc>) {
        self.went(1.0, REST_MS, at);
        self.breaker.served(attempt);
        self.degraded = self.degraded.filter(|degraded| degraded.why == Worse::Slower);
    }

    /// Machines or networks failed under an attempt that had started at `since`.
    pub fn failed(&mut self, attempt: AttemptId, since: DateTime<Utc>, at: DateTime<Utc>) {
        self.went(0.0, PENALTY_MS, at);
        self.breaker.failed(attempt, since, at);
        if self.success < SUCCESS_MIN {
            self.degraded = Some(Degraded { until: at + DEGRADED_FOR, why: Worse::Failing });
        }
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
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{super::LATENCY_ALARM, *};

    fn second(n: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(n))
    }

    const ATTEMPT: AttemptId = AttemptId(Uuid::from_u128(1));

    fn lived(life: &[(u8, u32)]) -> (Health, u32) {
        let (mut health, mut now) = (Health::default(), 0);
        for (what, pause) in life {
            now += pause;
            match what % 3 {
                0 => health.accepted(f64::from(*what) * 90.0, second(now), LATENCY_ALARM),
                1 => health.served(ATTEMPT, second(now)),
                _ => health.failed(ATTEMPT, second(now), second(now)),
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
            health.failed(ATTEMPT, second(now), second(now));
            let after = health.vitals(second(now));
            prop_assert!(after.success < before.success || before.success < 1e-3);
            prop_assert!(after.cost(0) >= before.cost(0) && after.latency_ms >= PENALTY_MS.min(before.latency_ms));
        }
    }

    #[test]
    fn it_is_degraded_before_its_breaker_opens_and_a_success_ends_that() {
        let mut health = Health::default();
        let mut seen = vec![];
        for n in 0..5 {
            health.failed(ATTEMPT, second(n), second(n));
            seen.push(health.standing(second(n)).0);
        }
        use Standing::{Degraded, HalfOpen, Open, Sound};
        assert_eq!(seen, [Sound, Degraded, Degraded, Degraded, Open]);
        assert_eq!(health.standing(second(40)).0, HalfOpen);
        health.started(ATTEMPT, second(40));
        health.served(ATTEMPT, second(50));
        assert_eq!(health.standing(second(50)).0, Sound);
    }
}
