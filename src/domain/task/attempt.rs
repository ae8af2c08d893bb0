//! An attempt's life: dispatched, accepted, reporting, ended. Every report carries the attempt and its fence; one
//! that no longer holds the delegation changes nothing.

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::{
    event::{ArtifactName, TaskEvent},
    failure::FailureClass,
    ids::*,
    right::Stakes,
    run::Usage,
    text::{Label, Prose, storable},
};

use super::{
    interrupts::{about, question},
    ladder::{Fallen, fnv},
    *,
};

/// The longest message of a report that is kept.
const MESSAGE_LENGTH_MAX: usize = 2_000;
/// So many names of things that were made are remembered; behind them nothing counts as new.
const MADE_MAX: usize = 512;
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
        if self.hand_offs.is_offered() {
            return Err(Rejection::Busy("it is offered to another agent, who has not answered yet"));
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
            Report::Artifact(made) => vec![made.recorded(attempt)],
            Report::Usage(usage) => match known.usage.grown_to(usage) {
                usage if usage == known.usage => vec![],
                usage => vec![TaskEvent::AttemptUsage { attempt, usage }],
            },
            Report::Asked { .. } if cancelling => vec![],
            Report::Asked { interrupt, key, kind, prompt, details } => {
                let after =
                    |expiry: &Expiry| cx.now + TimeDelta::seconds(expiry.after_secs.min(EXPIRY_SECS_MAX) as i64);
                let expires_at = open.terms.expiry.as_ref().map(after);
                self.asked(open, question(interrupt, attempt, &key, kind, &prompt, details, expires_at))
            }
            Report::Nudged { .. } if cancelling => vec![],
            Report::Nudged { why, since, untold } => {
                let untold = untold.as_deref().map(bounded);
                holder.nudges.nudged(attempt, (why, since), untold).into_iter().collect()
            }
            // Nothing can have been delivered of a question that is still open, or that nobody waits for.
            Report::Delivered(interrupt) => match open.interrupts.get(&interrupt) {
                Some(Interrupt { answer: Some(_), lapsed: false, .. }) => {
                    vec![TaskEvent::InterruptDelivered { interrupt }]
                }
                Some(_) | None => vec![],
            },
            Report::Withdrawn { key } => self.withdrawn(open, &bounded(&key)),
            Report::Submitted { text, artifact } => self.submitted(cx, open, attempt, text, artifact),
            Report::Failed { class, message, retry_after_ms } => {
                self.failed(cx, open, attempt, class, &message, retry_after_ms)
            }
            Report::Stopped => {
                let message = "the instance stopped the work by itself";
                self.failed(cx, open, attempt, FailureClass::InstanceLost, message, None)
            }
        })
    }

    pub(super) fn accepted(&self, open: &Delegation, attempt: AttemptId) -> Vec<TaskEvent> {
        let mut events =
            vec![TaskEvent::AttemptAccepted { attempt }, TaskEvent::DelegationRunning { delegation: open.id }];
        events.extend(self.brought_to(TaskStatus::InProgress, "an agent works on it"));
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
        let mut events: Vec<_> = self.offer_ends("the work was handed in").into_iter().collect();
        if !text.trim().is_empty() {
            if !evidence.contains(&artifact) {
                evidence.push(artifact);
            }
            events.push(TaskEvent::ArtifactRecorded {
                artifact,
                attempt,
                kind: Label::fitted("text"),
                name: ArtifactName::fitted("answer"),
                content: Some(text.to_string()),
                details: Value::Null,
            });
        }
        if evidence.is_empty() {
            // An offer outlives the attempt: whoever takes it goes on.
            let message = "the agent says that it is done and shows nothing for it";
            return self.failed(cx, open, attempt, FailureClass::EvidenceMissing, message, None);
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
        retry_after_ms: Option<u64>,
    ) -> Vec<TaskEvent> {
        use FailureClass as F;
        let Some(known) = self.attempts.get(&attempt) else { return vec![] };
        let message = bounded(message);
        let mut events = self.closed_interrupts("the attempt ended");
        let lost = matches!(class, F::ConnectRefused | F::InstanceLost | F::DispatchUnknown | F::SessionNotFound);
        // Who is lost has asked for nothing.
        let retry_after_ms = retry_after_ms.filter(|_| !lost);
        events.push(if lost {
            TaskEvent::AttemptLost { attempt, class, message: message.clone() }
        } else {
            TaskEvent::AttemptFailed { attempt, class, message: message.clone(), retry_after_ms }
        });
        let (agent, instance, owner) = (known.agent, known.instance, self.owner(open));
        let fallen = Fallen { attempt, agent, instance, class, message: &message, owner };
        if self.status == TaskStatus::AwaitingInput {
            events.push(self.transitioned(TaskStatus::InProgress, "the attempt ended"));
            let mut then = self.clone();
            then.status = TaskStatus::InProgress;
            events.extend(then.recover(open, cx.now, fallen, retry_after_ms));
        } else {
            events.extend(self.recover(open, cx.now, fallen, retry_after_ms));
        }
        events
    }

    /// What comes too late is kept, and counts for nothing.
    pub(super) fn archive(&self, attempt: AttemptId, made: Made) -> Result<Vec<TaskEvent>, Rejection> {
        if !self.attempts.contains_key(&attempt) {
            return Err(Rejection::NotFound("attempt"));
        }
        if !self.is_stopping(attempt) {
            return Err(Rejection::Fenced);
        }
        Ok(vec![made.recorded(attempt)])
    }

    pub(super) fn release(
        &self,
        attempt: AttemptId,
        stopped: bool,
        late_result: Option<Prose>,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        if !self.attempts.contains_key(&attempt) {
            return Err(Rejection::NotFound("attempt"));
        }
        if !self.is_stopping(attempt) {
            return Ok(vec![]);
        }
        Ok(vec![TaskEvent::AttemptReleased { attempt, stopped, late_result }])
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
            TaskEvent::AttemptStarted { attempt, delegation, agent, instance, fence, .. } => {
                self.fence = *fence;
                self.tries += 1;
                let state = AttemptState {
                    delegation: *delegation,
                    agent: *agent,
                    instance: *instance,
                    open: true,
                    stopping: false,
                    usage: Usage::default(),
                };
                self.attempts.insert(*attempt, state);
                if let Some(open) = &mut self.delegation {
                    open.status = DelegationStatus::Dispatching;
                    let (percent, nudges) = Default::default();
                    open.attempt = Some(Holder { id: *attempt, agent: *agent, fence: *fence, percent, nudges });
                }
            }
            TaskEvent::AttemptNudged { nth, why, since, .. } => {
                if let Some(holder) = self.delegation.as_mut().and_then(|open| open.attempt.as_mut()) {
                    holder.nudges.apply(*nth, *why, *since);
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
                    state.stopping = event.leaves_an_agent_at_work();
                }
                if let Some(open) = &mut self.delegation {
                    open.attempt = None;
                }
            }
            TaskEvent::AttemptReleased { attempt, .. } => {
                if let Some(state) = self.attempts.get_mut(attempt) {
                    state.stopping = false;
                }
            }
            TaskEvent::InterruptOpened { interrupt, attempt, key, kind, prompt, details, expires_at } => {
                if let Some(open) = &mut self.delegation {
                    let asked = Interrupt {
                        key: key.clone(),
                        kind: *kind,
                        attempt: *attempt,
                        about: about(*kind, prompt, details),
                        schema: details.get("schema").cloned(),
                        lapsed: false,
                        stakes: Stakes::of(details),
                        expires_at: *expires_at,
                        answer: None,
                    };
                    open.interrupts.insert(*interrupt, asked);
                    open.asked.insert(key.clone(), *interrupt);
                }
            }
            TaskEvent::InterruptLapsed { interrupt } => {
                if let Some(asked) = self.interrupt_mut(interrupt) {
                    asked.lapsed = true;
                }
            }
            TaskEvent::InterruptRenewed { interrupt, key } => {
                if let Some(asked) = self.interrupt_mut(interrupt) {
                    asked.lapsed = false;
                    asked.key.clone_from(key);
                }
                if let Some(open) = &mut self.delegation {
                    open.asked.insert(key.clone(), *interrupt);
                }
            }
            TaskEvent::InterruptResolved { interrupt, answer, policy, .. } => {
                match policy {
                    Some(_) => self.note_expired(*interrupt),
                    // A person's answer is news.
                    None => {
                        self.tried.forget();
                        self.hand_offs.forget();
                    }
                }
                if let Some(asked) = self.interrupt_mut(interrupt) {
                    asked.answer = Some(answer.clone());
                }
            }
            TaskEvent::InterruptClosed { interrupt, policy: Some(_), .. } => {
                self.note_expired(*interrupt);
                if let Some(open) = &mut self.delegation {
                    open.interrupts.remove(interrupt);
                }
            }
            TaskEvent::InterruptDelivered { interrupt } | TaskEvent::InterruptClosed { interrupt, .. } => {
                if let Some(open) = &mut self.delegation {
                    open.interrupts.remove(interrupt);
                }
            }
            TaskEvent::ArtifactRecorded { artifact, attempt, kind, name, .. } => {
                let counts = self.attempts.get(attempt).is_some_and(|known| known.open);
                if !counts || **kind == *PARTIAL {
                    return;
                }
                if self.made.len() < MADE_MAX && self.made.insert(fnv(format!("{kind}:{name}").as_bytes())) {
                    self.tried.forget();
                }
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

pub(super) fn bounded(text: &str) -> String {
    storable(text, MESSAGE_LENGTH_MAX)
}
