//! The truth of a made-up workspace: who is how good at what and when, when who is down, which work comes when.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::routing::Draws;

pub(super) const AGENTS: usize = 5;
pub(super) const KINDS: usize = 3;
/// One task comes this often.
const EVERY: TimeDelta = TimeDelta::minutes(20);
/// For this long nobody knows of an outage, and work is lost to it.
const UNNOTICED: TimeDelta = TimeDelta::minutes(30);
/// Outages of each agent.
const OUTAGES: usize = 2;
/// What the best agent keeps of its skill when it gets worse.
const KEEPS: f64 = 0.35;

pub(super) struct Arrival {
    pub at: DateTime<Utc>,
    pub kind: usize,
}

/// From when on, who is how good at what.
struct Phase {
    from: DateTime<Utc>,
    skills: [[f64; KINDS]; AGENTS],
}

pub(super) struct World {
    pub tasks: Vec<Arrival>,
    phases: Vec<Phase>,
    outages: Vec<(usize, DateTime<Utc>, DateTime<Utc>)>,
}

impl World {
    pub fn of(seed: u64, days: u32) -> Self {
        let mut draws = Draws::from_seed(seed);
        let (start, all) = (DateTime::UNIX_EPOCH, TimeDelta::days(i64::from(days)));
        let at = |share: f64| start + TimeDelta::milliseconds((all.num_milliseconds() as f64 * share) as i64);
        let mut skills = [[0.0; KINDS]; AGENTS];
        skills.iter_mut().flatten().for_each(|skill| *skill = 0.25 + 0.7 * draws.unit());
        let mut phases = vec![Phase { from: start, skills }];
        // The best one gets worse, then another one changes altogether.
        let total = |agent: &usize| skills[*agent].iter().sum::<f64>();
        let best = (0..AGENTS).max_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or(0);
        skills[best].iter_mut().for_each(|skill| *skill *= KEEPS);
        phases.push(Phase { from: at(0.25 + 0.2 * draws.unit()), skills });
        let other = (best + 1 + draws.below(AGENTS - 1)) % AGENTS;
        skills[other].iter_mut().for_each(|skill| *skill = 0.25 + 0.7 * draws.unit());
        phases.push(Phase { from: at(0.6 + 0.2 * draws.unit()), skills });
        let mut outages = vec![];
        for agent in (0..AGENTS).cycle().take(AGENTS * OUTAGES) {
            let (from, minutes) = (at(draws.unit()), 120 + draws.below(600));
            outages.push((agent, from, from + TimeDelta::minutes(minutes as i64)));
        }
        let count = all.num_minutes() / EVERY.num_minutes();
        let arrival = |nth: i64| Arrival { at: start + EVERY * nth as i32, kind: draws.below(KINDS) };
        Self { tasks: (0..count).map(arrival).collect(), phases, outages }
    }

    pub fn skill(&self, agent: usize, kind: usize, at: DateTime<Utc>) -> f64 {
        let now = self.phases.iter().rev().find(|phase| phase.from <= at);
        now.map_or(0.0, |phase| phase.skills[agent][kind])
    }

    pub fn average(&self, agent: usize, kind: usize) -> f64 {
        self.tasks.iter().map(|task| self.skill(agent, kind, task.at)).sum()
    }

    pub fn down(&self, agent: usize, at: DateTime<Utc>) -> bool {
        self.outages.iter().any(|(who, from, to)| *who == agent && *from <= at && at < *to)
    }

    /// Probes have noticed that it is down, so that no policy gives it work.
    pub fn known_down(&self, agent: usize, at: DateTime<Utc>) -> bool {
        self.outages.iter().any(|(who, from, to)| *who == agent && *from + UNNOTICED <= at && at < *to)
    }
}
