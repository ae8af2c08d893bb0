//! Who gets a queued delegation, and where: hard filters first, then what was learned.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::Availability,
    ids::*,
    routing::{
        Arm, Bulkheads, Cell, Class, Draws, Filter, Filtered, Held, Hold, Mode, Place, SEED_MAX, breaker::Phase, choose,
    },
    task::{Priority, Route},
};

use super::{
    schedule::{Runner, Schedule, Waiting},
    worker::Worker,
};

/// What the choice of an agent has to know of the work.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Work {
    /// The kind of work is the project that it is for.
    pub(super) kind: Option<ProjectId>,
    /// How urgent it was when it was queued.
    pub(super) priority: Priority,
}

/// How many attempts there are, and how many each agent and each instance has.
#[derive(Default)]
pub(super) struct Load {
    all: u32,
    background: u32,
    agents: BTreeMap<AgentId, u32>,
    instances: BTreeMap<InstanceId, u32>,
    /// The instances that this very look gives something to.
    given: BTreeSet<InstanceId>,
    /// Who of each team it gave something to last.
    pub(super) turns: BTreeMap<TeamId, AgentId>,
}

impl Load {
    pub(super) fn add(&mut self, agent: AgentId, instance: InstanceId, class: Class) {
        self.all += 1;
        self.background += u32::from(class == Class::Background);
        *self.agents.entry(agent).or_default() += 1;
        *self.instances.entry(instance).or_default() += 1;
    }

    pub(super) fn give(&mut self, agent: AgentId, instance: InstanceId, class: Class) {
        self.add(agent, instance, class);
        self.given.insert(instance);
    }

    pub(super) fn of_agent(&self, agent: AgentId) -> u32 {
        self.agents.get(&agent).copied().unwrap_or(0)
    }

    pub(super) fn of_instance(&self, instance: InstanceId) -> u32 {
        self.instances.get(&instance).copied().unwrap_or(0)
    }
}

/// What a look at the schedule rests on, beside the schedule.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) now: DateTime<Utc>,
    pub(super) seed: u64,
    pub(super) bulkheads: Bulkheads,
}

impl Schedule {
    /// Chooses among the instances that can take the work now, or says why there is none.
    pub(super) fn route(
        &self,
        delegation: DelegationId,
        waiting: &Waiting,
        taken: &Load,
        look: Look,
    ) -> Result<(AgentId, InstanceId, Route), Held> {
        let Look { now, seed, .. } = look;
        let (mut arms, filtered) = self.possible(delegation, waiting, taken, look)?;
        let candidates = arms.iter().map(|arm| arm.places.len()).sum::<usize>();
        let given = waiting.team.and_then(|team| taken.turns.get(&team).copied());
        let by_policy = self.by_policy(waiting.whose(), given, &mut arms);
        let mode = match (waiting.agent, Class::from(waiting.work.priority)) {
            (Some(_), _) => Mode::Pinned,
            (None, _) if by_policy.is_some() => Mode::Pinned,
            (None, Class::Interactive) => Mode::Careful,
            (None, Class::Background) => Mode::Sampled,
        };
        if mode == Mode::Pinned {
            arms = merged(arms);
        }
        // Delegations of one look do not share their draws.
        let seed = Draws::from_seed(seed ^ delegation.0.as_u128() as u64).word() & SEED_MAX;
        let Some((chosen, instance, decision)) = choose(&arms, mode, waiting.work.kind, seed) else {
            return Err(self.unskilled(waiting, Held::by(filtered.list, filtered.until.filter(|until| *until > now))));
        };
        let of_team = waiting.team.is_some();
        let reason = by_policy.unwrap_or(match mode {
            Mode::Pinned => "a person named the agent; of two of its instances the one that costs less",
            Mode::Careful if arms.len() > 1 => "urgent work: the agent that is most surely good at it",
            Mode::Sampled if arms.len() > 1 => "drawn among the agents, each as often as it may be the best",
            Mode::Careful | Mode::Sampled if of_team => "the only agent of the team with a free instance",
            Mode::Careful | Mode::Sampled => "the only agent with a free instance",
        });
        let candidates = u32::try_from(candidates).unwrap_or(u32::MAX);
        let decision = Some(Box::new(decision.without(filtered.list)));
        let route = Route { reason: reason.into(), candidates, team: waiting.team, decision };
        Ok((arms[chosen].agent, instance, route))
    }

