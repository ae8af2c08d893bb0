//! The part of the second reading that is about conversations.

use crate::domain::{
    event::ConversationEvent,
    ids::{AgentId, ConversationId, InstanceId},
};

use super::ledger::Ledger;

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub conversation: ConversationId,
    pub agent: AgentId,
    pub instance: Option<InstanceId>,
    pub running: bool,
    pub over: bool,
}

impl Ledger {
    pub(super) fn fold_talk(&mut self, id: ConversationId, event: &ConversationEvent) {
        match event {
            ConversationEvent::Created { kind, .. } => {
                self.conversations.push(id);
                self.kinds.insert(id, *kind);
            }
            ConversationEvent::Branched { kind, parent, .. } => {
                self.conversations.push(id);
                self.kinds.insert(id, *kind);
                self.branches.insert(id, *parent);
            }
            ConversationEvent::Message { message, author, seq, .. }
            | ConversationEvent::Merged { message, author, seq, .. } => {
                self.messages.push((id, *message, *author, *seq));
            }
            ConversationEvent::TurnQueued { turn, agent, .. } => {
                let (conversation, agent) = (id, *agent);
                let asked = Asked { conversation, agent, instance: None, running: false, over: false };
                assert!(self.turns.insert(*turn, asked).is_none(), "turn {turn} was queued twice");
            }
            ConversationEvent::TurnStarted { turn, instance, .. } => {
                let asked = self.turns.get_mut(turn).expect("queued before");
                (asked.running, asked.instance) = (true, Some(*instance));
            }
            ConversationEvent::TurnEnded { turn, .. } => {
                let asked = self.turns.get_mut(turn).expect("queued before");
                assert!(!std::mem::replace(&mut asked.over, true), "turn {turn} ended twice");
                asked.running = false;
            }
            _ => {}
        }
    }
}
