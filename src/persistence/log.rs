//! The log: append under a lease, load one entity, page through all. Every write of Link's goes through
//! [`append`]: fence, events, projections and remembered answers in one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, PgTransaction, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::{
    event::{Event, Recorded},
    ids::{Subject, WorkspaceId},
};

use super::{audit, projections};

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another node holds the workspace's shard now; nothing was written.
    #[error("the lease is gone: another epoch owns the shard")]
    Fenced,
    /// Nothing was written.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// It is not known whether anything was written.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(#[source] sqlx::Error),
    /// A stored value cannot be read by this version of Link.
    #[error("event {offset} cannot be read: {cause}")]
    Unreadable {
        /// Which event.
        offset: i64,
        /// Why.
        cause: String,
    },
}

impl Error {
    /// Tells whether the batch itself cannot be stored, now or ever (SQLSTATE classes 22 and 23): a bug of Link's.
    pub fn is_poison(&self) -> bool {
        let Self::Refused(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Refused(error)
    }
}

/// The right to write to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: i32,
    /// Who holds it.
    pub node: String,
    /// Since when, as a count; see `shard_leases`.
    pub epoch: i64,
}

/// A command's key and what to remember under it.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The key, scoped to its principal.
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: Vec<u8>,
    /// The receipt.
    pub answer: Value,
}

/// The end of a workspace's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last offset, 0 when there is none.
    pub offset: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Appends a batch, all or nothing, and returns the new head.
pub async fn append(
    pool: &PgPool,
    lease: &Lease,
    workspace: WorkspaceId,
    head: &Head,
    events: &[Recorded],
    remembered: &[Remembered],
) -> Result<Head, Error> {
    let mut tx = pool.begin().await?;
    let new_head = append_in(&mut tx, lease, workspace, head, events, remembered).await?;
    tx.commit().await.map_err(Error::Unknown)?;
    Ok(new_head)
}

/// Does everything of [`append`] but begin and commit, so that a bench can put something beside it.
pub async fn append_in(
    tx: &mut PgTransaction<'_>,
    lease: &Lease,
    workspace: WorkspaceId,
    head: &Head,
    events: &[Recorded],
    remembered: &[Remembered],
) -> Result<Head, Error> {
    check_fence(tx, lease).await?;
    let new_head = insert_events(tx, workspace, head, events).await?;
    projections::project(tx, workspace, events).await?;
    remember(tx, workspace, remembered).await?;
    Ok(new_head)
}

async fn check_fence(tx: &mut PgTransaction<'_>, lease: &Lease) -> Result<(), Error> {
    let held = sqlx::query("SELECT 1 FROM shard_leases WHERE shard = $1 AND node = $2 AND epoch = $3 FOR SHARE")
        .bind(lease.shard)
        .bind(&lease.node)
        .bind(lease.epoch)
        .fetch_optional(&mut **tx)
        .await?;
    held.map(|_| ()).ok_or(Error::Fenced)
}

async fn insert_events(
    tx: &mut PgTransaction<'_>,
    workspace: WorkspaceId,
    head: &Head,
    events: &[Recorded],
) -> Result<Head, Error> {
    let mut head = head.clone();
    let mut rows = Vec::with_capacity(events.len());
    let mut hashes = Vec::with_capacity(events.len());
    for event in events {
        let (kind, data) = event.event.encode();
        let data = data.to_string();
        head = Head { offset: event.offset, hash: audit::chained(&head.hash, event, &kind, &data) };
        hashes.push(head.hash.to_vec());
        rows.push((kind, data));
    }
    let text = |subjects: &[Subject]| subjects.iter().map(Subject::to_string).collect::<Vec<_>>();
    sqlx::query(
        r#"INSERT INTO events (workspace_id, "offset", id, type, subject, refs, actor, on_behalf_of, at, cause,
               trace_id, audience, data, hash)
           SELECT $1, e."offset", e.id, e.type, e.subject,
               coalesce(ARRAY(SELECT jsonb_array_elements_text(e.refs)), '{}'), e.actor, e.on_behalf_of, e.at, e.cause,
               e.trace_id, CASE WHEN e.audience IS NULL THEN NULL
                   ELSE ARRAY(SELECT jsonb_array_elements_text(e.audience)) END, e.data::json, e.hash
           FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[],
               $9::timestamptz[], $10::bigint[], $11::text[], $12::jsonb[], $13::text[], $14::bytea[])
             AS e("offset", id, type, subject, refs, actor, on_behalf_of, at, cause, trace_id, audience, data, hash)"#,
    )
    .bind(workspace.0)
    .bind(events.iter().map(|e| e.offset as i64).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.subject.to_string()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| Json(text(&e.refs))).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.actor.to_string()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.on_behalf_of.map(|who| who.to_string())).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.at).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.cause.map(|offset| offset as i64)).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.trace.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.audience.as_ref().map(Json)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, data)| data.as_str()).collect::<Vec<_>>())
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    Ok(head)
}

