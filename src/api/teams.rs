//! `workspaces`, continued: teams of people and agents, and how each decides who of it gets work.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        ids::{Subject, TeamId, WorkspaceId},
        model::Command,
        permission::{Permission as P, Permissions},
        principal::Principal,
        text::Title,
        workspace::{GRANTS_OF_ONE_MAX, NewTeam, TeamChange, TeamCommand, TeamPolicy, WorkspaceCommand},
    },
    persistence::{
        queries::{self, Listed, Scope, Sight},
        views::TeamView,
    },
};

use super::{
    access::must_be_good_for,
    call::Call,
    inputs::{Few, Teammate, given},
    problem::Problem,
    table::{Method, Operation},
    workspaces::{ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    let (teams, team) = ("/workspaces/{workspace_id}/teams", "/workspaces/{workspace_id}/teams/{team_id}");
    vec![
        Operation::mutation("workspaces.form_team", Method::Post, teams, form)
            .needs(P::ManageMembers, SCOPE)
            .creates()
            .doc("Forms a team of people and agents that work can be given to."),
        Operation::mutation("workspaces.update_team", Method::Patch, team, update)
            .needs(P::ManageMembers, SCOPE)
            .doc("Changes a team: its name, who is in it, who leads it, or how it decides who of it gets work."),
        Operation::mutation("workspaces.dissolve_team", Method::Delete, team, dissolve)
            .needs(P::ManageMembers, SCOPE)
            .doc("Dissolves a team. What runs goes on; of what waits for it, a person decides who does it."),
        Operation::query("workspaces.list_teams", teams, list).needs(P::Read, SCOPE).doc("Lists the teams."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    workspace_id: WorkspaceId,
    name: Title,
    /// People and agents.
    members: Few<Teammate, 100>,
    /// Who leads it: one of them.
    lead: Option<Teammate>,
    /// How it decides who of it gets the work.
    #[serde(default)]
    policy: TeamPolicy,
}

async fn form(call: Call, input: Form) -> Result<TeamView, Problem> {
    let id: TeamId = call.clock().id();
    let (members, lead) = (everyone(input.members), input.lead.map(|lead| lead.0));
    let new = NewTeam { id, name: input.name, members, lead, policy: input.policy };
    let subject = Subject::Workspace(input.workspace_id);
    let made = call.execute_making(subject, command(TeamCommand::Form(new)), id.0).await?;
    queries::get(&call.tenant()?, Listed::Teams, made).await?.ok_or_else(|| Problem::not_found("team"))
}

fn everyone(members: Few<Teammate, 100>) -> BTreeSet<Principal> {
    members.0.into_iter().map(|member| member.0).collect()
}

fn command(command: TeamCommand) -> Command {
    Command::Workspace(WorkspaceCommand::Teams(command))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    workspace_id: WorkspaceId,
    team_id: TeamId,
    name: Option<Title>,
    /// All of its people and agents from now on.
    members: Option<Few<Teammate, 100>>,
    /// The new lead; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    lead: Option<Option<Teammate>>,
    policy: Option<TeamPolicy>,
}

async fn update(call: Call, input: Update) -> Result<TeamView, Problem> {
    if input.members.is_some() {
        must_be_good_for_its_grants(&call, input.team_id).await?;
    }
    let change = TeamChange {
        name: input.name,
        members: input.members.map(everyone),
        lead: input.lead.map(|lead| lead.map(|lead| lead.0)),
        policy: input.policy,
    };
    let update = TeamCommand::Update { team: input.team_id, change };
    call.execute(Subject::Workspace(input.workspace_id), command(update)).await?;
    queries::get(&call.tenant()?, Listed::Teams, input.team_id.0).await?.ok_or_else(|| Problem::not_found("team"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dissolve {
    workspace_id: WorkspaceId,
    team_id: TeamId,
}

/// Which team is no more.
#[derive(Serialize, JsonSchema)]
struct Dissolved {
    team_id: TeamId,
}

/// Whoever comes into a team gets what was granted to it, and whoever goes loses it.
async fn must_be_good_for_its_grants(call: &Call, team: TeamId) -> Result<(), Problem> {
    let most = i64::try_from(GRANTS_OF_ONE_MAX).unwrap_or(i64::MAX);
    let granted = queries::grants(&call.tenant()?, None, Some(Principal::Team(team)), None, most).await?;
    let all = granted.into_iter().map(|grant| grant.permissions).reduce(Permissions::union);
    all.map_or(Ok(()), |all| must_be_good_for(call, all.union(P::ManageAccess.into())))
}

async fn dissolve(call: Call, input: Dissolve) -> Result<Dissolved, Problem> {
    must_be_good_for_its_grants(&call, input.team_id).await?;
    call.execute(Subject::Workspace(input.workspace_id), command(TeamCommand::Dissolve(input.team_id))).await?;
    Ok(Dissolved { team_id: input.team_id })
}

async fn list(call: Call, input: ListIn) -> Result<Page<TeamView>, Problem> {
    let rows = input.limit.rows()?;
    let items = queries::list(&call.tenant()?, Listed::Teams, &Sight::all(), input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row: &TeamView| row.id.0))
}
