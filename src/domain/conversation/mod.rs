//! A conversation: who is in it, and messages in one order. What a message says is not kept here; where a rule needs
//! who wrote it, which never changes, the command says so.
//!
//! A **branch** is a conversation that begins as another one was at one of its messages. The messages up to there stay
//! where they are and are read from there; its own go on in the same numbering. A **merge** is one entry in another
//! conversation that says what the branch came to; the branch is sealed by it, and both stay readable.

mod branch;
mod command;
mod order;
mod parts;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::ConversationEvent,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    task::Circumstance,
    text::{Label, Title},
};

pub use branch::{Merge, NewBranch};
pub use command::{ConversationCommand, Standing};
pub use order::{Order, order};
pub use parts::{Conflict, Decision, Emoji, MENTIONS_MAX, MessageKind, PARTS_MAX, Part, handle, handles, words};
use parts::{decisions, mentioned, must_fit};
use turn::Lanes;
pub(in crate::domain) use turn::dropped;
pub use turn::{ASKED_MAX, Current, QUEUE_MAX, StopReason, Turn, TurnOutcome, TurnPolicy, TurnReport, WAIT_MAX};

/// What a conversation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Open to the whole workspace.
    #[default]
    Channel,
    /// Between its participants only.
    Dm,
    /// About one task.
    Task,
    /// With an agent, which answers every message.
    AgentSession,
    /// About one review.
    Review,
}

/// Different emojis below one message.
pub const EMOJIS_MAX: usize = 20;
/// Reactions to one message.
pub const REACTIONS_MAX: usize = 500;
/// Things that a conversation keeps decisions about.
pub const DECISIONS_MAX: usize = 500;

/// The state of a conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conversation {
    id: Option<ConversationId>,
    kind: ConversationKind,
    participants: BTreeSet<Principal>,
    last_seq: u64,
    /// Merged into another conversation: nothing more is said here.
    sealed: bool,
    deleted: BTreeSet<MessageId>,
    reactions: BTreeMap<MessageId, BTreeSet<(Principal, Emoji)>>,
    read: BTreeMap<Principal, u64>,
    merged: BTreeSet<ConversationId>,
    decisions: BTreeMap<Label, BTreeSet<Title>>,
    turn_policy: TurnPolicy,
    lanes: Lanes,
}

impl Conversation {
    /// Decides a command.
    pub fn decide(
        &self,
        id: ConversationId,
        cx: Circumstance,
        command: ConversationCommand,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        use ConversationCommand as C;
        let by = cx.by;
        match (self.id, command) {
            (Some(_), C::Create { .. } | C::Branch(_)) => Err(Rejection::Exists(Subject::Conversation(id))),
            (None, C::Create { kind, title, project, task, mut participants, turn_policy }) => {
                participants.insert(by);
                let mut events = vec![ConversationEvent::Created { kind, title, project, task, participants }];
                if turn_policy != TurnPolicy::default() {
                    events.push(ConversationEvent::Updated { title: None, turn_policy: Some(turn_policy) });
                }
                Ok(events)
            }
            (None, C::Branch(new)) => Ok(vec![new.event(by)]),
            (None, _) => Err(Rejection::NotFound("conversation")),
            // Link itself sees every conversation.
            (Some(_), C::Note { message, parts, parent }) => self.say(by, message, parts, parent, MessageKind::Note),
            (Some(_), C::StartTurn { turn, agent, instance, route }) => self.start_turn(turn, agent, instance, route),
            (Some(_), C::EndTurn { turn, agent, usage, report }) => self.end_turn(by, agent, turn, usage, report),
            (Some(_), command) => {
                self.must_be_let_in(by)?;
                self.decide_inside(cx, command)
            }
        }
    }

