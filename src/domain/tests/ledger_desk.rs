//! The second reading of what waits for people.

use crate::domain::event::TaskEvent;

use super::ledger::Ledger;

impl Ledger {
    pub(super) fn fold_desk(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::DelegationReviewStuck { delegation, .. } => {
                self.delegations.get_mut(delegation).expect("it was queued before").stuck = true;
            }
            TaskEvent::DelegationApproversSet { delegation, review, approvals } => {
                let known = self.delegations.get_mut(delegation).expect("it was queued before");
                (known.review, known.stuck) = (review.clone(), false);
                known.approvals = approvals.iter().copied().collect();
            }
            _ => {}
        }
    }
}
