//! From Penguin's answers to Link's outcomes: pure and total. An answer that nobody has seen before is
//! [`FailureClass::Unknown`], never a crash and never a success.

use std::time::Duration;

use serde_json::Value;

use super::wire::{ActionResult, ChatAnswer, HistoryEntry, ProviderFault};
use crate::{
    agents::{Failure, Outcome},
    domain::failure::FailureClass,
};

/// What an agent writes when it needs a person; the run then ends as if it were complete.
const CLARIFICATION: &str = "NEED_USER_CLARIFICATION";
/// Longest wait that an instance may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Characters of foreign text in a failure's message.
const MESSAGE_CHARS_MAX: usize = 500;

/// What an answer means.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The run is over.
    Over(Result<Outcome, Failure>),
    /// Penguin has the request but no result: it still runs, or died with a restart.
    Recovering,
    /// The turn limit was reached; whether the last turn was the agent's last words is in the history.
    TurnLimit,
}

/// Reads the answer of a chat request.
pub fn of_answer(answer: &ChatAnswer, turns_max: u32) -> Verdict {
    if answer.status.as_deref() == Some("recovering") {
        return Verdict::Recovering;
    }
    if answer.aborted {
        return Verdict::Over(of_stopped(answer));
    }
    Verdict::Over(match answer.status.as_deref() {
        Some("max_iterations") if answer.response.trim().is_empty() => Err(of_turn_limit(turns_max)),
        // Penguin says so even if the agent finished in its last turn. With fewer calls than turns, one turn had no
        // call, and that ends a run by itself.
        Some("max_iterations") if answer.action_results.len() < turns_max as usize => of_words(answer),
        Some("max_iterations") => return Verdict::TurnLimit,
        Some("completed" | "implicit_completion" | "pending_review") => of_words(answer),
        Some("waiting_input") => fail(FailureClass::AgentBlocked, "the agent asks for clarification", answer),
        Some("stopped") => Ok(Outcome::Cancelled),
        Some("provider_error" | "provider_recoverable_error") => Err(of_provider(&answer.error)),
        Some("llm_empty_response_error") => fail(FailureClass::ProviderError, "the model answered nothing", answer),
        // Penguin uses the bare status for several things; the words tell them apart.
        Some("error") if answer.response.contains("empty response") => {
            fail(FailureClass::ProviderError, "the model answered nothing", answer)
        }
        Some("error") => fail(FailureClass::Unknown, "the run failed", answer),
        Some("interrupted" | "emergency_stop") => fail(FailureClass::Unknown, "the run was interrupted", answer),
        Some(other) => fail(FailureClass::Unknown, &format!("unknown status `{}`", clip(other)), answer),
        None => fail(FailureClass::Unknown, "an answer without a status", answer),
    })
}

/// Reads what is left of a run whose answer was lost with its connection.
pub fn of_history(history: &[HistoryEntry], turns_max: u32) -> Result<Outcome, Failure> {
    let tools = history.iter().filter(|entry| entry.role == "tool");
    match history.iter().rfind(|entry| entry.role != "system") {
        Some(last) if last.role == "assistant" => of_words(&ChatAnswer {
            response: last.content.clone(),
            action_results: tools.clone().map(ActionResult::from).collect(),
            ..ChatAnswer::default()
        }),
        Some(last) if last.role == "tool" && tools.count() >= turns_max as usize => Err(of_turn_limit(turns_max)),
        // A failed provider leaves exactly this: the request and perhaps tool calls, but no last words.
        _ => Err(Failure::new(
            FailureClass::ProviderError,
            "the run ended without an answer, and its reason was lost with the connection",
        )),
    }
}

/// Tells whether the history ends with the agent's own words.
pub fn ends_with_words(history: &[HistoryEntry]) -> bool {
    history.iter().rfind(|e| e.role != "system").is_some_and(|e| e.role == "assistant" && !e.content.trim().is_empty())
}

/// The failure of a run that was cut off by its turn limit.
pub fn of_turn_limit(turns_max: u32) -> Failure {
    Failure::new(FailureClass::BudgetExhausted, format!("the limit of {turns_max} turns ended the run"))
}

impl From<&HistoryEntry> for ActionResult {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            action: entry.metadata.action_type.clone(),
            result: entry.content.clone(),
            status: entry.metadata.status.clone(),
            error: None,
            tool_call_id: entry.metadata.tool_call_id.clone(),
            tool_arguments: entry.metadata.tool_arguments.clone(),
        }
    }
}

