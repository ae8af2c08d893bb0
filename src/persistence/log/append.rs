//! The one way to write the log: fence, events, projections and remembered answers in one transaction.

use serde_json::Value;
use sqlx::{PgPool, PgTransaction, types::Json};

use crate::domain::{
    event::Recorded,
    ids::{Subject, WorkspaceId},
};

use super::{Error, audit};
use crate::persistence::projections;

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
    let new_head = insert(tx, lease, workspace, head, events, remembered).await?;
    projections::project(tx, workspace, events).await?;
    Ok(new_head)
}

/// One statement, since each costs a round trip: without the lease's row there is nothing to insert from. The row is
/// locked so that its epoch stays as it is until the commit, and the renewal of its time need not wait.
const INSERT: &str = r#"
    WITH fence AS MATERIALIZED (
        SELECT FROM shard_leases WHERE shard = $2 AND node = $3 AND epoch = $4 FOR KEY SHARE
    ), remembered AS (
        INSERT INTO commands (workspace_id, key, request_hash, answer, at)
        SELECT $1, c.key, c.hash, c.answer, now()
        FROM fence, unnest($5::text[], $6::bytea[], $7::jsonb[]) AS c(key, hash, answer)
    )
    INSERT INTO events (workspace_id, "offset", id, type, subject, refs, actor, on_behalf_of, at, cause, trace_id,
        audience, data, hash)
    SELECT $1, e."offset", e.id, e.type, e.subject,
        coalesce(ARRAY(SELECT jsonb_array_elements_text(e.refs)), '{}'), e.actor, e.on_behalf_of, e.at, e.cause,
        e.trace_id, CASE WHEN e.audience IS NULL THEN NULL
            ELSE ARRAY(SELECT jsonb_array_elements_text(e.audience)) END, e.data::json, e.hash
    FROM fence, unnest($8::bigint[], $9::uuid[], $10::text[], $11::text[], $12::jsonb[], $13::text[], $14::text[],
        $15::timestamptz[], $16::bigint[], $17::text[], $18::jsonb[], $19::text[], $20::bytea[])
      AS e("offset", id, type, subject, refs, actor, on_behalf_of, at, cause, trace_id, audience, data, hash)"#;

async fn insert(
    tx: &mut PgTransaction<'_>,
    lease: &Lease,
    workspace: WorkspaceId,
    head: &Head,
    events: &[Recorded],
    remembered: &[Remembered],
) -> Result<Head, Error> {
    let mut head = head.clone();
    let mut rows = Vec::with_capacity(events.len());
    let mut hashes = Vec::with_capacity(events.len());
    for event in events {
        let (kind, data) = event.event.encode();
        let data = data.to_string();
        head = Head { offset: event.offset, hash: audit::chained(&head.hash, event, &kind, &data) };
        hashes.push(head.hash);
        rows.push((kind, data));
    }
    let text = |subjects: &[Subject]| subjects.iter().map(Subject::to_string).collect::<Vec<_>>();
    let inserted = sqlx::query(INSERT)
        .bind(workspace.0)
        .bind(lease.shard)
        .bind(&lease.node)
        .bind(lease.epoch)
        .bind(remembered.iter().map(|r| r.key.as_str()).collect::<Vec<_>>())
        .bind(remembered.iter().map(|r| r.request_hash.as_slice()).collect::<Vec<_>>())
        .bind(remembered.iter().map(|r| &r.answer).collect::<Vec<_>>())
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
        .bind(hashes.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
            Some("events_pkey") => Error::Grown,
            _ => Error::Refused(error),
        })?;
    match inserted.rows_affected() {
        0 if !events.is_empty() => Err(Error::Fenced),
        // Without an event, only the fence itself can tell.
        0 => held(tx, lease).await.map(|()| head),
        _ => Ok(head),
    }
}

async fn held(tx: &mut PgTransaction<'_>, lease: &Lease) -> Result<(), Error> {
    let held = sqlx::query("SELECT FROM shard_leases WHERE shard = $1 AND node = $2 AND epoch = $3 FOR KEY SHARE")
        .bind(lease.shard)
        .bind(&lease.node)
        .bind(lease.epoch)
        .fetch_optional(&mut **tx)
        .await?;
    held.map(|_| ()).ok_or(Error::Fenced)
}
