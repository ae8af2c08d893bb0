//! From Penguin's events and answers to Link's reports: a pure fold. It remembers what it reported, so the same
//! fact learned twice (stream, answer, history) is one report.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::{
    tools::{self, ToolCall},
    wire::{ChatAnswer, Event, HistoryEntry, Message, MessageInfo, Part, UsageBody, read},
};
use crate::{
    agents::{Activity, Report},
    domain::run::{InterruptKind, Usage},
};

/// Prefix of the keys of permissions.
pub const PERMISSION: &str = "permission:";
/// Prefix of the keys of questions.
pub const QUESTION: &str = "question:";

/// What is known of one run.
#[derive(Debug, Default)]
pub struct Translator {
    request: String,
    /// Deltas from before this time (by Penguin's clock) were shown by an earlier activation.
    mute_before: i64,
    reported: HashSet<String>,
    open: BTreeSet<String>,
    answered: HashSet<String>,
    seen: bool,
    ended: bool,
    stale: bool,
}

impl Translator {
    /// Starts to follow the run of a request.
    pub fn new(request: &str) -> Self {
        Self { request: request.to_owned(), ..Self::default() }
    }

    /// Starts to follow a run that was followed before: what the stream repeats is not written again.
    pub fn resumed(request: &str) -> Self {
        Self { request: request.to_owned(), mute_before: i64::MAX, ..Self::default() }
    }

    /// Tells whether the instance showed that it has the work.
    pub fn seen(&self) -> bool {
        self.seen
    }

    /// Tells whether the instance said that the run ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Tells, once, that events were missed and open questions must be asked for.
    pub fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    /// Notes that Link answered a question, so its end is no news.
    pub fn answered(&mut self, key: &str) {
        self.open.remove(key);
        self.answered.insert(key.to_owned());
    }

    /// Reads one event.
    pub fn event(&mut self, event: &Event) -> Vec<Report> {
        let mut out = Vec::new();
        let properties = &event.properties;
        match event.kind.as_str() {
            "server.connected" if self.mute_before == i64::MAX => self.mute_before = event.time,
            "server.replay_gap" => self.stale = true,
            "session.status" => self.status(properties, &mut out),
            "message.updated" => self.message(&read(properties), &mut out),
            "message.part.updated" => self.part(event, &mut out),
            "permission.asked" => self.permission(properties, &mut out),
            "question.asked" => self.question(properties, &mut out),
            "permission.replied" => self.closed(PERMISSION, properties, &mut out),
            "question.replied" | "question.rejected" => self.closed(QUESTION, properties, &mut out),
            // The stream tells much more (todo lists, language servers, branches): nothing that Link shows.
            _ => {}
        }
        out
    }

    /// Reads the answer of the run: every tool call, and the totals.
    pub fn answer(&mut self, answer: &ChatAnswer) -> Vec<Report> {
        let mut out = Vec::new();
        for call in answer.action_results.iter().filter_map(ToolCall::of_result) {
            self.tool_ended(&call, &mut out);
        }
        self.usage(answer.usage, &mut out);
        out
    }

    /// Reads a session's messages.
    pub fn messages(&mut self, messages: &[Message]) -> Vec<Report> {
        let mut out = Vec::new();
        for message in messages {
            self.message(&message.info, &mut out);
            for call in message.parts.iter().filter_map(ToolCall::of_part) {
                self.tool_ended(&call, &mut out);
            }
        }
        out
    }

    /// Reads a session's history.
    pub fn history(&mut self, history: &[HistoryEntry]) -> Vec<Report> {
        let mut out = Vec::new();
        for call in history.iter().filter_map(ToolCall::of_history) {
            self.tool_ended(&call, &mut out);
        }
        out
    }

    /// Reads everything that waits for an answer; what was open and is not among it was closed elsewhere.
    pub fn waiting(&mut self, permissions: &[Value], questions: &[Value]) -> Vec<Report> {
        let mut out = Vec::new();
        let before = std::mem::take(&mut self.open);
        permissions.iter().for_each(|one| self.permission(one, &mut out));
        questions.iter().for_each(|one| self.question(one, &mut out));
        for key in before.difference(&self.open.clone()) {
            self.close(key, &mut out);
        }
        out
    }

    /// Notes that the instance has the work, and says so once.
    pub fn working(&mut self) -> Vec<Report> {
        self.seen = true;
        let mut out = Vec::new();
        let working = Activity::Progress { percent: None, phase: "working".into(), message: None };
        self.report("working".into(), working, &mut out);
        out
    }

    fn status(&mut self, properties: &Value, out: &mut Vec<Report>) {
        match properties["status"]["type"].as_str() {
            Some("busy") => out.extend(self.working()),
            Some("idle") if self.seen => self.ended = true,
            _ => {}
        }
    }

