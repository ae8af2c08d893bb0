//! The second reading of attempts and their questions.

use chrono::TimeDelta;

use crate::domain::{
    event::{Recorded, TaskEvent},
    ids::*,
    task::{Expiry, TRIES_MAX},
};

use super::ledger::{Doctor, Try};

impl Doctor {
    pub(super) fn attempted(&mut self, offset: u64, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::AttemptStarted { attempt, delegation, agent, instance, fence, .. } => {
                self.started(offset, task, *fence, (*attempt, *delegation, *agent, *instance));
            }
            E::AttemptSucceeded { attempt }
            | E::AttemptFailed { attempt, .. }
            | E::AttemptLost { attempt, .. }
            | E::AttemptCancelled { attempt, .. }
            | E::AttemptSuperseded { attempt } => {
                self.must_be_live(offset, *attempt);
                if let E::AttemptFailed { retry_after_ms, .. } = event
                    && let Some(card) = self.card(task)
                {
                    let asked = i64::try_from(retry_after_ms.unwrap_or(0)).unwrap_or(i64::MAX).min(3_600_000);
                    card.retry_after = TimeDelta::milliseconds(asked);
                }
                if let Some(known) = self.attempts.get_mut(attempt) {
                    (known.live, known.stopping) = (false, event.leaves_an_agent_at_work());
                    let of = known.delegation;
                    if let Some(mandate) = self.delegations.get_mut(&of) {
                        mandate.live = None;
                    }
                }
            }
            E::AttemptReleased { attempt, .. } => {
                if let Some(known) = self.attempts.get_mut(attempt) {
                    known.stopping = false;
                }
            }
            E::AttemptAccepted { attempt }
            | E::Progress { attempt, .. }
            | E::AttemptTool { attempt, .. }
            | E::AttemptNudged { attempt, .. }
            | E::AttemptUsage { attempt, .. }
            | E::InterruptOpened { attempt, .. } => self.must_be_live(offset, *attempt),
            E::ArtifactRecorded { attempt, kind, name, .. } => {
                let known = self.attempts.get(attempt);
                let counts = known.is_some_and(|known| known.live);
                if !counts && !known.is_some_and(|known| known.stopping) {
                    self.found("I3", offset, format!("attempt {attempt} made something and no longer counts"));
                }
                if counts && let Some(card) = self.card(task) {
                    card.steps.clear();
                }
                self.artifacts.insert((*attempt, kind.to_string(), name.to_string()));
            }
            E::Updated { title, description, .. } if title.is_some() || description.is_some() => {
                if let Some(card) = self.card(task) {
                    card.steps.clear();
                }
            }
            E::InterruptResolved { policy: None, .. } => {
                if let Some(card) = self.card(task) {
                    card.steps.clear();
                }
            }
            _ => {}
        }
    }

    fn must_be_live(&mut self, offset: u64, attempt: AttemptId) {
        if !self.attempts.get(&attempt).is_some_and(|known| known.live) {
            self.found("I3", offset, format!("attempt {attempt} was heard and does not count"));
        }
    }

    fn started(
        &mut self,
        offset: u64,
        task: TaskId,
        fence: u64,
        (attempt, delegation, agent, instance): (AttemptId, DelegationId, AgentId, InstanceId),
    ) {
        if !self.gates_are_open(task) {
            self.found("I7", offset, format!("attempt {attempt} started behind a closed gate"));
        }
        let live = || self.attempts.values().filter(|other| other.live);
        let here = live().filter(|other| other.instance == instance).count();
        let all = live().filter(|other| other.agent == agent).count();
        let most = |bound: Option<&u32>| bound.map_or(usize::MAX, |bound| *bound as usize);
        if here >= most(self.slots.get(&instance)) || all >= most(self.bounds.get(&agent)) {
            self.found("I20", offset, format!("attempt {attempt} is one too many for its agent or its instance"));
        }
        let started = Try { delegation, agent, instance, live: true, stopping: false };
        if self.attempts.insert(attempt, started).is_some() {
            self.found("I18", offset, format!("attempt {attempt} was started twice"));
        }
        let before = self.delegations.get_mut(&delegation).and_then(|mandate| mandate.live.replace(attempt));
        if before.is_some() {
            self.found("I2", offset, format!("delegation {delegation} has two live attempts"));
        }
        let Some(card) = self.card(task) else { return };
        let rises = fence > std::mem::replace(&mut card.fence, fence);
        card.used += 1;
        let used = card.used;
        if !rises {
            self.found("I2", offset, format!("the fence of task {task} does not rise"));
        }
        if used > TRIES_MAX {
            self.found("I13", offset, format!("task {task} has had {used} tries without a person's say"));
        }
    }

    /// What was agreed for a question that nobody answers.
    fn agreed(&self, interrupt: InterruptId) -> Option<Expiry> {
        let (attempt, _) = self.questions.get(&interrupt)?;
        let delegation = self.attempts.get(attempt)?.delegation;
        let mandate = self.delegations.get(&delegation)?;
        // An answer can only be agreed with a person.
        let sound = mandate.delegator.user().is_some() || !mandate.terms.answers_by_itself();
        mandate.terms.expiry.clone().filter(|_| sound)
    }

    pub(super) fn asked(&mut self, recorded: &Recorded, event: &TaskEvent) {
        let offset = recorded.offset;
        self.decided(recorded, event);
        match event {
            TaskEvent::InterruptOpened { interrupt, attempt, .. } => {
                let again = self.questions.insert(*interrupt, (*attempt, true)).is_some();
                if again {
                    self.found("I18", offset, format!("question {interrupt} was asked twice"));
                }
            }
            TaskEvent::InterruptResolved { interrupt, by, policy, .. } => {
                let open = self.questions.get_mut(interrupt).is_some_and(|(_, open)| std::mem::take(open));
                let theirs = match policy {
                    Some(_) => *policy == self.agreed(*interrupt),
                    None => by.user().is_some(),
                };
                if !open || !theirs {
                    self.found(
                        "I11",
                        offset,
                        format!("question {interrupt} was answered by {by} and not open, or not theirs"),
                    );
                }
            }
            TaskEvent::ReminderSent { delegation, interrupt, nth, .. } => {
                let count = match interrupt {
                    Some(interrupt) if self.questions.get(interrupt).is_some_and(|(_, open)| *open) => {
                        Some(self.reminded.entry(*interrupt).or_default())
                    }
                    Some(_) => None,
                    None => self.delegations.get_mut(delegation).map(|known| &mut known.reminded),
                };
                let fine = count.is_some_and(|count| {
                    *count += 1;
                    *count == *nth
                });
                if !fine {
                    self.found(
                        "I9",
                        offset,
                        format!("reminder {nth} of delegation {delegation} is lost, doubled or late"),
                    );
                }
            }
            TaskEvent::InterruptClosed { interrupt, .. } => {
                if let Some((_, open)) = self.questions.get_mut(interrupt) {
                    *open = false;
                }
            }
            _ => {}
        }
    }
}