/// A run that was stopped: only a durable cancel is surely Link's own.
fn of_stopped(answer: &ChatAnswer) -> Result<Outcome, Failure> {
    match answer.status.as_deref() {
        Some("stopped") => Ok(Outcome::Cancelled),
        _ => Err(Failure::new(FailureClass::Unknown, "the run was stopped at the instance, not by Link")),
    }
}

/// The agent's own words about the end of its work.
fn of_words(answer: &ChatAnswer) -> Result<Outcome, Failure> {
    let (status, summary) = finish(answer);
    if status.as_deref() == Some("blocked") {
        let why = summary.unwrap_or_else(|| answer.response.clone());
        return Err(Failure::new(FailureClass::AgentBlocked, format!("the agent is blocked: {}", clip(&why))));
    }
    if answer.response.contains(CLARIFICATION) {
        return fail(FailureClass::AgentBlocked, "the agent asks for clarification", answer);
    }
    let text = match answer.response.trim() {
        "" => summary.unwrap_or_default(),
        words => words.to_owned(),
    };
    if text.trim().is_empty() {
        return Err(Failure::new(FailureClass::EvidenceMissing, "the agent stopped without a word"));
    }
    let explicit = status.is_some() || answer.status.as_deref() == Some("pending_review");
    Ok(Outcome::Submitted { text, explicit })
}

/// What the agent said with its finishing tool: a status and a summary.
fn finish(answer: &ChatAnswer) -> (Option<String>, Option<String>) {
    if answer.finish_status.is_some() {
        return (answer.finish_status.clone(), answer.finish_summary.clone());
    }
    let Some(call) = answer.action_results.iter().rfind(|call| call.action == "finish_task") else {
        return (None, None);
    };
    let said: Value = serde_json::from_str(&call.tool_arguments).unwrap_or_default();
    let field = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    (field("status").or_else(|| Some("done".into())), field("summary"))
}

/// The failure of the model's provider.
pub fn of_provider(fault: &ProviderFault) -> Failure {
    let class = class_of_status(fault.status_code.or_else(|| status_in_words(&fault.message)))
        .or_else(|| class_of_category(&fault.category))
        .or_else(|| class_of_message(&fault.message))
        .unwrap_or(FailureClass::ProviderError);
    let retry_after = fault
        .retry_after_seconds
        .filter(|_| class.retryable())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|wait| wait.min(RETRY_AFTER_MAX));
    Failure { class, message: format!("the model's provider failed: {}", clip(&fault.message)), retry_after }
}

fn class_of_status(status: Option<u16>) -> Option<FailureClass> {
    Some(match status? {
        401 | 403 => FailureClass::ProviderAuth,
        402 => FailureClass::ProviderQuota,
        413 => FailureClass::ContextOverflow,
        429 | 529 => FailureClass::ProviderRateLimit,
        408 | 409 | 500..=599 => FailureClass::ProviderError,
        _ => return None,
    })
}

fn class_of_category(category: &str) -> Option<FailureClass> {
    Some(match category {
        "rate_limit" | "overloaded" => FailureClass::ProviderRateLimit,
        "auth" | "authentication" | "permission" => FailureClass::ProviderAuth,
        "quota" | "billing" | "insufficient_credits" => FailureClass::ProviderQuota,
        "context" | "context_length" | "context_window" => FailureClass::ContextOverflow,
        "content_filter" | "refusal" => FailureClass::Refused,
        _ => return None,
    })
}

fn class_of_message(message: &str) -> Option<FailureClass> {
    let lower = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["context length", "context window", "maximum context", "context_length_exceeded", "too many tokens"]) {
        return Some(FailureClass::ContextOverflow);
    }
    if has(&["insufficient credit", "insufficient_quota", "quota exceeded", "billing"]) {
        return Some(FailureClass::ProviderQuota);
    }
    has(&["rate limit", "overloaded"]).then_some(FailureClass::ProviderRateLimit)
}

/// Finds the status in `Error code: 429 - …`, where Penguin leaves its own field empty.
fn status_in_words(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("Error code: ")?;
    rest.get(..3)?.parse().ok()
}

fn fail(class: FailureClass, what: &str, answer: &ChatAnswer) -> Result<Outcome, Failure> {
    let words = clip(&answer.response);
    Err(Failure::new(class, if words.is_empty() { what.to_owned() } else { format!("{what}: {words}") }))
}

/// Cuts foreign text to a length for people.
pub fn clip(text: &str) -> String {
    text.trim().chars().take(MESSAGE_CHARS_MAX).collect()
}
