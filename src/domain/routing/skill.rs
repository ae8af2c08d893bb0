//! How good an agent is at a kind of work: evidence that fades, and the belief that follows from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// After this long, evidence counts half: agents, prompts and models change.
const HALF_LIFE_DAYS: f64 = 7.0;
/// How many results the belief of the level above is worth.
const PRIOR_STRENGTH: f64 = 4.0;
/// What is believed where nothing is known of anybody.
const PRIOR_MEAN: f64 = 0.5;
/// Neither parameter of a belief is smaller.
const PARAMETER_MIN: f64 = 1e-3;
/// What a result that costs, or takes, as much as usual loses for it.
const COST_WEIGHT: f64 = 0.05;
const TIME_WEIGHT: f64 = 0.05;
/// A result that costs, or takes, more than this many times the usual loses no more.
const RATIO_MAX: f64 = 4.0;
/// What work is worth that another agent had to finish.
const PARTIAL: f64 = 0.3;
/// What each round of changes takes away.
const ROUND: f64 = 0.25;

/// How an attempt ended, as far as it says something about skill.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Ended {
    /// The work was accepted after this many rounds of changes.
    Approved {
        /// Rounds of requested changes.
        rounds: u32,
    },
    /// Something was there, and another agent had to go on.
    Partial,
    /// The agent could not do it.
    Failed,
}

/// Returns what an end is worth, 0 to 1; cost and time come as multiples of what is usual for the kind of work.
pub fn reward(ended: Ended, cost_ratio: Option<f64>, time_ratio: Option<f64>) -> f64 {
    let worth = match ended {
        Ended::Approved { rounds } => (1.0 - ROUND * f64::from(rounds)).max(PARTIAL),
        Ended::Partial => PARTIAL,
        Ended::Failed => 0.0,
    };
    let lost = |weight: f64, ratio: Option<f64>| weight * ratio.unwrap_or(0.0).clamp(0.0, RATIO_MAX);
    (worth - lost(COST_WEIGHT, cost_ratio) - lost(TIME_WEIGHT, time_ratio)).clamp(0.0, 1.0)
}

/// Results so far, each worth less the older it is.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    good: f64,
    bad: f64,
    at: DateTime<Utc>,
}

impl Evidence {
    /// Returns what is left of it at a time; reading changes nothing.
    pub fn faded(self, now: DateTime<Utc>) -> Self {
        let days = (now - self.at).num_milliseconds().max(0) as f64 / 86_400_000.0;
        let left = (-days / HALF_LIFE_DAYS).exp2();
        Self { good: self.good * left, bad: self.bad * left, at: self.at.max(now) }
    }

    /// Adds a result: its reward to the good, the rest to the bad.
    pub fn add(&mut self, reward: f64, at: DateTime<Utc>) {
        *self = self.faded(at);
        self.good += reward;
        self.bad += 1.0 - reward;
    }

    /// Turns a good result of the past into a bad one.
    pub fn take_back(&mut self, reward: f64, since: DateTime<Utc>, at: DateTime<Utc>) {
        let left = Self { good: reward, bad: 0.0, at: since }.faded(at).good;
        *self = self.faded(at);
        let taken = left.min(self.good);
        self.good -= taken;
        self.bad += taken;
    }

    /// Keeps only a share of it, and returns what went.
    pub fn keep(&mut self, share: f64, at: DateTime<Utc>) -> Self {
        let before = self.faded(at);
        *self = Self { good: before.good * share, bad: before.bad * share, at: before.at };
        Self { good: before.good - self.good, bad: before.bad - self.bad, at: before.at }
    }

    /// Returns it without what is known from elsewhere.
    pub fn without(self, other: Self, now: DateTime<Utc>) -> Self {
        let (own, other) = (self.faded(now), other.faded(now));
        Self { good: (own.good - other.good).max(0.0), bad: (own.bad - other.bad).max(0.0), at: own.at }
    }

    /// Returns how many results it is worth.
    pub fn n(self) -> f64 {
        self.good + self.bad
    }

    /// Returns when it last grew.
    pub fn at(self) -> DateTime<Utc> {
        self.at
    }

    fn mean(self, prior: f64) -> f64 {
        (self.good + PRIOR_STRENGTH * prior) / (self.n() + PRIOR_STRENGTH)
    }
}

/// What is believed of a skill: Beta(alpha, beta).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Posterior {
    /// Good results, with the prior's.
    pub alpha: f64,
    /// Bad results, with the prior's.
    pub beta: f64,
    /// How many results it rests on, the prior not counted.
    pub n: f64,
}

