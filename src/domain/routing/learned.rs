//! What was learned from attempts that ended. Only competence touches skill, only machines and networks touch health:
//! an agent is not worse because a cable is cut, and a cable not because an agent is.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    failure::{Blame, FailureClass},
    ids::{AgentId, AttemptId, InstanceId, ProjectId, TaskId},
};

use super::{
    breaker::Phase,
    detector::{PageHinkley, Sensitivity},
    health::{Health, Standing, Vitals},
    pairs,
    skill::{Ended, Evidence, Posterior, reward},
};

/// When a fall of the rewards is an alarm; see docs/routing.md for how often it is a false one.
pub const REWARD_ALARM: Sensitivity = Sensitivity { tolerance: 0.15, threshold: 4.0, samples_min: 12 };
/// When a rise of the logarithm of the latency is an alarm.
pub const LATENCY_ALARM: Sensitivity = Sensitivity { tolerance: 0.25, threshold: 3.0, samples_min: 12 };
/// For this long an agent that got worse gets only a little of the work.
const WORSE_FOR: TimeDelta = TimeDelta::hours(6);
/// The share of the old evidence that an alarm leaves: what comes next has to count.
const KEPT_AFTER_ALARM: f64 = 0.25;
/// A task that is opened again this soon was not done.
const CLAW_BACK_WITHIN: TimeDelta = TimeDelta::days(7);
/// The most that is remembered; beyond it the oldest is forgotten.
const CELLS_MAX: usize = 4_096;
const FINISHED_MAX: usize = 1_024;
const KINDS_MAX: usize = 1_024;
/// What is usual is the median of so many.
const USUAL_OF: usize = 31;

/// Whose skill, at what: the kind of work is the project that it is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Who.
    pub agent: AgentId,
    /// At what.
    pub kind: Option<ProjectId>,
    /// With which model.
    pub model: Option<String>,
}

/// Where an attempt ran, and since when.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Where.
    pub instance: InstanceId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Since when.
    pub since: DateTime<Utc>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Skill {
    evidence: Evidence,
    detector: PageHinkley,
    worse_until: Option<DateTime<Utc>>,
}

/// Work that was accepted not long ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Finished {
    cell: Cell,
    reward: f64,
    at: DateTime<Utc>,
}

/// What work of a kind costs, and how long it takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Usual {
    costs: VecDeque<f64>,
    times: VecDeque<f64>,
}

/// Everything that was learned in a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Learned {
    all: Evidence,
    agents: BTreeMap<AgentId, Evidence>,
    #[serde(with = "pairs")]
    cells: BTreeMap<Cell, Skill>,
    instances: BTreeMap<InstanceId, Health>,
    finished: BTreeMap<TaskId, Finished>,
    #[serde(with = "pairs")]
    usual: BTreeMap<Option<ProjectId>, Usual>,
}

impl Learned {
    /// Returns what is believed of a skill.
    pub fn posterior(&self, cell: &Cell, now: DateTime<Utc>) -> Posterior {
        let own = self.cells.get(cell).map(|skill| skill.evidence).unwrap_or_default();
        Posterior::of(own, self.agents.get(&cell.agent).copied().unwrap_or_default(), self.all, now)
    }

    /// Tells whether an agent got worse at it not long ago.
    pub fn is_worse(&self, cell: &Cell, now: DateTime<Utc>) -> bool {
        self.cells.get(cell).and_then(|skill| skill.worse_until).is_some_and(|until| now < until)
    }

    /// Returns how an instance stands.
    pub fn vitals(&self, instance: InstanceId, now: DateTime<Utc>) -> Vitals {
        self.instances.get(&instance).copied().unwrap_or_default().vitals(now)
    }