    fn decide_inside(
        &self,
        cx: Circumstance,
        command: ConversationCommand,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        use ConversationCommand as C;
        let by = cx.by;
        match command {
            C::Create { .. } | C::Branch(_) | C::Note { .. } | C::StartTurn { .. } | C::EndTurn { .. } => Ok(vec![]),
            C::Update { title: None, turn_policy: None } => Ok(vec![]),
            C::Update { title, turn_policy } => Ok(vec![ConversationEvent::Updated { title, turn_policy }]),
            C::AddParticipant(participant) if self.participants.contains(&participant) => Ok(vec![]),
            C::AddParticipant(participant) => Ok(vec![ConversationEvent::ParticipantAdded { participant }]),
            C::RemoveParticipant(participant) if !self.participants.contains(&participant) => {
                Err(Rejection::NotFound("participant"))
            }
            C::RemoveParticipant(participant) => {
                let mut events = match participant {
                    Principal::Agent(agent) => self.drop_turns(agent),
                    _ => vec![],
                };
                events.push(ConversationEvent::ParticipantRemoved { participant });
                Ok(events)
            }
            C::Post { message, parts, parent, mentions } => self.post(cx, message, parts, parent, mentions),
            C::Edit { message, author, parts } => self.edit(by, message, author, parts),
            C::Delete { message, author, standing } => self.delete(by, message, author, standing),
            C::React { message, emoji } => self.react(by, message, emoji),
            C::Unreact { message, emoji } => {
                let known = self.reactions.get(&message).is_some_and(|all| all.contains(&(by, emoji.clone())));
                Ok(known.then_some(ConversationEvent::Unreacted { message, who: by, emoji }).into_iter().collect())
            }
            C::MarkRead(seq) => self.mark_read(by, seq),
            C::Merge(merge) => self.merge(by, merge),
        }
    }

    fn post(
        &self,
        cx: Circumstance,
        message: MessageId,
        parts: Vec<Part>,
        parent: Option<MessageId>,
        mut mentions: BTreeSet<Principal>,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        mentions.extend(mentioned(&parts));
        // An order is for Link; nobody else answers it.
        let asked = if order(&parts).is_none() { self.ask(cx, message, &mentions)? } else { vec![] };
        let mut events = self.say(cx.by, message, parts, parent, MessageKind::Said)?;
        events.extend(asked);
        if let Some(ConversationEvent::Message { mentions: named, .. }) = events.first_mut() {
            *named = mentions.into_iter().collect();
        }
        Ok(events)
    }

    fn say(
        &self,
        author: Principal,
        message: MessageId,
        parts: Vec<Part>,
        parent: Option<MessageId>,
        kind: MessageKind,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        self.must_be_open()?;
        must_fit(&parts)?;
        self.must_keep(decisions(&parts))?;
        let seq = self.last_seq + 1;
        Ok(vec![ConversationEvent::Message { message, seq, author, parts, parent, mentions: vec![], kind }])
    }

    fn edit(
        &self,
        by: Principal,
        message: MessageId,
        author: Principal,
        parts: Vec<Part>,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        self.must_be_open()?;
        must_fit(&parts)?;
        if author != by {
            return Err(Rejection::Forbidden("only its author can edit a message"));
        }
        self.must_stand(message)?;
        self.must_keep(decisions(&parts))?;
        Ok(vec![ConversationEvent::MessageEdited { message, parts }])
    }

    fn delete(
        &self,
        by: Principal,
        message: MessageId,
        author: Principal,
        standing: Standing,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        if author != by && standing == Standing::Author {
            return Err(Rejection::Forbidden("only its author or an admin can delete a message"));
        }
        if self.deleted.contains(&message) {
            return Ok(vec![]);
        }
        Ok(vec![ConversationEvent::MessageDeleted { message, by }])
    }

    fn react(&self, who: Principal, message: MessageId, emoji: Emoji) -> Result<Vec<ConversationEvent>, Rejection> {
        self.must_be_open()?;
        self.must_stand(message)?;
        if let Some(known) = self.reactions.get(&message) {
            if known.contains(&(who, emoji.clone())) {
                return Ok(vec![]);
            }
            let emojis: BTreeSet<&Emoji> = known.iter().map(|(_, emoji)| emoji).collect();
            if known.len() >= REACTIONS_MAX || emojis.len() >= EMOJIS_MAX && !emojis.contains(&emoji) {
                return Err(Rejection::Busy("the message has as many reactions as it can hold"));
            }
        }
        Ok(vec![ConversationEvent::Reacted { message, who, emoji }])
    }

