//! A delegation's life as people see it: asked for, queued, stopped, answered, reviewed.

use chrono::{DateTime, Utc};

use crate::domain::{
    event::TaskEvent,
    ids::*,
    principal::Principal,
    text::{Prose, storable},
};

use super::{
    ladder::{Fallen, pause},
    *,
};

/// The longest reason that is kept.
pub(super) const REASON_LENGTH_MAX: usize = 2_000;

impl Task {
    pub(super) fn delegate(&self, cx: Circumstance, new: NewDelegation) -> Result<Vec<TaskEvent>, Rejection> {
        if self.delegation.is_some() {
            return Err(Rejection::Busy("the task has an open delegation already"));
        }
        if self.ended.contains_key(&new.id) {
            return Err(Rejection::Busy("a delegation of this name has ended already"));
        }
        // Whatever wakes Link up again and again has no more tries than the first time.
        let tries = self.tries_after_a_say_of(cx.by);
        if tries >= TRIES_MAX {
            return Err(Rejection::Busy("the task has used up its tries: a person has to decide how it goes on"));
        }
        // What is agreed for nobody's answer is an answer too: nobody gives themselves the leave that they will ask for.
        if cx.by.user().is_none() && new.terms.answers_by_itself() {
            return Err(Rejection::Forbidden("only a person can say how a question is answered that nobody answers"));
        }
        let mut events = vec![];
        match self.status {
            TaskStatus::Ready | TaskStatus::InProgress => {}
            // Giving it to an agent is the triage.
            TaskStatus::Backlog => events.push(self.transitioned(TaskStatus::Ready, "delegated")),
            TaskStatus::Blocked => return Err(Rejection::Busy("the task waits for other tasks")),
            from => {
                return Err(Rejection::Transition {
                    what: "the task",
                    from: from.to_string(),
                    to: "a delegation; reopen it first".into(),
                });
            }
        }
        events.push(TaskEvent::DelegationQueued {
            delegation: new.id,
            agent: new.agent,
            team: new.team.or_else(|| self.own_team()).filter(|_| new.agent.is_none()),
            instructions: new.instructions,
            delegator: cx.by,
            review: new.review,
            not_before: None,
            tries,
            round: 0,
            reason: QueueReason::Created,
            step: None,
            terms: new.terms.scrubbed().with(&self.skills),
        });
        Ok(events)
    }

    pub(super) fn cancel(&self, id: DelegationId, reason: String) -> Result<Vec<TaskEvent>, Rejection> {
        if matches!(self.ended.get(&id), Some(DelegationStatus::Cancelled)) {
            return Ok(vec![]);
        }
        let open = self.open_delegation(id)?;
        let mut events = self.cancel_events(open, &storable(&reason, REASON_LENGTH_MAX));
        if open.attempt.is_none() {
            events.extend(self.released("the delegation was cancelled"));
        }
        Ok(events)
    }

    /// Without a running attempt a cancel is immediate; with one, the agent is told first.
    pub(super) fn cancel_events(&self, open: &Delegation, reason: &str) -> Vec<TaskEvent> {
        let reason = reason.to_owned();
        match (open.attempt, open.status) {
            (Some(_), DelegationStatus::Cancelling) => vec![],
            (Some(_), _) => {
                let mut events: Vec<_> = self.offer_ends("the delegation is being cancelled").into_iter().collect();
                events.extend(self.closed_interrupts("the delegation is being cancelled"));
                events.push(TaskEvent::DelegationCancelling { delegation: open.id, reason });
                events
            }
            (None, _) => {
                let offer = self.offer_ends("the delegation was cancelled");
                offer.into_iter().chain([TaskEvent::DelegationCancelled { delegation: open.id, reason }]).collect()
            }
        }
    }

    pub(super) fn pause(&self, id: DelegationId) -> Result<Vec<TaskEvent>, Rejection> {
        use DelegationStatus as D;
        let open = self.open_delegation(id)?;
        match open.status {
            D::Paused => Ok(vec![]),
            D::Queued | D::Dispatching | D::Running | D::Awaiting => {
                let mut events = self.superseded("the delegation was paused");
                events.push(TaskEvent::DelegationPaused { delegation: id });
                Ok(events)
            }
            from => Err(no_step(from, "paused")),
        }
    }

    pub(super) fn resume(&self, cx: Circumstance, id: DelegationId) -> Result<Vec<TaskEvent>, Rejection> {
        use DelegationStatus as D;
        let open = self.open_delegation(id)?;
        match open.status {
            D::Queued => Ok(vec![]),
            D::Paused | D::Escalated => {
                let tries = self.tries_after_a_say_of(cx.by);
                if tries >= TRIES_MAX {
                    return Err(Rejection::Forbidden("the task has used up its tries: a person has to let it go on"));
                }
                let mut events = self.superseded("a person let it go on");
                events.push(requeued(open, QueueReason::Resumed, tries));
                Ok(events)
            }
            from => Err(no_step(from, "queued")),
        }
    }

