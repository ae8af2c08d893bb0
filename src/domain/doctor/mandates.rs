//! The second reading of delegations: how each stands, and what it needs to be accepted.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::domain::{
    event::{Recorded, TaskEvent},
    ids::*,
    principal::Principal,
    task::{QueueReason, ROUNDS_MAX, Reviewers, Verdict},
};

use super::ledger::{Doctor, Mandate};

/// The longest pause that nobody asked for.
const PAUSE_MAX: TimeDelta = TimeDelta::seconds(31);

/// Returns how a delegation stands after an event that is about it; nothing where that stays as it was.
pub fn standing(event: &TaskEvent) -> Option<(DelegationId, &'static str)> {
    use TaskEvent as E;
    Some(match event {
        E::DelegationQueued { delegation, .. } => (*delegation, "queued"),
        E::AttemptStarted { delegation, .. } => (*delegation, "dispatching"),
        E::DelegationRunning { delegation } => (*delegation, "running"),
        E::DelegationAwaiting { delegation, .. } => (*delegation, "awaiting"),
        E::DelegationPaused { delegation } => (*delegation, "paused"),
        E::DelegationSubmitted { delegation, .. } | E::DelegationReviewing { delegation, .. } => {
            (*delegation, "reviewing")
        }
        E::DelegationReviewed { delegation, .. }
        | E::DelegationReviewStuck { delegation, .. }
        | E::DelegationApproversSet { delegation, .. }
        | E::DelegationOverdue { delegation, .. }
        | E::DelegationRecovering { delegation, .. } => (*delegation, ""),
        E::DelegationEscalated { delegation, .. } => (*delegation, "escalated"),
        E::DelegationCancelling { delegation, .. } => (*delegation, "cancelling"),
        E::DelegationCompleted { delegation } => (*delegation, "completed"),
        E::DelegationCancelled { delegation, .. } => (*delegation, "cancelled"),
        E::DelegationFailed { delegation, .. } => (*delegation, "failed"),
        _ => return None,
    })
}

/// Tells whether that is an end.
pub fn is_over(standing: &str) -> bool {
    matches!(standing, "completed" | "cancelled" | "failed")
}

impl Doctor {
    pub(super) fn delegated(&mut self, recorded: &Recorded, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        let offset = recorded.offset;
        let Some((id, status)) = standing(event) else { return };
        if let E::DelegationQueued { delegator, review, terms, .. } = event {
            self.queued(recorded, task, event);
            let known = self.delegations.entry(id).or_insert_with(|| Mandate {
                status: "queued",
                delegator: *delegator,
                review: review.clone(),
                terms: terms.clone(),
                overdue: false,
                reminded: 0,
                approvals: BTreeSet::new(),
                evidence: 0,
                cancelling: false,
                live: None,
            });
            (known.review, known.evidence) = (review.clone(), 0);
            known.approvals.clear();
        }
        let over = is_over(status);
        let open = self.tasks.get(&task).and_then(|card| card.open);
        if open.is_some_and(|open| open != id) {
            self.found("I2", offset, format!("task {task} has two open delegations"));
        }
        if let Some(card) = self.card(task) {
            card.open = Some(id).filter(|_| !over);
        }
        let Some(known) = self.delegations.get_mut(&id) else {
            return self.found("I1", offset, format!("delegation {id} was never queued"));
        };
        if is_over(known.status) {
            let was = known.status;
            return self.found("I1", offset, format!("delegation {id} was {was} and is {status}"));
        }
        if !status.is_empty() {
            known.status = status;
        }
        // Whatever comes next, it waits anew.
        if !status.is_empty() {
            known.reminded = 0;
        }
        let told = std::mem::take(&mut known.overdue);
        known.overdue = told && status.is_empty();
        match event {
            E::DelegationOverdue { .. } => {
                known.overdue = true;
                let fine = known.status == "queued" && !told;
                if !fine {
                    self.found("I9", offset, format!("delegation {id} was said to be overdue twice, or is not queued"));
                }
            }
            E::DelegationSubmitted { evidence, .. } => known.evidence = evidence.len(),
            E::DelegationReviewed { reviewer, verdict: Verdict::Approve, .. } => {
                known.approvals.insert(*reviewer);
            }
            E::DelegationApproversSet { review, approvals, .. } => {
                known.review.clone_from(review);
                known.approvals = approvals.iter().copied().collect();
            }
            E::DelegationCancelling { .. } => known.cancelling = true,
            E::DelegationCompleted { .. } => {
                let may = |who: &Principal| {
                    let named = known.review.approvers.is_empty() || known.review.approvers.contains(who);
                    let other = known.review.by == Reviewers::Anyone || *who != known.delegator;
                    who.user().is_some() && named && other
                };
                let approved = known.approvals.len() >= usize::from(known.review.approvals);
                let fine = known.evidence > 0 && approved && known.approvals.iter().all(may);
                let cancelled = known.cancelling;
                if !fine {
                    self.found("I10", offset, format!("delegation {id} was completed without what it needs"));
                }
                if cancelled {
                    self.found("I17", offset, format!("delegation {id} was cancelled and then completed"));
                }
            }
            _ => {}
        }
    }

    fn queued(&mut self, recorded: &Recorded, task: TaskId, event: &TaskEvent) {
        let TaskEvent::DelegationQueued { tries, round, reason, step, not_before, .. } = event else { return };
        let (offset, at, by) = (recorded.offset, recorded.at, recorded.actor);
        let Some(card) = self.tasks.get_mut(&task) else { return };
        let (used, retry_after) = (card.used, card.retry_after);
        let mut wrong = vec![];
        if *tries < used && !(*tries == 0 && by.user().is_some()) {
            wrong.push(("I13", format!("{by} gave task {task} tries back")));
        }
        card.used = *tries;
        if *reason != QueueReason::Retry && *tries == 0 {
            card.steps.clear();
            card.handed_on.clear();
        }
        if *round > ROUNDS_MAX {
            wrong.push(("I21", format!("task {task} has had {round} rounds of changes")));
        }
        let taken = step.as_ref().filter(|step| !step.strategy.needs_a_person());
        if let Some(step) = taken
            && !card.steps.insert((step.fingerprint.clone(), step.strategy))
        {
            wrong.push(("I15", format!("task {task}: {:?} was tried against this failure before", step.strategy)));
        }
        if not_before.is_some_and(|time| time - at > PAUSE_MAX + retry_after) {
            wrong.push(("I14", format!("task {task} waits too long for its next attempt")));
        }
        for (invariant, detail) in wrong {
            self.found(invariant, offset, detail);
        }
    }
}
