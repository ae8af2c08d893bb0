//! Who belongs to a workspace, as far as presence has to know: its members, and its agents with what they do.

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use crate::domain::{
    agent::AgentStatus,
    ids::{AgentId, UserId},
};

use super::tenant::Tenant;

/// The most members, and the most agents, that are shown.
pub const SHOWN_MAX: i64 = 1_000;

/// Asks for the agents of the workspace $1 that are not gone, at most $2.
pub(super) const AGENTS: &str =
    "SELECT id, status, updated_at FROM agents WHERE workspace_id = $1 AND status <> 'retired' ORDER BY id LIMIT $2";

/// What an agent does, and since when at least.
pub type Attendance = (AgentId, AgentStatus, DateTime<Utc>);

/// Returns the members, oldest first.
pub async fn members(tenant: &Tenant) -> Result<Vec<UserId>, sqlx::Error> {
    let sql = "SELECT user_id FROM workspace_members WHERE workspace_id = $1 ORDER BY joined_at, user_id LIMIT $2";
    let ids: Vec<Uuid> = sqlx::query_scalar(sql)
        .bind(tenant.workspace().0)
        .bind(SHOWN_MAX)
        .fetch_all(&mut *tenant.open().await?)
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// Returns who of these people is no member.
pub async fn left(tenant: &Tenant, people: &[UserId]) -> Result<Vec<UserId>, sqlx::Error> {
    let sql = "SELECT known.id FROM unnest($2::uuid[]) AS known (id)
               WHERE NOT EXISTS (SELECT 1 FROM workspace_members WHERE workspace_id = $1 AND user_id = known.id)";
    let people: Vec<Uuid> = people.iter().map(|user| user.0).collect();
    let left: Vec<Uuid> =
        sqlx::query_scalar(sql).bind(tenant.workspace().0).bind(people).fetch_all(&mut *tenant.open().await?).await?;
    Ok(left.into_iter().map(UserId).collect())
}

/// Returns what each agent does and since when at least; those that are gone are left out.
pub async fn agents(tenant: &Tenant) -> Result<Vec<Attendance>, sqlx::Error> {
    let rows =
        sqlx::query(AGENTS).bind(tenant.workspace().0).bind(SHOWN_MAX).fetch_all(&mut *tenant.open().await?).await?;
    rows.iter().map(|row| Ok((AgentId(row.try_get(0)?), status(row.try_get(1)?), row.try_get(2)?))).collect()
}

pub(super) fn status(text: &str) -> AgentStatus {
    match text {
        "idle" => AgentStatus::Idle,
        "working" => AgentStatus::Working,
        "degraded" => AgentStatus::Degraded,
        "paused" => AgentStatus::Paused,
        "draining" => AgentStatus::Draining,
        "retired" => AgentStatus::Retired,
        _ => AgentStatus::Offline,
    }
}
