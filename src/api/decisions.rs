//! `decisions`: what people let agents decide on their behalf, and what agents decide.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    actors::request::Meta,
    domain::{
        ids::{AgentId, DelegationId, InterruptId, RightId, Subject, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        right::{Decides, Right, Risk, USES_MAX},
        task::{Choice, TaskCommand, Verdict},
        text::Prose,
        workspace::{RightCommand, WorkspaceCommand},
    },
    persistence::{
        queries::Scope,
        rights,
        views::{DelegationView, RightView},
    },
};

use super::{
    access::must_be_good_for,
    call::Call,
    delegation,
    inputs::{Few, Work},
    problem::Problem,
    table::{Method, Operation},
    workspaces::{ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");
const RIGHTS: &str = "/workspaces/{workspace_id}/decision_rights";
/// The longest life of a right, in seconds: 90 days.
const EXPIRES_IN_SECS_MAX: u64 = 90 * 24 * 3_600;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("decisions.grant", Method::Post, RIGHTS, grant)
            .needs(P::Enter, SCOPE)
            .creates()
            .doc("Lets an agent decide on the caller's behalf, within limits."),
        Operation::query("decisions.list", RIGHTS, list)
            .needs(P::Enter, SCOPE)
            .doc("Lists rights to decide: one's own, or all of them to who manages access."),
        Operation::mutation(
            "decisions.revoke",
            Method::Delete,
            "/workspaces/{workspace_id}/decision_rights/{right_id}",
            revoke,
        )
        .needs(P::Enter, SCOPE)
        .doc("Takes a right to decide away, at once."),
        Operation::mutation("decisions.decide", Method::Post, "/delegations/{delegation_id}/decide", decide)
            .needs(P::Delegate, (Scope::Delegation, "delegation_id"))
            .doc("Answers a question or reviews work on somebody's behalf, as an agent with a right to."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grant {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// Who may decide.
    agent_id: AgentId,
    /// `project:ID` or `task:ID`.
    subject: Work,
    /// What.
    #[schemars(length(min = 1))]
    decides: Few<Decides, 3>,
    /// Nothing that says that it costs more, in US dollars.
    #[schemars(range(min = 0))]
    cost_usd_max: Option<f64>,
    /// Nothing that says that it is riskier.
    risk_max: Option<Risk>,
    /// So often; 10 times when absent.
    #[schemars(range(min = 1, max = 1000))]
    uses_max: Option<u32>,
    /// For so long, in seconds; a day when absent.
    #[schemars(range(min = 1, max = 7_776_000))]
    expires_in_secs: Option<u64>,
}

async fn grant(call: Call, input: Grant) -> Result<RightView, Problem> {
    let Grant { agent_id: agent, subject: Work(subject), decides: Few(decides), cost_usd_max, risk_max, .. } = input;
    let (uses_max, secs) = (input.uses_max.unwrap_or(10), input.expires_in_secs.unwrap_or(24 * 3_600));
    if decides.is_empty() {
        return Err(Problem::field("decides", "is empty: at least one is needed"));
    }
    if cost_usd_max.is_some_and(|cost| cost < 0.0) {
        return Err(Problem::field("cost_usd_max", "must be at least 0"));
    }
    if !(1..=USES_MAX).contains(&uses_max) {
        return Err(Problem::field("uses_max", format!("must be 1 to {USES_MAX}")));
    }
    if !(1..=EXPIRES_IN_SECS_MAX).contains(&secs) {
        return Err(Problem::field("expires_in_secs", format!("must be 1 to {EXPIRES_IN_SECS_MAX}")));
    }
    must_be_good_for(&call, decides.iter().map(|decides| decides.needs()).collect())?;
    let grantor = call.user()?;
    let id: RightId = call.clock().id();
    let expires_at = call.clock().now() + TimeDelta::seconds(i64::try_from(secs).unwrap_or(i64::MAX));
    let right = Right { id, agent, grantor, subject, decides, cost_usd_max, risk_max, uses_max, expires_at };
    let command = Command::Workspace(WorkspaceCommand::Rights(RightCommand::Give(right)));
    let made = call.execute_making(Subject::Workspace(call.workspace()?), command, id.0).await?;
    rights::right(&call.tenant()?, made.into()).await?.ok_or_else(|| Problem::not_found("right"))
}

async fn list(call: Call, input: ListIn) -> Result<Page<RightView>, Problem> {
    let rows = input.limit.rows()?;
    let only = if call.may(P::ManageAccess)? { None } else { Some(call.principal()?) };
    let items = rights::rights(&call.tenant()?, only, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Revoke {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    right_id: RightId,
}

/// Which right is gone.
#[derive(Serialize, JsonSchema)]
struct Revoked {
    right_id: RightId,
}

async fn revoke(call: Call, input: Revoke) -> Result<Revoked, Problem> {
    let command = Command::Workspace(WorkspaceCommand::Rights(RightCommand::Revoke(input.right_id)));
    call.execute(Subject::Workspace(call.workspace()?), command).await?;
    Ok(Revoked { right_id: input.right_id })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    delegation_id: DelegationId,
    /// The right that makes it the caller's to decide.
    right_id: RightId,
    /// What is decided.
    decision: Chosen,
}

/// What is decided.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Chosen {
    /// A question.
    Answer {
        /// Which.
        interrupt_id: InterruptId,
        /// How: as with `delegation.answer`.
        answer: Value,
    },
    /// What was handed in.
    Review {
        /// How.
        verdict: Verdict,
        /// Why.
        #[serde(default)]
        comment: Prose,
    },
}

async fn decide(call: Call, input: Decide) -> Result<DelegationView, Problem> {
    let Decide { delegation_id: delegation, right_id: right, decision } = input;
    let me = call.principal()?;
    let found = rights::right(&call.tenant()?, right).await?;
    let found = found.filter(|found| Principal::Agent(found.agent_id) == me);
    let grantor = found.ok_or_else(|| Problem::not_found("right"))?.grantor;
    let choice = match decision {
        Chosen::Answer { interrupt_id: interrupt, answer } => Choice::Answer { interrupt, answer },
        Chosen::Review { verdict, comment } => Choice::Review { verdict, comment },
    };
    let task = delegation::read(&call, delegation).await?.task_id;
    let command = Command::Task(Box::new(TaskCommand::Decide { delegation, right, grantor, choice }));
    let meta = Meta { on_behalf_of: Some(Principal::User(grantor)), ..call.meta(None)? };
    let workspace = call.workspace()?;
    let handle = call.services.directory.workspace(workspace).await?;
    call.note(workspace, &handle.execute(Subject::Task(task), command, meta).await?);
    delegation::read(&call, delegation).await
}