    fn mark_read(&self, reader: Principal, seq: u64) -> Result<Vec<ConversationEvent>, Rejection> {
        let seq = seq.min(self.last_seq);
        let known = self.read.get(&reader).copied().unwrap_or(0);
        Ok((seq > known).then_some(ConversationEvent::Read { reader, seq }).into_iter().collect())
    }

    /// Changes the state.
    pub fn apply(&mut self, id: ConversationId, event: &ConversationEvent) {
        use ConversationEvent as E;
        match event {
            E::Created { kind, participants, .. } => {
                (self.id, self.kind) = (Some(id), *kind);
                self.participants.clone_from(participants);
            }
            E::Branched { kind, participants, seq, .. } => {
                (self.id, self.kind, self.last_seq) = (Some(id), *kind, *seq);
                self.participants.clone_from(participants);
            }
            E::ParticipantAdded { participant } => {
                self.participants.insert(*participant);
            }
            E::ParticipantRemoved { participant } => {
                self.participants.remove(participant);
            }
            E::Message { seq, parts, .. } => {
                self.last_seq = *seq;
                decisions(parts).for_each(|decision| self.keep(decision));
            }
            E::MessageEdited { parts, .. } => decisions(parts).for_each(|decision| self.keep(decision)),
            E::MessageDeleted { message, .. } => {
                self.deleted.insert(*message);
                self.reactions.remove(message);
            }
            E::Reacted { message, who, emoji } => {
                self.reactions.entry(*message).or_default().insert((*who, emoji.clone()));
            }
            E::Unreacted { message, who, emoji } => {
                if let Some(known) = self.reactions.get_mut(message) {
                    known.remove(&(*who, emoji.clone()));
                }
            }
            E::Read { reader, seq } => {
                self.read.insert(*reader, *seq);
            }
            E::Merged { branch, seq, decisions, .. } => {
                self.last_seq = *seq;
                self.merged.insert(*branch);
                decisions.iter().for_each(|decision| self.keep(decision));
            }
            E::Sealed { .. } => self.sealed = true,
            // A marker: everything stays.
            E::RolledBack { .. } => {}
            E::Updated { turn_policy, .. } => self.turn_policy = turn_policy.unwrap_or(self.turn_policy),
            E::TurnQueued { .. } | E::TurnStarted { .. } | E::TurnStopping { .. } | E::TurnEnded { .. } => {
                self.apply_turn(event);
            }
        }
    }

    fn keep(&mut self, decision: &Decision) {
        self.decisions.entry(decision.key.clone()).or_default().insert(decision.value.clone());
    }

    fn must_keep<'a>(&self, new: impl Iterator<Item = &'a Decision>) -> Result<(), Rejection> {
        let new: BTreeSet<&Label> = new.map(|decision| &decision.key).collect();
        let all = self.decisions.len() + new.into_iter().filter(|key| !self.decisions.contains_key(*key)).count();
        if all > DECISIONS_MAX {
            return Err(Rejection::Busy("the conversation holds as many decisions as it can: begin another one"));
        }
        Ok(())
    }

    /// Returns who hears what is said, where not everyone may.
    pub fn audience(&self) -> Option<Vec<Principal>> {
        (self.kind == ConversationKind::Dm).then(|| self.participants.iter().copied().collect())
    }

    /// A direct conversation is its participants' own; the others are open to the workspace.
    fn must_be_let_in(&self, by: Principal) -> Result<(), Rejection> {
        if self.kind == ConversationKind::Dm && !self.participants.contains(&by) {
            return Err(Rejection::NotFound("conversation"));
        }
        Ok(())
    }

    fn must_be_open(&self) -> Result<(), Rejection> {
        if self.sealed {
            return Err(Rejection::Busy("the branch was merged and is closed: go on where it was merged into"));
        }
        Ok(())
    }

    fn must_stand(&self, message: MessageId) -> Result<(), Rejection> {
        if self.deleted.contains(&message) { Err(Rejection::NotFound("message")) } else { Ok(()) }
    }
}
