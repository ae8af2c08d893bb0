//! Reads about webhooks.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{
    ids::{SealedId, WebhookId, WorkspaceId},
    principal::Principal,
    webhook::Pattern,
};

use super::tenant::Tenant;

/// A webhook as it is kept; its address and secrets are named, not held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebhookRow {
    /// Its id.
    pub id: WebhookId,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// Where it is, without path and query.
    pub origin: String,
    /// Names the address.
    pub url_id: SealedId,
    /// Names the secret that signs.
    pub secret_id: SealedId,
    /// Names the secret that signed before.
    pub former_secret_id: Option<SealedId>,
    /// Until when that one signs too.
    pub former_until: Option<DateTime<Utc>>,
    /// What it is for.
    pub description: String,
    /// Which events it hears of.
    pub events: BTreeSet<Pattern>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why not.
    pub disabled_reason: Option<String>,
    /// Who made it.
    pub created_by: Principal,
    /// It hears of what comes after this offset.
    pub born: u64,
    /// Rises with each change.
    pub version: u64,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Last changed.
    pub updated_at: DateTime<Utc>,
    /// Since when its endpoint takes nothing; null while it does.
    pub failing_since: Option<DateTime<Utc>>,
    /// Events that wait to be sent, beyond those that the log still holds for it.
    pub pending: u64,
}

const WEBHOOK: &str = "SELECT t.*, c.failing_since, (SELECT count(*) FROM webhook_deliveries d
        WHERE d.webhook_id = t.id AND d.status = 'pending') AS pending
    FROM webhooks t LEFT JOIN webhook_cursors c ON c.webhook_id = t.id";

/// Returns one webhook, for whoever sends its events.
pub async fn get(pool: &PgPool, id: WebhookId) -> Result<Option<WebhookRow>, sqlx::Error> {
    one(pool, id).await
}

/// Returns one webhook of a tenant.
pub async fn shown(tenant: &Tenant, id: WebhookId) -> Result<Option<WebhookRow>, sqlx::Error> {
    one(&mut *tenant.open().await?, id).await
}

async fn one(database: impl PgExecutor<'_>, id: WebhookId) -> Result<Option<WebhookRow>, sqlx::Error> {
    let sql = format!("SELECT to_jsonb(v) FROM ({WEBHOOK} WHERE t.id = $1 AND NOT t.deleted) v");
    let row = sqlx::query_scalar::<_, Json<WebhookRow>>(sqlx::AssertSqlSafe(sql)).bind(id.0);
    Ok(row.fetch_optional(database).await?.map(|Json(row)| row))
}

/// Returns a page of a workspace's webhooks, oldest first.
pub async fn list(tenant: &Tenant, after: Option<Uuid>, limit: i64) -> Result<Vec<WebhookRow>, sqlx::Error> {
    let sql = format!(
        "SELECT to_jsonb(v) FROM ({WEBHOOK}
         WHERE t.workspace_id = $1 AND NOT t.deleted AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3) v"
    );
    let rows = sqlx::query_scalar::<_, Json<WebhookRow>>(sqlx::AssertSqlSafe(sql))
        .bind(tenant.workspace().0)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *tenant.open().await?)
        .await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

/// Returns the workspaces that have a webhook which wants to hear of events.
pub async fn workspaces(pool: &PgPool) -> Result<Vec<WorkspaceId>, sqlx::Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT DISTINCT workspace_id FROM webhooks WHERE enabled").fetch_all(pool).await?;
    Ok(ids.into_iter().map(WorkspaceId).collect())
}
