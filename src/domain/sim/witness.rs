//! Whether everything is moved on by something: by the books after each step, and in truth, where the run and its instance
//! have to be there. How long a fault keeps something standing still is measured here.

use crate::domain::{ids::DelegationId, routing::Hold};

use super::{
    play::{Happening, World},
    watch::{BULKHEADS, Card, Stuck, Watch},
};

/// How often the conductor looks at the queue when nothing happens.
const CONDUCT_EVERY: u64 = 3_000;
/// How often everything is looked at.
pub(super) const LOOK_EVERY: u64 = 1_000;
/// One fault may stop work for so long.
const STUCK_MAX: u64 = 30_000;
/// For so long work may be next without being handed out.
const NEXT_MAX: u64 = 10_000;
/// For so long what is cancelled may go on, while a node is there.
const CANCEL_MAX: u64 = 30_000;

impl World {
    /// Whether something moves a delegation on in truth, not only by the books; says what is missing.
    fn stuck(&self, id: DelegationId, card: &Card) -> Option<&'static str> {
        if !self.node.up {
            return Some("no node is there");
        }
        match card.status {
            "queued" => {
                let held = self.node.workspace.schedule().held(id, self.node.clock(self.now), BULKHEADS);
                match held.map(|held| held.why) {
                    None => Some("it is not in the queue"),
                    Some(Hold::NoAgent) => Some("there is nobody"),
                    _ if card.next_since.is_some_and(|since| self.now - since > NEXT_MAX) => {
                        Some("nothing is in its way and it is not handed out")
                    }
                    Some(_) => None,
                }
            }
            "dispatching" | "running" | "awaiting" | "cancelling" => self.unattended(card),
            _ if card.owner.user().is_none() => Some("no person answers for it"),
            "reviewing" if !Watch::has_reviewer(card, &self.people) => Some("nobody may review it"),
            _ => None,
        }
    }

    /// An attempt's run has to be there, where it can be reached, with somebody who looks after it.
    fn unattended(&self, card: &Card) -> Option<&'static str> {
        let Some((attempt, instance)) = card.attempt else { return Some("it has no attempt") };
        if !self.follows.contains_key(&attempt) {
            return Some("nobody looks after its attempt");
        }
        if card.status == "cancelling" {
            return None;
        }
        let server = self.servers.get(&instance).filter(|server| server.reachable());
        let Some(server) = server else { return Some("its instance is gone") };
        let taken = self.watch.bound.contains(&attempt);
        (taken && !server.jobs.contains_key(&attempt)).then_some("its run is gone")
    }

    /// Looks at one delegation after each step that is about it.
    pub fn look_at(&mut self, id: DelegationId) {
        let Some(card) = self.watch.cards.get(&id).cloned() else { return };
        let schedule = self.node.workspace.schedule();
        let runs = card.attempt.is_some_and(|(attempt, _)| schedule.running().any(|other| other.attempt == attempt));
        let asked = || self.watch.questions.values().any(|(of, _)| *of == id);
        let fine = match card.status {
            "queued" => !runs && schedule.held(id, self.node.clock(self.now), BULKHEADS).is_some(),
            "awaiting" => runs && asked(),
            "dispatching" | "running" | "cancelling" => runs,
            _ => !runs && card.owner.user().is_some(),
        };
        self.watch.kept("I9", fine, || format!("delegation {id} is {} and nothing moves it on", card.status));
        self.note_stuck(id, card);
    }

    fn note_stuck(&mut self, id: DelegationId, card: Card) {
        let why = self.stuck(id, &card);
        let since = self.now;
        let stuck = match (why, card.stuck) {
            (None, before) => {
                self.watch.went_on(before, since);
                None
            }
            (Some(_), None) => Some(Stuck { since, single: true, told: false }),
            (Some(why), Some(before)) => {
                let late = before.single && !before.told && since - before.since > STUCK_MAX;
                if late {
                    self.watch
                        .tally
                        .found("I30", format!("delegation {id} is {} for half a minute: {why}", card.status));
                }
                Some(Stuck { told: before.told || late, ..before })
            }
        };
        if let Some(card) = self.watch.cards.get_mut(&id) {
            card.stuck = stuck;
        }
    }

    /// Looks at all delegations: what the last fault has stopped, what is late.
    pub fn look_at_all(&mut self) {
        self.later(LOOK_EVERY, Happening::Watch);
        let cards: Vec<_> = self.watch.cards.iter().map(|(id, card)| (*id, card.clone())).collect();
        let (clock, life, up) = (self.node.clock(self.now), self.node.life, self.node.up);
        for (id, mut card) in cards {
            if card.status == "queued" {
                let held = self.node.workspace.schedule().held(id, clock, BULKHEADS);
                let next = up && held.is_some_and(|held| held.why == Hold::Next);
                card.next_since = next.then(|| card.next_since.unwrap_or(self.now));
            }
            if let Some((since, known)) = card.cancelling {
                let late = up && known == life && self.now - since > CANCEL_MAX;
                self.watch.kept("I17", !late, || format!("delegation {id} is not stopped after half a minute"));
                card.cancelling = Some(if known == life && up { (since, known) } else { (self.now, life) });
            }
            if let Some(known) = self.watch.cards.get_mut(&id) {
                (known.next_since, known.cancelling) = (card.next_since, card.cancelling);
            }
            self.note_stuck(id, card);
        }
        if self.now % CONDUCT_EVERY < LOOK_EVERY {
            self.conduct(life);
        }
    }

    /// A fault has just happened: whatever it has stopped is noted, and what stood still before has two faults.
    pub fn note_fault(&mut self, name: &'static str) {
        self.broke = self.now;
        self.watch.tally.fault(name);
        let cards: Vec<_> = self.watch.cards.iter().map(|(id, card)| (*id, card.clone())).collect();
        self.watch.tally.looked("I30", cards.len() as u64);
        for (id, mut card) in cards {
            card.stuck = card.stuck.map(|before| Stuck { single: false, ..before });
            if let Some(known) = self.watch.cards.get_mut(&id) {
                known.stuck = card.stuck;
            }
            self.note_stuck(id, card);
        }
    }
}
