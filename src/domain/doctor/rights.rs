//! The second reading of what agents decide on somebody's behalf.

use crate::domain::{
    event::{Recorded, TaskEvent, WorkspaceEvent},
    principal::Principal,
};

use super::ledger::Doctor;

impl Doctor {
    pub(super) fn right(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::RightGiven { right, agent, uses_max, .. } => {
                self.rights.insert(*right, (*agent, *uses_max));
            }
            WorkspaceEvent::RightRevoked { right, .. } => drop(self.rights.remove(right)),
            _ => {}
        }
    }

    pub(super) fn decided(&mut self, recorded: &Recorded, event: &TaskEvent) {
        let offset = recorded.offset;
        match event {
            TaskEvent::DecisionMade { delegation, right, agent, .. } => {
                let own = self.attempts.values().any(|known| known.delegation == *delegation && known.agent == *agent);
                let made = self.delegations.get(delegation).is_some_and(|it| it.delegator == Principal::Agent(*agent));
                let held = self.rights.get_mut(right).filter(|(holder, _)| holder == agent);
                let holds = held.is_some();
                let left = held.is_some_and(|(_, left)| std::mem::replace(left, left.saturating_sub(1)) > 0);
                if own || made || !holds || recorded.actor != Principal::Agent(*agent) {
                    self.found(
                        "I11",
                        offset,
                        format!("{agent} decided about delegation {delegation} without a right to"),
                    );
                }
                if holds && !left {
                    self.found("I21", offset, format!("right {right} was used more often than it was given"));
                }
                self.decided = offset;
            }
            TaskEvent::InterruptResolved { .. } | TaskEvent::DelegationReviewed { .. }
                if matches!(recorded.actor, Principal::Agent(_)) && self.decided + 1 != offset =>
            {
                self.found("I11", offset, format!("{} decided on nobody's behalf", recorded.actor));
            }
            _ => {}
        }
    }
}
