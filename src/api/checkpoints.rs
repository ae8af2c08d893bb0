//! Checkpoints of tasks, and the way back to one.

use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    actors::checkpoints::PartMissing,
    domain::{
        checkpoint::CheckpointReason,
        ids::{CheckpointId, InterruptId, Subject, TaskId},
        model::Command,
        permission::Permission as P,
        run::InterruptKind,
        task::{NewCheckpoint, TaskCommand},
        text::Title,
    },
    persistence::{
        checkpoints::{self, CheckpointView},
        queries::{self, Listed, Scope},
        views::{DelegationView, TaskView},
    },
};

use super::{
    call::Call,
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Task, "task_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("tasks.checkpoint", Method::Post, "/tasks/{task_id}/checkpoints", create)
            .needs(P::Work, SCOPE)
            .creates()
            .doc("Remembers what a task, the conversations about it and its agent's run are like now."),
        Operation::query("tasks.checkpoints", "/tasks/{task_id}/checkpoints", list)
            .needs(P::Read, SCOPE)
            .doc("Lists the states that a task can go back to."),
        Operation::mutation("tasks.rollback", Method::Post, "/tasks/{task_id}/rollback", rollback)
            .needs(P::Delegate, SCOPE)
            .doc("Takes a task back to a checkpoint: its fields, its results, and what its next attempts are told. Nothing is deleted, and a checkpoint is made first."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    task_id: TaskId,
    /// What it is called.
    name: Option<Title>,
}

async fn create(call: Call, input: Create) -> Result<CheckpointView, Problem> {
    let new = new(&call, input.task_id, input.name, CheckpointReason::Manual).await?;
    let id = new.id;
    let command = Command::Task(Box::new(TaskCommand::Checkpoint(new)));
    let made = call.execute_making(Subject::Task(input.task_id), command, id.0).await?;
    read(&call, input.task_id, made.into()).await
}

async fn new(
    call: &Call,
    task: TaskId,
    name: Option<Title>,
    reason: CheckpointReason,
) -> Result<NewCheckpoint, Problem> {
    let handle = call.services.directory.workspace(call.workspace()?).await?;
    let manifest = handle.manifest(task).await.map_err(unavailable)?;
    Ok(NewCheckpoint { id: call.clock().id(), name, reason, manifest })
}

fn unavailable(missing: PartMissing) -> Problem {
    Problem::new(problem::UNAVAILABLE, missing.to_string())
}

async fn read(call: &Call, task: TaskId, id: CheckpointId) -> Result<CheckpointView, Problem> {
    let found = checkpoints::checkpoint(&call.tenant()?, task, id).await?;
    found.ok_or_else(|| Problem::not_found("checkpoint"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    task_id: TaskId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: List) -> Result<Page<CheckpointView>, Problem> {
    let rows = input.limit.rows()?;
    let items = checkpoints::checkpoints(&call.tenant()?, input.task_id, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rollback {
    task_id: TaskId,
    checkpoint_id: CheckpointId,
}

/// A running attempt is fenced off and its delegation paused: a person says when it goes on from there.
async fn rollback(call: Call, input: Rollback) -> Result<TaskView, Problem> {
    let (task, to) = (input.task_id, input.checkpoint_id);
    let checkpoint = read(&call, task, to).await?;
    let handle = call.services.directory.workspace(call.workspace()?).await?;
    let state = handle.restored(task, &checkpoint.manifest).await.map_err(unavailable)?;
    let before = new(&call, task, None, CheckpointReason::Rollback).await?;
    let command = TaskCommand::RollBack { to, state, before };
    call.execute(Subject::Task(task), Command::Task(Box::new(command))).await?;
    let seen = queries::get(&call.tenant()?, Listed::Tasks, task.0).await?;
    seen.ok_or_else(|| Problem::not_found("task"))
}

/// Before a person lets an agent do something, what is there is remembered.
pub(super) async fn before_allowing(call: &Call, of: &DelegationView, interrupt: InterruptId) -> Result<(), Problem> {
    let risky = |asked: &crate::persistence::views::InterruptView| {
        asked.id == interrupt && asked.kind == InterruptKind::Approval && asked.status == "open"
    };
    if of.interrupts.iter().any(risky) {
        let handle = call.services.directory.workspace(call.workspace()?).await?;
        let key = format!("interrupt:{interrupt}:checkpoint");
        handle.checkpoint(of.task_id, CheckpointReason::RiskyStep, call.principal()?, key).await;
    }
    Ok(())
}