    /// Sorts the agents and their instances into those that could take the work, and those that could not.
    fn possible(
        &self,
        delegation: DelegationId,
        waiting: &Waiting,
        taken: &Load,
        look: Look,
    ) -> Result<(Vec<Arm>, Sieve), Held> {
        if let Some(until) = waiting.not_before.filter(|time| *time > look.now) {
            return Err(Held::simply(Hold::BackOff, Some(until)));
        }
        if taken.all >= look.bulkheads.workspace {
            return Err(Held::simply(Hold::WorkspaceFull, None));
        }
        let class = Class::from(waiting.work.priority);
        if class == Class::Background && taken.background >= look.bulkheads.background {
            return Err(Held::simply(Hold::BackgroundFull, None));
        }
        let (mut arms, mut sieve) = (vec![], Sieve::default());
        for (agent, worker) in &self.agents {
            if !self.is_listed(waiting.whose(), *agent) {
                continue;
            }
            if !worker.is_able(&waiting.skills) {
                sieve.list.push(Filtered { agent: *agent, instance: None, why: Filter::Skills });
                continue;
            }
            match worker.refuses(taken.of_agent(*agent)) {
                Some(why) => sieve.list.push(Filtered { agent: *agent, instance: None, why }),
                None => self.offer(&mut arms, &mut sieve, (*agent, worker), (delegation, waiting), taken, look.now),
            }
        }
        Ok((arms, sieve))
    }

    /// Sorts the instances of an agent.
    fn offer(
        &self,
        arms: &mut Vec<Arm>,
        sieve: &mut Sieve,
        (agent, worker): (AgentId, &Worker),
        (delegation, waiting): (DelegationId, &Waiting),
        taken: &Load,
        now: DateTime<Utc>,
    ) {
        let learned = self.lessons.learned();
        for (instance, runner) in &worker.instances {
            if worker.lacks(Some(runner), &waiting.skills).next().is_some() {
                sieve.list.push(Filtered { agent, instance: Some(*instance), why: Filter::Skills });
                continue;
            }
            if self.keeps_away(waiting, agent, *instance) {
                sieve.list.push(Filtered { agent, instance: Some(*instance), why: Filter::Strategy });
                continue;
            }
            let in_flight = taken.of_instance(*instance);
            let phase = learned.phase(*instance, now);
            if let Some(why) = runner.refuses(in_flight, phase, taken.given.contains(instance)) {
                sieve.list.push(Filtered { agent, instance: Some(*instance), why });
                if let Phase::Open(until) = phase {
                    sieve.until = Some(sieve.until.map_or(until, |other| other.min(until)));
                }
                continue;
            }
            let before = self.lessons.before(delegation, *instance);
            let place = Place { instance: *instance, in_flight, vitals: learned.vitals(*instance, now), before };
            match arms.iter_mut().find(|arm| arm.agent == agent && arm.model == runner.model) {
                Some(arm) => arm.places.push(place),
                None => {
                    let cell = Cell { agent, kind: waiting.work.kind, model: runner.model.clone() };
                    arms.push(Arm {
                        posterior: learned.posterior(&cell, now),
                        worse: learned.is_worse(&cell, now),
                        same: self.lessons.last_agent(delegation) == Some(agent),
                        agent,
                        model: cell.model,
                        places: vec![place],
                    });
                }
            }
        }
    }
}

/// What cannot take the work.
#[derive(Default)]
struct Sieve {
    list: Vec<Filtered>,
    /// When the first open breaker lets something through again.
    until: Option<DateTime<Utc>>,
}

impl Worker {
    /// Returns why the agent takes nothing more when it has so many attempts.
    pub(super) fn refuses(&self, has: u32) -> Option<Filter> {
        match self.availability {
            Availability::Paused => Some(Filter::Paused),
            Availability::Draining => Some(Filter::Draining),
            Availability::Retired => Some(Filter::Retired),
            // What still runs on an instance that was removed counts too.
            Availability::Active if has >= self.max_concurrency => Some(Filter::AgentFull),
            Availability::Active if self.instances.is_empty() => Some(Filter::NoInstance),
            Availability::Active => None,
        }
    }
}

impl Runner {
    /// Returns why the instance takes nothing more when it has so many attempts, and perhaps one that tries it.
    pub(super) fn refuses(&self, has: u32, phase: Phase, tried: bool) -> Option<Filter> {
        match phase {
            _ if !self.usable() => Some(Filter::Unhealthy),
            Phase::Open(_) => Some(Filter::BreakerOpen),
            Phase::HalfOpen(Some(_)) => Some(Filter::BeingTried),
            Phase::HalfOpen(None) if tried => Some(Filter::BeingTried),
            Phase::Closed | Phase::HalfOpen(None) => (has >= self.slots).then_some(Filter::InstanceFull),
        }
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
