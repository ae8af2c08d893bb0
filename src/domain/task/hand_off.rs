//! Handing work from one agent to another: offered, then accepted or declined. The sender goes on until somebody has
//! taken the work, so that an offer which comes to nothing has cost nothing.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    event::TaskEvent,
    ids::{AgentId, AttemptId, DelegationId},
    principal::{Principal, Service},
    rejection::Rejection,
    text::{Prose, Text},
};

use super::{delegation::requeued, *};

/// How often agents may hand a task on since a person last had a say.
pub const HAND_OFFS_MAX: usize = 5;
/// How long the other agent has for its answer.
pub const OFFER_LASTS: TimeDelta = TimeDelta::minutes(10);

/// A reason in a line or two.
pub type Reason = Text<0, 500>;

/// What can be asked about a hand-off.
#[derive(Clone, Debug, PartialEq)]
pub enum HandOff {
    /// Offer the work to another agent.
    Offer {
        /// Of which delegation.
        delegation: DelegationId,
        /// To whom.
        to: AgentId,
        /// Why, and what the other one should know.
        reason: Prose,
    },
    /// Take it.
    Accept(DelegationId),
    /// Do not take it.
    Decline {
        /// Of which delegation.
        delegation: DelegationId,
        /// Why not.
        reason: Reason,
    },
    /// Nobody answered in time.
    Lapse(DelegationId),
}

/// An offer that is not answered yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Offer {
    from: AgentId,
    to: AgentId,
    attempt: AttemptId,
    by: Principal,
    expires_at: DateTime<Utc>,
}

/// Who has handed the task on since a person last had a say, and what is offered now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HandOffs {
    offer: Option<Offer>,
    handed_on: Vec<AgentId>,
}

impl HandOffs {
    /// Tells whether somebody is asked whether they take the work.
    pub fn is_offered(&self) -> bool {
        self.offer.is_some()
    }

    /// A person had a say: whom they want to have it, has it.
    pub fn forget(&mut self) {
        self.handed_on.clear();
    }

    pub fn apply(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::HandOffOffered { from, to, attempt, by, expires_at, .. } => {
                let (from, to, attempt, by, expires_at) = (*from, *to, *attempt, *by, *expires_at);
                self.offer = Some(Offer { from, to, attempt, by, expires_at });
            }
            TaskEvent::HandOffAccepted { from, .. } => {
                if self.offer.take().is_some_and(|offer| offer.by.user().is_some()) {
                    self.handed_on.clear();
                }
                self.handed_on.push(*from);
            }
            TaskEvent::HandOffDeclined { .. } | TaskEvent::HandOffLapsed { .. } => self.offer = None,
            _ => {}
        }
    }
}

impl Task {
    pub(super) fn hand_off(&self, cx: Circumstance, command: HandOff) -> Result<Vec<TaskEvent>, Rejection> {
        match command {
            HandOff::Offer { delegation, to, reason } => self.offer(cx, delegation, to, reason),
            HandOff::Accept(delegation) => self.accept(cx, delegation),
            HandOff::Decline { delegation, reason } => self.decline(cx, delegation, reason.to_string()),
            HandOff::Lapse(delegation) => self.lapse(cx, delegation),
        }
    }

    fn offer(
        &self,
        cx: Circumstance,
        delegation: DelegationId,
        to: AgentId,
        reason: Prose,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(delegation)?;
        let Some(holder) = open.attempt.filter(|_| open.status != DelegationStatus::Cancelling) else {
            return Err(Rejection::Busy("no agent is at work on it: reassign it instead"));
        };
        if cx.by.user().is_none() && cx.by != Principal::Agent(holder.agent) {
            return Err(Rejection::Forbidden("only a person, or the agent that is at work on it, hands work off"));
        }
        if self.hand_offs.is_offered() {
            return Err(Rejection::Busy("it is offered to another agent already: wait for the answer"));
        }
        if to == holder.agent {
            return Err(Rejection::Busy("this agent has the work: name another one"));
        }
        self.must_have_tries()?;
        if cx.by.user().is_none() {
            let before = &self.hand_offs.handed_on;
            if before.contains(&to) {
                return Err(Rejection::Busy(
                    "this agent has handed the work on since a person last had a say: choose another one, or ask a person",
                ));
            }
            if before.len() >= HAND_OFFS_MAX {
                return Err(Rejection::Busy(
                    "the work was handed on five times since a person last had a say: a person has to reassign it",
                ));
            }
        }
        let (attempt, from, expires_at) = (holder.id, holder.agent, cx.now + OFFER_LASTS);
        Ok(vec![TaskEvent::HandOffOffered { delegation, attempt, from, to, by: cx.by, reason, expires_at }])
    }

