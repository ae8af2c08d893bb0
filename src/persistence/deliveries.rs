//! The outbox of webhooks: how far each has read the log, and what was, is or will be sent. An event is in it from the
//! moment that the cursor has passed it, so a crash leaves none out.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row, types::Json};
use uuid::Uuid;

use crate::domain::ids::{WebhookId, WorkspaceId};

use super::tenant::Tenant;

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits for its first or its next attempt.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryStatus {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// One event for one webhook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryView {
    /// Its id: the same at every attempt, sent as `webhook-id`.
    pub id: Uuid,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// The event's offset in the workspace's log.
    pub offset: u64,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last answer.
    pub code: Option<u16>,
    /// The beginning of the last answer.
    pub response: Option<String>,
    /// Why there was no answer at the last attempt, or why it does not count.
    pub error: Option<String>,
    /// When the event was taken up for this webhook.
    pub created_at: DateTime<Utc>,
    /// When it was last tried.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// How far a webhook has read, and how its endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last offset that it has passed.
    pub offset: u64,
    /// Attempts without a success in between.
    pub failures: u32,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// Nothing is sent before.
    pub rest_until: Option<DateTime<Utc>>,
}

/// Returns a webhook's cursor, which begins at an offset.
pub async fn cursor(
    pool: &PgPool,
    workspace: WorkspaceId,
    webhook: WebhookId,
    born: u64,
) -> Result<Cursor, sqlx::Error> {
    sqlx::query(
        r#"INSERT INTO webhook_cursors (webhook_id, workspace_id, "offset") VALUES ($1, $2, $3)
           ON CONFLICT (webhook_id) DO NOTHING"#,
    )
    .bind(webhook.0)
    .bind(workspace.0)
    .bind(born as i64)
    .execute(pool)
    .await?;
    let row = sqlx::query(
        r#"SELECT "offset", failures, failing_since, rest_until FROM webhook_cursors WHERE webhook_id = $1"#,
    )
    .bind(webhook.0)
    .fetch_one(pool)
    .await?;
    Ok(Cursor {
        offset: row.try_get::<i64, _>(0)? as u64,
        failures: row.try_get::<i32, _>(1)? as u32,
        failing_since: row.try_get(2)?,
        rest_until: row.try_get(3)?,
    })
}

/// An event that a webhook will hear of.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// See [`DeliveryView::id`].
    pub id: Uuid,
    /// Its offset.
    pub offset: u64,
    /// Its type.
    pub kind: String,
}

/// Takes events up and moves the cursor past them and past what lies between, as one.
pub async fn take_up(
    pool: &PgPool,
    (workspace, webhook): (WorkspaceId, WebhookId),
    (from, to): (u64, u64),
    events: &[NewDelivery],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let moved = sqlx::query(r#"UPDATE webhook_cursors SET "offset" = $3 WHERE webhook_id = $1 AND "offset" = $2"#)
        .bind(webhook.0)
        .bind(from as i64)
        .bind(to as i64)
        .execute(&mut *tx)
        .await?;
    // Somebody else has moved it, and has taken up what lay there.
    if moved.rows_affected() == 0 {
        return tx.rollback().await;
    }
    if !events.is_empty() {
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let offsets: Vec<i64> = events.iter().map(|event| event.offset as i64).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        sqlx::query(
            r#"INSERT INTO webhook_deliveries (webhook_id, workspace_id, id, "offset", type, next_at, created_at)
               SELECT $1, $2, n.id, n."offset", n.type, $6, $6
               FROM unnest($3::uuid[], $4::bigint[], $5::text[]) AS n(id, "offset", type)
               ON CONFLICT DO NOTHING"#,
        )
        .bind(webhook.0)
        .bind(workspace.0)
        .bind(ids)
        .bind(offsets)
        .bind(kinds)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

/// What has to be sent.
#[derive(Clone, Debug)]
pub struct Due {
    /// See [`DeliveryView::id`].
    pub id: Uuid,
    /// Which event.
    pub offset: u64,
    /// Attempts so far.
    pub attempts: u32,
}

/// Returns what is due, oldest event first.
pub async fn due(pool: &PgPool, webhook: WebhookId, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query(
        r#"SELECT id, "offset", attempts FROM webhook_deliveries
           WHERE webhook_id = $1 AND status = 'pending' AND next_at <= $2 ORDER BY "offset" LIMIT $3"#,
    )
    .bind(webhook.0)
    .bind(now)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let (offset, attempts) = (row.try_get::<i64, _>(1)? as u64, row.try_get::<i32, _>(2)? as u32);
            Ok(Due { id: row.try_get(0)?, offset, attempts })
        })
        .collect()
}

/// Returns when the next pending delivery is due.
pub async fn next_due(pool: &PgPool, webhook: WebhookId) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("SELECT min(next_at) FROM webhook_deliveries WHERE webhook_id = $1 AND status = 'pending'")
        .bind(webhook.0)
        .fetch_one(pool)
        .await
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Where the delivery stands now.
    pub status: DeliveryStatus,
    /// When it is tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// The HTTP status of the answer.
    pub code: Option<u16>,
    /// The beginning of the answer.
    pub response: Option<String>,
    /// Why there was no answer, or why it does not count.
    pub error: Option<String>,
}

