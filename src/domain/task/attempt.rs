//! An attempt's life: dispatched, accepted, reporting, ended. Every report carries the attempt and its fence; one
//! that no longer holds the delegation changes nothing.

use serde_json::Value;

use crate::domain::{
    event::{TaskEvent, Text1024},
    failure::FailureClass,
    ids::*,
    run::{InterruptKind, Usage},
    text::{Label, Prose, scrubbed, storable},
};

use super::{delegation::may_answer, *};

/// The longest message of a report that is kept.
const MESSAGE_LENGTH_MAX: usize = 2_000;
/// The longest question that is kept.
const PROMPT_LENGTH_MAX: usize = 65_536;

/// Something that an attempt reports.
#[derive(Clone, Debug)]
pub enum Report {
    /// The instance has the work.
    Accepted,
    /// The work moved on.
    Progress {
        /// 0–100 from evidence, or unknown.
        percent: Option<u8>,
        /// One word.
        phase: String,
        /// One line.
        message: Option<String>,
    },
    /// A tool call ended.
    Tool {
        /// The tool.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// One line.
        summary: String,
    },
    /// Something was made or changed.
    Artifact {
        /// Its id.
        artifact: ArtifactId,
        /// `file`, `text`, `diff`, `link`.
        kind: Label,
        /// Path or title.
        name: Text1024,
        /// The content, where it is small text.
        content: Option<String>,
        /// Anything else.
        details: Value,
    },
    /// Tokens and cost so far.
    Usage(Usage),
    /// A question.
    Asked {
        /// Its id.
        interrupt: InterruptId,
        /// The driver's name for it.
        key: String,
        /// What kind.
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        details: Value,
    },
    /// The agent has the answer.
    Delivered(InterruptId),
    /// The question went away.
    Withdrawn {
        /// The driver's name for it.
        key: String,
    },
    /// The work is handed in.
    Submitted {
        /// The agent's final words.
        text: Prose,
        /// The id for the artifact that keeps them.
        artifact: ArtifactId,
    },
    /// The attempt ended without a result.
    Failed {
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// The attempt was stopped as wanted.
    Stopped,
}

impl Task {
    pub(super) fn dispatch(
        &self,
        cx: Circumstance,
        id: DelegationId,
        attempt: AttemptId,
        agent: AgentId,
        instance: InstanceId,
        route: Route,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        if open.status != DelegationStatus::Queued {
            return Err(Rejection::Busy("the delegation is not in the queue"));
        }
        // A name is used once: a late report of the first would be taken for one of the second.
        if self.attempts.contains_key(&attempt) {
            return Err(Rejection::Exists(Subject::Session(attempt)));
        }
        if open.not_before.is_some_and(|time| time > cx.now) {
            return Err(Rejection::Busy("the delegation waits before its next attempt"));
        }
        if open.agent.is_some_and(|wanted| wanted != agent) {
            return Err(Rejection::Invalid { path: "agent", message: "the delegation names another agent".into() });
        }
        Ok(vec![TaskEvent::AttemptStarted { attempt, delegation: id, agent, instance, fence: self.fence + 1, route }])
    }

    pub(super) fn report(
        &self,
        cx: Circumstance,
        attempt: AttemptId,
        fence: u64,
        report: Report,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let known = self.attempts.get(&attempt).ok_or(Rejection::NotFound("attempt"))?;
        let open = self.delegation.as_ref().ok_or(Rejection::Fenced)?;
        let holder = open.attempt.filter(|holder| holder.id == attempt && holder.fence == fence);
        let Some(holder) = holder else { return Err(Rejection::Fenced) };
        let cancelling = open.status == DelegationStatus::Cancelling;
        Ok(match report {
            // What ends an attempt ends it; after a cancel its result is kept, never applied.
            Report::Submitted { text, .. } if cancelling => self.stopped(open, attempt, Some(text)),
            Report::Failed { .. } | Report::Stopped if cancelling => self.stopped(open, attempt, None),
            Report::Accepted if open.status == DelegationStatus::Dispatching => self.accepted(open, attempt),
            Report::Accepted => vec![],
            Report::Progress { percent, phase, message } => {
                let percent = match (percent, holder.percent) {
                    (Some(now), Some(before)) => Some(now.min(100).max(before)),
                    (now, before) => now.map(|now| now.min(100)).or(before),
                };
                let (phase, message) = (bounded(&phase), message.as_deref().map(bounded));
                vec![TaskEvent::Progress { attempt, percent, phase, message }]
            }
            Report::Tool { tool, ok, summary } => {
                vec![TaskEvent::AttemptTool { attempt, tool: bounded(&tool), ok, summary: bounded(&summary) }]
            }
            Report::Artifact { artifact, kind, name, content, details } => {
                let (content, details) = (content.map(|text| storable(&text, usize::MAX)), scrubbed(details));
                vec![TaskEvent::ArtifactRecorded { artifact, attempt, kind, name, content, details }]
            }
            Report::Usage(usage) => match known.usage.grown_to(usage) {
                usage if usage == known.usage => vec![],
                usage => vec![TaskEvent::AttemptUsage { attempt, usage }],
            },
            Report::Asked { .. } if cancelling => vec![],
            Report::Asked { interrupt, key, kind, prompt, details } => {
                let (key, prompt, details) = (bounded(&key), storable(&prompt, PROMPT_LENGTH_MAX), scrubbed(details));
                self.asked(open, TaskEvent::InterruptOpened { interrupt, attempt, key, kind, prompt, details })
            }
            // Nothing can have been delivered of a question that is still open.
            Report::Delivered(interrupt) => match open.interrupts.get(&interrupt) {
                Some(Interrupt { answer: Some(_), .. }) => vec![TaskEvent::InterruptDelivered { interrupt }],
                Some(Interrupt { answer: None, .. }) | None => vec![],
            },
            Report::Withdrawn { key } => self.withdrawn(open, &bounded(&key)),
            Report::Submitted { text, artifact } => self.submitted(cx, open, attempt, text, artifact),
            Report::Failed { class, message } => self.failed(cx, open, attempt, class, &message),
            Report::Stopped => {
                self.failed(cx, open, attempt, FailureClass::InstanceLost, "the instance stopped the work by itself")
            }
        })
    }