impl Posterior {
    /// Believes its own evidence, and as far as there is little of it, that of the agent's other work, and of everyone.
    pub fn of(own: Evidence, agent: Evidence, all: Evidence, now: DateTime<Utc>) -> Self {
        // What an agent did at this very work is not asked for again above. All agents share what everyone did: without
        // its own failures, the one that failed would be expected to be better than one that never tried.
        let prior = agent.without(own, now).mean(all.faded(now).mean(PRIOR_MEAN));
        let own = own.faded(now);
        Self {
            alpha: (own.good + PRIOR_STRENGTH * prior).max(PARAMETER_MIN),
            beta: (own.bad + PRIOR_STRENGTH * (1.0 - prior)).max(PARAMETER_MIN),
            n: own.n(),
        }
    }

    /// Returns the expected reward.
    pub fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// Returns how unsure that is.
    pub fn sd(self) -> f64 {
        let n = self.alpha + self.beta;
        (self.alpha * self.beta / (n * n * (n + 1.0))).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn hours(n: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(i64::from(n))
    }

    fn evidence(results: &[(f64, u32)]) -> Evidence {
        let mut evidence = Evidence::default();
        results.iter().for_each(|(reward, at)| evidence.add(*reward, hours(*at)));
        evidence
    }

    fn results() -> impl Strategy<Value = Vec<(f64, u32)>> {
        proptest::collection::vec((0.0..=1.0, 0_u32..2_000), 0..60)
    }

    proptest! {
        #[test]
        fn a_belief_stays_between_never_and_always(own in results(), agent in results(), all in results(), at in 0_u32..9_000) {
            let belief = Posterior::of(evidence(&own), evidence(&agent), evidence(&all), hours(at));
            prop_assert!(belief.alpha > 0.0 && belief.beta > 0.0);
            prop_assert!((0.0..=1.0).contains(&belief.mean()) && (0.0..=0.5).contains(&belief.sd()));
        }

        #[test]
        fn evidence_only_fades_and_halves_in_a_week(results in results(), at in 2_000_u32..9_000, later in 0_u32..9_000) {
            let evidence = evidence(&results);
            let (now, then) = (evidence.faded(hours(at)), evidence.faded(hours(at + later)));
            prop_assert!(then.n() <= now.n());
            prop_assert!((evidence.faded(hours(at + 7 * 24)).n() - now.n() / 2.0).abs() < 1e-9);
        }

        #[test]
        fn reading_in_between_changes_nothing(results in results(), at in 2_000_u32..4_000, later in 0_u32..900) {
            let evidence = evidence(&results);
            let (twice, once) = (evidence.faded(hours(at)).faded(hours(at + later)), evidence.faded(hours(at + later)));
            prop_assert!((twice.n() - once.n()).abs() < 1e-9);
        }

        #[test]
        fn a_better_result_never_makes_the_belief_worse(results in results(), worse in 0.0..=1.0, more in 0.0..=1.0) {
            let better = f64::min(1.0, worse + more);
            let [low, high] = [worse, better].map(|last| {
                let mut evidence = evidence(&results);
                evidence.add(last, hours(2_000));
                Posterior::of(evidence, evidence, evidence, hours(2_000)).mean()
            });
            prop_assert!(low <= high + 1e-12);
        }

        #[test]
        fn a_reward_is_between_nothing_and_all(rounds in 0_u32..99, cost in -9.0..1e9, time in -9.0..1e9) {
            for ended in [Ended::Approved { rounds }, Ended::Partial, Ended::Failed] {
                let worth = reward(ended, Some(cost), Some(time));
                prop_assert!((0.0..=reward(ended, None, None)).contains(&worth));
            }
        }

        #[test]
        fn what_is_taken_back_leaves_as_much_evidence(results in results(), reward in 0.0..=1.0, later in 0_u32..168) {
            let mut evidence = evidence(&results);
            evidence.add(reward, hours(2_000));
            let before = evidence.faded(hours(2_000 + later));
            evidence.take_back(reward, hours(2_000), hours(2_000 + later));
            prop_assert!((evidence.n() - before.n()).abs() < 1e-9 && evidence.good <= before.good && evidence.good >= 0.0);
        }
    }

    #[test]
    fn rewards_are_those_of_the_table() {
        let approved = |rounds| reward(Ended::Approved { rounds }, None, None);
        assert_eq!([0, 1, 2, 3, 9].map(approved), [1.0, 0.75, 0.5, 0.3, 0.3]);
        assert_eq!(reward(Ended::Failed, None, None), 0.0);
        assert!((reward(Ended::Approved { rounds: 0 }, Some(1.0), Some(1.0)) - 0.9).abs() < 1e-9);
    }

    #[test]
    fn a_newcomer_is_believed_to_be_like_the_others() {
        let all = evidence(&[(0.9, 0); 40]);
        let newcomer = Posterior::of(Evidence::default(), Evidence::default(), all, hours(0));
        assert!(newcomer.mean() > 0.8 && newcomer.sd() > 0.1, "{newcomer:?}");
    }
}