/// Writes down what came of an attempt, and how the endpoint does, as one.
pub async fn settle(
    pool: &PgPool,
    webhook: WebhookId,
    offset: u64,
    tried: &Tried,
    cursor: &Cursor,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        r#"UPDATE webhook_deliveries
           SET status = $3, attempts = attempts + 1, next_at = $4, code = $5, response = $6, error = $7,
               attempted_at = $8
           WHERE webhook_id = $1 AND "offset" = $2"#,
    )
    .bind(webhook.0)
    .bind(offset as i64)
    .bind(tried.status.name())
    .bind(tried.next_at)
    .bind(tried.code.map(i32::from))
    .bind(&tried.response)
    .bind(&tried.error)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE webhook_cursors SET failures = $2, failing_since = $3, rest_until = $4 WHERE webhook_id = $1")
        .bind(webhook.0)
        .bind(cursor.failures.min(i32::MAX as u32) as i32)
        .bind(cursor.failing_since)
        .bind(cursor.rest_until)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Returns a page of a webhook's deliveries, newest first.
pub async fn page(
    tenant: &Tenant,
    webhook: WebhookId,
    status: Option<DeliveryStatus>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DeliveryView>, sqlx::Error> {
    let rows = sqlx::query_scalar::<_, Json<DeliveryView>>(
        "SELECT to_jsonb(t) FROM webhook_deliveries t
         WHERE webhook_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(webhook.0)
    .bind(status.map(DeliveryStatus::name))
    .bind(before)
    .bind(limit)
    .fetch_all(&mut *tenant.open().await?)
    .await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

/// Lets a delivery be sent again at once, whatever came of it; nothing when there is no such delivery.
pub async fn redeliver(
    pool: &PgPool,
    webhook: WebhookId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<DeliveryView>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query_scalar::<_, Json<DeliveryView>>(
        "UPDATE webhook_deliveries AS t SET status = 'pending', attempts = 0, next_at = $3
         WHERE webhook_id = $1 AND id = $2 RETURNING to_jsonb(t)",
    )
    .bind(webhook.0)
    .bind(id)
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    // A person who asks knows better than the pause.
    sqlx::query("UPDATE webhook_cursors SET rest_until = NULL WHERE webhook_id = $1")
        .bind(webhook.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(row.map(|Json(row)| row))
}

/// Lets an endpoint that was switched on again start with a clean record.
pub async fn forgive(pool: &PgPool, webhook: WebhookId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE webhook_cursors SET failures = 0, failing_since = NULL, rest_until = NULL WHERE webhook_id = $1",
    )
    .bind(webhook.0)
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets deliveries that are over and old, or beyond the newest `keep` of their webhook; everything of webhooks that
/// are gone; and sealed texts that nothing names any more.
pub async fn forget(
    pool: &PgPool,
    before: DateTime<Utc>,
    keep: i64,
    sealed_before: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM webhook_deliveries WHERE status <> 'pending' AND created_at < $1")
        .bind(before)
        .execute(pool)
        .await?;
    sqlx::query(
        r#"DELETE FROM webhook_deliveries d
           USING (SELECT w.id, (SELECT o."offset" FROM webhook_deliveries o
                      WHERE o.webhook_id = w.id AND o.status <> 'pending'
                      ORDER BY o."offset" DESC OFFSET $1 LIMIT 1) AS last
                  FROM webhooks w) AS old
           WHERE d.webhook_id = old.id AND d."offset" <= old.last AND d.status <> 'pending'"#,
    )
    .bind(keep)
    .execute(pool)
    .await?;
    for table in ["webhook_deliveries", "webhook_cursors"] {
        let sql = format!(
            "DELETE FROM {table} d WHERE NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = d.webhook_id AND NOT w.deleted)"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
    }
    sqlx::query(
        "DELETE FROM sealed_texts s WHERE kept_at < $1 AND NOT EXISTS (SELECT 1 FROM webhooks w
         WHERE w.workspace_id = s.workspace_id AND NOT w.deleted AND s.id IN (w.url_id, w.secret_id, w.former_secret_id))",
    )
    .bind(sealed_before)
    .execute(pool)
    .await?;
    Ok(())
}
