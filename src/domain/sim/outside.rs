//! What is outside of Link: agent servers with the runs that they have, and what each run will do.

use std::collections::{BTreeMap, VecDeque};

use serde_json::json;

use crate::domain::{
    event::ArtifactName,
    failure::FailureClass,
    ids::*,
    routing::Draws,
    run::{InterruptKind, Usage},
    task::{Made, Report},
    text::{Label, Prose},
};

use super::link::Node;

/// One agent server.
pub(super) struct Server {
    pub agent: AgentId,
    pub up: bool,
    /// Nothing gets through to it.
    pub cut: bool,
    /// Until when its model's provider gives nothing but errors.
    pub broke_until: u64,
    pub boot: u32,
    pub jobs: BTreeMap<AttemptId, Job>,
}

impl Server {
    pub fn new(agent: AgentId) -> Self {
        Self { agent, up: true, cut: false, broke_until: 0, boot: 0, jobs: BTreeMap::new() }
    }

    pub fn reachable(&self) -> bool {
        self.up && !self.cut
    }
}

/// The run of one attempt, as its server has it.
pub(super) struct Job {
    /// All that it has said so far.
    pub said: Vec<Report>,
    left: VecDeque<Report>,
    /// The question that it waits for.
    pub waits: Option<InterruptId>,
    /// It never does anything again.
    pub hung: bool,
    /// It was told to stop.
    pub stop: bool,
}

/// What a run does next.
pub(super) enum Doing {
    /// It says something: this one.
    Says(usize),
    /// It waits for an answer, or for ever.
    Nothing,
    /// It is over.
    Over,
}

impl Job {
    /// Makes up what a run will do; in good times it simply does its work.
    pub fn new(node: &mut Node, draws: &mut Draws, calm: bool) -> Self {
        let mut left = VecDeque::from([Report::Accepted]);
        for nth in 0..draws.below(5) {
            left.push_back(step(node, draws, nth, calm));
        }
        left.push_back(end(node, draws, calm));
        Self { said: vec![], left, waits: None, hung: false, stop: false }
    }

    /// The server's provider gives nothing but errors: that is how it ends.
    pub fn breaks(&mut self, draws: &mut Draws) {
        let class = [
            FailureClass::ProviderRateLimit,
            FailureClass::ProviderError,
            FailureClass::ProviderQuota,
            FailureClass::ProviderAuth,
        ][draws.below(4)];
        let retry_after_ms = (draws.unit() < 0.5).then(|| draws.below(20_000) as u64);
        self.left = [Report::Failed { class, message: "no answer of the provider".into(), retry_after_ms }].into();
        self.waits = None;
    }

    pub fn goes_on(&mut self, draws: &mut Draws) -> Doing {
        if self.hung || self.waits.is_some() && !self.stop {
            return Doing::Nothing;
        }
        if self.stop && !self.left.is_empty() {
            // Most stop; some hand in what they have all the same.
            let submits = self.left.pop_back().filter(|last| matches!(last, Report::Submitted { .. }));
            self.left = [submits.filter(|_| draws.unit() < 0.3).unwrap_or(Report::Stopped)].into();
        }
        let Some(next) = self.left.pop_front() else { return Doing::Over };
        if let Report::Asked { interrupt, .. } = &next {
            self.waits = Some(*interrupt);
        }
        self.said.push(next);
        Doing::Says(self.said.len() - 1)
    }

    pub fn over(&self) -> bool {
        self.left.is_empty()
    }
}

fn step(node: &mut Node, draws: &mut Draws, nth: usize, calm: bool) -> Report {
    match draws.below(if calm { 5 } else { 7 }) {
        0 | 1 => Report::Progress { percent: Some(draws.below(120) as u8), phase: "work".into(), message: None },
        2 => Report::Tool { tool: "sh".into(), ok: draws.unit() < 0.8, summary: "make".into() },
        3 => Report::Usage(Usage {
            input_tokens: draws.below(900) as u64,
            output_tokens: draws.below(500) as u64,
            cost_usd: draws.unit(),
        }),
        4 => Report::Artifact(Made {
            artifact: node.fresh(),
            kind: Label::fitted("file"),
            name: ArtifactName::fitted(["a.rs", "b.rs", "c.rs"][draws.below(3)]),
            content: Some("fn".into()),
            details: json!(null),
        }),
        _ => Report::Asked {
            interrupt: node.fresh(),
            key: format!("q{nth}"),
            kind: [InterruptKind::Question, InterruptKind::Approval][draws.below(2)],
            prompt: "may I?".into(),
            details: json!({}),
        },
    }
}

fn end(node: &mut Node, draws: &mut Draws, calm: bool) -> Report {
    let submitted = |text: &str, artifact| Report::Submitted { text: Prose::fitted(text), artifact };
    let failed = |class, message: &str| Report::Failed { class, message: message.into(), retry_after_ms: None };
    use FailureClass as F;
    let bad = [
        (F::TestsFailed, "3 of 7 tests fail"),
        (F::StreamCut, "cut at 17"),
        (F::Unknown, "what?"),
        (F::Refused, "not my job"),
        (F::AgentBlocked, "no access"),
        (F::ContextOverflow, "too many tokens"),
        (F::LoopDetected, "the same again"),
        (F::MergeConflict, "src/lib.rs"),
        (F::HttpServerError, "500"),
    ];
    match draws.below(20) {
        _ if calm => submitted("done", node.fresh()),
        0..=11 => submitted("done", node.fresh()),
        // It says that it is done and shows nothing.
        12 => submitted(" ", node.fresh()),
        13 => Report::Stopped,
        _ => {
            let (class, message) = bad[draws.below(bad.len())];
            failed(class, message)
        }
    }
}
