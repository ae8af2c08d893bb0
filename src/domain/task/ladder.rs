//! What is done after a failure: the next step of the ladder, how long it waits, and why. It chooses among what the
//! task knows; whether there is another instance or agent at all, the workspace says (see `Schedule::settle`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    failure::{Blame, FailureClass, Strategy, fingerprint},
    ids::{AgentId, AttemptId, InstanceId},
    principal::Principal,
};

/// The most attempts at a task, over all of its delegations, before a person has to decide. Only a person's say gives
/// them back.
pub const TRIES_MAX: u32 = 6;
/// The shortest window that a pause is drawn from, in milliseconds; it doubles with each try.
const WINDOW_BASE_MS: u64 = 500;
/// The longest window.
const WINDOW_MAX_MS: u64 = 30_000;
/// The longest wait that an instance or a provider is granted.
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

/// One step of the ladder, and why it was taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What is done.
    pub strategy: Strategy,
    /// Why, in words.
    pub why: String,
    /// How the attempt failed.
    pub class: FailureClass,
    /// The same, for people.
    pub message: String,
    /// Who is asked, where a person has to decide: who delegated, or who answers for the task.
    pub owner: Option<Principal>,
    /// Whom that is charged to.
    pub blame: Blame,
    /// What this failure has in common with others of its kind; with the same one no strategy is repeated.
    pub fingerprint: String,
    /// The attempt that failed.
    pub attempt: AttemptId,
    /// Whose it was.
    pub agent: AgentId,
    /// Where it ran.
    pub instance: InstanceId,
    /// Where work on the task failed since a person last had a say.
    pub failed_instances: BTreeSet<InstanceId>,
    /// Who failed since then.
    pub failed_agents: BTreeSet<AgentId>,
    /// What would be next, if this does not help either.
    pub otherwise: Vec<Strategy>,
    /// What would have come first and is not possible: there is no other instance, model or agent.
    pub passed_over: Vec<Strategy>,
}

/// What was tried at a task since a person last had a say, or since there was anything new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tried {
    /// Strategies by the fingerprint of the failure that they were to mend.
    strategies: BTreeMap<String, BTreeSet<Strategy>>,
    failed: BTreeSet<(AgentId, InstanceId)>,
}

/// An attempt that ended badly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallen<'a> {
    pub attempt: AttemptId,
    pub agent: AgentId,
    pub instance: InstanceId,
    pub class: FailureClass,
    pub message: &'a str,
    /// Who is asked, where a person has to decide.
    pub owner: Option<Principal>,
}

impl Tried {
    /// Somebody, or something, has changed what the next attempt has to go by.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes a step that was taken.
    pub fn note(&mut self, step: &Step) {
        self.strategies.entry(step.fingerprint.clone()).or_default().insert(step.strategy);
        self.failed.insert((step.agent, step.instance));
    }

    /// Returns the next step after a failure: the first of the class's ladder that was not tried against it.
    pub fn next(&self, fallen: Fallen<'_>, tries: u32, named: bool) -> Step {
        let Fallen { attempt, agent, instance, class, message, owner } = fallen;
        let fingerprint = fingerprint(class, message);
        let known = self.strategies.get(&fingerprint);
        let fresh = |strategy: &Strategy| known.is_none_or(|known| !known.contains(strategy));
        // Whoever named the agent meant this one: another is theirs to choose.
        let allowed = |strategy: &Strategy| !(named && *strategy == Strategy::OtherAgent);
        let spent = tries >= TRIES_MAX;
        let left = class.ladder().iter().copied().filter(fresh).filter(allowed);
        let mut left: Vec<Strategy> = left.filter(|strategy| !spent || strategy.needs_a_person()).collect();
        left.push(Strategy::AskPerson);
        let strategy = left.remove(0);
        let mut failed = self.failed.clone();
        failed.insert((agent, instance));
        let mut step = Step {
            strategy,
            why: String::new(),
            class,
            message: message.to_owned(),
            owner,
            blame: class.blame(),
            fingerprint,
            attempt,
            agent,
            instance,
            failed_instances: failed.iter().map(|(_, instance)| *instance).collect(),
            failed_agents: failed.iter().map(|(agent, _)| *agent).collect(),
            otherwise: left,
            passed_over: vec![],
        };
        step.why = match (spent, known.map_or(0, BTreeSet::len)) {
            (true, _) => format!("{tries} attempts failed since a person last had a say"),
            (false, 0) => "the first step after a failure of this kind".into(),
            (false, n) => format!("{n} other step(s) did not help against this failure"),
        };
        step
    }
}

