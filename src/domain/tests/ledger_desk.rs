//! The second reading of what waits for people.

use crate::domain::{
    event::{TaskEvent, WorkspaceEvent},
    right::Right,
};

use super::ledger::Ledger;

impl Ledger {
    pub(super) fn fold_right(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::RightGiven {
                right: id,
                agent,
                grantor,
                subject,
                decides,
                cost_usd_max,
                risk_max,
                uses_max,
                expires_at,
            } => {
                let (id, agent, grantor, subject, decides) = (*id, *agent, *grantor, *subject, decides.clone());
                let (cost_usd_max, risk_max, uses_max, expires_at) = (*cost_usd_max, *risk_max, *uses_max, *expires_at);
                let right =
                    Right { id, agent, grantor, subject, decides, cost_usd_max, risk_max, uses_max, expires_at };
                self.rights.insert(id, (right, 0));
            }
            WorkspaceEvent::RightRevoked { right, .. } => drop(self.rights.remove(right)),
            _ => {}
        }
    }

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
            TaskEvent::DecisionMade { right, nth, .. } => {
                self.rights.get_mut(right).expect("it was given before").1 = *nth;
            }
            _ => {}
        }
    }
}
