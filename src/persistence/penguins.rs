//! Reads about Penguin servers: the instances of a workspace, and the attempts that hold one of their slots.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::{agent::Availability, ids::*};

use super::tenant::Tenant;

/// The most attempts that one question is about: an instance has no more slots.
pub const ATTEMPTS_MAX: i64 = 64;

/// A Penguin server. Its credentials are shown to nobody.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PenguinView {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub agent_id: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// Whether the agent takes work.
    pub availability: Availability,
    /// Where it is.
    pub url: String,
    /// The model that is asked for.
    pub model: Option<String>,
    /// Attempts at the same time.
    pub slots: u32,
    /// Attempts that run there now.
    pub slots_used: u32,
    /// Model turns of one attempt.
    pub turns_max: u32,
    /// Whether it answered when it was last asked; null before the first time.
    pub healthy: Option<bool>,
    /// Changes when the server restarts.
    pub boot: Option<String>,
    /// Why it is not healthy.
    pub cause: Option<String>,
    /// Since when it answers as it does.
    pub probed_at: Option<DateTime<Utc>>,
    /// When it was last asked, where this node asks it.
    #[serde(default)]
    pub asked_at: Option<DateTime<Utc>>,
}

const INSTANCE: &str = "SELECT i.id, i.agent_id, a.name AS agent_name, a.availability, i.url, i.model, i.slots,
        i.turns_max, i.healthy, i.boot, i.cause, i.probed_at,
        (SELECT count(*) FROM agent_sessions s WHERE s.workspace_id = i.workspace_id AND s.instance_id = i.id
            AND s.ended_at IS NULL) AS slots_used
    FROM agent_instances i JOIN agents a ON a.id = i.agent_id AND a.runtime = 'penguin'";

/// Returns a page of a workspace's Penguins, oldest first.
pub async fn instances(tenant: &Tenant, after: Option<Uuid>, limit: i64) -> Result<Vec<PenguinView>, sqlx::Error> {
    let sql = format!(
        "SELECT to_jsonb(v) FROM ({INSTANCE}
         WHERE i.workspace_id = $1 AND ($2::uuid IS NULL OR i.id > $2) ORDER BY i.id LIMIT $3) v"
    );
    let rows = sqlx::query_scalar::<_, Json<PenguinView>>(sqlx::AssertSqlSafe(sql))
        .bind(tenant.workspace().0)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *tenant.open().await?)
        .await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

/// Returns one Penguin of a workspace.
pub async fn instance(tenant: &Tenant, id: InstanceId) -> Result<Option<PenguinView>, sqlx::Error> {
    let sql = format!("SELECT to_jsonb(v) FROM ({INSTANCE} WHERE i.workspace_id = $1 AND i.id = $2) v");
    let query = sqlx::query_scalar::<_, Json<PenguinView>>(sqlx::AssertSqlSafe(sql));
    Ok(query
        .bind(tenant.workspace().0)
        .bind(id.0)
        .fetch_optional(&mut *tenant.open().await?)
        .await?
        .map(|Json(row)| row))
}

/// An attempt on a Penguin.
#[derive(Clone, Debug, Deserialize)]
pub struct AttemptRow {
    /// Which.
    pub id: AttemptId,
    /// Of what.
    pub task_id: TaskId,
    /// Of which delegation.
    pub delegation_id: DelegationId,
    /// By whom.
    pub agent_id: AgentId,
    /// Where.
    pub instance_id: InstanceId,
    /// Its fence.
    pub fence: u64,
    /// Where it stands.
    pub status: String,
}

/// Which attempts are meant.
#[derive(Clone, Copy, Debug)]
pub enum Attempts {
    /// This one.
    One(AttemptId),
    /// The newest one of a delegation.
    Of(DelegationId),
    /// All that run on an instance.
    On(InstanceId),
}

/// Returns attempts on Penguins, at most [`ATTEMPTS_MAX`], oldest first.
pub async fn attempts(tenant: &Tenant, which: Attempts) -> Result<Vec<AttemptRow>, sqlx::Error> {
    let (condition, id) = match which {
        Attempts::One(id) => ("s.id = $2", id.0),
        Attempts::Of(id) => ("s.id = (SELECT d.attempt_id FROM agent_assignments d WHERE d.id = $2)", id.0),
        Attempts::On(id) => ("s.instance_id = $2 AND s.ended_at IS NULL", id.0),
    };
    let sql = format!(
        "SELECT to_jsonb(v) FROM (
             SELECT s.id, s.task_id, s.delegation_id, s.agent_id, s.instance_id, s.fence, s.status
             FROM agent_sessions s JOIN agents a ON a.id = s.agent_id AND a.runtime = 'penguin'
             WHERE s.workspace_id = $1 AND {condition} ORDER BY s.id LIMIT $3) v"
    );
    let query = sqlx::query_scalar::<_, Json<AttemptRow>>(sqlx::AssertSqlSafe(sql));
    let rows =
        query.bind(tenant.workspace().0).bind(id).bind(ATTEMPTS_MAX).fetch_all(&mut *tenant.open().await?).await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}