impl Step {
    /// Returns what Link would do where it must not do it by itself.
    pub fn proposal(&self) -> Option<String> {
        (self.strategy == Strategy::SplitTask).then(|| {
            "Split the task: make a task for each part of it that one agent can finish in one go, let each wait for what \
             it needs, and delegate the first of them. What the attempts so far have made can be built on."
                .into()
        })
    }

    /// Passes over what is not possible, until something is.
    pub fn settle(&mut self, possible: impl Fn(&Self, Strategy) -> bool) {
        while !self.strategy.needs_a_person() && !possible(self, self.strategy) {
            self.passed_over.push(self.strategy);
            self.strategy = if self.otherwise.is_empty() { Strategy::AskPerson } else { self.otherwise.remove(0) };
        }
    }
}

/// Returns how long the next attempt waits: as long as was asked for, and a time that the failed attempt's id draws from
/// a window which doubles with each try, so that many that failed together do not come back together.
pub(super) fn pause(attempt: AttemptId, tries: u32, retry_after_ms: Option<u64>) -> TimeDelta {
    let window = (WINDOW_BASE_MS << tries.min(10)).min(WINDOW_MAX_MS);
    let asked = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
    let drawn = 1 + stirred(attempt.0.as_u128()) % window;
    TimeDelta::milliseconds(i64::try_from(asked + drawn).unwrap_or(i64::MAX))
}

/// Spreads what little two ids differ in over all bits (FNV-1a).
fn stirred(id: u128) -> u64 {
    fnv(&id.to_be_bytes())
}

/// Returns a number that stands for the bytes, the same on every machine.
pub(in crate::domain) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Strategy, *};

    fn fallen(class: FailureClass, message: &str) -> Fallen<'_> {
        let [attempt, agent, instance] = [1, 2, 3].map(uuid::Uuid::from_u128);
        Fallen { attempt: attempt.into(), agent: agent.into(), instance: instance.into(), class, message, owner: None }
    }

    #[test]
    fn a_failure_climbs_its_ladder_and_ends_with_a_person() {
        let mut tried = Tried::default();
        let mut steps = vec![];
        for n in 0..4 {
            let step = tried.next(fallen(FailureClass::StreamCut, "cut at 1"), n, false);
            steps.push(step.strategy);
            tried.note(&step);
        }
        let whole = [Strategy::SameInstance, Strategy::OtherInstance, Strategy::OtherAgent, Strategy::AskPerson];
        assert_eq!(steps, whole);
    }

    #[test]
    fn another_agent_is_not_chosen_where_a_person_named_one() {
        let step = Tried::default().next(fallen(FailureClass::Refused, "no"), 1, true);
        assert_eq!(step.strategy, Strategy::AskPerson);
    }

    #[test]
    fn what_is_not_possible_is_passed_over_and_said() {
        let mut step = Tried::default().next(fallen(FailureClass::InstanceLost, "gone"), 1, false);
        step.settle(|_, strategy| strategy == Strategy::OtherAgent);
        assert_eq!(step.strategy, Strategy::OtherAgent);
        assert_eq!(step.passed_over, vec![Strategy::OtherInstance, Strategy::SameInstance]);
        step.settle(|_, _| false);
        assert_eq!(step.strategy, Strategy::AskPerson);
    }

    proptest! {
        #[test]
        fn a_pause_stays_within_its_window(id in any::<u128>(), tries in 0u32..50, asked in prop::option::of(0u64..10_000_000)) {
            let ms = pause(uuid::Uuid::from_u128(id).into(), tries, asked).num_milliseconds() as u64;
            let asked = asked.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
            let window = (WINDOW_BASE_MS << tries.min(10)).min(WINDOW_MAX_MS);
            prop_assert!(ms > asked && ms <= asked + window);
        }

        #[test]
        fn pauses_of_many_attempts_are_spread_over_the_window(first in any::<u128>()) {
            let drawn: Vec<u64> = (0..200)
                .map(|n| pause(uuid::Uuid::from_u128(first.wrapping_add(n)).into(), 6, None).num_milliseconds() as u64)
                .collect();
            let early = drawn.iter().filter(|ms| **ms <= WINDOW_MAX_MS / 2).count();
            prop_assert!((40..=160).contains(&early), "{early} of 200 in the first half");
        }

        #[test]
        fn no_step_is_taken_twice_against_the_same_failure(rounds in 1usize..20, messages in prop::collection::vec(0..3usize, 20)) {
            let mut tried = Tried::default();
            let mut seen = BTreeSet::new();
            for message in &messages[..rounds] {
                let text = ["cut", "lost", "late"][*message];
                let step = tried.next(fallen(FailureClass::StreamCut, text), 1, false);
                if !step.strategy.needs_a_person() {
                    prop_assert!(seen.insert((step.fingerprint.clone(), step.strategy)));
                }
                tried.note(&step);
            }
        }
    }
}