    /// Returns at what each agent got worse not long ago.
    pub fn worse(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Cell> {
        self.cells.keys().filter(move |cell| self.is_worse(cell, now))
    }

    /// Returns what an instance's breaker lets through.
    pub fn phase(&self, instance: InstanceId, now: DateTime<Utc>) -> Phase {
        self.instances.get(&instance).map_or(Phase::Closed, |health| health.phase(now))
    }

    /// Returns how an instance stands as everyone is told, and why.
    pub fn standing(&self, instance: InstanceId, now: DateTime<Utc>) -> (Standing, &'static str) {
        self.instances.get(&instance).copied().unwrap_or_default().standing(now)
    }

    /// An instance is given an attempt.
    pub fn started(&mut self, instance: InstanceId, attempt: AttemptId, at: DateTime<Utc>) {
        self.instances.entry(instance).or_default().started(attempt, at);
    }

    /// An attempt ended, and what else is told of its end says nothing about the instance: another one may try it.
    pub fn ended(&mut self, instance: InstanceId, attempt: AttemptId) {
        self.instances.entry(instance).or_default().ended(attempt);
    }

    /// An instance took work after this long.
    pub fn accepted(&mut self, instance: InstanceId, after: TimeDelta, at: DateTime<Utc>) {
        let latency_ms = after.num_milliseconds() as f64;
        self.instances.entry(instance).or_default().accepted(latency_ms, at, LATENCY_ALARM);
    }

    /// An attempt brought a result: machines and networks did their part. What it is worth others will say.
    pub fn served(&mut self, instance: InstanceId, attempt: AttemptId, at: DateTime<Utc>) {
        self.instances.entry(instance).or_default().served(attempt, at);
    }

    /// An attempt failed: it is charged to whoever is to blame, and to nobody where that is neither of the two.
    pub fn failed(&mut self, cell: &Cell, tried: Tried, class: FailureClass, at: DateTime<Utc>) {
        let Tried { instance, attempt, since } = tried;
        match class.blame() {
            Blame::Competence => self.rewarded(cell, reward(Ended::Failed, None, None), at),
            Blame::Infrastructure => self.instances.entry(instance).or_default().failed(attempt, since, at),
            Blame::Specification | Blame::Policy | Blame::Coordination | Blame::Person | Blame::Unknown => {}
        }
    }

    /// People said what the work is worth.
    pub fn judged(&mut self, cell: &Cell, ended: Ended, cost_usd: f64, took: TimeDelta, at: DateTime<Utc>) -> f64 {
        let took_ms = took.num_milliseconds().max(0) as f64;
        let usual = self.usual.entry(cell.kind).or_default();
        let worth = reward(ended, ratio(cost_usd, &usual.costs), ratio(took_ms, &usual.times));
        remember(&mut usual.costs, cost_usd);
        remember(&mut usual.times, took_ms);
        while self.usual.len() > KINDS_MAX {
            self.usual.pop_first();
        }
        self.rewarded(cell, worth, at);
        worth
    }

    /// A result is worth this much.
    pub fn rewarded(&mut self, cell: &Cell, reward: f64, at: DateTime<Utc>) {
        self.all.add(reward, at);
        self.agents.entry(cell.agent).or_default().add(reward, at);
        let skill = self.cells.entry(cell.clone()).or_default();
        skill.evidence.add(reward, at);
        if skill.detector.take(1.0 - reward, REWARD_ALARM) {
            skill.worse_until = Some(at + WORSE_FOR);
            let gone = skill.evidence.keep(KEPT_AFTER_ALARM, at);
            self.all = self.all.without(gone, at);
            self.agents.entry(cell.agent).and_modify(|agent| *agent = agent.without(gone, at));
        }
        while self.cells.len() > CELLS_MAX {
            let oldest = self.cells.iter().min_by_key(|(_, skill)| skill.evidence.at()).map(|(cell, _)| cell.clone());
            let Some(oldest) = oldest else { break };
            self.cells.remove(&oldest);
        }
    }

    /// A task is done; should it be opened again soon, that is taken back.
    pub fn finished(&mut self, task: TaskId, cell: Cell, reward: f64, at: DateTime<Utc>) {
        self.finished.retain(|_, finished| at - finished.at < CLAW_BACK_WITHIN);
        self.finished.insert(task, Finished { cell, reward, at });
        while self.finished.len() > FINISHED_MAX {
            let oldest = self.finished.iter().min_by_key(|(_, finished)| finished.at).map(|(task, _)| *task);
            let Some(oldest) = oldest else { break };
            self.finished.remove(&oldest);
        }
    }

    /// A task that was done is opened again.
    pub fn reopened(&mut self, task: TaskId, at: DateTime<Utc>) {
        let Some(Finished { cell, reward, at: since }) = self.finished.remove(&task) else { return };
        if at - since >= CLAW_BACK_WITHIN {
            return;
        }
        self.all.take_back(reward, since, at);
        self.agents.entry(cell.agent).or_default().take_back(reward, since, at);
        self.cells.entry(cell).or_default().evidence.take_back(reward, since, at);
    }

    /// An instance is no longer used.
    pub fn forget(&mut self, instance: InstanceId) {
        self.instances.remove(&instance);
    }
}

/// How many times the usual it is, where enough is known to say.
fn ratio(value: f64, before: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = before.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let median = *sorted.get(sorted.len() / 2)?;
    (sorted.len() >= 5 && median > 0.0).then(|| value / median)
}

fn remember(values: &mut VecDeque<f64>, value: f64) {
    values.push_back(value);
    while values.len() > USUAL_OF {
        values.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const CLASSES: [FailureClass; 21] = {
        use FailureClass as F;
        [
            F::ConnectRefused,
            F::HttpServerError,
            F::StreamCut,
            F::InstanceLost,
            F::DispatchUnknown,
            F::ProviderRateLimit,
            F::ProviderError,
            F::ProviderQuota,
            F::ProviderAuth,
            F::ContextOverflow,
            F::SessionNotFound,
            F::Silent,
            F::LoopDetected,
            F::EvidenceMissing,
            F::AgentBlocked,
            F::Refused,
            F::PermissionDenied,
            F::BudgetExhausted,
            F::TimeLimit,
            F::Misconfigured,
            F::Unknown,
        ]
    };

    fn minute(n: u32) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::from(n))
    }

    fn cell(n: u8) -> Cell {
        let (agent, kind) = (Uuid::from_u128(u128::from(n % 3)), Uuid::from_u128(u128::from(n % 2)));
        Cell { agent: agent.into(), kind: Some(kind.into()), model: None }
    }

