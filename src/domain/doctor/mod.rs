//! Whether a log keeps Link's promises: a second reading of it, simple enough to trust, that shares no rule with the
//! state machines. What no log can show is said to be shown elsewhere.

mod attempts;
mod checkpoints;
mod claims;
mod ends;
mod fuse;
mod hand_offs;
mod ledger;
mod mandates;
mod rights;
mod rooms;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use ledger::Doctor;
pub use mandates::{is_over, standing};

/// How a promise is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The log shows it.
    Log,
    /// The database shows it.
    Database,
    /// Nothing that is stored shows it: it is about how things come about. This does.
    Elsewhere(&'static str),
}

/// Every promise: its name, in words, and what shows it.
pub const INVARIANTS: &[(&str, &str, Shown)] = &[
    ("I1", "only steps of the tables happen, and the log can be read to its end", Shown::Log),
    ("I2", "a task has one open delegation, a delegation one live attempt, and fences only rise", Shown::Log),
    ("I3", "an attempt that no longer counts changes nothing", Shown::Log),
    ("I4", "offsets have no gap", Shown::Log),
    ("I5", "what readers see is what the log says", Shown::Database),
    ("I6", "no task waits for itself", Shown::Log),
    ("I7", "no attempt starts behind a closed gate", Shown::Log),
    ("I8", "a task becomes ready once per unblocking, when its last gate has opened", Shown::Log),
    ("I9", "every open delegation has something that moves it on", Shown::Log),
    ("I10", "work is accepted with evidence and the approvals of those who may give them", Shown::Log),
    (
        "I11",
        "a question is answered at most once: by a person, or as it was agreed for when nobody answers",
        Shown::Log,
    ),
    ("I12", "no open question is without the attempt that asked it", Shown::Log),
    ("I13", "a task has no more tries than there are until a person has a say", Shown::Log),
    ("I14", "the pause before a new attempt is bounded", Shown::Log),
    ("I15", "no step is taken twice against the same failure without news", Shown::Log),
    ("I16", "everything that attempts made can be reached", Shown::Database),
    ("I17", "what was cancelled is never completed afterwards", Shown::Log),
    ("I18", "nothing is made twice under one id", Shown::Log),
    ("I19", "nothing is handed to an instance that is shut off", Shown::Log),
    ("I20", "no agent and no instance has more attempts than it may have", Shown::Log),
    (
        "I21",
        "nothing is used more often than it was given: rights to decide, rounds of changes, parts, checkpoints",
        Shown::Log,
    ),
    (
        "I22",
        "nobody sees what they may not: events for some are for them alone, and every table is behind the wall",
        Shown::Database,
    ),
    ("I23", "the chain of hashes is whole", Shown::Database),
    ("I24", "what is said or written has every number once, and a branch is merged whole and once", Shown::Log),
    ("I25", "a checkpoint is whole: what it names is found again", Shown::Database),
    ("I26", "hand-offs do not run in circles, and not for ever", Shown::Log),
    ("I27", "no two agents that may be at work hold the same path", Shown::Log),
    ("I28", "a task waits through gates only, never through what it is a part of", Shown::Log),
    (
        "I29",
        "neither skewed clocks nor reordered reports change how it ends",
        Shown::Elsewhere("`link sim invariants`"),
    ),
    (
        "I30",
        "after any one fault something moves on within half a minute",
        Shown::Elsewhere("`link sim invariants`, tests/it/faults.rs"),
    ),
];

/// A promise that is broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub invariant: &'static str,
    /// The event that breaks it, or 0 where it is the end that does.
    pub offset: u64,
    /// What is wrong.
    pub detail: String,
}
