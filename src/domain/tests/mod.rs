//! Promises of the domain, tried with random plans on a workspace in memory, and the bytes of every event.
//!
//! `world` runs commands as a writer does, `plan` makes them up, `ledger` reads the log a second time; the other
//! modules are the promises.

mod coverage;
mod decisions;

pub(crate) mod examples;
mod examples_checkpoints;
mod examples_desk;
mod examples_outside;
mod examples_squad;
mod examples_talk;
mod fixtures;
mod laws_attempts;
mod laws_checkpoints;
mod laws_claims;
mod laws_delegations;
mod laws_desk;
mod laws_fan_outs;
mod laws_gates;
mod laws_hand_offs;
mod laws_ladder;
mod laws_people;
mod laws_replay;
mod laws_rights;
mod laws_routing;
mod laws_skills;
mod laws_slots;
mod laws_talk;
mod laws_teams;
mod ledger;
mod ledger_desk;
mod ledger_talk;
mod ledger_work;
mod peers;
pub(crate) mod plan;
mod plan_checkpoints;
mod plan_desk;
mod plan_people;
mod plan_squad;
mod plan_talk;
mod plan_work;
mod planted;
mod regressions;
mod scene;
mod transitions;
mod world;

use proptest::test_runner::Config;

/// How many plans each property is tried with; a failing one prints its seed.
pub(crate) fn tries(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 3_000, ..Config::default() }
}
