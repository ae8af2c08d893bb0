//! What has to be done next with the queue, what each delegation in it waits for, and what has to be told of agents.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::{
    agent::{AgentCommand, Availability, WorseAt},
    ids::*,
    routing::{Bulkheads, Class, Held, Hold, Standing, Vitals, breaker::Phase},
    task::{ChildPolicy, FanOut, HandOff, Route, TaskCommand},
};

use super::{
    claims::Line,
    route::{Load, Look},
    schedule::{Schedule, Waiting},
    turns::{LapsedTurn, NextTurn},
};

/// A delegation that can be handed out now.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Of what.
    pub task: TaskId,
    /// Which.
    pub delegation: DelegationId,
    /// To whom.
    pub agent: AgentId,
    /// Where.
    pub instance: InstanceId,
    /// Why there.
    pub route: Route,
}

/// Something to be decided about a task, because it is time, or because somebody does not answer by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// About which.
    pub task: TaskId,
    /// What.
    pub chore: Chore,
}

/// What is to be decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Chore {
    /// How an offer is answered.
    HandOff(HandOff),
    /// The time of a join is over.
    TimeOut(FanOutId),
    /// The task is a part that nobody waits for any more.
    Wind(ChildPolicy),
}

impl Chore {
    /// Returns what it is called in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HandOff(HandOff::Accept(_)) => "hand_off_accepted",
            Self::HandOff(HandOff::Decline { .. }) => "hand_off_declined",
            Self::HandOff(HandOff::Lapse(_) | HandOff::Offer { .. }) => "hand_off_lapsed",
            Self::TimeOut(_) => "join_timed_out",
            Self::Wind(_) => "part_ended",
        }
    }

    /// Returns the command that carries it out.
    pub fn command(self) -> TaskCommand {
        match self {
            Self::HandOff(answer) => TaskCommand::HandOff(answer),
            Self::TimeOut(id) => TaskCommand::FanOut(FanOut::TimeOut(id)),
            Self::Wind(policy) => TaskCommand::FanOut(FanOut::Wind(policy)),
        }
    }
}

/// What has to be done now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agenda {
    /// To hand out now, first come first served.
    pub dispatch: Vec<Dispatch>,
    /// Turns to begin now, first come first served. People wait for them: they come before delegations.
    pub turns: Vec<NextTurn>,
    /// Turns to give up.
    pub lapsed: Vec<LapsedTurn>,
    /// What has to be decided about tasks.
    pub errands: Vec<Errand>,
    /// How many delegations wait, and for what.
    pub waiting: BTreeMap<Hold, u32>,
    /// When the next waiting delegation may be handed out, or the next turn is given up.
    pub look_again: Option<DateTime<Utc>>,
}

/// How an instance does, as far as the schedule knows.
#[derive(Clone, Copy, Debug)]
pub struct Checkup {
    /// What its breaker lets through.
    pub phase: Phase,
    /// What work on it was like.
    pub vitals: Vitals,
    /// Attempts that it has.
    pub in_flight: u32,
}

impl Schedule {
    /// Returns what can be handed out at `now`, each with a slot of its own. All that is left to chance comes from the
    /// seed.
    pub fn agenda(&self, now: DateTime<Utc>, seed: u64, bulkheads: Bulkheads) -> Agenda {
        let (mut agenda, mut taken, look) = (Agenda::default(), self.load(), Look { now, seed, bulkheads });
        self.offer_turns(look, &mut taken, &mut agenda);
        self.answer_offers(look, &taken, &mut agenda);
        self.join_parts(now, &mut agenda);
        let mut waiting: Vec<_> = self.queue.iter().collect();
        waiting.sort_by_key(|(_, waiting)| waiting.since);
        let mut line = Line::default();
        for (delegation, waiting) in waiting {
            let routed = self.look_at(*delegation, waiting, (&taken, &line), look);
            self.queue_up(&mut line, waiting, now);
            match routed {
                Ok((agent, instance, route)) => {
                    taken.give(agent, instance, waiting.work.priority.into());
                    if let Some(team) = waiting.team {
                        taken.turns.insert(team, agent);
                    }
                    let (task, delegation) = (waiting.task, *delegation);
                    agenda.dispatch.push(Dispatch { task, delegation, agent, instance, route });
                }
                Err(Held { why, until, .. }) => {
                    *agenda.waiting.entry(why).or_default() += 1;
                    agenda.look_again = [agenda.look_again, until].into_iter().flatten().min();
                }
            }
        }
        agenda
    }