    fn accepted(&self, open: &Delegation, attempt: AttemptId) -> Vec<TaskEvent> {
        let mut events =
            vec![TaskEvent::AttemptAccepted { attempt }, TaskEvent::DelegationRunning { delegation: open.id }];
        events.extend(self.brought_to(TaskStatus::InProgress, "an agent works on it"));
        events
    }

    fn asked(&self, open: &Delegation, opened: TaskEvent) -> Vec<TaskEvent> {
        let TaskEvent::InterruptOpened { interrupt, ref key, .. } = opened else { return vec![] };
        // An answered question that comes in again, as after a resumed stream, would stop the work for ever.
        if open.asked.contains_key(key) || open.asked.values().any(|known| *known == interrupt) {
            return vec![];
        }
        let mut events = vec![];
        if open.status == DelegationStatus::Dispatching {
            events.extend(self.accepted(open, open.attempt.map_or(AttemptId(Default::default()), |holder| holder.id)));
        }
        events.push(opened);
        events.push(TaskEvent::DelegationAwaiting { delegation: open.id, interrupt });
        let from = if events.len() > 2 { TaskStatus::InProgress } else { self.status };
        if from == TaskStatus::InProgress {
            let reason = "an agent asks".to_owned();
            events.push(TaskEvent::Transitioned { from, to: TaskStatus::AwaitingInput, reason });
        }
        events
    }

    pub(super) fn answer(
        &self,
        cx: Circumstance,
        id: DelegationId,
        interrupt: InterruptId,
        answer: Value,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        let asked = open.interrupts.get(&interrupt).ok_or(Rejection::NotFound("interrupt"))?;
        if asked.answer.is_some() {
            return Err(Rejection::Busy("the question is answered already"));
        }
        if !may_answer(cx.by) {
            return Err(Rejection::Forbidden("only a person can answer an agent's question"));
        }
        let mut events = vec![TaskEvent::InterruptResolved { interrupt, answer: scrubbed(answer), by: cx.by }];
        events.extend(self.going_on_without(open, interrupt));
        Ok(events)
    }

    fn withdrawn(&self, open: &Delegation, key: &str) -> Vec<TaskEvent> {
        let asked = open.interrupts.iter().find(|(_, asked)| asked.key == key && asked.answer.is_none());
        let Some((interrupt, _)) = asked else { return vec![] };
        let mut events =
            vec![TaskEvent::InterruptClosed { interrupt: *interrupt, reason: "withdrawn by the agent".into() }];
        events.extend(self.going_on_without(open, *interrupt));
        events
    }

    /// The work goes on when no other question is open.
    fn going_on_without(&self, open: &Delegation, gone: InterruptId) -> Vec<TaskEvent> {
        let others = open.interrupts.iter().any(|(id, asked)| *id != gone && asked.answer.is_none());
        if others || open.status != DelegationStatus::Awaiting {
            return vec![];
        }
        let mut events = vec![TaskEvent::DelegationRunning { delegation: open.id }];
        events.extend(self.brought_to(TaskStatus::InProgress, "the questions are answered"));
        events
    }

