//! Where work may go after a failure: the step of the ladder, as the choice of an instance has to obey it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::Availability,
    failure::Strategy,
    ids::{AgentId, InstanceId},
    task::Step,
};

use super::{
    schedule::{Runner, Schedule, Waiting},
    squads::Whose,
    worker::Worker,
};

/// Where work may go after a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hint {
    strategy: Strategy,
    agent: AgentId,
    instance: InstanceId,
    failed_instances: BTreeSet<InstanceId>,
    failed_agents: BTreeSet<AgentId>,
}

impl Hint {
    pub(super) fn of(step: &Step) -> Self {
        Self {
            strategy: step.strategy,
            agent: step.agent,
            instance: step.instance,
            failed_instances: step.failed_instances.clone(),
            failed_agents: step.failed_agents.clone(),
        }
    }
}

/// Which places count.
#[derive(Clone, Copy)]
enum Places {
    /// Those that could take work at once, but for their load.
    Now,
    /// Those that may take work some time; where the work was before it may also wait for.
    Ever,
}

impl Schedule {
    /// Tells whether the hint keeps the work away from an instance. It does only while another place that answers is
    /// left to it: work that nobody else can do is better done there than never.
    pub(super) fn keeps_away(&self, waiting: &Waiting, agent: AgentId, instance: InstanceId) -> bool {
        let Some(hint) = &waiting.hint else { return false };
        !self.fits(hint, agent, instance) && self.somewhere(waiting.whose(), hint, Places::Now)
    }

    /// Chooses the first step that is possible here; where none is, the step is a person's.
    pub(super) fn settle(&self, whose: Whose<'_>, step: &mut Step) {
        step.settle(|step, strategy| self.somewhere(whose, &Hint { strategy, ..Hint::of(step) }, Places::Ever));
    }

    fn fits(&self, hint: &Hint, agent: AgentId, instance: InstanceId) -> bool {
        let same = agent == hint.agent;
        match hint.strategy {
            Strategy::SameInstance => instance == hint.instance,
            Strategy::OtherInstance => same && !hint.failed_instances.contains(&instance),
            Strategy::AddContext => same,
            Strategy::OtherModel => same && self.model(agent, instance) != self.model(hint.agent, hint.instance),
            Strategy::OtherAgent => !hint.failed_agents.contains(&agent),
            Strategy::SplitTask | Strategy::AskPerson => true,
        }
    }

    fn model(&self, agent: AgentId, instance: InstanceId) -> Option<&String> {
        self.runner(agent, instance)?.model.as_ref()
    }

    /// Tells whether there is an agent that takes work and an instance that answers, however much they have.
    pub(super) fn could_begin(&self, waiting: &Waiting) -> bool {
        let wanted = |(id, worker): &(&AgentId, &Worker)| {
            self.is_for(waiting.whose(), **id) && worker.availability == Availability::Active
        };
        self.agents.iter().filter(wanted).any(|(_, worker)| {
            let able = |runner: &Runner| worker.lacks(Some(runner), &waiting.skills).next().is_none();
            worker.instances.values().any(|runner| runner.usable() && able(runner))
        })
    }

    fn somewhere(&self, whose: Whose<'_>, hint: &Hint, places: Places) -> bool {
        let waits = matches!(hint.strategy, Strategy::SameInstance | Strategy::AddContext);
        let works = |worker: &Worker| match (worker.availability, places) {
            (Availability::Active, _) | (Availability::Paused, Places::Ever) => true,
            (Availability::Paused | Availability::Draining | Availability::Retired, _) => false,
        };
        let workers = self.agents.iter().filter(|(id, worker)| self.is_for(whose, **id) && works(worker));
        workers.flat_map(|(agent, worker)| worker.instances.iter().map(move |place| (agent, worker, place))).any(
            |(agent, worker, (instance, runner))| {
                let able = worker.lacks(Some(runner), whose.skills).next().is_none();
                let may = runner.usable() || (waits && matches!(places, Places::Ever));
                able && may && self.fits(hint, *agent, *instance)
            },
        )
    }
}