    fn load(&self) -> Load {
        let mut load = Load::default();
        for running in self.running.values() {
            let background = self.background.contains(&running.attempt);
            let class = if background { Class::Background } else { Class::Interactive };
            load.add(running.agent, running.instance, class);
        }
        for running in self.turns.running() {
            load.add(running.agent, running.instance, Class::Interactive);
        }
        load
    }

    /// Returns why a queued delegation waits; nothing for one that is not queued.
    pub fn held(&self, delegation: DelegationId, now: DateTime<Utc>, bulkheads: Bulkheads) -> Option<Held> {
        let waiting = self.queue.get(&delegation)?;
        let mut before: Vec<_> = self.queue.values().filter(|other| other.since < waiting.since).collect();
        before.sort_by_key(|other| other.since);
        let mut line = Line::default();
        before.into_iter().for_each(|other| self.queue_up(&mut line, other, now));
        let routed = self.look_at(delegation, waiting, (&self.load(), &line), Look { now, seed: 0, bulkheads });
        Some(routed.err().unwrap_or_else(|| Held::simply(Hold::Next, None)))
    }

    fn look_at(
        &self,
        delegation: DelegationId,
        waiting: &Waiting,
        (taken, line): (&Load, &Line<'_>),
        look: Look,
    ) -> Result<(AgentId, InstanceId, Route), Held> {
        if waiting.gated {
            return Err(Held::simply(Hold::Gated, None));
        }
        if let Some(until) = self.offers.until(delegation) {
            return Err(Held::simply(Hold::Offered, Some(until)));
        }
        match self.claimed.in_the_way_of(waiting.task, line) {
            Some(holder) => Err(Held::behind(holder)),
            None => self.route(delegation, waiting, taken, look),
        }
    }

    /// Keeps the paths of a task from those that came after it. One that could not begin however long the others waited
    /// keeps nothing from anybody.
    fn queue_up<'a>(&'a self, line: &mut Line<'a>, waiting: &Waiting, now: DateTime<Utc>) {
        let backs_off = waiting.not_before.is_some_and(|time| time > now);
        if self.claimed.wants(waiting.task) && !waiting.gated && !backs_off && self.could_begin(waiting) {
            self.claimed.join(line, waiting.task);
        }
    }

    /// Returns how an instance stands.
    pub fn standing(&self, instance: InstanceId, now: DateTime<Utc>) -> Standing {
        self.lessons.learned().standing(instance, now).0
    }

    /// Returns how an instance does.
    pub fn checkup(&self, instance: InstanceId, now: DateTime<Utc>) -> Checkup {
        let learned = self.lessons.learned();
        Checkup {
            phase: learned.phase(instance, now),
            vitals: learned.vitals(instance, now),
            in_flight: self.load().of_instance(instance),
        }
    }

    /// Returns what everyone has to be told of agents and instances that got worse, or well again.
    pub fn news(&self, now: DateTime<Utc>) -> Vec<(AgentId, AgentCommand)> {
        let learned = self.lessons.learned();
        let mut worse = BTreeMap::<AgentId, BTreeSet<WorseAt>>::new();
        for cell in learned.worse(now) {
            let at = WorseAt { kind: cell.kind, model: cell.model.clone() };
            worse.entry(cell.agent).or_default().insert(at);
        }
        let mut news = vec![];
        for (id, worker) in self.agents.iter().filter(|(_, worker)| worker.availability != Availability::Retired) {
            for instance in worker.instances.keys() {
                let told = worker.standings.get(instance).copied().unwrap_or_default();
                let (standing, cause) = learned.standing(*instance, now);
                if standing != told {
                    let cause = cause.to_owned();
                    news.push((*id, AgentCommand::Stand { instance: *instance, standing, cause }));
                }
            }
            let worse = worse.remove(id).unwrap_or_default();
            let changed = worse.symmetric_difference(&worker.worse);
            news.extend(changed.map(|at| (*id, AgentCommand::Fare { at: at.clone(), worse: worse.contains(at) })));
        }
        news
    }
}
