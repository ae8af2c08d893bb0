//! Whole lives of workspaces in memory while everything goes wrong: agents that die, hang, lie, forget their sessions or
//! have no provider; a network that loses, doubles and reorders; people who answer late, twice or never; nodes that are
//! killed between any two steps and come back on another clock. Everything follows from the seed. After each step the
//! promises of [`INVARIANTS`](crate::domain::doctor::INVARIANTS) are looked at, as far as a workspace without a database
//! and without a network can show them.

mod back;
mod following;
mod link;
mod outside;
mod people;
mod play;
mod report;
#[cfg(test)]
mod tests;
mod together;
mod trouble;
mod twin;
mod watch;
mod witness;

use serde::Serialize;

pub use report::{Checked, Ends, Found, Recovery, Report};

/// Delegations of one world; more of them are more worlds.
pub const WORLD_MAX: u32 = 100;

/// What is simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Setting {
    /// The first world's seed; the next ones count on.
    pub seed: u64,
    /// How many delegations, over all worlds.
    pub delegations: u32,
    /// A mistake that Link is made to make.
    pub mistake: Option<Mistake>,
}

/// A mistake that is planted, to see that it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// A node that is killed forgets which commands it has carried out.
    ForgetsKeys,
    /// A node that is killed loses the last event that it had said was there.
    LosesAnEvent,
    /// Nobody notices that an instance is gone.
    OverlooksDeath,
    /// Whoever asks may answer.
    LetsAgentsAnswer,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ForgetsKeys, Self::LosesAnEvent, Self::OverlooksDeath, Self::LetsAgentsAnswer];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForgetsKeys => "forgets_keys",
            Self::LosesAnEvent => "loses_an_event",
            Self::OverlooksDeath => "overlooks_death",
            Self::LetsAgentsAnswer => "lets_agents_answer",
        }
    }
}

/// Simulates.
pub fn run(setting: Setting) -> Report {
    let mut report = Report::new(setting);
    let mut left = setting.delegations;
    for nth in 0.. {
        if left == 0 {
            break;
        }
        let delegations = left.min(WORLD_MAX);
        left -= delegations;
        let seed = setting.seed.wrapping_add(nth);
        report.add(play::World::lived(Setting { seed, delegations, ..setting }));
    }
    report
}
