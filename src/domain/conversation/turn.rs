//! Whose turn it is: each agent of a conversation answers one message at a time, in the order in which they came.
//!
//! ```text
//! asked ──▶ queued ──▶ running ──▶ answered | failed
//!             │           └──▶ stopping ──▶ interrupted | rolled_back | dropped
//!             └──▶ failed | dropped
//! ```
//!
//! Only people begin turns. An agent that mentions another one does not, so agents cannot keep each other talking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::domain::{
    event::ConversationEvent as E,
    failure::FailureClass,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    run::Usage,
    task::{Circumstance, Route},
};

use super::{Conversation, ConversationKind, MessageKind, Part};

/// What becomes of a message to an agent that answers another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnPolicy {
    /// It is refused.
    Reject,
    /// It waits.
    #[default]
    Enqueue,
    /// The agent is stopped, what it wrote is kept, and it answers the new message.
    Interrupt,
    /// The agent is stopped, what it wrote and what it was asked are forgotten, and it answers the new message.
    RollBack,
}

/// Why a running turn is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody said something else; what was written is kept.
    Interrupted,
    /// Somebody said something else; what was written is forgotten.
    RolledBack,
    /// The agent was taken out of the conversation.
    Dropped,
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The agent's answer is posted.
    Answered,
    /// A note says why there is none.
    Failed,
    /// What the agent wrote until it was stopped is posted.
    Interrupted,
    /// As if it had not been asked.
    RolledBack,
    /// The agent is no longer here.
    Dropped,
}

/// Messages that may wait for one agent.
pub const QUEUE_MAX: usize = 32;
/// Agents that one message asks.
pub const ASKED_MAX: usize = 8;
/// How long a message waits for an agent that has no room.
pub const WAIT_MAX: TimeDelta = TimeDelta::minutes(10);

/// A message that an agent has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its name.
    pub turn: TurnId,
    /// The message.
    pub message: MessageId,
    /// Whose.
    pub asker: Principal,
}

