//! What was seen, over all worlds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::doctor::INVARIANTS;

use super::{Setting, play::World};

/// The most findings that are listed.
const FOUND_MAX: usize = 40;

/// The promises that no workspace in memory can show, and what shows them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("I16", "the log keeps every artifact by its nature; that readers find them: `link doctor`, tests/it/recovery.rs"),
    ("I22", "`link doctor`, tests/it/access_matrix.rs, access_feed.rs and access_wall.rs"),
    ("I23", "`link verify`, `link doctor`, tests/it/crash.rs"),
    ("I24", "these worlds have no conversations and no documents: `link doctor`, domain/tests/planted.rs"),
];

/// What one world, or all of them, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    checks: BTreeMap<&'static str, u64>,
    pub found: Vec<(&'static str, String)>,
    pub faults: BTreeMap<&'static str, u64>,
    pub ends: BTreeMap<&'static str, u64>,
    pub recoveries: Vec<u64>,
    pub attempts: u64,
    pub parts: u64,
    pub events: u64,
}

impl Tally {
    pub fn looked(&mut self, invariant: &'static str, times: u64) {
        *self.checks.entry(invariant).or_default() += times;
    }

    pub fn found(&mut self, invariant: &'static str, detail: String) {
        let found = (invariant, detail);
        if self.found.len() < FOUND_MAX && !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    pub fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }
}

/// One promise.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Which.
    pub invariant: &'static str,
    /// In words.
    pub promise: &'static str,
    /// How often it was looked at.
    pub checks: u64,
    /// How often it was broken.
    pub violations: u64,
    /// What shows it instead, where this does not.
    pub elsewhere: Option<&'static str>,
}

/// How delegations ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ends {
    /// Accepted.
    pub completed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Rejected.
    pub failed: u64,
}

/// How long it took after one fault until something moved a delegation on again, in simulated milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recovery {
    /// How often a fault stopped a delegation.
    pub count: u64,
    /// The mean.
    pub mean_ms: u64,
    /// 95 % took no longer.
    pub p95_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// A broken promise, and how to see it again.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Which.
    pub invariant: &'static str,
    /// What is wrong.
    pub detail: String,
    /// The world's seed.
    pub seed: u64,
    /// How many delegations it has.
    pub delegations: u32,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was simulated.
    pub setting: Setting,
    /// Worlds.
    pub worlds: u64,
    /// Delegations that were made.
    pub delegations: u64,
    /// Delegations of parts, into which tasks were split.
    pub parts: u64,
    /// Attempts that were started.
    pub attempts: u64,
    /// Events that were committed.
    pub events: u64,
    /// Simulated hours.
    pub hours: u64,
    /// How the delegations ended.
    pub ends: Ends,
    /// Faults, and how often each happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long it took after one.
    pub recovery: Recovery,
    /// Promise by promise.
    pub invariants: Vec<Checked>,
    /// What was broken.
    pub found: Vec<Found>,
    #[serde(skip)]
    recoveries: Vec<u64>,
}

impl Report {
    pub(super) fn new(setting: Setting) -> Self {
        let invariants = INVARIANTS.iter().map(|(invariant, promise, _)| Checked {
            invariant,
            promise,
            checks: 0,
            violations: 0,
            elsewhere: ELSEWHERE.iter().find(|(name, _)| name == invariant).map(|(_, what)| *what),
        });
        Self {
            setting,
            worlds: 0,
            delegations: 0,
            parts: 0,
            attempts: 0,
            events: 0,
            hours: 0,
            ends: Ends::default(),
            faults: BTreeMap::new(),
            recovery: Recovery::default(),
            invariants: invariants.collect(),
            found: vec![],
            recoveries: vec![],
        }
    }

    pub(super) fn add(&mut self, world: World) {
        let Setting { seed, delegations, .. } = world.setting;
        let tally = world.watch.tally;
        (self.worlds, self.delegations) = (self.worlds + 1, self.delegations + u64::from(world.made));
        (self.attempts, self.events) = (self.attempts + tally.attempts, self.events + tally.events);
        self.parts += tally.parts;
        self.hours += world.now / 3_600_000;
        let ended = |how| tally.ends.get(how).copied().unwrap_or(0);
        self.ends.completed += ended("completed");
        self.ends.cancelled += ended("cancelled");
        self.ends.failed += ended("failed");
        for (name, count) in tally.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for checked in &mut self.invariants {
            checked.checks += tally.checks.get(checked.invariant).copied().unwrap_or(0);
            checked.violations += tally.found.iter().filter(|(name, _)| *name == checked.invariant).count() as u64;
        }
        let found = tally.found.into_iter().map(|(invariant, detail)| Found { invariant, detail, seed, delegations });
        self.found.extend(found);
        self.found.truncate(FOUND_MAX);
        self.recoveries.extend(tally.recoveries);
        self.recovery = recovery(&mut self.recoveries);
    }
}

fn recovery(all: &mut [u64]) -> Recovery {
    all.sort_unstable();
    let count = all.len() as u64;
    let at = |nth: usize| all.get(nth).copied().unwrap_or(0);
    Recovery {
        count,
        mean_ms: all.iter().sum::<u64>() / count.max(1),
        p95_ms: at((all.len() * 95).div_ceil(100).saturating_sub(1)),
        max_ms: at(all.len().saturating_sub(1)),
    }
}