    pub(super) fn reassign(
        &self,
        cx: Circumstance,
        id: DelegationId,
        agent: AgentId,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        use DelegationStatus as D;
        // Where work goes in a circle is seen in hand-offs only, and whom they go to is asked.
        if matches!(cx.by, Principal::Agent(_)) {
            return Err(Rejection::Forbidden("agents give work to nobody: hand it off instead"));
        }
        let open = self.open_delegation(id)?;
        match open.status {
            D::Queued | D::Dispatching | D::Running | D::Awaiting | D::Paused | D::Escalated => {
                let tries = self.tries_after_a_say_of(cx.by);
                if tries >= TRIES_MAX {
                    return Err(Rejection::Forbidden("the task has used up its tries: a person has to let it go on"));
                }
                let mut events = self.superseded("the delegation went to another agent");
                let mut queued = requeued(open, QueueReason::Reassigned, tries);
                if let TaskEvent::DelegationQueued { agent: to, team, .. } = &mut queued {
                    (*to, *team) = (Some(agent), None);
                }
                events.push(queued);
                Ok(events)
            }
            from => Err(no_step(from, "another agent")),
        }
    }

    /// What follows when an attempt ended without a result.
    pub(super) fn recover(
        &self,
        open: &Delegation,
        now: DateTime<Utc>,
        fallen: Fallen<'_>,
        retry_after_ms: Option<u64>,
    ) -> Vec<TaskEvent> {
        let step = self.tried.next(fallen, self.tries, open.agent.is_some());
        let (class, blame) = (step.class, Some(step.blame));
        let fingerprint = Some(step.fingerprint.clone());
        let mut events = vec![TaskEvent::DelegationRecovering { delegation: open.id, class, blame, fingerprint }];
        if !step.strategy.needs_a_person() {
            let mut queued = requeued(open, QueueReason::Retry, self.tries);
            if let TaskEvent::DelegationQueued { not_before, step: taken, .. } = &mut queued {
                *not_before = Some(now + pause(fallen.attempt, self.tries, retry_after_ms));
                *taken = Some(Box::new(step));
            }
            events.push(queued);
            return events;
        }
        let reason = match (class.retryable(), self.tries) {
            (true, 2..) => format!("{} attempts failed, the last one: {}", self.tries, fallen.message),
            _ => fallen.message.to_owned(),
        };
        events.push(TaskEvent::DelegationEscalated {
            delegation: open.id,
            reason,
            options: options(),
            owner: step.owner,
            evidence: open.evidence.clone(),
            proposal: step.proposal(),
            step: Some(Box::new(step)),
        });
        if self.status == TaskStatus::InProgress {
            events.push(self.transitioned(TaskStatus::AwaitingInput, "a person has to decide"));
        }
        events
    }

    /// The team that the task is assigned to.
    fn own_team(&self) -> Option<TeamId> {
        match self.assignee {
            Some(Principal::Team(team)) => Some(team),
            _ => None,
        }
    }

    /// A person's say gives a task its tries back; nothing else does.
    fn tries_after_a_say_of(&self, by: Principal) -> u32 {
        if by.user().is_some() { 0 } else { self.tries }
    }

    /// Who is asked when Link cannot go on: who delegated, or who answers for the task.
    pub(super) fn owner(&self, open: &Delegation) -> Option<Principal> {
        [Some(open.delegator), self.assignee].into_iter().flatten().find(|who| who.user().is_some())
    }

    /// The task is free again when its delegation ended without a result.
    pub(super) fn released(&self, reason: &str) -> Option<TaskEvent> {
        let held = matches!(self.status, TaskStatus::InProgress | TaskStatus::AwaitingInput | TaskStatus::InReview);
        held.then(|| self.transitioned(TaskStatus::Ready, reason))
    }

    /// Fences the running attempt off, if there is one; nobody is waited for any more, and nothing is offered.
    pub(super) fn superseded(&self, reason: &str) -> Vec<TaskEvent> {
        self.offer_ends(reason).into_iter().chain(self.fenced_off(reason)).collect()
    }

    pub(super) fn fenced_off(&self, reason: &str) -> Vec<TaskEvent> {
        let mut events = vec![];
        if let Some(holder) = self.delegation.as_ref().and_then(|open| open.attempt) {
            events.extend(self.closed_interrupts(reason));
            events.push(TaskEvent::AttemptSuperseded { attempt: holder.id });
        }
        if self.status == TaskStatus::AwaitingInput {
            events.push(self.transitioned(TaskStatus::InProgress, reason));
        }
        events
    }

