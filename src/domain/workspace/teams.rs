//! Teams: who is in one, who leads it, and how it decides who of it gets work. How work is handed out by that is in
//! `squads`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::domain::{
    access::Grant, event::WorkspaceEvent, ids::TeamId, permission::Permission, principal::Principal,
    rejection::Rejection, text::Title,
};

/// Teams of one workspace.
pub const TEAMS_MAX: usize = 1_000;

/// How a team decides who of it gets the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TeamPolicy {
    /// Whoever is most likely to do it well, by what was learned.
    #[default]
    Learned,
    /// One after another.
    RoundRobin,
    /// The lead: an agent does it, a person says who does.
    Leader,
}

/// What can be asked about teams.
#[derive(Clone, Debug)]
pub enum TeamCommand {
    /// Form one of people and agents.
    Form(NewTeam),
    /// Change one.
    Update {
        /// Which.
        team: TeamId,
        /// How.
        change: TeamChange,
    },
    /// Dissolve one.
    Dissolve(TeamId),
}

/// A team to form.
#[derive(Clone, Debug)]
pub struct NewTeam {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: Title,
    /// Who is in it.
    pub members: BTreeSet<Principal>,
    /// Who leads it: one of them.
    pub lead: Option<Principal>,
    /// How it decides who of it gets the work.
    pub policy: TeamPolicy,
}

/// Fields of a team to change; `None` means unchanged.
#[derive(Clone, Debug, Default)]
pub struct TeamChange {
    /// The new name.
    pub name: Option<Title>,
    /// The new members, all of them.
    pub members: Option<BTreeSet<Principal>>,
    /// The new lead; `Some(None)` takes it away.
    pub lead: Option<Option<Principal>>,
    /// The new policy.
    pub policy: Option<TeamPolicy>,
}

/// What the workspace knows of a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Team {
    pub(super) name: Title,
    pub(super) members: BTreeSet<Principal>,
    #[serde(default)]
    lead: Option<Principal>,
    #[serde(default)]
    policy: TeamPolicy,
}

impl Workspace {
    pub(super) fn decide_team(&self, by: Principal, command: TeamCommand) -> Result<Vec<WorkspaceEvent>, Rejection> {
        match command {
            TeamCommand::Form(new) if self.teams.contains_key(&new.id) => {
                Err(Rejection::Busy("the team exists already"))
            }
            TeamCommand::Form(_) if self.teams.len() >= TEAMS_MAX => {
                Err(Rejection::Busy("a workspace has at most 1,000 teams: dissolve those that nobody needs"))
            }
            TeamCommand::Form(NewTeam { id: team, name, members, lead, policy }) => {
                let formed = Team { name, members, lead, policy };
                self.must_be_sound(team, &formed, &BTreeSet::new())?;
                let Team { name, members, lead, policy } = formed;
                Ok(vec![WorkspaceEvent::TeamFormed { team, name, members, lead, policy }])
            }
            TeamCommand::Update { team, change } => {
                let known = self.team(team)?;
                let changed = Team {
                    name: change.name.unwrap_or_else(|| known.name.clone()),
                    members: change.members.unwrap_or_else(|| known.members.clone()),
                    lead: change.lead.unwrap_or(known.lead),
                    policy: change.policy.unwrap_or(known.policy),
                };
                if changed == *known {
                    return Ok(vec![]);
                }
                self.must_be_sound(team, &changed, &known.members)?;
                self.must_reach_team(by, team, changed.members.symmetric_difference(&known.members).copied())?;
                let Team { name, members, lead, policy } = changed;
                Ok(vec![WorkspaceEvent::TeamUpdated { team, name, members, lead, policy }])
            }
            TeamCommand::Dissolve(team) => {
                self.must_reach_team(by, team, self.team(team)?.members.iter().copied())?;
                let gone = self.grants_of(Principal::Team(team));
                Ok(gone.chain([WorkspaceEvent::TeamDissolved { team }]).collect())
            }
        }
    }

    fn team(&self, id: TeamId) -> Result<&Team, Rejection> {
        self.teams.get(&id).ok_or(Rejection::NotFound("team"))
    }

    /// A team has a name of its own, people and agents of the workspace, and a lead of its own where it needs one. Who was
    /// in it before may have left since.
    fn must_be_sound(&self, id: TeamId, team: &Team, before: &BTreeSet<Principal>) -> Result<(), Rejection> {
        if self.teams.iter().any(|(other, taken)| *other != id && taken.name == team.name) {
            return Err(Rejection::Taken { what: "the team's name", value: team.name.to_string() });
        }
        for who in team.members.difference(before) {
            self.must_know(Some(who))?;
            if !matches!(who, Principal::User(_) | Principal::Agent(_)) {
                return Err(Rejection::Busy("a team is made of people and agents"));
            }
        }
        if team.lead.is_some_and(|lead| !team.members.contains(&lead)) {
            return Err(Rejection::Busy("the lead is no member of the team: add it to the members"));
        }
        if team.policy == TeamPolicy::Leader && team.lead.is_none() {
            return Err(Rejection::Busy("a team that goes by its lead needs one: name a member as its lead"));
        }
        Ok(())
    }

    /// Whoever comes into a team, or goes, gets or loses what was granted to it: that takes what a grant takes.
    fn must_reach_team(
        &self,
        by: Principal,
        team: TeamId,
        moved: impl Iterator<Item = Principal>,
    ) -> Result<(), Rejection> {
        let granted: Vec<&Grant> =
            self.grants.values().filter(|grant| grant.principal == Principal::Team(team)).collect();
        let manages = self.held(by).is_some_and(|held| held.contains(Permission::ManageAccess));
        for principal in moved {
            if !manages && !granted.is_empty() {
                return Err(Rejection::Forbidden(
                    "something was granted to the team: only who manages access says who gets or loses it",
                ));
            }
            granted.iter().try_for_each(|grant| self.must_reach_grant(by, &Grant { principal, ..(*grant).clone() }))?;
        }
        Ok(())
    }

    /// Who is no member of the workspace is in no team of it: coming back does not bring back what was granted to one. A
    /// team whose lead that was goes by what was learned.
    pub(super) fn out_of_teams(&self, who: Principal) -> impl Iterator<Item = WorkspaceEvent> {
        self.teams.iter().filter(move |(_, known)| known.members.contains(&who)).map(move |(team, known)| {
            let (name, mut members) = (known.name.clone(), known.members.clone());
            members.remove(&who);
            let lead = known.lead.filter(|lead| *lead != who);
            let led = known.policy == TeamPolicy::Leader && lead.is_none();
            let policy = if led { TeamPolicy::default() } else { known.policy };
            WorkspaceEvent::TeamUpdated { team: *team, name, members, lead, policy }
        })
    }

    pub(super) fn apply_team(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::TeamFormed { team, name, members, lead, policy }
            | WorkspaceEvent::TeamUpdated { team, name, members, lead, policy } => {
                let (name, members, lead, policy) = (name.clone(), members.clone(), *lead, *policy);
                self.schedule.squads.change(*team, &members, lead, policy);
                self.teams.insert(*team, Team { name, members, lead, policy });
            }
            WorkspaceEvent::TeamDissolved { team } => {
                self.teams.remove(team);
                self.schedule.squads.forget(*team);
            }
            _ => {}
        }
    }
}
