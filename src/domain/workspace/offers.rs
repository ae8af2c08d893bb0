//! Work that is offered from one agent to another, and the answers for those that cannot answer by themselves.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::{Availability, RuntimeKind},
    event::TaskEvent,
    ids::{AgentId, DelegationId, TaskId},
    rejection::Rejection,
    task::HandOff,
    text::Label,
};

use super::{
    agenda::{Agenda, Chore, Errand},
    route::{Load, Look},
    schedule::Schedule,
    worker::Worker,
};

/// Offers of a workspace that are not answered yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Offers {
    open: BTreeMap<DelegationId, Offered>,
    /// What delegations require of whoever takes them, where that is anything; none of them has ended.
    skills: BTreeMap<DelegationId, BTreeSet<Label>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Offered {
    task: TaskId,
    to: AgentId,
    expires_at: DateTime<Utc>,
}

impl Offers {
    /// Returns until when an offer of a delegation is open.
    pub fn until(&self, delegation: DelegationId) -> Option<DateTime<Utc>> {
        self.open.get(&delegation).map(|offer| offer.expires_at)
    }

    pub fn apply(&mut self, task: TaskId, event: &TaskEvent) {
        match event {
            TaskEvent::HandOffOffered { delegation, to, expires_at, .. } => {
                self.open.insert(*delegation, Offered { task, to: *to, expires_at: *expires_at });
            }
            TaskEvent::HandOffAccepted { delegation, .. }
            | TaskEvent::HandOffDeclined { delegation, .. }
            | TaskEvent::HandOffLapsed { delegation, .. } => drop(self.open.remove(delegation)),
            TaskEvent::DelegationQueued { delegation, terms, .. } if !terms.skills.is_empty() => {
                self.skills.insert(*delegation, terms.skills.clone());
            }
            TaskEvent::DelegationCompleted { delegation }
            | TaskEvent::DelegationCancelled { delegation, .. }
            | TaskEvent::DelegationFailed { delegation, .. } => drop(self.skills.remove(delegation)),
            _ => {}
        }
    }
}

impl Schedule {
    /// Says how offers are answered for agents that do not answer by themselves: taken by one that takes work and has
    /// room, declined by one that takes none; for one that is busy it waits.
    pub(super) fn answer_offers(&self, look: Look, taken: &Load, agenda: &mut Agenda) {
        for (delegation, offer) in &self.offers.open {
            let worker = self.agents.get(&offer.to);
            let gone = |worker: &Worker| matches!(worker.availability, Availability::Draining | Availability::Retired);
            let decline = |reason: &str| {
                let reason = crate::domain::text::Text::fitted(reason);
                HandOff::Decline { delegation: *delegation, reason }
            };
            let answer = match worker {
                _ if offer.expires_at <= look.now => Some(HandOff::Lapse(*delegation)),
                Some(worker) if gone(worker) => Some(decline("the agent takes no more work")),
                Some(worker) if !self.can_do(*delegation, worker) => Some(decline("the agent lacks a skill")),
                Some(worker) if worker.runtime == RuntimeKind::Peer => None,
                Some(worker) if worker.availability == Availability::Paused => Some(decline("the agent is paused")),
                Some(worker) => self.has_room(offer.to, worker, taken, look).then_some(HandOff::Accept(*delegation)),
                None => None,
            };
            match answer {
                Some(answer) => agenda.errands.push(Errand { task: offer.task, chore: Chore::HandOff(answer) }),
                None => agenda.look_again = [agenda.look_again, Some(offer.expires_at)].into_iter().flatten().min(),
            }
        }
    }

    fn can_do(&self, delegation: DelegationId, worker: &Worker) -> bool {
        self.offers.skills.get(&delegation).is_none_or(|skills| worker.is_able(skills))
    }

    /// Work is offered to those who take some and have the skills that it requires: with others it would only wait.
    pub(super) fn must_be_offered_to(&self, delegation: DelegationId, to: AgentId) -> Result<(), Rejection> {
        self.must_take_work(Some(to))?;
        match self.agents.get(&to).is_none_or(|worker| self.can_do(delegation, worker)) {
            true => Ok(()),
            false => Err(Rejection::Busy("the agent lacks a skill that the work requires")),
        }
    }

    fn has_room(&self, agent: AgentId, worker: &Worker, taken: &Load, look: Look) -> bool {
        let learned = self.lessons.learned();
        let free = worker.instances.iter().any(|(instance, runner)| {
            let phase = learned.phase(*instance, look.now);
            runner.refuses(taken.of_instance(*instance), phase, false).is_none()
        });
        free && worker.refuses(taken.of_agent(agent)).is_none()
    }
}