    fn submitted(
        &self,
        cx: Circumstance,
        open: &Delegation,
        attempt: AttemptId,
        text: Prose,
        artifact: ArtifactId,
    ) -> Vec<TaskEvent> {
        let mut evidence = open.evidence.clone();
        let mut events = vec![];
        if !text.trim().is_empty() {
            if !evidence.contains(&artifact) {
                evidence.push(artifact);
            }
            events.push(TaskEvent::ArtifactRecorded {
                artifact,
                attempt,
                kind: Label::fitted("text"),
                name: Text1024::fitted("answer"),
                content: Some(text.to_string()),
                details: Value::Null,
            });
        }
        if evidence.is_empty() {
            let message = "the agent says that it is done and shows nothing for it";
            return self.failed(cx, open, attempt, FailureClass::EvidenceMissing, message);
        }
        events.extend(self.closed_interrupts("the work was handed in"));
        // A result can be the first thing that is heard of an attempt, or come while a question is open.
        if open.status == DelegationStatus::Dispatching {
            events.push(TaskEvent::AttemptAccepted { attempt });
        }
        if open.status != DelegationStatus::Running {
            events.push(TaskEvent::DelegationRunning { delegation: open.id });
        }
        events.extend(self.brought_to(TaskStatus::InProgress, "an agent works on it"));
        events.push(TaskEvent::AttemptSucceeded { attempt });
        events.push(TaskEvent::DelegationSubmitted { delegation: open.id, attempt, text, evidence });
        let from = TaskStatus::InProgress;
        if open.review.approvals == 0 {
            events.push(TaskEvent::DelegationCompleted { delegation: open.id });
            events.push(TaskEvent::Transitioned { from, to: TaskStatus::Done, reason: "no review is needed".into() });
        } else {
            let required = open.review.approvals;
            events.push(TaskEvent::DelegationReviewing { delegation: open.id, required });
            events.push(TaskEvent::Transitioned { from, to: TaskStatus::InReview, reason: "handed in".into() });
        }
        events
    }

    fn failed(
        &self,
        cx: Circumstance,
        open: &Delegation,
        attempt: AttemptId,
        class: FailureClass,
        message: &str,
    ) -> Vec<TaskEvent> {
        use FailureClass as F;
        let message = bounded(message);
        let mut events = self.closed_interrupts("the attempt ended");
        let lost = matches!(class, F::ConnectRefused | F::InstanceLost | F::DispatchUnknown | F::SessionNotFound);
        events.push(if lost {
            TaskEvent::AttemptLost { attempt, class, message: message.clone() }
        } else {
            TaskEvent::AttemptFailed { attempt, class, message: message.clone() }
        });
        if self.status == TaskStatus::AwaitingInput {
            events.push(self.transitioned(TaskStatus::InProgress, "the attempt ended"));
            let mut then = self.clone();
            then.status = TaskStatus::InProgress;
            events.extend(then.recover(open, cx.now, class, &message));
        } else {
            events.extend(self.recover(open, cx.now, class, &message));
        }
        events
    }

    fn stopped(&self, open: &Delegation, attempt: AttemptId, late_result: Option<Prose>) -> Vec<TaskEvent> {
        let mut events = vec![
            TaskEvent::AttemptCancelled { attempt, late_result },
            TaskEvent::DelegationCancelled { delegation: open.id, reason: "stopped".into() },
        ];
        events.extend(self.released("the delegation was cancelled"));
        events
    }

    pub(super) fn apply_attempt(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::AttemptStarted { attempt, delegation, agent, fence, .. } => {
                self.fence = *fence;
                let state = AttemptState { delegation: *delegation, open: true, usage: Usage::default() };
                self.attempts.insert(*attempt, state);
                if let Some(open) = &mut self.delegation {
                    open.status = DelegationStatus::Dispatching;
                    open.tries += 1;
                    open.attempt = Some(Holder { id: *attempt, agent: *agent, fence: *fence, percent: None });
                }
            }
            TaskEvent::AttemptUsage { attempt, usage } => {
                if let Some(state) = self.attempts.get_mut(attempt) {
                    state.usage = *usage;
                }
            }
            TaskEvent::AttemptSucceeded { attempt }
            | TaskEvent::AttemptFailed { attempt, .. }
            | TaskEvent::AttemptLost { attempt, .. }
            | TaskEvent::AttemptCancelled { attempt, .. }
            | TaskEvent::AttemptSuperseded { attempt } => {
                if let Some(state) = self.attempts.get_mut(attempt) {
                    state.open = false;
                }
                if let Some(open) = &mut self.delegation {
                    open.attempt = None;
                }
            }
            TaskEvent::InterruptOpened { interrupt, attempt, key, kind, .. } => {
                if let Some(open) = &mut self.delegation {
                    let asked = Interrupt { key: key.clone(), kind: *kind, attempt: *attempt, answer: None };
                    open.interrupts.insert(*interrupt, asked);
                    open.asked.insert(key.clone(), *interrupt);
                }
            }
            TaskEvent::InterruptResolved { interrupt, answer, .. } => {
                if let Some(asked) = self.interrupt_mut(interrupt) {
                    asked.answer = Some(answer.clone());
                }
            }
            TaskEvent::InterruptDelivered { interrupt } | TaskEvent::InterruptClosed { interrupt, .. } => {
                if let Some(open) = &mut self.delegation {
                    open.interrupts.remove(interrupt);
                }
            }
            TaskEvent::ArtifactRecorded { artifact, .. } => {
                if let Some(open) = &mut self.delegation
                    && !open.evidence.contains(artifact)
                {
                    open.evidence.push(*artifact);
                }
            }
            // They say what is known from other events of the same commit, or nothing about the state.
            _ => {}
        }
    }

    fn interrupt_mut(&mut self, id: &InterruptId) -> Option<&mut Interrupt> {
        self.delegation.as_mut()?.interrupts.get_mut(id)
    }
}

fn bounded(text: &str) -> String {
    storable(text, MESSAGE_LENGTH_MAX)
}