/// A turn that an agent has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Which.
    pub turn: Turn,
    /// The newest message when it began: what came later, the agent does not see.
    pub upto: u64,
    /// Whether and why it has to end.
    pub stopping: Option<StopReason>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lanes(BTreeMap<AgentId, Lane>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lane {
    current: Option<Current>,
    queue: VecDeque<Turn>,
}

/// What became of a turn.
#[derive(Clone, Debug)]
pub enum TurnReport {
    /// The agent's answer.
    Answered {
        /// The new message.
        message: MessageId,
        /// What it says.
        parts: Vec<Part>,
    },
    /// It stopped, as it was told to.
    Stopped {
        /// The message for what it wrote.
        message: MessageId,
        /// What it wrote; may be nothing.
        parts: Vec<Part>,
    },
    /// It has no answer.
    Failed {
        /// The message for the note.
        message: MessageId,
        /// What people are told: why, and what to do.
        parts: Vec<Part>,
        /// What kind of failure.
        class: FailureClass,
        /// In words.
        reason: String,
    },
}

impl Conversation {
    /// Returns the turn that an agent has.
    pub fn current(&self, agent: AgentId) -> Option<&Current> {
        self.lanes.0.get(&agent)?.current.as_ref()
    }

    /// Adds the turns that a person's message begins.
    pub(super) fn ask(
        &self,
        cx: Circumstance,
        message: MessageId,
        mentions: &BTreeSet<Principal>,
    ) -> Result<Vec<E>, Rejection> {
        let asker = cx.by;
        let mut events = vec![];
        if asker.user().is_none() {
            return Ok(events);
        }
        for agent in self.asked(mentions) {
            let lane = self.lanes.0.get(&agent);
            let waiting = lane.map_or(0, |lane| lane.queue.len());
            let current = lane.and_then(|lane| lane.current.as_ref());
            match self.turn_policy {
                TurnPolicy::Reject if current.is_some() || waiting > 0 => {
                    return Err(Rejection::Busy("the agent answers another message, and here none waits: ask later"));
                }
                _ if waiting >= QUEUE_MAX => {
                    return Err(Rejection::Busy("too many messages wait for the agent: ask later"));
                }
                TurnPolicy::Reject | TurnPolicy::Enqueue => {}
                TurnPolicy::Interrupt => events.extend(stop(agent, current, StopReason::Interrupted)),
                TurnPolicy::RollBack => events.extend(stop(agent, current, StopReason::RolledBack)),
            }
            let (turn, expires_at) = (name(message, agent), cx.now + WAIT_MAX);
            events.push(E::TurnQueued { turn, agent, message, asker, expires_at });
        }
        Ok(events)
    }

    /// The agents that are mentioned; in a conversation with an agent, that one without being mentioned.
    fn asked(&self, mentions: &BTreeSet<Principal>) -> Vec<AgentId> {
        let agents = |from: &BTreeSet<Principal>| -> Vec<AgentId> {
            let here = from.iter().filter(|who| self.participants.contains(who));
            here.filter_map(|who| if let Principal::Agent(id) = who { Some(*id) } else { None })
                .take(ASKED_MAX)
                .collect()
        };
        match agents(mentions) {
            none if none.is_empty() && self.kind == ConversationKind::AgentSession => agents(&self.participants),
            named => named,
        }
    }

    /// Gives an agent its next turn.
    pub(super) fn start_turn(
        &self,
        turn: TurnId,
        agent: AgentId,
        instance: InstanceId,
        route: Route,
    ) -> Result<Vec<E>, Rejection> {
        let lane = self.lanes.0.get(&agent).ok_or(Rejection::Fenced)?;
        if lane.current.is_some() || lane.queue.front().is_none_or(|next| next.turn != turn) {
            return Err(Rejection::Busy("it is another message's turn"));
        }
        if !self.participants.contains(&Principal::Agent(agent)) {
            return Err(Rejection::Forbidden("the agent is not in the conversation any more"));
        }
        Ok(vec![E::TurnStarted { turn, agent, instance, upto: self.last_seq, route }])
    }

    /// Writes down what became of a turn, once.
    pub(super) fn end_turn(
        &self,
        by: Principal,
        agent: AgentId,
        turn: TurnId,
        usage: Usage,
        report: TurnReport,
    ) -> Result<Vec<E>, Rejection> {
        let lane = self.lanes.0.get(&agent).ok_or(Rejection::Fenced)?;
        let current = lane.current.as_ref().filter(|current| current.turn.turn == turn);
        let queued = lane.queue.iter().find(|known| known.turn == turn);
        let asked = current.map(|current| &current.turn).or(queued).ok_or(Rejection::Fenced)?;
        let stopping = current.and_then(|current| current.stopping);
        let ended =
            |outcome, answer, class, reason| E::TurnEnded { turn, agent, outcome, answer, class, reason, usage };
        let parent = Some(asked.message);
        Ok(match (stopping, report) {
            (Some(StopReason::RolledBack), _) => vec![ended(TurnOutcome::RolledBack, None, None, None)],
            (Some(StopReason::Dropped), _) => vec![ended(TurnOutcome::Dropped, None, None, None)],
            (_, TurnReport::Answered { message, parts }) if current.is_some() => {
                let mut events = self.say(by, message, parts, parent, MessageKind::Said)?;
                events.push(ended(TurnOutcome::Answered, Some(message), None, None));
                events
            }
            (Some(StopReason::Interrupted), TurnReport::Stopped { message, parts }) if !parts.is_empty() => {
                let mut events = self.say(by, message, parts, parent, MessageKind::Partial)?;
                events.push(ended(TurnOutcome::Interrupted, Some(message), None, None));
                events
            }
            (Some(StopReason::Interrupted), _) => vec![ended(TurnOutcome::Interrupted, None, None, None)],
            (None, TurnReport::Failed { message, parts, class, reason }) => {
                let mut events = self.say(by, message, parts, parent, MessageKind::Note)?;
                events.push(ended(TurnOutcome::Failed, None, Some(class), Some(reason)));
                events
            }
            // A turn that was not begun has nothing to answer or to stop.
            (None, TurnReport::Answered { .. } | TurnReport::Stopped { .. }) => return Err(Rejection::Fenced),
        })
    }

    /// Ends what an agent that leaves has to answer.
    pub(super) fn drop_turns(&self, agent: AgentId) -> Vec<E> {
        let Some(lane) = self.lanes.0.get(&agent) else { return vec![] };
        let waiting = lane.queue.iter().map(|waiting| dropped(waiting.turn, agent));
        stop(agent, lane.current.as_ref(), StopReason::Dropped).into_iter().chain(waiting).collect()
    }

    pub(super) fn apply_turn(&mut self, event: &E) {
        match event {
            E::TurnQueued { turn, agent, message, asker, .. } => {
                let waiting = Turn { turn: *turn, message: *message, asker: *asker };
                self.lanes.0.entry(*agent).or_default().queue.push_back(waiting);
            }
            E::TurnStarted { agent, upto, .. } => {
                let lane = self.lanes.0.entry(*agent).or_default();
                let next = lane.queue.pop_front();
                lane.current = next.map(|turn| Current { turn, upto: *upto, stopping: None });
            }
            E::TurnStopping { agent, why, .. } => {
                let lane = self.lanes.0.entry(*agent).or_default();
                lane.current.iter_mut().for_each(|current| current.stopping = Some(*why));
            }
            E::TurnEnded { turn, agent, .. } => {
                let lane = self.lanes.0.entry(*agent).or_default();
                lane.queue.retain(|waiting| waiting.turn != *turn);
                lane.current.take_if(|current| current.turn.turn == *turn);
            }
            _ => {}
        }
    }
}

/// Ends a turn that never begins: its agent has left.
pub(in crate::domain) fn dropped(turn: TurnId, agent: AgentId) -> E {
    let (outcome, answer, class, reason) = (TurnOutcome::Dropped, None, None, None);
    E::TurnEnded { turn, agent, outcome, answer, class, reason, usage: Usage::default() }
}

/// What stops already is not stopped again, except by the agent's leaving.
fn stop(agent: AgentId, current: Option<&Current>, why: StopReason) -> Option<E> {
    let current = current.filter(|current| current.stopping.is_none() || why == StopReason::Dropped)?;
    Some(E::TurnStopping { turn: current.turn.turn, agent, why })
}

/// Names the turn of an agent at a message: each has one at most. Multiplied, so that ids which are alike stay apart.
fn name(message: MessageId, agent: AgentId) -> TurnId {
    const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let both = message.0.as_u128().rotate_left(64).wrapping_mul(GOLDEN) ^ agent.0.as_u128();
    TurnId(Builder::from_custom_bytes(both.to_be_bytes()).into_uuid())
}
