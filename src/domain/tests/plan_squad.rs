//! Random commands about several agents on one piece of work.

use std::collections::BTreeSet;

use crate::domain::{
    ids::AgentId,
    principal::{Principal, Service},
    routing::Bulkheads,
    task::{ChildPolicy, FanOut, HandOff, Join, NewFanOut, Part, Reason, Review, Reviewers, TaskCommand},
    text::{Prose, Text},
    workspace::{NewTeam, TeamChange, TeamCommand, TeamPolicy},
};

use super::{
    plan::{choose, person},
    plan_work::task_ask,
    world::{Ask, World},
};

const CONDUCTOR: Principal = Principal::Service(Service::Conductor);

/// An offer of an agent at work or of a person, and mostly the right agent's answer.
pub(super) fn hand_off(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let to = choose(world.ledger.agents.keys().copied(), b)?;
    let live = choose(world.ledger.live(), a);
    let (delegation, task, from) = match live.filter(|_| c % 9 != 0) {
        Some(attempt) => (attempt.delegation, attempt.task, attempt.agent),
        None => {
            let (id, known) = choose(&world.ledger.delegations, a)?;
            (*id, known.task, to)
        }
    };
    let offers = &world.ledger.offers;
    let answered = choose(offers, b).filter(|_| c % 3 != 0);
    let Some((delegation, offer)) = answered else {
        let by = if c % 2 == 0 { Principal::User(person(c / 2)) } else { Principal::Agent(from) };
        let reason = Prose::fitted("it is\0 yours");
        return Some(task_ask(task, by, TaskCommand::HandOff(HandOff::Offer { delegation, to, reason })));
    };
    let delegation = *delegation;
    let agenda = world.workspace.schedule().agenda(world.now, a as u64, Bulkheads::default());
    let due = agenda.errands.into_iter().find(|errand| errand.task == offer.task).map(|errand| errand.chore.command());
    if a % 4 == 1 {
        let lapse = TaskCommand::HandOff(HandOff::Lapse(delegation));
        return Some(task_ask(offer.task, CONDUCTOR, due.unwrap_or(lapse)));
    }
    let by: AgentId = if a % 7 == 0 { to } else { offer.to };
    let (by, command) = match a % 4 {
        0 => (Principal::Agent(by), HandOff::Decline { delegation, reason: Reason::fitted("no\0") }),
        _ => (Principal::Agent(by), HandOff::Accept(delegation)),
    };
    Some(task_ask(offer.task, by, TaskCommand::HandOff(command)))
}

/// Splits a task, mostly by a person or the agent at work; or runs what is due.
pub(super) fn fan_out(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let ledger = &world.ledger;
    let agenda = world.workspace.schedule().agenda(world.now, a as u64, Bulkheads::default());
    if let Some(errand) = choose(agenda.errands, a).filter(|_| b % 4 != 0) {
        return Some(task_ask(errand.task, CONDUCTOR, errand.chore.command()));
    }
    if b % 5 == 0 {
        let (task, split) = choose(&ledger.splits, a)?;
        return Some(task_ask(*task, CONDUCTOR, TaskCommand::FanOut(FanOut::TimeOut(*split))));
    }
    if ledger.tasks.len() > 14 {
        return None;
    }
    let task = choose(ledger.tasks.keys().copied(), a)?;
    let agent = choose(ledger.agents.keys().copied(), b);
    let part = |n: usize| Part {
        task: world.fresh().into(),
        delegation: world.fresh().into(),
        title: super::plan::title(format!("part {n}")),
        instructions: Text::fitted("do it"),
        agent: agent.filter(|_| (n + c).is_multiple_of(2)),
        team: choose(ledger.teams.keys().copied(), b).filter(|_| !(n + c).is_multiple_of(2) && c % 3 == 0),
        claims: Default::default(),
    };
    let live = ledger.live().into_iter().find(|attempt| attempt.task == task).map(|attempt| attempt.agent);
    let by = match live.filter(|_| c % 3 != 0) {
        Some(agent) => Principal::Agent(agent),
        None => Principal::User(person(c)),
    };
    let new = NewFanOut {
        id: world.fresh().into(),
        parts: (0..1 + b % 3).map(part).collect(),
        join: [Join::All, Join::Any, Join::Quorum(2)][a % 3],
        policy: [ChildPolicy::Terminate, ChildPolicy::RequestCancel, ChildPolicy::Abandon][c % 3],
        review: Review::by((c % 2) as u8, Reviewers::Anyone),
        expires_at: (a % 2 == 0).then(|| world.now + chrono::TimeDelta::seconds(20)),
    };
    Some(task_ask(task, by, TaskCommand::FanOut(FanOut::Open(new))))
}

fn teammates(world: &World, pick: &[usize; 3], people: BTreeSet<Principal>) -> BTreeSet<Principal> {
    let [a, b, _] = *pick;
    let agents = world.ledger.agents.keys().copied().skip(b % 2).step_by(1 + a % 2);
    people.into_iter().filter(|_| a % 3 != 0).chain(agents.map(Principal::Agent)).collect()
}

fn policy(pick: usize) -> TeamPolicy {
    [TeamPolicy::Learned, TeamPolicy::RoundRobin, TeamPolicy::Leader][pick % 3]
}

/// A team of people and agents, sometimes with a lead.
pub(super) fn team(world: &World, pick: &[usize; 3], people: BTreeSet<Principal>) -> NewTeam {
    let [a, b, c] = *pick;
    let members = teammates(world, pick, people);
    let lead = choose(members.iter().copied(), c).filter(|_| a % 2 == 0 || b % 3 == 0);
    NewTeam { id: world.fresh().into(), name: super::plan::title(format!("{c}")), members, lead, policy: policy(c) }
}

/// Another lead, other members, another way to decide; or no team any more.
pub(super) fn change_team(world: &World, pick: &[usize; 3], people: BTreeSet<Principal>) -> Option<TeamCommand> {
    let [a, b, c] = *pick;
    let (team, known) = choose(&world.ledger.teams, a)?;
    if c.is_multiple_of(7) {
        return Some(TeamCommand::Dissolve(*team));
    }
    let members = (b % 3 == 0).then(|| teammates(world, pick, people));
    let lead = choose(known.iter().copied(), c).map(Some).filter(|_| c % 2 == 0);
    let change = TeamChange { name: None, members, lead, policy: Some(policy(b)) };
    Some(TeamCommand::Update { team: *team, change })
}
