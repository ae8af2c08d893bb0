//! The log: append under a lease, load one entity, page through all. Every write of Link's goes through
//! [`append()`]: fence, events, projections and remembered answers in one transaction.

mod append;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::domain::{
    event::{Event, Recorded},
    ids::{Subject, WorkspaceId},
};

use super::audit;
pub use append::{Head, Lease, Remembered, append, append_in};

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another node holds the workspace's shard now; nothing was written.
    #[error("the lease is gone: another epoch owns the shard")]
    Fenced,
    /// Nothing was written.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// Somebody else wrote the next offset: a commit of an earlier writer that was still on its way.
    #[error("the log has grown meanwhile")]
    Grown,
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
    /// Tells whether the batch itself cannot be stored, now or ever: a bug of Link's. What the database says about
    /// itself (SQLSTATE classes of connections, transactions, resources, operators) passes.
    pub fn is_poison(&self) -> bool {
        const PASSING: [&str; 8] = ["08", "25", "40", "53", "55", "57", "58", "XX"];
        let Self::Refused(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| !PASSING.iter().any(|class| code.starts_with(class)))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Refused(error)
    }
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
    database: impl PgExecutor<'_>,
    workspace: WorkspaceId,
    keys: &[String],
) -> Result<HashMap<String, Memory>, sqlx::Error> {
    // The limit keeps it one look into the index per key. `key = ANY($2)` was planned as a scan of all of the
    // workspace's keys, each compared with each.
    let rows = sqlx::query(
        "SELECT known.*
         FROM unnest($2::text[]) AS wanted(key), LATERAL (
             SELECT key, request_hash, answer, response
             FROM commands
             WHERE workspace_id = $1 AND key = wanted.key
             LIMIT 1
         ) AS known",
    )
    .bind(workspace.0)
    .bind(keys)
    .fetch_all(database)
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
pub async fn head(database: impl PgExecutor<'_>, workspace: WorkspaceId) -> Result<Head, Error> {
    let row =
        sqlx::query(r#"SELECT "offset", hash FROM events WHERE workspace_id = $1 ORDER BY "offset" DESC LIMIT 1"#)
            .bind(workspace.0)
            .fetch_optional(database)
            .await?;
    let Some(row) = row else { return Ok(Head { offset: 0, hash: audit::GENESIS }) };
    let offset: i64 = row.try_get(0)?;
    let hash = row.try_get::<Vec<u8>, _>(1)?;
    let hash = hash.try_into().map_err(|_| Error::Unreadable { offset, cause: "its hash is not 32 bytes".into() })?;
    Ok(Head { offset: offset as u64, hash })
}

const COLUMNS: &str = r#""offset", id, type, subject, refs, actor, on_behalf_of, at, cause, trace_id, audience, data"#;

/// Reads the events after an offset, oldest first, at most `limit`.
pub async fn page(
    database: impl PgExecutor<'_>,
    workspace: WorkspaceId,
    after: u64,
    limit: i64,
) -> Result<Vec<Recorded>, Error> {
    piece(database, workspace, after, limit, usize::MAX).await
}

/// The same, and no more than about so many bytes of them, but one event at least.
pub async fn piece(
    database: impl PgExecutor<'_>,
    workspace: WorkspaceId,
    after: u64,
    limit: i64,
    bytes_max: usize,
) -> Result<Vec<Recorded>, Error> {
    let sql =
        format!(r#"SELECT {COLUMNS} FROM events WHERE workspace_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3"#);
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(workspace.0).bind(offset_for_sql(after)).bind(limit);
    let (mut rows, mut events, mut bytes) = (query.fetch(database), vec![], 0);
    while bytes < bytes_max
        && let Some(row) = rows.try_next().await?
    {
        bytes += row.try_get_raw("data")?.as_bytes().map_or(0, <[u8]>::len);
        events.push(recorded(&row)?);
    }
    Ok(events)
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
    database: impl PgExecutor<'_>,
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
        .fetch_all(database)
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
