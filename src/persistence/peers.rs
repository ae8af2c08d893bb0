//! Reads about agents that connect by themselves.

use crate::domain::ids::{AttemptId, InstanceId};

use super::tenant::Tenant;

/// Returns the attempts that an instance holds, and their fences.
pub async fn held(tenant: &Tenant, instance: InstanceId) -> Result<Vec<(AttemptId, u64)>, sqlx::Error> {
    let rows: Vec<(uuid::Uuid, i64)> = sqlx::query_as(
        "SELECT s.id, s.fence FROM agent_sessions s
         WHERE s.workspace_id = $1 AND s.instance_id = $2 AND s.ended_at IS NULL",
    )
    .bind(tenant.workspace().0)
    .bind(instance.0)
    .fetch_all(&mut *tenant.open().await?)
    .await?;
    Ok(rows.into_iter().map(|(id, fence)| (AttemptId(id), u64::try_from(fence).unwrap_or(0))).collect())
}
