//! Skills that work requires: a hard filter. Nobody gets it who lacks one of them, whatever else speaks for them.

use std::collections::BTreeSet;

use crate::domain::{
    ids::{AgentId, DelegationId, InstanceId},
    rejection::Rejection,
    routing::{Filter, Filtered, Held},
    text::Label,
};

use super::{
    schedule::{Runner, Schedule, Waiting},
    worker::Worker,
};

impl Worker {
    /// Tells whether one of its instances has all of these, with the agent's own skills.
    pub(super) fn is_able(&self, skills: &BTreeSet<Label>) -> bool {
        self.lacks(None, skills).next().is_none()
            || self.instances.values().any(|runner| self.lacks(Some(runner), skills).next().is_none())
    }

    /// Returns what the agent lacks on an instance.
    pub(super) fn lacks<'a>(
        &'a self,
        runner: Option<&'a Runner>,
        skills: &'a BTreeSet<Label>,
    ) -> impl Iterator<Item = &'a Label> {
        let has = move |skill: &&Label| {
            self.skills.contains(*skill) || runner.is_some_and(|runner| runner.skills.contains(*skill))
        };
        skills.iter().filter(move |skill| !has(skill))
    }
}

impl Schedule {
    /// Whoever hands work out is told when it would go to somebody who lacks what it requires.
    pub(super) fn must_be_able(
        &self,
        delegation: DelegationId,
        agent: AgentId,
        instance: InstanceId,
    ) -> Result<(), Rejection> {
        let Some(waiting) = self.queue.get(&delegation) else { return Ok(()) };
        let worker = self.agents.get(&agent).ok_or(Rejection::NotFound("agent"))?;
        match worker.lacks(worker.instances.get(&instance), &waiting.skills).next() {
            None => Ok(()),
            Some(_) => Err(Rejection::Busy("the agent lacks a skill that the work requires")),
        }
    }

    /// Names what is missing, where that alone is why nobody takes the work.
    pub(super) fn unskilled(&self, waiting: &Waiting, held: Held) -> Held {
        let only = |filtered: &[Filtered]| !filtered.is_empty() && filtered.iter().all(|it| it.why == Filter::Skills);
        if !only(&held.filtered) {
            return held;
        }
        let known = |skill: &&Label| {
            let has = |worker: &Worker| {
                worker.skills.contains(*skill) || worker.instances.values().any(|known| known.skills.contains(*skill))
            };
            let wanted = self.agents.iter().filter(|(id, _)| self.is_for(waiting.whose(), **id));
            wanted.map(|(_, worker)| worker).any(has)
        };
        let missing: Vec<&str> = waiting.skills.iter().filter(|skill| !known(skill)).map(|skill| &**skill).collect();
        let all: Vec<&str> = waiting.skills.iter().map(|skill| &**skill).collect();
        held.for_lack_of(if missing.is_empty() { &all } else { &missing })
    }
}
