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
                let left = self.rights.get_mut(right).filter(|(holder, left)| holder == agent && *left > 0);
                let may = left.is_some_and(|(_, left)| {
                    *left -= 1;
                    true
                });
                if own || made || !may || recorded.actor != Principal::Agent(*agent) {
                    self.found(
                        "I11",
                        offset,
                        format!("{agent} decided about delegation {delegation} without a right to"),
                    );
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
