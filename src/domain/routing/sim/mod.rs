//! A made-up workspace whose truth is known, to see what the learned routing is worth: agents with skills that drift,
//! outages, and results that come hours later. Everything follows from the seed. It says nothing about real work.

mod report;
mod world;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Arm, Cell, Draws, Ended, Learned, Mode, Place, Tried, choose};
use crate::domain::failure::FailureClass;

pub use report::{Detection, Interval, Report, Setting, run};
use world::{AGENTS, KINDS, World};

/// Who chooses the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// As Link does, with what it has learned so far.
    Learned,
    /// Any, each as likely.
    Uniform,
    /// One after the other.
    RoundRobin,
    /// The one that is the best for the kind of work over the whole time, as seen from its end.
    BestFixed,
    /// The one that is the best at this moment; nobody can know it.
    Oracle,
}

impl Policy {
    /// All of them, the learned one first.
    pub const ALL: [Self; 5] = [Self::Learned, Self::Uniform, Self::RoundRobin, Self::BestFixed, Self::Oracle];
}

/// A result that is not known yet.
struct Pending {
    due: DateTime<Utc>,
    agent: usize,
    kind: usize,
    /// What people say of it, or nothing where machines failed.
    ended: Option<Ended>,
}

/// Returns how many accepted works a policy missed in the world of a seed, beside one that always knows the best.
pub fn regret(policy: Policy, seed: u64, days: u32) -> f64 {
    let world = World::of(seed, days);
    let mut draws = Draws::from_seed(seed ^ 0x5EED);
    let (mut learned, mut pending, mut next, mut missed) = (Learned::default(), Vec::<Pending>::new(), 0, 0.0);
    for (nth, task) in world.tasks.iter().enumerate() {
        let (due, later) = pending.into_iter().partition(|result: &Pending| result.due <= task.at);
        pending = later;
        teach(&mut learned, due);
        let open: Vec<usize> = (0..AGENTS).filter(|agent| !world.known_down(*agent, task.at)).collect();
        let value =
            |agent: usize| if world.down(agent, task.at) { 0.0 } else { world.skill(agent, task.kind, task.at) };
        let best = (0..AGENTS).map(value).fold(0.0, f64::max);
        let chosen = match policy {
            Policy::Learned => sampled(&learned, &open, task.kind, task.at, draws.word()),
            Policy::Uniform => open.get(draws.below(open.len())).copied(),
            Policy::RoundRobin => (0..AGENTS).map(|n| (next + n) % AGENTS).find(|agent| open.contains(agent)),
            Policy::BestFixed => most(&open, |agent| world.average(agent, task.kind)),
            Policy::Oracle => most(&(0..AGENTS).collect::<Vec<_>>(), value),
        };
        let Some(agent) = chosen else { continue };
        next = agent + 1;
        missed += best - value(agent);
        let down = world.down(agent, task.at);
        // The same luck for every policy: it belongs to the task and the agent.
        let mut luck = Draws::from_seed(seed.wrapping_mul(31) ^ (nth * AGENTS + agent) as u64);
        let ended = if luck.unit() < value(agent) {
            Ended::Approved { rounds: u32::from(luck.unit() < 0.3) }
        } else {
            Ended::Failed
        };
        let due = task.at + TimeDelta::minutes(30 + (luck.unit() * 330.0) as i64);
        pending.push(Pending { due, agent, kind: task.kind, ended: (!down).then_some(ended) });
    }
    missed
}

fn teach(learned: &mut Learned, mut due: Vec<Pending>) {
    due.sort_by_key(|result| result.due);
    for Pending { due, agent, kind, ended } in due {
        let (cell, instance, attempt) = (cell(agent, kind), id(agent).into(), id(agent).into());
        let tried = Tried { instance, attempt, since: due };
        match ended {
            Some(Ended::Failed) => learned.failed(&cell, tried, FailureClass::EvidenceMissing, due),
            Some(ended) => {
                learned.served(instance, attempt, due);
                learned.judged(&cell, ended, 0.0, TimeDelta::zero(), due);
            }
            None => learned.failed(&cell, tried, FailureClass::InstanceLost, due),
        }
    }
}

fn sampled(learned: &Learned, open: &[usize], kind: usize, at: DateTime<Utc>, seed: u64) -> Option<usize> {
    let arm = |agent: &usize| {
        let cell = cell(*agent, kind);
        let instance = id(*agent).into();
        let place = Place { instance, in_flight: 0, vitals: learned.vitals(instance, at), before: None };
        Arm {
            posterior: learned.posterior(&cell, at),
            worse: learned.is_worse(&cell, at),
            agent: cell.agent,
            model: None,
            same: false,
            places: vec![place],
        }
    };
    let arms: Vec<Arm> = open.iter().map(arm).collect();
    choose(&arms, Mode::Sampled, None, seed).map(|(chosen, ..)| open[chosen])
}

fn most(among: &[usize], value: impl Fn(usize) -> f64) -> Option<usize> {
    among.iter().copied().max_by(|a, b| value(*a).total_cmp(&value(*b)).then(b.cmp(a)))
}

fn cell(agent: usize, kind: usize) -> Cell {
    Cell { agent: id(agent).into(), kind: Some(id(kind % KINDS).into()), model: None }
}

fn id(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learned_routing_misses_less_than_uniform_and_round_robin() {
        let report = run(Setting { seeds: 16, days: 14, seed: 1 });
        let interval = |policy| report.policies.iter().find(|outcome| outcome.policy == policy).unwrap().regret;
        let learned = interval(Policy::Learned);
        for other in [Policy::Uniform, Policy::RoundRobin].map(interval) {
            assert!(learned.high < other.low, "{learned:?} {other:?}");
        }
        assert_eq!(interval(Policy::Oracle).high, 0.0);
        assert!(learned.low > 0.0);
    }

    #[test]
    fn a_seed_always_tells_the_same() {
        let report = || serde_json::to_string(&run(Setting { seeds: 2, days: 3, seed: 5 })).unwrap();
        assert_eq!(report(), report());
        assert_ne!(regret(Policy::Uniform, 1, 3), regret(Policy::Uniform, 2, 3));
    }

    #[test]
    fn nobody_does_better_than_the_oracle() {
        for seed in 0..4 {
            for policy in Policy::ALL {
                assert!(regret(policy, seed, 3) >= 0.0, "{policy:?}");
            }
        }
    }
}
