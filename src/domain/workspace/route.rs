//! Who gets a queued delegation, and where: hard filters first, then what was learned.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::Availability,
    ids::*,
    routing::{Arm, Cell, Draws, Filter, Filtered, Mode, Place, SEED_MAX, choose},
    task::{Priority, Route},
};

use super::schedule::{Schedule, Waiting};

/// What the choice of an agent has to know of the work.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Work {
    /// The kind of work is the project that it is for.
    pub(super) kind: Option<ProjectId>,
    /// How urgent it was when it was queued.
    pub(super) priority: Priority,
}

/// How many attempts each agent and each instance has.
#[derive(Default)]
pub(super) struct Load {
    agents: BTreeMap<AgentId, u32>,
    instances: BTreeMap<InstanceId, u32>,
}

impl Load {
    pub(super) fn add(&mut self, agent: AgentId, instance: InstanceId) {
        *self.agents.entry(agent).or_default() += 1;
        *self.instances.entry(instance).or_default() += 1;
    }

    pub(super) fn of_agent(&self, agent: AgentId) -> u32 {
        self.agents.get(&agent).copied().unwrap_or(0)
    }

    pub(super) fn of_instance(&self, instance: InstanceId) -> u32 {
        self.instances.get(&instance).copied().unwrap_or(0)
    }
}

impl Schedule {
    /// Chooses among the instances that can take the work now; nothing where there is none.
    pub(super) fn route(
        &self,
        delegation: DelegationId,
        waiting: &Waiting,
        taken: &Load,
        now: DateTime<Utc>,
        seed: u64,
    ) -> Option<(AgentId, InstanceId, Route)> {
        let (mut arms, filtered) = self.possible(delegation, waiting, taken, now);
        let candidates = arms.iter().map(|arm| arm.places.len()).sum::<usize>();
        let mode = match (waiting.agent, waiting.work.priority) {
            (Some(_), _) => Mode::Pinned,
            (None, Priority::High | Priority::Urgent) => Mode::Careful,
            (None, Priority::None | Priority::Low | Priority::Medium) => Mode::Sampled,
        };
        if mode == Mode::Pinned {
            arms = merged(arms);
        }
        // Delegations of one look do not share their draws.
        let seed = Draws::from_seed(seed ^ delegation.0.as_u128() as u64).word() & SEED_MAX;
        let (chosen, instance, decision) = choose(&arms, mode, waiting.work.kind, seed)?;
        let reason = match mode {
            Mode::Pinned => "a person named the agent; of two of its instances the one that costs less",
            Mode::Careful if arms.len() > 1 => "urgent work: the agent that is most surely good at it",
            Mode::Sampled if arms.len() > 1 => "drawn among the agents, each as often as it may be the best",
            Mode::Careful | Mode::Sampled => "the only agent with a free instance",
        };
        let candidates = u32::try_from(candidates).unwrap_or(u32::MAX);
        let decision = Some(Box::new(decision.without(filtered)));
        Some((arms[chosen].agent, instance, Route { reason: reason.into(), candidates, decision }))
    }

    /// Sorts the agents and their instances into those that could take the work, and those that could not.
    fn possible(
        &self,
        delegation: DelegationId,
        waiting: &Waiting,
        taken: &Load,
        now: DateTime<Utc>,
    ) -> (Vec<Arm>, Vec<Filtered>) {
        let (mut arms, mut filtered): (Vec<Arm>, _) = (vec![], vec![]);
        let last = self.lessons.last_agent(delegation);
        for (agent, worker) in &self.agents {
            if waiting.agent.is_some_and(|wanted| wanted != *agent) {
                continue;
            }
            // What still runs on an instance that was removed counts too.
            let full = taken.of_agent(*agent) >= worker.max_concurrency;
            if full || worker.availability != Availability::Active {
                let why = if full { Filter::AgentFull } else { Filter::Unavailable };
                filtered.push(Filtered { agent: *agent, instance: None, why });
                continue;
            }
            for (instance, runner) in &worker.instances {
                let in_flight = taken.of_instance(*instance);
                if !runner.usable() || in_flight >= runner.slots {
                    let why = if runner.usable() { Filter::InstanceFull } else { Filter::Unhealthy };
                    filtered.push(Filtered { agent: *agent, instance: Some(*instance), why });
                    continue;
                }
                let place = Place {
                    instance: *instance,
                    in_flight,
                    vitals: self.lessons.learned().vitals(*instance, now),
                    before: self.lessons.before(delegation, *instance),
                };
                match arms.iter_mut().find(|arm| arm.agent == *agent && arm.model == runner.model) {
                    Some(arm) => arm.places.push(place),
                    None => {
                        let cell = Cell { agent: *agent, kind: waiting.work.kind, model: runner.model.clone() };
                        arms.push(Arm {
                            posterior: self.lessons.learned().posterior(&cell, now),
                            worse: self.lessons.learned().is_worse(&cell, now),
                            same: last == Some(*agent),
                            agent: *agent,
                            model: cell.model,
                            places: vec![place],
                        });
                    }
                }
            }
        }
        (arms, filtered)
    }
}

/// To whoever named the agent, all of its models are alike.
fn merged(arms: Vec<Arm>) -> Vec<Arm> {
    let mut arms = arms.into_iter();
    let Some(mut all) = arms.next() else { return vec![] };
    for other in arms {
        all.model = None;
        all.places.extend(other.places);
    }
    vec![all]
}
