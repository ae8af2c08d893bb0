//! Turns that wait for a free slot of their agent, and those that have one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    conversation::{StopReason, dropped},
    event::{AgentEvent, ConversationEvent},
    ids::*,
    routing::Class,
    task::{Priority, Route},
};

use super::{
    agenda::Agenda,
    route::{Load, Look, Work},
    schedule::{Schedule, Waiting as Queued},
};

/// Turns of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Turns {
    queue: BTreeMap<TurnId, Waiting>,
    running: BTreeMap<TurnId, RunningTurn>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    conversation: ConversationId,
    agent: AgentId,
    since: u64,
    expires_at: DateTime<Utc>,
}

/// A turn that an agent has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunningTurn {
    /// Which.
    pub turn: TurnId,
    /// Where it was asked.
    pub conversation: ConversationId,
    /// Whose.
    pub agent: AgentId,
    /// On which of its servers.
    pub instance: InstanceId,
}

/// A turn that can begin now.
#[derive(Clone, Debug, PartialEq)]
pub struct NextTurn {
    /// Which, and where.
    pub turn: RunningTurn,
    /// Why there.
    pub route: Route,
}

/// A turn that nothing will come of.
#[derive(Clone, Debug, PartialEq)]
pub struct LapsedTurn {
    /// Which.
    pub turn: TurnId,
    /// Where it was asked.
    pub conversation: ConversationId,
    /// Whose.
    pub agent: AgentId,
    /// Why.
    pub why: &'static str,
}

/// One turn at a time, for each agent in each conversation.
type Lane = (ConversationId, AgentId);

impl Turns {
    pub fn running(&self) -> impl Iterator<Item = &RunningTurn> {
        self.running.values()
    }

    /// Tells whether an agent still owes an answer in a conversation.
    pub fn owes(&self, conversation: ConversationId) -> bool {
        self.running.values().any(|known| known.conversation == conversation)
            || self.queue.values().any(|known| known.conversation == conversation)
    }

    /// Returns what ends an agent's turns in a conversation that it is taken out of.
    pub fn dropped(&self, conversation: ConversationId, agent: AgentId) -> Vec<ConversationEvent> {
        let here = |turn: &RunningTurn| (turn.conversation, turn.agent) == (conversation, agent);
        let running = self.running.values().filter(|turn| here(turn));
        let stopping =
            running.map(|turn| ConversationEvent::TurnStopping { turn: turn.turn, agent, why: StopReason::Dropped });
        let queued = self.queue.iter().filter(|(_, turn)| (turn.conversation, turn.agent) == (conversation, agent));
        let ended = queued.map(|(turn, _)| dropped(*turn, agent));
        stopping.chain(ended).collect()
    }

    /// Returns the first waiting turn of each lane that is free, oldest first.
    pub fn next(&self) -> impl Iterator<Item = (TurnId, ConversationId, AgentId, DateTime<Utc>)> {
        let mut busy: BTreeSet<Lane> = self.running.values().map(|known| (known.conversation, known.agent)).collect();
        let mut waiting: Vec<_> = self.queue.iter().collect();
        waiting.sort_by_key(|(turn, waiting)| (waiting.since, **turn));
        let free = waiting.into_iter().filter(move |(_, waiting)| busy.insert((waiting.conversation, waiting.agent)));
        free.map(|(turn, known)| (*turn, known.conversation, known.agent, known.expires_at))
    }

    pub fn apply(&mut self, offset: u64, conversation: ConversationId, event: &ConversationEvent) {
        match event {
            ConversationEvent::TurnQueued { turn, agent, expires_at, .. } => {
                let (agent, expires_at) = (*agent, *expires_at);
                self.queue.insert(*turn, Waiting { conversation, agent, since: offset, expires_at });
            }
            ConversationEvent::TurnStarted { turn, agent, instance, .. } => {
                self.queue.remove(turn);
                let running = RunningTurn { turn: *turn, conversation, agent: *agent, instance: *instance };
                self.running.insert(*turn, running);
            }
            ConversationEvent::TurnEnded { turn, .. } => {
                self.queue.remove(turn);
                self.running.remove(turn);
            }
            _ => {}
        }
    }
}

/// The agent that a conversation's event is about.
pub(super) fn agent_of(event: &ConversationEvent) -> Option<AgentId> {
    match event {
        ConversationEvent::TurnQueued { agent, .. }
        | ConversationEvent::TurnStarted { agent, .. }
        | ConversationEvent::TurnStopping { agent, .. }
        | ConversationEvent::TurnEnded { agent, .. } => Some(*agent),
        _ => None,
    }
}

impl Schedule {
    /// Returns the turns that agents have.
    pub fn turns(&self) -> impl Iterator<Item = &RunningTurn> {
        self.turns.running()
    }

    /// Returns what ends an agent's turns in a conversation that it is taken out of.
    pub(super) fn dropped_turns(&self, conversation: ConversationId, agent: AgentId) -> Vec<ConversationEvent> {
        self.turns.dropped(conversation, agent)
    }

    pub(super) fn owes_turns(&self, conversation: ConversationId) -> bool {
        self.turns.owes(conversation)
    }

    /// Returns the agent's new status when a conversation's event, already folded in, changed it.
    pub(super) fn status_after_turn(&self, event: &ConversationEvent) -> Option<(AgentId, AgentEvent)> {
        match event {
            ConversationEvent::TurnStarted { agent, .. } | ConversationEvent::TurnEnded { agent, .. } => {
                self.changed_status(*agent).map(|event| (*agent, event))
            }
            _ => None,
        }
    }

    pub(super) fn apply_turn(&mut self, offset: u64, conversation: ConversationId, event: &ConversationEvent) {
        self.turns.apply(offset, conversation, event);
    }

    /// Says which turns can begin now, and which are to be given up.
    pub(super) fn offer_turns(&self, look: Look, taken: &mut Load, agenda: &mut Agenda) {
        for (turn, conversation, agent, expires_at) in self.turns.next() {
            let lapsed = |why| LapsedTurn { turn, conversation, agent, why };
            if self.must_take_work(Some(agent)).is_err() {
                agenda.lapsed.push(lapsed("the agent takes no more work"));
            } else if let Some((agent, instance, route)) = self.route_turn(turn, agent, taken, look) {
                taken.give(agent, instance, Class::Interactive);
                agenda.turns.push(NextTurn { turn: RunningTurn { turn, conversation, agent, instance }, route });
            } else if expires_at <= look.now {
                agenda.lapsed.push(lapsed("the agent had no room in time: it is busy, paused or offline"));
            } else {
                agenda.look_again = [agenda.look_again, Some(expires_at)].into_iter().flatten().min();
            }
        }
    }

    /// A turn is to the choice of an instance what a delegation is that names its agent, and that somebody waits for.
    fn route_turn(
        &self,
        turn: TurnId,
        agent: AgentId,
        taken: &Load,
        look: Look,
    ) -> Option<(AgentId, InstanceId, Route)> {
        let work = Work { kind: None, priority: Priority::High };
        let (task, not_before) = (TaskId(turn.0), None);
        let (hint, skills) = Default::default();
        let queued =
            Queued { task, agent: Some(agent), team: None, not_before, since: 0, gated: false, work, hint, skills };
        self.route(DelegationId(turn.0), &queued, taken, look).ok()
    }
}
