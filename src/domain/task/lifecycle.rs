//! The task itself: making it, changing it, moving it by hand. And the fold.

use crate::domain::{
    event::TaskEvent,
    ids::{Subject, TaskId},
    rejection::Rejection,
};

use super::*;

/// The longest sort key of a card.
const RANK_LENGTH_MAX: usize = 1_024;

impl Task {
    pub(super) fn create(&self, id: TaskId, new: NewTask) -> Result<Vec<TaskEvent>, Rejection> {
        if self.exists {
            return Err(Rejection::Exists(Subject::Task(id)));
        }
        // "Ready" means that someone could start: without a word on what to do, nobody could.
        let parked = new.parked == Parked::Backlog || new.description.trim().is_empty();
        Ok(vec![TaskEvent::Created {
            project: new.project,
            number: 0,
            identifier: String::new(),
            title: new.title,
            description: new.description,
            status: if parked { TaskStatus::Backlog } else { TaskStatus::Ready },
            priority: new.priority,
            assignee: new.assignee,
            parent: new.parent,
            depends_on: new.depends_on,
            claims: new.claims,
            skills: new.skills,
        }])
    }

    pub(super) fn update(&self, change: TaskChange) -> Result<Vec<TaskEvent>, Rejection> {
        if let Some(expected) = change.expected_version
            && expected != self.version
        {
            return Err(Rejection::Version { expected, actual: self.version });
        }
        let TaskChange { title, description, priority, assignee, claims, skills, .. } = change;
        let same = title.is_none() && description.is_none() && priority.is_none() && assignee.is_none();
        if same && claims.is_none() && skills.is_none() {
            return Ok(vec![]);
        }
        Ok(vec![TaskEvent::Updated { title, description, priority, assignee, claims, skills }])
    }

    pub(super) fn transition(&self, to: TaskStatus) -> Result<Vec<TaskEvent>, Rejection> {
        if self.status == to {
            return Ok(vec![]);
        }
        // Gates open and questions get answered by what they are about, never by moving the card.
        let not_by_hand = matches!(to, TaskStatus::Blocked | TaskStatus::AwaitingInput)
            || (self.status == TaskStatus::Blocked && to == TaskStatus::Ready);
        if not_by_hand || !self.status.may_become(to) {
            return Err(Rejection::Transition { what: "the task", from: self.status.to_string(), to: to.to_string() });
        }
        let Some(open) = &self.delegation else {
            return Ok(vec![self.transitioned(to, "moved by hand")]);
        };
        if to != TaskStatus::Cancelled {
            return Err(Rejection::Busy("an agent has the task: cancel or review its delegation first"));
        }
        let mut events = self.cancel_events(open, "the task was cancelled");
        events.push(self.transitioned(to, "moved by hand"));
        Ok(events)
    }

    pub(super) fn move_card(&self, status: Option<TaskStatus>, rank: String) -> Result<Vec<TaskEvent>, Rejection> {
        if rank.is_empty() || rank.len() > RANK_LENGTH_MAX {
            return Err(Rejection::Invalid { path: "rank", message: format!("1 to {RANK_LENGTH_MAX} characters") });
        }
        let mut events = match status {
            Some(to) if to.column() != self.status.column() => self.transition(to)?,
            _ => vec![],
        };
        events.push(TaskEvent::Moved { rank });
        Ok(events)
    }

    /// Changes the state.
    pub fn apply(&mut self, offset: u64, event: &TaskEvent) {
        self.version = offset;
        match event {
            TaskEvent::Created { status, assignee, skills, .. } => {
                self.skills.clone_from(skills);
                self.exists = true;
                self.status = *status;
                self.assignee = *assignee;
            }
            TaskEvent::Updated { title, description, assignee, skills, .. } => {
                if let Some(skills) = skills {
                    self.skills.clone_from(skills);
                }
                // Other words for the work are reason enough to try again what did not help.
                if title.is_some() || description.is_some() {
                    self.tried.forget();
                }
                if let Some(assignee) = assignee {
                    self.assignee = *assignee;
                }
            }
            TaskEvent::Transitioned { to, .. } => self.status = *to,
            TaskEvent::Ready { .. } => self.status = TaskStatus::Ready,
            TaskEvent::Progress { percent, .. } => {
                if let Some(holder) = self.delegation.as_mut().and_then(|open| open.attempt.as_mut()) {
                    holder.percent = percent.or(holder.percent);
                }
            }
            TaskEvent::Checkpointed { .. } | TaskEvent::RolledBack { .. } => self.apply_checkpoint(event),
            // The graph of tasks is the workspace's; the board's order is the projection's.
            TaskEvent::Moved { .. } | TaskEvent::DependencyAdded { .. } | TaskEvent::DependencyRemoved { .. } => {}
            TaskEvent::FanOutOpened { fan_out, .. } => self.fan_out = Some(*fan_out),
            TaskEvent::FanOutJoined { .. } => self.fan_out = None,
            TaskEvent::HandOffOffered { .. }
            | TaskEvent::HandOffAccepted { .. }
            | TaskEvent::HandOffDeclined { .. }
            | TaskEvent::HandOffLapsed { .. } => self.hand_offs.apply(event),
            TaskEvent::DelegationQueued { .. }
            | TaskEvent::DelegationRunning { .. }
            | TaskEvent::DelegationAwaiting { .. }
            | TaskEvent::DelegationPaused { .. }
            | TaskEvent::DelegationSubmitted { .. }
            | TaskEvent::DelegationReviewing { .. }
            | TaskEvent::DelegationReviewed { .. }
            | TaskEvent::DelegationReviewStuck { .. }
            | TaskEvent::DelegationOverdue { .. }
            | TaskEvent::ReminderSent { .. }
            | TaskEvent::DecisionMade { .. }
            | TaskEvent::DelegationApproversSet { .. }
            | TaskEvent::DelegationCompleted { .. }
            | TaskEvent::DelegationRecovering { .. }
            | TaskEvent::DelegationEscalated { .. }
            | TaskEvent::DelegationCancelling { .. }
            | TaskEvent::DelegationCancelled { .. }
            | TaskEvent::DelegationFailed { .. } => self.apply_delegation(event),
            TaskEvent::AttemptStarted { .. }
            | TaskEvent::AttemptAccepted { .. }
            | TaskEvent::AttemptTool { .. }
            | TaskEvent::AttemptNudged { .. }
            | TaskEvent::AttemptUsage { .. }
            | TaskEvent::AttemptSucceeded { .. }
            | TaskEvent::AttemptFailed { .. }
            | TaskEvent::AttemptLost { .. }
            | TaskEvent::AttemptCancelled { .. }
            | TaskEvent::AttemptSuperseded { .. }
            | TaskEvent::AttemptReleased { .. }
            | TaskEvent::InterruptOpened { .. }
            | TaskEvent::InterruptResolved { .. }
            | TaskEvent::InterruptDelivered { .. }
            | TaskEvent::InterruptLapsed { .. }
            | TaskEvent::InterruptRenewed { .. }
            | TaskEvent::InterruptClosed { .. }
            | TaskEvent::ArtifactRecorded { .. } => self.apply_attempt(event),
        }
    }
}
