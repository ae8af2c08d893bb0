//! The second reading of what waits for people.

use crate::domain::event::TaskEvent;

use super::ledger::Ledger;

impl Ledger {
    pub(super) fn fold_desk(&mut self, offset: u64, event: &TaskEvent) {
        if let Some((id, _)) = self.phase_after(event)
            && !matches!(event, TaskEvent::DelegationReviewed { .. })
        {
            let known = self.delegations.get_mut(&id).expect("it was queued before");
            (known.since, known.overdue) = (offset, false);
        }
        match event {
            TaskEvent::DelegationReviewStuck { delegation, .. } => {
                self.delegations.get_mut(delegation).expect("it was queued before").stuck = true;
            }
            TaskEvent::DelegationApproversSet { delegation, review, approvals } => {
                let known = self.delegations.get_mut(delegation).expect("it was queued before");
                (known.review, known.stuck) = (review.clone(), false);
                known.approvals = approvals.iter().copied().collect();
            }
            TaskEvent::DelegationQueued { delegation, terms, .. } => {
                self.delegations.get_mut(delegation).expect("it is folded").terms.clone_from(terms);
            }
            TaskEvent::DelegationOverdue { delegation, .. } => {
                let known = self.delegations.get_mut(delegation).expect("it was queued before");
                (known.since, known.overdue) = (offset, true);
            }
            _ => {}
        }
    }
}