    fn instance(n: u8) -> InstanceId {
        Uuid::from_u128(u128::from(n % 4)).into()
    }

    fn tried(who: u8, since: DateTime<Utc>) -> Tried {
        Tried { instance: instance(who), attempt: Uuid::from_u128(u128::from(who)).into(), since }
    }

    /// Anything that can be learned, in any order.
    fn lived(life: &[(u8, u8, u32)]) -> (Learned, DateTime<Utc>) {
        let (mut learned, mut now) = (Learned::default(), 0);
        for (what, who, pause) in life {
            now += pause;
            let (at, task) = (minute(now), Uuid::from_u128(u128::from(*who)).into());
            match what % 6 {
                0 => learned.accepted(instance(*who), TimeDelta::milliseconds(i64::from(*what) * 70), at),
                1 => learned.served(instance(*who), tried(*who, at).attempt, at),
                2 => {
                    let ended = Ended::Approved { rounds: u32::from(what / 100) };
                    let worth = learned.judged(&cell(*who), ended, 0.2, TimeDelta::minutes(3), at);
                    learned.finished(task, cell(*who), worth, at);
                }
                3 => learned.reopened(task, at),
                _ => learned.failed(&cell(*who), tried(*who, at), CLASSES[usize::from(*what) % CLASSES.len()], at),
            }
        }
        (learned, minute(now))
    }

    fn life() -> impl Strategy<Value = Vec<(u8, u8, u32)>> {
        proptest::collection::vec((any::<u8>(), any::<u8>(), 0_u32..600), 0..120)
    }

    proptest! {
        #[test]
        fn a_failure_touches_only_what_is_to_blame(life in life(), class in 0..CLASSES.len(), who in any::<u8>()) {
            let (before, now) = lived(&life);
            let mut after = before.clone();
            after.failed(&cell(who), tried(who, now), CLASSES[class], now);
            let skills = |learned: &Learned| format!("{:?}{:?}{:?}", learned.all, learned.agents, learned.cells);
            let health = |learned: &Learned| format!("{:?}", learned.instances);
            let blame = CLASSES[class].blame();
            prop_assert_eq!(skills(&before) == skills(&after), blame != Blame::Competence);
            prop_assert_eq!(health(&before) == health(&after), blame != Blame::Infrastructure);
        }

        #[test]
        fn the_same_life_teaches_the_same_and_survives_a_snapshot(life in life()) {
            let (once, _) = lived(&life);
            prop_assert_eq!(format!("{once:?}"), format!("{:?}", lived(&life).0));
            let again: Learned = rmp_serde::from_slice(&rmp_serde::to_vec_named(&once).unwrap()).unwrap();
            prop_assert_eq!(format!("{once:?}"), format!("{again:?}"));
        }

        #[test]
        fn beliefs_stay_beliefs_whatever_happens(life in life(), who in any::<u8>()) {
            let (learned, now) = lived(&life);
            let belief = learned.posterior(&cell(who), now);
            prop_assert!(belief.alpha > 0.0 && belief.beta > 0.0 && belief.n >= 0.0);
            prop_assert!((0.0..=1.0).contains(&belief.mean()));
        }
    }

    #[test]
    fn an_agent_that_gets_worse_is_noticed_and_its_past_counts_less() {
        let mut learned = Learned::default();
        (0..60).for_each(|n| learned.rewarded(&cell(0), 0.95, minute(n)));
        assert!(!learned.is_worse(&cell(0), minute(60)));
        let noticed = (60..80).find(|n| {
            learned.rewarded(&cell(0), 0.0, minute(*n));
            learned.is_worse(&cell(0), minute(*n))
        });
        assert!(noticed.is_some_and(|at| at < 67), "{noticed:?}");
        assert!(learned.posterior(&cell(0), minute(70)).n < 30.0);
        assert!(!learned.is_worse(&cell(0), minute(80 + 6 * 60)));
    }

    #[test]
    fn work_that_is_opened_again_within_a_week_counts_as_failed() {
        let task: TaskId = Uuid::from_u128(9).into();
        let believed = |days: u32| {
            let mut learned = Learned::default();
            learned.rewarded(&cell(0), 1.0, minute(0));
            learned.finished(task, cell(0), 1.0, minute(0));
            learned.reopened(task, minute(days * 24 * 60));
            learned.posterior(&cell(0), minute(days * 24 * 60)).mean()
        };
        assert!(believed(6) < 0.5 && believed(8) > 0.5);
    }

    #[test]
    fn work_that_took_much_longer_than_usual_is_worth_a_little_less() {
        let mut learned = Learned::default();
        let first = |learned: &mut Learned, minutes| {
            let took = TimeDelta::minutes(minutes);
            learned.judged(&cell(0), Ended::Approved { rounds: 0 }, 0.0, took, minute(0))
        };
        let worth: Vec<f64> = (0..5).map(|_| first(&mut learned, 10)).collect();
        assert_eq!(worth, [1.0; 5]);
        assert_eq!(first(&mut learned, 10), 0.95);
        assert_eq!(first(&mut learned, 900), 0.8);
    }
}