async fn remember(
    tx: &mut PgTransaction<'_>,
    workspace: WorkspaceId,
    remembered: &[Remembered],
) -> Result<(), sqlx::Error> {
    if remembered.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO commands (workspace_id, key, request_hash, answer, at)
         SELECT $1, c.key, c.hash, c.answer, now()
         FROM unnest($2::text[], $3::bytea[], $4::jsonb[]) AS c(key, hash, answer)",
    )
    .bind(workspace.0)
    .bind(remembered.iter().map(|r| r.key.as_str()).collect::<Vec<_>>())
    .bind(remembered.iter().map(|r| r.request_hash.as_slice()).collect::<Vec<_>>())
    .bind(remembered.iter().map(|r| &r.answer).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What is remembered of a command.
#[derive(Clone, Debug)]
pub struct Memory {
    /// SHA-256 of the request that came first.
    pub request_hash: Vec<u8>,
    /// The receipt of its commit.
    pub answer: Value,
    /// What the door answered.
    pub response: Option<Value>,
}

/// Looks up which of the keys are known.
pub async fn recall(
    pool: &PgPool,
    workspace: WorkspaceId,
    keys: &[String],
) -> Result<HashMap<String, Memory>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT key, request_hash, answer, response FROM commands WHERE workspace_id = $1 AND key = ANY($2)",
    )
    .bind(workspace.0)
    .bind(keys)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let memory = Memory {
                request_hash: row.try_get("request_hash")?,
                answer: row.try_get("answer")?,
                response: row.try_get("response")?,
            };
            Ok((row.try_get("key")?, memory))
        })
        .collect()
}

