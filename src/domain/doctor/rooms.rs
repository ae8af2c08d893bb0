//! The second reading of what is said and written: every number once and none left out, branches that are merged whole
//! and once, and nobody who hears what is said among others.

use std::collections::BTreeSet;

use crate::domain::{
    conversation::ConversationKind,
    event::{ConversationEvent, DocumentEvent, Recorded},
    ids::*,
    principal::Principal,
};

use super::ledger::Doctor;

/// A conversation.
#[derive(Clone)]
pub(super) struct Room {
    private: bool,
    participants: BTreeSet<Principal>,
    /// The number of the last message.
    seq: u64,
    /// The number of the last message that it shares with what it is a branch of.
    shared: u64,
    sealed: bool,
}

impl Doctor {
    pub(super) fn said(&mut self, recorded: &Recorded, id: ConversationId, event: &ConversationEvent) {
        use ConversationEvent as E;
        let offset = recorded.offset;
        match event {
            E::Created { kind, participants, .. } => self.opened(offset, id, (*kind, 0), participants),
            E::Branched { kind, participants, parent, seq, .. } => {
                let of = self.rooms.get(parent);
                let there = of.is_some_and(|of| of.seq >= *seq);
                let wider = of.is_some_and(|of| {
                    of.private && (*kind != ConversationKind::Dm || !of.participants.is_superset(participants))
                });
                if !there {
                    self.found("I24", offset, format!("{id} is a branch at a message that is not there"));
                }
                if wider {
                    self.found("I22", offset, format!("{id} is open to more people than what it is a branch of"));
                }
                self.opened(offset, id, (*kind, *seq), participants);
            }
            E::ParticipantAdded { participant } => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.participants.insert(*participant);
                }
            }
            E::ParticipantRemoved { participant } => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.participants.remove(participant);
                }
            }
            E::Message { seq, .. } => self.counted(offset, id, *seq),
            E::Merged { seq, branch, from, to, .. } => {
                let whole = |branch: &Room| !branch.sealed && *from == branch.shared + 1 && *to == branch.seq;
                if !self.rooms.get(branch).is_some_and(whole) {
                    self.found("I24", offset, format!("branch {branch} is not merged whole, or twice"));
                }
                self.counted(offset, id, *seq);
            }
            E::Sealed { .. } => {
                let room = self.rooms.get_mut(&id);
                if room.is_none_or(|room| std::mem::replace(&mut room.sealed, true)) {
                    self.found("I24", offset, format!("{id} is sealed twice"));
                }
            }
            _ => {}
        }
    }

    fn opened(
        &mut self,
        offset: u64,
        id: ConversationId,
        (kind, shared): (ConversationKind, u64),
        who: &BTreeSet<Principal>,
    ) {
        let private = kind == ConversationKind::Dm;
        let room = Room { private, participants: who.clone(), seq: shared, shared, sealed: false };
        if self.rooms.insert(id, room).is_some() {
            self.found("I18", offset, format!("conversation {id} was made twice"));
        }
    }

    fn counted(&mut self, offset: u64, id: ConversationId, seq: u64) {
        let room = self.rooms.get_mut(&id);
        let next = room.is_some_and(|room| !room.sealed && seq == std::mem::replace(&mut room.seq, seq) + 1);
        if !next {
            self.found("I24", offset, format!("message {seq} of {id} is not the next, or comes after the merge"));
        }
    }

    pub(super) fn written(&mut self, offset: u64, id: DocumentId, event: &DocumentEvent) {
        match event {
            DocumentEvent::Created { .. } => {
                let again = self.updates.insert(id, 0).is_some();
                if again {
                    self.found("I18", offset, format!("document {id} was made twice"));
                }
            }
            DocumentEvent::Edited { seq, .. } => {
                let last = self.updates.get_mut(&id);
                if last.is_none_or(|last| *seq != std::mem::replace(last, *seq) + 1) {
                    self.found("I24", offset, format!("update {seq} of document {id} is not the next"));
                }
            }
            _ => {}
        }
    }

    /// What is said among some is for them alone, as they are after the event.
    pub(super) fn heard(&mut self, recorded: &Recorded) {
        let room = match recorded.subject {
            Subject::Conversation(id) => self.rooms.get(&id).filter(|room| room.private),
            _ => None,
        };
        let told: Option<BTreeSet<Principal>> = recorded.audience.as_ref().map(|who| who.iter().copied().collect());
        if told.as_ref() != room.map(|room| &room.participants) {
            let of = recorded.subject;
            self.found("I22", recorded.offset, format!("an event of {of} is for others than those in it"));
        }
    }
}
