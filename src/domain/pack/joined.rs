//! What came of the parts that a task was split into, in words.

use crate::domain::{
    event::Recorded,
    principal::Principal,
    task::{JoinOutcome, PartResult, PartStatus},
};

use super::{
    dialog::called,
    material::{Need, Thing},
};

/// The parts that a task was split into, when they were joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// How that ended, in words.
    pub how: String,
    /// The parts.
    pub parts: Vec<PartDone>,
}

/// What came of one part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartDone {
    /// In a line.
    pub title: String,
    /// How it stands, and who had it.
    pub standing: String,
    /// What was handed in.
    pub things: Vec<Thing>,
}

impl Joined {
    /// Puts the end of a join into words; the logs are those of the parts, in their order.
    pub(super) fn of(outcome: JoinOutcome, results: &[PartResult], logs: &[&[Recorded]]) -> Self {
        let done = results.iter().filter(|part| part.status == PartStatus::Done).count();
        let how = match outcome {
            JoinOutcome::Enough => "as many as were asked for",
            JoinOutcome::Impossible => "too many of them failed, and a person let the task go on",
            JoinOutcome::TimedOut => "the time was over, so that some may be missing",
            JoinOutcome::Ended => "they were given up",
        };
        let parts = results.iter().zip(logs).map(|(part, log)| {
            let by = part.agent.map(|agent| format!(", by {}", called(Principal::Agent(agent)))).unwrap_or_default();
            let standing = match part.status {
                PartStatus::Done => format!("done{by}"),
                PartStatus::Failed => format!("ended without a result{by}"),
                PartStatus::Open => format!("not done{by}"),
            };
            let Need { title, things } = Need::of(log);
            PartDone { title, standing, things: if part.status == PartStatus::Done { things } else { vec![] } }
        });
        let how = format!("The task was split into {} parts; {done} are done: {how}.", results.len());
        Self { how, parts: parts.collect() }
    }
}
