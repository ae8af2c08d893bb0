//! `delegation`, continued: splitting a task into parts that several agents do at once.

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        claim::{CLAIMS_MAX, ClaimedPath},
        ids::{AgentId, FanOutId, Subject, TaskId, TeamId},
        model::Command,
        permission::Permission as P,
        task::{ChildPolicy, FanOut, Join, NewFanOut, PARTS_MAX, Part, PartWords, TaskCommand},
        text::Title,
    },
    persistence::{
        queries::{self, Listed, Scope},
        views::FanOutView,
    },
};

use super::{
    call::Call,
    delegation::ReviewWanted,
    inputs::Few,
    problem::Problem,
    table::{Method, Operation},
    together::not_both,
    workspaces::{Limit, Page, page},
};

const OF_TASK: (Scope, &str) = (Scope::Task, "task_id");
/// The longest time that a join waits, in seconds: thirty days.
const TIMEOUT_MAX: u32 = 2_592_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("delegation.fan_out", Method::Post, "/tasks/{task_id}/fan_outs", fan_out)
            .needs(P::Delegate, OF_TASK)
            .creates()
            .doc("Splits a task into parts, hands each to an agent, and lets the task wait until enough of them are done."),
        Operation::query("delegation.list_fan_outs", "/tasks/{task_id}/fan_outs", list)
            .needs(P::Read, OF_TASK)
            .doc("Lists how a task was split into parts, and what came of them."),
    ]
}

/// A part of a task.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = |schema: &mut Schema| not_both(schema, ["agent_id", "team_id"]))]
struct PartIn {
    /// In a line.
    title: Title,
    /// What is to be done.
    instructions: PartWords,
    /// The agent; absent lets Link choose one with a free slot.
    agent_id: Option<AgentId>,
    /// The team that Link chooses from.
    team_id: Option<TeamId>,
    /// Paths that nobody else's agent writes to while this part's is at work.
    #[serde(default)]
    claims: Few<ClaimedPath, CLAIMS_MAX>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FanOutIn {
    task_id: TaskId,
    /// The parts: each becomes a task with a delegation of its own.
    #[schemars(length(min = 1, max = 32))]
    parts: Vec<PartIn>,
    /// How many of them are enough.
    #[serde(default)]
    join: Join,
    /// After so long the task goes on with what there is.
    #[schemars(range(min = 1, max = 2_592_000))]
    timeout_seconds: Option<u32>,
    /// What becomes of parts that are open when the join is decided, or when the task ends.
    #[serde(default)]
    child_policy: ChildPolicy,
    /// Who has to approve each part; by default nobody, since the whole is reviewed.
    review: Option<ReviewWanted>,
}

async fn fan_out(call: Call, input: FanOutIn) -> Result<FanOutView, Problem> {
    let count = input.parts.len();
    if count == 0 || count > PARTS_MAX {
        return Err(Problem::field("parts", format!("1 to {PARTS_MAX} parts")));
    }
    if let Join::Quorum(quorum) = input.join
        && (quorum == 0 || usize::from(quorum) > PARTS_MAX)
    {
        return Err(Problem::field("join.quorum", format!("must be 1 to {PARTS_MAX}")));
    }
    if input.timeout_seconds.is_some_and(|seconds| !(1..=TIMEOUT_MAX).contains(&seconds)) {
        return Err(Problem::field("timeout_seconds", format!("must be 1 to {TIMEOUT_MAX}")));
    }
    if input.parts.iter().any(|part| part.agent_id.is_some() && part.team_id.is_some()) {
        return Err(Problem::field("parts", "either `agent_id` or `team_id` of a part, not both"));
    }
    let review = input.review.map(ReviewWanted::read).transpose()?.unwrap_or_default();
    let clock = call.clock();
    let part = |part: PartIn| Part {
        task: clock.id(),
        delegation: clock.id(),
        title: part.title,
        instructions: part.instructions,
        agent: part.agent_id,
        team: part.team_id,
        claims: part.claims.0,
    };
    let id: FanOutId = clock.id();
    let after = |seconds: u32| clock.now() + TimeDelta::seconds(seconds.into());
    let new = NewFanOut {
        id,
        parts: input.parts.into_iter().map(part).collect(),
        join: input.join,
        policy: input.child_policy,
        review,
        expires_at: input.timeout_seconds.map(after),
    };
    let command = Command::Task(Box::new(TaskCommand::FanOut(FanOut::Open(new))));
    let made = call.execute_making(Subject::Task(input.task_id), command, id.0).await?;
    queries::get(&call.tenant()?, Listed::FanOuts, made).await?.ok_or_else(|| Problem::not_found("fan_out"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListFanOuts {
    task_id: TaskId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: ListFanOuts) -> Result<Page<FanOutView>, Problem> {
    let rows = input.limit.rows()?;
    let items = queries::fan_outs(&call.tenant()?, input.task_id, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}
