//! API keys: everything about them but the keys, of which only hashes are kept.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::domain::{
    ids::{KeyId, UserId, WorkspaceId},
    principal::{NoPrincipal, Principal},
};

use super::logins::Ending;

/// A key as stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// What it is for.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Whom it is bound to: a person, an agent or a service.
    pub holder: Principal,
    /// Who made it.
    pub created_by: UserId,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// The only workspace that it is good for, if it is limited to one.
    pub workspace: Option<WorkspaceId>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str =
    "id, name, prefix, holder, created_by, scopes, workspace_id, created_at, expires_at, last_used_at, revoked_at";

fn key(row: &PgRow) -> Result<ApiKey, sqlx::Error> {
    let holder: String = row.try_get("holder")?;
    Ok(ApiKey {
        id: row.try_get::<Uuid, _>("id")?.into(),
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        holder: holder.parse().map_err(|error: NoPrincipal| sqlx::Error::Decode(error.into()))?,
        created_by: row.try_get::<Uuid, _>("created_by")?.into(),
        scopes: row.try_get("scopes")?,
        workspace: row.try_get::<Option<Uuid>, _>("workspace_id")?.map(WorkspaceId),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

/// Keeps a new key; `false` when its holder has so many that are good already.
pub async fn add(pool: &PgPool, key: &ApiKey, hash: &[u8], most: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO api_keys (id, hash, prefix, name, holder, scopes, workspace_id, created_by, created_at, expires_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $11, $8, $9
         WHERE (SELECT count(*) FROM api_keys WHERE holder = $5 AND revoked_at IS NULL AND expires_at > $8) < $10",
    )
    .bind(key.id.0)
    .bind(hash)
    .bind(&key.prefix)
    .bind(&key.name)
    .bind(key.holder.to_string())
    .bind(&key.scopes)
    .bind(key.workspace.map(|id| id.0))
    .bind(key.created_at)
    .bind(key.expires_at)
    .bind(most)
    .bind(key.created_by.0)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Finds the key that has a hash, unless it was revoked.
pub async fn by_hash(pool: &PgPool, hash: &[u8]) -> Result<Option<ApiKey>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE hash = $1 AND revoked_at IS NULL");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(hash).fetch_optional(pool).await?;
    row.as_ref().map(key).transpose()
}

/// Returns a page of somebody's keys, revoked ones too, oldest first.
pub async fn of(pool: &PgPool, holder: Principal, after: Option<Uuid>, limit: i64) -> Result<Vec<ApiKey>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys WHERE holder = $1 AND ($2::uuid IS NULL OR id > $2)
         ORDER BY id LIMIT $3"
    );
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(holder.to_string()).bind(after).bind(limit).fetch_all(pool).await?;
    rows.iter().map(key).collect()
}

/// Revokes somebody's key, and tells the other nodes; `false` when they have no such key.
pub async fn revoke(
    pool: &PgPool,
    holder: Principal,
    id: KeyId,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "WITH revoked AS (
             UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3)
             WHERE id = $1 AND holder = $2 RETURNING id
         ), told AS (
             INSERT INTO revocations (id, until) SELECT id, $4 FROM revoked ON CONFLICT (id) DO NOTHING
         )
         SELECT id FROM revoked",
    )
    .bind(id.0)
    .bind(holder.to_string())
    .bind(now)
    .bind(until)
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Revokes all keys of somebody as a part of something larger, and tells the other nodes.
pub(super) async fn revoke_all(
    connection: &mut PgConnection,
    holder: Principal,
    ending: Ending,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "WITH revoked AS (
             UPDATE api_keys SET revoked_at = $2 WHERE holder = $1 AND revoked_at IS NULL RETURNING id
         ), told AS (
             INSERT INTO revocations (id, until) SELECT id, $3 FROM revoked ON CONFLICT (id) DO NOTHING
         )
         SELECT id FROM revoked",
    )
    .bind(holder.to_string())
    .bind(ending.at)
    .bind(ending.until)
    .fetch_all(connection)
    .await
}

/// Removes a key that nobody has seen.
pub async fn forget(pool: &PgPool, id: KeyId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM api_keys WHERE id = $1").bind(id.0).execute(pool).await?;
    Ok(())
}

/// Notes when keys were used.
pub async fn used(pool: &PgPool, uses: &[(KeyId, DateTime<Utc>)]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = uses.iter().map(|(id, _)| id.0).collect();
    let times: Vec<DateTime<Utc>> = uses.iter().map(|(_, at)| *at).collect();
    sqlx::query(
        "UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.at)
         FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) WHERE k.id = u.id",
    )
    .bind(ids)
    .bind(times)
    .execute(pool)
    .await?;
    Ok(())
}