    pub(super) fn closed_interrupts(&self, reason: &str) -> Vec<TaskEvent> {
        let open = self.delegation.iter().flat_map(|open| &open.interrupts);
        open.filter(|(_, interrupt)| interrupt.answer.is_none())
            .map(|(id, _)| TaskEvent::InterruptClosed { interrupt: *id, reason: reason.into(), policy: None })
            .collect()
    }

    pub(super) fn apply_delegation(&mut self, event: &TaskEvent) {
        use DelegationStatus as D;
        match event {
            TaskEvent::DelegationQueued {
                delegation,
                agent,
                team,
                instructions,
                delegator,
                review,
                not_before,
                tries,
                round,
                reason,
                step,
                terms,
            } => {
                // Only a person's say leaves it without tries.
                if *reason != QueueReason::Retry && *tries == 0 {
                    self.tried.forget();
                    self.hand_offs.forget();
                }
                if let Some(step) = step {
                    self.tried.note(step);
                }
                self.tries = *tries;
                self.delegation = Some(Delegation {
                    id: *delegation,
                    status: D::Queued,
                    agent: *agent,
                    team: *team,
                    instructions: instructions.clone(),
                    delegator: *delegator,
                    review: review.clone(),
                    terms: terms.clone(),
                    round: *round,
                    not_before: *not_before,
                    attempt: None,
                    interrupts: Default::default(),
                    asked: Default::default(),
                    approvals: vec![],
                    evidence: vec![],
                });
            }
            TaskEvent::DelegationRunning { .. } => self.set_status(D::Running),
            TaskEvent::DelegationAwaiting { .. } => self.set_status(D::Awaiting),
            TaskEvent::DelegationPaused { .. } => self.set_status(D::Paused),
            TaskEvent::DelegationReviewing { .. } => self.set_status(D::Reviewing),
            TaskEvent::DelegationEscalated { .. } => self.set_status(D::Escalated),
            TaskEvent::DelegationCancelling { .. } => self.set_status(D::Cancelling),
            TaskEvent::DelegationReviewed { reviewer, verdict: Verdict::Approve, .. } => {
                if let Some(open) = &mut self.delegation {
                    open.approvals.push(*reviewer);
                }
            }
            TaskEvent::DelegationApproversSet { review, approvals, .. } => {
                if let Some(open) = &mut self.delegation {
                    open.review.clone_from(review);
                    open.approvals.clone_from(approvals);
                }
            }
            TaskEvent::DelegationCompleted { delegation } => self.end(*delegation, D::Completed),
            TaskEvent::DelegationCancelled { delegation, .. } => self.end(*delegation, D::Cancelled),
            TaskEvent::DelegationFailed { delegation, .. } => self.end(*delegation, D::Failed),
            // They tell what led to the state that the next event of the same commit sets.
            _ => {}
        }
    }

    fn set_status(&mut self, status: DelegationStatus) {
        if let Some(open) = &mut self.delegation {
            open.status = status;
        }
    }

    fn end(&mut self, id: DelegationId, status: DelegationStatus) {
        self.delegation = None;
        self.ended.insert(id, status);
    }
}

/// The same delegation in the queue again.
pub(super) fn requeued(open: &Delegation, reason: QueueReason, tries: u32) -> TaskEvent {
    TaskEvent::DelegationQueued {
        delegation: open.id,
        agent: open.agent,
        team: open.team,
        instructions: open.instructions.clone(),
        delegator: open.delegator,
        review: open.review.clone(),
        not_before: None,
        tries,
        round: open.round,
        reason,
        step: None,
        terms: open.terms.clone(),
    }
}

pub(super) fn with_changes(open: &Delegation, comment: &Prose) -> TaskEvent {
    let mut queued = requeued(open, QueueReason::ChangesRequested, 0);
    if let TaskEvent::DelegationQueued { instructions, round, .. } = &mut queued {
        *round += 1;
        *instructions = Prose::fitted(&format!("{}\n\nA reviewer asks for changes: {comment}", open.instructions));
    }
    queued
}

/// A person has to decide how the delegation goes on.
pub(in crate::domain) fn escalated(delegation: DelegationId, reason: String) -> TaskEvent {
    let (owner, evidence, proposal, step) = (None, vec![], None, None);
    TaskEvent::DelegationEscalated { delegation, reason, options: options(), owner, evidence, proposal, step }
}

/// What a person can do about a delegation that does not go on by itself.
fn options() -> Vec<String> {
    ["resume", "reassign", "cancel"].map(String::from).to_vec()
}

pub(super) fn no_step(from: DelegationStatus, to: &str) -> Rejection {
    Rejection::Transition { what: "the delegation", from: from.to_string(), to: to.into() }
}
