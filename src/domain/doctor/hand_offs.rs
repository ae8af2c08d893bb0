//! The second reading of work that agents hand on, and of what is split.

use std::collections::BTreeSet;

use crate::domain::{
    event::TaskEvent,
    ids::*,
    task::{HAND_OFFS_MAX, PARTS_MAX},
};

use super::ledger::Doctor;

/// An offer that nobody has answered.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    from: AgentId,
    to: AgentId,
    by_person: bool,
}

impl Doctor {
    pub(super) fn handed_on(&mut self, offset: u64, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::HandOffOffered { delegation, attempt, from, to, by, .. } => {
                let held = self.delegations.get(delegation).and_then(|mandate| mandate.live);
                let theirs = self.attempts.get(attempt).is_some_and(|known| known.agent == *from);
                let offer = Offer { from: *from, to: *to, by_person: by.user().is_some() };
                if self.offers.insert(*delegation, offer).is_some() || held != Some(*attempt) || !theirs || from == to {
                    self.found(
                        "I26",
                        offset,
                        format!("delegation {delegation} is offered twice, or not by who has it"),
                    );
                }
            }
            E::HandOffAccepted { delegation, from, to } => self.taken(offset, task, *delegation, (*from, *to)),
            E::HandOffDeclined { delegation, .. } | E::HandOffLapsed { delegation, .. } => {
                let offered = self.offers.remove(delegation).is_some();
                if !offered {
                    self.found("I26", offset, format!("delegation {delegation} was not offered"));
                }
            }
            // A person's answer is a say.
            E::InterruptResolved { policy: None, .. } => {
                if let Some(card) = self.card(task) {
                    card.handed_on.clear();
                }
            }
            E::FanOutOpened { fan_out, parts, .. } => {
                let different: BTreeSet<TaskId> = parts.iter().map(|part| part.task).collect();
                if different.len() != parts.len() || !(1..=PARTS_MAX).contains(&parts.len()) {
                    self.found("I21", offset, format!("fan-out {fan_out} has {} parts", parts.len()));
                }
            }
            _ => {}
        }
    }

    fn taken(&mut self, offset: u64, task: TaskId, delegation: DelegationId, (from, to): (AgentId, AgentId)) {
        let offer = self.offers.remove(&delegation).filter(|offer| (offer.from, offer.to) == (from, to));
        let Some(card) = self.tasks.get_mut(&task) else { return };
        let by_person = offer.is_some_and(|offer| offer.by_person);
        if by_person {
            card.handed_on.clear();
        }
        let again = card.handed_on.contains(&to);
        card.handed_on.push(from);
        let times = card.handed_on.len();
        if offer.is_none() {
            self.found("I26", offset, format!("delegation {delegation} was taken and not offered"));
        }
        if again {
            self.found("I26", offset, format!("task {task} comes back to {to}, who has handed it on"));
        }
        if times > HAND_OFFS_MAX {
            self.found("I26", offset, format!("task {task} was handed on {times} times without a person's say"));
        }
    }
}
