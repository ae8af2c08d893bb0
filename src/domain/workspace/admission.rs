//! What an event of a task has to pass before it is committed: everything that only the whole workspace can tell.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::{event::TaskEvent, ids::TaskId, rejection::Rejection, task::QueueReason};

use super::{Workspace, squads::Whose};

impl Workspace {
    pub(super) fn admit_task(&self, at: DateTime<Utc>, id: TaskId, event: &mut TaskEvent) -> Result<(), Rejection> {
        match event {
            TaskEvent::Created { project, number, identifier, status, assignee, depends_on, parent, .. } => {
                let numbering = self.must_be_active(project)?;
                *number = numbering.last + 1;
                *identifier = format!("{}-{number}", numbering.key);
                self.must_know(assignee.as_ref())?;
                if parent.is_some_and(|parent| !self.graph.knows(parent)) {
                    return Err(Rejection::NotFound("parent task"));
                }
                *status = self.graph.status_at_birth(*status, depends_on)?;
            }
            TaskEvent::Updated { assignee, claims, .. } => {
                if let Some(assignee) = assignee {
                    self.must_know(assignee.as_ref())?;
                }
                if let Some(claims) = claims {
                    self.schedule.claimed.must_be_free(id, claims)?;
                }
            }
            TaskEvent::RolledBack { state, .. } if self.must_know(state.assignee.as_ref()).is_err() => {
                return Err(Rejection::Busy("whoever answered for the task then is no longer here"));
            }
            TaskEvent::Transitioned { from, to, .. } => self.graph.gated(id, *from, to),
            TaskEvent::DependencyAdded { depends_on, gate } => self.graph.must_stay_acyclic(id, *depends_on, *gate)?,
            TaskEvent::DependencyRemoved { depends_on } => self.graph.must_be_linked(id, *depends_on)?,
            // What follows from a failure or a review is never refused, or the report of it would be: it waits
            // behind the gate, and where the agent takes no more work a person is asked (see `consequences`).
            TaskEvent::DelegationQueued { agent, team, step: Some(step), terms, .. } => {
                self.schedule.settle(Whose { agent: *agent, team: *team, skills: &terms.skills }, step);
            }
            TaskEvent::DelegationQueued {
                reason: QueueReason::Retry | QueueReason::ChangesRequested | QueueReason::FannedOut,
                ..
            } => {}
            TaskEvent::FanOutOpened { parts, review, by, .. } => self.admit_fan_out(id, parts, review, *by)?,
            TaskEvent::FanOutJoined { .. } => self.fill_in_parts(id, event),
            TaskEvent::HandOffOffered { delegation, to, .. } => self.schedule.must_be_offered_to(*delegation, *to)?,
            TaskEvent::DelegationQueued { agent, reason: QueueReason::HandedOff, .. } => {
                self.schedule.must_take_work(*agent)?;
            }
            TaskEvent::DelegationQueued { agent, team, review, delegator, reason, .. } => {
                if !self.graph.is_open(id) {
                    return Err(Rejection::Busy("the task waits for other tasks"));
                }
                self.schedule.must_take_work(*agent)?;
                self.schedule.must_have_a_worker(*team)?;
                if *reason == QueueReason::Created {
                    self.must_be_reviewable(id, review, *delegator, &BTreeSet::new())?;
                }
            }
            TaskEvent::DecisionMade { right, agent, on_behalf_of, decides, stakes, nth, .. } => {
                *nth = self.must_have_right(at, id, (*right, *agent, *on_behalf_of), *decides, *stakes)?;
            }
            TaskEvent::DelegationOverdue { delegation, since, .. } => {
                *since = self.schedule.desk.must_be_overdue(*delegation)?;
            }
            TaskEvent::ReminderSent { delegation, interrupt, matter, nth, to } => {
                let folder = self.schedule.desk.must_be_due(*delegation, *interrupt, *matter, *nth)?;
                *to = self.reminded(folder, *matter, *nth, to);
            }
            TaskEvent::DelegationApproversSet { delegation, review, approvals } => {
                self.must_have_reviewers(id, *delegation, review, approvals)?;
            }
            TaskEvent::AttemptStarted { delegation, agent, instance, .. } => {
                if !self.graph.is_open(id) {
                    return Err(Rejection::Busy("the task waits for other tasks"));
                }
                self.schedule.claimed.must_be_free_for(id)?;
                self.schedule.must_have_slot(*agent, *instance, at)?;
                self.schedule.must_be_for(*delegation, *agent)?;
                self.schedule.must_be_able(*delegation, *agent, *instance)?;
            }
            _ => {}
        }
        Ok(())
    }
}