    fn message(&mut self, info: &MessageInfo, out: &mut Vec<Report>) {
        if info.role == "user" && info.id == self.request {
            out.extend(self.working());
        }
        // Penguin counts once, at the end, over all turns of the run.
        let usage = UsageBody { input_tokens: info.tokens.input, output_tokens: info.tokens.output, cost: info.cost };
        self.usage(usage, out);
    }

    fn part(&mut self, event: &Event, out: &mut Vec<Report>) {
        let part: Part = read(&event.properties["part"]);
        if let Some((call, line)) = tools::started(&part) {
            let progress = Activity::Progress { percent: None, phase: "tool".into(), message: Some(line) };
            self.report(format!("start:{call}"), progress, out);
        }
        if let Some(call) = ToolCall::of_part(&part) {
            self.tool_ended(&call, out);
        }
        let delta = event.properties["delta"].as_str().filter(|delta| !delta.is_empty());
        if let Some(text) = delta.filter(|_| part.kind == "text" && event.time >= self.mute_before) {
            out.push(Report { id: None, activity: Activity::Delta { text: text.to_owned() } });
        }
    }

    fn tool_ended(&mut self, call: &ToolCall, out: &mut Vec<Report>) {
        self.report(format!("tool:{}", call.id), call.ended(), out);
        for file in call.files() {
            self.report(format!("file:{}:{}", call.id, file.name), Activity::Artifact(file), out);
        }
    }

    fn usage(&mut self, usage: UsageBody, out: &mut Vec<Report>) {
        if usage.input_tokens == 0 && usage.output_tokens == 0 {
            return;
        }
        let id = format!("usage:{}:{}", usage.input_tokens, usage.output_tokens);
        let totals = Usage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            // A cost that is no number would poison every sum.
            cost_usd: if usage.cost.is_finite() { usage.cost.max(0.0) } else { 0.0 },
        };
        self.report(id, Activity::Usage(totals), out);
    }

    fn permission(&mut self, asked: &Value, out: &mut Vec<Report>) {
        let Some(id) = asked["id"].as_str() else { return };
        let about = &asked["metadata"];
        let operation = about["operation"].as_str().or(asked["permission"].as_str()).unwrap_or("something");
        let resource = about["resource"].as_str().or(asked["patterns"][0].as_str()).unwrap_or_default();
        let details = json!({
            "tool": about["tool_name"], "operation": operation, "resource": resource, "reason": about["reason"],
            "schema": {
                "type": "object", "required": ["approve"],
                "properties": { "approve": { "type": "boolean" }, "message": { "type": "string" } },
            },
        });
        let prompt = format!("Allow {operation} {resource}").trim_end().to_owned() + "?";
        self.asked(format!("{PERMISSION}{id}"), InterruptKind::Approval, prompt, details, out);
    }

    fn question(&mut self, asked: &Value, out: &mut Vec<Report>) {
        let Some(id) = asked["id"].as_str() else { return };
        let empty = Vec::new();
        let questions = asked["questions"].as_array().unwrap_or(&empty);
        let words: Vec<&str> = questions.iter().filter_map(|question| question["question"].as_str()).collect();
        let prompt = if words.is_empty() { "The agent asks a question.".to_owned() } else { words.join("\n") };
        let answer = json!({ "type": "array", "items": { "type": "array", "items": { "type": "string" } } });
        let details = json!({
            "questions": questions,
            "schema": { "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "object", "required": ["answers"], "properties": { "answers": answer } },
                { "type": "object", "required": ["text"], "properties": { "text": { "type": "string" } } },
            ] },
        });
        self.asked(format!("{QUESTION}{id}"), InterruptKind::Question, prompt, details, out);
    }

    fn asked(&mut self, key: String, kind: InterruptKind, prompt: String, details: Value, out: &mut Vec<Report>) {
        if self.answered.contains(&key) {
            return;
        }
        self.open.insert(key.clone());
        self.report(format!("ask:{key}"), Activity::Interrupt { key, kind, prompt, details }, out);
    }

    fn closed(&mut self, prefix: &str, properties: &Value, out: &mut Vec<Report>) {
        if let Some(id) = properties["requestID"].as_str() {
            let key = format!("{prefix}{id}");
            self.open.remove(&key);
            self.close(&key, out);
        }
    }

    fn close(&mut self, key: &str, out: &mut Vec<Report>) {
        if !self.answered.contains(key) {
            self.report(format!("closed:{key}"), Activity::InterruptClosed { key: key.to_owned() }, out);
        }
    }

    fn report(&mut self, id: String, activity: Activity, out: &mut Vec<Report>) {
        if self.reported.insert(id.clone()) {
            out.push(Report { id: Some(id), activity });
        }
    }
}
