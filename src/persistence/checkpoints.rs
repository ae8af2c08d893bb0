//! Reads about checkpoints.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest},
    ids::{CheckpointId, TaskId},
    principal::Principal,
};

use super::{
    queries::{bare, of, view},
    tenant::Tenant,
};

/// A state of a task that it can go back to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointView {
    /// Its id.
    pub id: CheckpointId,
    /// Of which task.
    pub task_id: TaskId,
    /// Its name, where somebody gave it one.
    pub name: Option<String>,
    /// Why it was made.
    pub reason: CheckpointReason,
    /// What it is made of.
    pub manifest: Manifest,
    /// Who made it, or whose attempt.
    pub made_by: Principal,
    /// When.
    pub made_at: DateTime<Utc>,
}

const CHECKPOINT: &str = "SELECT t.* FROM task_checkpoints t";

/// Returns a checkpoint of a task.
pub async fn checkpoint(
    tenant: &Tenant,
    task: TaskId,
    id: CheckpointId,
) -> Result<Option<CheckpointView>, sqlx::Error> {
    let rest = "WHERE t.id = $1 AND t.task_id = $2";
    let row = of!(tenant, CheckpointView, fetch_optional, CHECKPOINT, rest, id.0, task.0)?;
    Ok(row.map(|Json(row)| row))
}

/// Returns a page of a task's checkpoints, oldest first.
pub async fn checkpoints(
    tenant: &Tenant,
    task: TaskId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CheckpointView>, sqlx::Error> {
    let rest = "WHERE t.task_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    of!(tenant, CheckpointView, fetch_all, CHECKPOINT, rest, task.0, after, limit).map(bare)
}