/// Keeps what the door answered, for a repeated call.
pub async fn keep_response(
    pool: &PgPool,
    workspace: WorkspaceId,
    key: &str,
    response: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE commands SET response = $3 WHERE workspace_id = $1 AND key = $2 AND response IS NULL")
        .bind(workspace.0)
        .bind(key)
        .bind(response)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets keys that are older than any client retries.
pub async fn forget_commands(pool: &PgPool, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM commands WHERE at < $1").bind(before).execute(pool).await?;
    Ok(done.rows_affected())
}

/// Returns the end of the log.
pub async fn head(pool: &PgPool, workspace: WorkspaceId) -> Result<Head, Error> {
    let row =
        sqlx::query(r#"SELECT "offset", hash FROM events WHERE workspace_id = $1 ORDER BY "offset" DESC LIMIT 1"#)
            .bind(workspace.0)
            .fetch_optional(pool)
            .await?;
    let Some(row) = row else { return Ok(Head { offset: 0, hash: audit::GENESIS }) };
    let offset: i64 = row.try_get(0)?;
    let hash = row.try_get::<Vec<u8>, _>(1)?;
    let hash = hash.try_into().map_err(|_| Error::Unreadable { offset, cause: "its hash is not 32 bytes".into() })?;
    Ok(Head { offset: offset as u64, hash })
}

const COLUMNS: &str = r#""offset", id, type, subject, refs, actor, on_behalf_of, at, cause, trace_id, audience, data"#;

/// Reads the events after an offset, oldest first, at most `limit`.
pub async fn page(pool: &PgPool, workspace: WorkspaceId, after: u64, limit: i64) -> Result<Vec<Recorded>, Error> {
    let sql =
        format!(r#"SELECT {COLUMNS} FROM events WHERE workspace_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3"#);
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(workspace.0)
        .bind(offset_for_sql(after))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(recorded).collect()
}

/// Reads the events of one subject after an offset, oldest first.
pub async fn load(pool: &PgPool, workspace: WorkspaceId, subject: Subject, after: u64) -> Result<Vec<Recorded>, Error> {
    let sql = format!(
        r#"SELECT {COLUMNS} FROM events
           WHERE workspace_id = $1 AND subject = $2 AND "offset" > $3 ORDER BY "offset""#
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(workspace.0)
        .bind(subject.to_string())
        .bind(offset_for_sql(after))
        .fetch_all(pool)
        .await?;
    rows.iter().map(recorded).collect()
}

/// Reads the events about a subject and about what belongs to it, after an offset, oldest first.
pub async fn about(
    pool: &PgPool,
    workspace: WorkspaceId,
    subject: Subject,
    after: u64,
    limit: i64,
) -> Result<Vec<Recorded>, Error> {
    let sql = format!(
        r#"SELECT {COLUMNS} FROM events
           WHERE workspace_id = $1 AND (subject = $2 OR $2 = ANY(refs)) AND "offset" > $3 ORDER BY "offset" LIMIT $4"#
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(workspace.0)
        .bind(subject.to_string())
        .bind(offset_for_sql(after))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(recorded).collect()
}

/// An event with what its hash was made of, and the hash.
pub type Hashed = (Recorded, String, String, [u8; 32]);

/// Reads events with their stored hashes.
pub async fn page_with_hashes(
    pool: &PgPool,
    workspace: WorkspaceId,
    after: u64,
    limit: i64,
) -> Result<Vec<Hashed>, Error> {
    let sql = format!(
        r#"SELECT {COLUMNS}, data::text AS text, hash FROM events
           WHERE workspace_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3"#
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(workspace.0)
        .bind(offset_for_sql(after))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let hash = row.try_get::<Vec<u8>, _>("hash")?.try_into().unwrap_or(audit::GENESIS);
            Ok((recorded(row)?, row.try_get("type")?, row.try_get("text")?, hash))
        })
        .collect()
}

/// No log is longer than a bigint; an offset beyond it is simply after everything.
fn offset_for_sql(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn recorded(row: &PgRow) -> Result<Recorded, Error> {
    let offset: i64 = row.try_get("offset")?;
    let unreadable = |cause: String| Error::Unreadable { offset, cause };
    let parse = |text: &str| text.parse().map_err(|error: crate::domain::ids::NoSubject| unreadable(error.to_string()));
    let principal =
        |text: &str| text.parse().map_err(|error: crate::domain::principal::NoPrincipal| unreadable(error.to_string()));
    let kind: String = row.try_get("type")?;
    let data: Value = row.try_get("data")?;
    let refs: Vec<String> = row.try_get("refs")?;
    let audience: Option<Vec<String>> = row.try_get("audience")?;
    Ok(Recorded {
        offset: offset as u64,
        id: row.try_get::<Uuid, _>("id")?.into(),
        subject: parse(&row.try_get::<String, _>("subject")?)?,
        refs: refs.iter().map(|text| parse(text)).collect::<Result<_, _>>()?,
        actor: principal(&row.try_get::<String, _>("actor")?)?,
        on_behalf_of: row.try_get::<Option<String>, _>("on_behalf_of")?.map(|text| principal(&text)).transpose()?,
        at: row.try_get("at")?,
        cause: row.try_get::<Option<i64>, _>("cause")?.map(|offset| offset as u64),
        trace: row.try_get("trace_id")?,
        audience: audience.map(|who| who.iter().map(|text| principal(text)).collect::<Result<_, _>>()).transpose()?,
        event: Event::decode(&kind, data).map_err(|error| unreadable(error.to_string()))?,
    })
}

/// A saved state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The last event that it includes.
    pub offset: u64,
    /// The version of its shape.
    pub schema: i32,
    /// The state, in MessagePack.
    pub state: Vec<u8>,
}

/// Reads the newest snapshot of a subject.
pub async fn load_snapshot(
    pool: &PgPool,
    workspace: WorkspaceId,
    subject: Subject,
) -> Result<Option<Snapshot>, sqlx::Error> {
    let row = sqlx::query(r#"SELECT "offset", schema, state FROM snapshots WHERE workspace_id = $1 AND subject = $2"#)
        .bind(workspace.0)
        .bind(subject.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| {
        let offset: i64 = row.try_get(0)?;
        Ok(Snapshot { offset: offset as u64, schema: row.try_get(1)?, state: row.try_get(2)? })
    })
    .transpose()
}

/// Saves a snapshot; an older one never replaces a newer one.
pub async fn save_snapshot(
    pool: &PgPool,
    workspace: WorkspaceId,
    subject: Subject,
    snapshot: &Snapshot,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        r#"INSERT INTO snapshots (workspace_id, subject, "offset", schema, state) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (workspace_id, subject) DO UPDATE
           SET "offset" = excluded."offset", schema = excluded.schema, state = excluded.state
           WHERE excluded."offset" > snapshots."offset" OR excluded.schema <> snapshots.schema"#,
    )
    .bind(workspace.0)
    .bind(subject.to_string())
    .bind(offset_for_sql(snapshot.offset))
    .bind(snapshot.schema)
    .bind(&snapshot.state)
    .execute(pool)
    .await?;
    Ok(())
}