    /// The attempt that runs is fenced off, and what it made is kept; the other agent begins with both.
    fn accept(&self, cx: Circumstance, delegation: DelegationId) -> Result<Vec<TaskEvent>, Rejection> {
        let (open, offer) = self.offered(delegation)?;
        must_be_asked(cx.by, offer)?;
        self.must_have_tries()?;
        let mut events = self.fenced_off("the work was handed to another agent");
        events.push(TaskEvent::HandOffAccepted { delegation, from: offer.from, to: offer.to });
        let mut queued = requeued(open, QueueReason::HandedOff, self.tries);
        if let TaskEvent::DelegationQueued { agent, team, .. } = &mut queued {
            (*agent, *team) = (Some(offer.to), None);
        }
        events.push(queued);
        Ok(events)
    }

    fn decline(&self, cx: Circumstance, delegation: DelegationId, reason: String) -> Result<Vec<TaskEvent>, Rejection> {
        let (open, offer) = self.offered(delegation)?;
        must_be_asked(cx.by, offer)?;
        let (from, to) = (offer.from, offer.to);
        let mut events = vec![TaskEvent::HandOffDeclined { delegation, from, to, reason: reason.clone() }];
        events.extend(self.nobody_took_it(open, offer, &reason));
        Ok(events)
    }

    fn lapse(&self, cx: Circumstance, delegation: DelegationId) -> Result<Vec<TaskEvent>, Rejection> {
        let (open, offer) = self.offered(delegation)?;
        if cx.by != Principal::Service(Service::Conductor) {
            return Err(Rejection::Forbidden("an offer lapses by itself"));
        }
        if offer.expires_at > cx.now {
            return Ok(vec![]);
        }
        let reason = "nobody answered in time";
        let mut events = vec![lapsed(delegation, offer, reason)];
        events.extend(self.nobody_took_it(open, offer, reason));
        Ok(events)
    }

    /// The sender goes on; where it has ended meanwhile, a person is asked.
    fn nobody_took_it(&self, open: &Delegation, offer: &Offer, reason: &str) -> Vec<TaskEvent> {
        let at_work = open.attempt.is_some_and(|holder| holder.id == offer.attempt);
        if at_work || open.status != DelegationStatus::Queued {
            return vec![];
        }
        let why = format!("the agent that offered the work has ended, and no other took it: {reason}");
        let mut asked = escalated(open.id, why);
        if let TaskEvent::DelegationEscalated { owner, evidence, .. } = &mut asked {
            (*owner, *evidence) = (self.owner(open), open.evidence.clone());
        }
        let (from, to) = (TaskStatus::InProgress, TaskStatus::AwaitingInput);
        let stops = (self.status == from).then(|| self.transitioned(to, "a person has to decide"));
        std::iter::once(asked).chain(stops).collect()
    }

    /// Whatever decides about the delegation decides about an open offer too.
    pub(super) fn offer_ends(&self, reason: &str) -> Option<TaskEvent> {
        let (open, offer) = (self.delegation.as_ref()?, self.hand_offs.offer.as_ref()?);
        Some(lapsed(open.id, offer, reason))
    }

    fn offered(&self, delegation: DelegationId) -> Result<(&Delegation, &Offer), Rejection> {
        let open = self.open_delegation(delegation)?;
        let offer = self.hand_offs.offer.as_ref().ok_or(Rejection::Busy("nothing is offered: it may have lapsed"))?;
        Ok((open, offer))
    }

    fn must_have_tries(&self) -> Result<(), Rejection> {
        match self.tries < TRIES_MAX {
            true => Ok(()),
            false => Err(Rejection::Busy("the task has used up its tries: a person has to reassign it")),
        }
    }
}

fn lapsed(delegation: DelegationId, offer: &Offer, reason: &str) -> TaskEvent {
    let (from, to) = (offer.from, offer.to);
    TaskEvent::HandOffLapsed { delegation, from, to, reason: reason.into() }
}

/// Agents that cannot answer by themselves have the conductor answer for them.
fn must_be_asked(by: Principal, offer: &Offer) -> Result<(), Rejection> {
    match by == Principal::Agent(offer.to) || by == Principal::Service(Service::Conductor) {
        true => Ok(()),
        false => Err(Rejection::Forbidden("only the agent that the work is offered to can answer")),
    }
}
