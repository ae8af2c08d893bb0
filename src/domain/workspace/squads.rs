//! Work that is for a team: who of it may get it, whose turn it is, and what to do when nobody of it can. Skills and
//! whether somebody takes work at all come first; the team's policy chooses among those that are left.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    ids::{AgentId, DelegationId, TaskId, TeamId},
    principal::Principal,
    rejection::Rejection,
    routing::Arm,
    text::Label,
};

use super::{
    schedule::{Schedule, Waiting},
    teams::TeamPolicy,
};

/// What the schedule knows of a team.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Squad {
    agents: BTreeSet<AgentId>,
    lead: Option<Principal>,
    policy: TeamPolicy,
    /// Who of it got work last.
    last: Option<AgentId>,
}

/// The teams of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Squads(BTreeMap<TeamId, Squad>);

/// For whom a delegation is, and what they have to be good at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub agent: Option<AgentId>,
    /// Nobody is named then.
    pub team: Option<TeamId>,
    pub skills: &'a BTreeSet<Label>,
}

impl Waiting {
    pub(super) fn whose(&self) -> Whose<'_> {
        Whose { agent: self.agent, team: self.team, skills: &self.skills }
    }
}

impl Squads {
    pub fn change(&mut self, team: TeamId, members: &BTreeSet<Principal>, lead: Option<Principal>, policy: TeamPolicy) {
        let agents = members.iter().filter_map(|who| match who {
            Principal::Agent(agent) => Some(*agent),
            _ => None,
        });
        let agents = agents.collect();
        let last = self.0.get(&team).and_then(|squad| squad.last);
        self.0.insert(team, Squad { agents, lead, policy, last });
    }

    pub fn forget(&mut self, team: TeamId) {
        self.0.remove(&team);
    }

    /// Notes whose turn it was.
    pub fn had_a_turn(&mut self, team: TeamId, agent: AgentId) {
        if let Some(squad) = self.0.get_mut(&team) {
            squad.last = Some(agent);
        }
    }

    /// Returns the person who says who of a team does the work.
    pub fn chooses_for(&self, team: TeamId) -> Option<Principal> {
        let squad = self.0.get(&team).filter(|squad| squad.policy == TeamPolicy::Leader)?;
        squad.lead.filter(|lead| lead.user().is_some())
    }
}

impl Schedule {
    /// Tells whether a delegation may go to an agent at all.
    pub(super) fn is_for(&self, whose: Whose<'_>, agent: AgentId) -> bool {
        match (whose.agent, whose.team) {
            (Some(named), _) => named == agent,
            (None, Some(team)) => {
                self.squads.0.get(&team).is_some_and(|squad| match self.leading(squad, whose.skills) {
                    Some(lead) => lead == agent,
                    None => squad.agents.contains(&agent),
                })
            }
            (None, None) => true,
        }
    }

    /// Tells whether an agent is spoken of when a delegation is handed out: of those that have retired, only who was
    /// named or is in the team.
    pub(super) fn is_listed(&self, whose: Whose<'_>, agent: AgentId) -> bool {
        let of_team = |team| self.squads.0.get(&team).is_some_and(|squad| squad.agents.contains(&agent));
        match self.works(agent) {
            true => self.is_for(whose, agent),
            false => whose.agent == Some(agent) || whose.team.is_some_and(of_team),
        }
    }

    /// The agent that leads, while it takes work that requires this. Otherwise any of the team takes its place.
    fn leading(&self, squad: &Squad, skills: &BTreeSet<Label>) -> Option<AgentId> {
        let Some(Principal::Agent(lead)) = squad.lead.filter(|_| squad.policy == TeamPolicy::Leader) else {
            return None;
        };
        let able = self.agents.get(&lead).is_some_and(|worker| worker.is_able(skills));
        (able && self.must_take_work(Some(lead)).is_ok()).then_some(lead)
    }

    /// Of those that could take the work keeps whom the team's policy wants, and says why; nothing where what was learned
    /// decides. `given` is who of the team got something in the same look.
    pub(super) fn by_policy(
        &self,
        whose: Whose<'_>,
        given: Option<AgentId>,
        arms: &mut Vec<Arm>,
    ) -> Option<&'static str> {
        let squad = self.squads.0.get(&whose.team?)?;
        if self.leading(squad, whose.skills).is_some() {
            return Some("the lead of the team");
        }
        if squad.policy != TeamPolicy::RoundRobin {
            return None;
        }
        let free: BTreeSet<AgentId> = arms.iter().map(|arm| arm.agent).collect();
        let after = given.or(squad.last).and_then(|last| free.range(last..).find(|agent| **agent != last));
        let next = *after.or(free.first())?;
        arms.retain(|arm| arm.agent == next);
        Some("the team takes turns: the next of it that can take the work")
    }

    /// Refuses a team of which nobody takes work.
    pub(super) fn must_have_a_worker(&self, team: Option<TeamId>) -> Result<(), Rejection> {
        let Some(team) = team else { return Ok(()) };
        if !self.squads.0.contains_key(&team) {
            return Err(Rejection::NotFound("team"));
        }
        match self.squads.chooses_for(team).is_some() || self.has_a_worker(team) {
            true => Ok(()),
            false => Err(Rejection::Busy("no agent of the team takes work: choose another one, or an agent")),
        }
    }

    fn has_a_worker(&self, team: TeamId) -> bool {
        let takes = |agent: &AgentId| self.must_take_work(Some(*agent)).is_ok();
        self.squads.0.get(&team).is_some_and(|squad| squad.agents.iter().any(takes))
    }

    /// Returns the queued delegations for teams of which nobody takes work any more, or that are no more.
    pub(super) fn stranded_teams(&self) -> Vec<(TaskId, DelegationId)> {
        let stranded = |waiting: &Waiting| waiting.team.is_some_and(|team| !self.has_a_worker(team));
        let queue = self.queue.iter().filter(|(_, waiting)| stranded(waiting));
        queue.map(|(delegation, waiting)| (waiting.task, *delegation)).collect()
    }

    /// Whoever hands work out is told when it would go to somebody whom it is not for (any more).
    pub(super) fn must_be_for(&self, delegation: DelegationId, agent: AgentId) -> Result<(), Rejection> {
        match self.queue.get(&delegation).is_none_or(|waiting| self.is_for(waiting.whose(), agent)) {
            true => Ok(()),
            false => Err(Rejection::Busy("the work is for a team, and by its rule not for this agent")),
        }
    }
}
