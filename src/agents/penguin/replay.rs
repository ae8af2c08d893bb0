//! The driver's pure half, for checks against recorded exchanges: no instance, no clock, no state.

use serde_json::Value;

use super::{
    outcome::{self, Verdict},
    translate::Translator,
    wire::{ChatAnswer, Event, HistoryEntry, read},
};
use crate::agents::{Failure, Outcome, Report};

/// Returns what the driver would report for these events of the request's run.
pub fn reports(request: &str, events: &[Value]) -> Vec<Report> {
    let mut translator = Translator::new(request);
    events.iter().flat_map(|event| translator.event(&read::<Event>(event))).collect()
}

/// Returns what the driver would report for events that are followed by the run's answer.
pub fn reports_with_answer(request: &str, events: &[Value], answer: &Value) -> Vec<Report> {
    let mut translator = Translator::new(request);
    let mut reports: Vec<_> = events.iter().flat_map(|event| translator.event(&read::<Event>(event))).collect();
    reports.extend(translator.answer(&read::<ChatAnswer>(answer)));
    reports
}

/// Returns what an answer means; `None` if it does not end the run by itself.
pub fn outcome(answer: &Value, turns_max: u32) -> Option<Result<Outcome, Failure>> {
    match outcome::of_answer(&read::<ChatAnswer>(answer), turns_max) {
        Verdict::Over(end) => Some(end),
        Verdict::Recovering | Verdict::TurnLimit => None,
    }
}

/// Returns what a history means for a run whose answer was lost.
pub fn outcome_of_history(history: &Value, turns_max: u32) -> Result<Outcome, Failure> {
    outcome::of_history(&read::<Vec<HistoryEntry>>(&history["messages"]), turns_max)
}
