//! Reads about shared documents, and the snapshots of their texts.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgPool, Row, types::Json};
use uuid::Uuid;

use crate::domain::{
    document::Change,
    ids::{DocumentId, ProjectId, Subject, SuggestionId, WorkspaceId},
    principal::Principal,
};

use super::{
    queries::{bare, of, view},
    tenant::Tenant,
};

/// A shared document.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DocumentView {
    /// Its id.
    pub id: DocumentId,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// Its title.
    pub title: String,
    /// Whether nobody changes it any more.
    pub archived: bool,
    /// The number of its last update.
    pub seq: u64,
    /// Who made it.
    pub created_by: Principal,
    /// Whose words came last.
    pub edited_by: Option<Principal>,
    /// Rises with each change.
    pub version: u64,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Last changed.
    pub updated_at: DateTime<Utc>,
}

/// What became of a proposed change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// It waits for a person.
    Open,
    /// The text has it.
    Accepted,
    /// It was not wanted.
    Declined,
}

/// One change of a suggestion.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProposedView {
    /// Its number in the suggestion, from 0.
    pub change: u32,
    /// What shall go.
    pub removes: String,
    /// What shall come.
    pub inserts: String,
    /// What became of it.
    pub status: ChangeStatus,
    /// Who decided.
    pub resolved_by: Option<Principal>,
    /// When.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Changes that somebody proposed together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SuggestionView {
    /// Its id.
    pub id: SuggestionId,
    /// For which document.
    pub document_id: DocumentId,
    /// Who.
    pub author: Principal,
    /// Why.
    pub note: String,
    /// What.
    pub changes: Vec<ProposedView>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Returns one document.
pub async fn get(tenant: &Tenant, id: DocumentId) -> Result<Option<DocumentView>, sqlx::Error> {
    Ok(of!(tenant, DocumentView, fetch_optional, "SELECT * FROM documents t", "WHERE t.id = $1", id.0)?
        .map(|Json(row)| row))
}

/// Returns a page of a project's documents, oldest first.
pub async fn list(
    tenant: &Tenant,
    project: ProjectId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DocumentView>, sqlx::Error> {
    let rest = "WHERE t.project_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    of!(tenant, DocumentView, fetch_all, "SELECT * FROM documents t", rest, project.0, after, limit).map(bare)
}

const SUGGESTION: &str = "SELECT t.id, t.document_id, t.author, t.note, t.created_at, (
        SELECT jsonb_agg(jsonb_build_object('change', c.change, 'status', c.status, 'resolved_by', c.resolved_by,
            'resolved_at', c.resolved_at, 'removes', t.changes->c.change->'removes',
            'inserts', t.changes->c.change->'inserts') ORDER BY c.change)
        FROM document_changes c WHERE c.suggestion_id = t.id) AS changes
    FROM document_suggestions t";

/// Returns one suggestion of a document.
pub async fn suggestion(
    tenant: &Tenant,
    document: DocumentId,
    id: SuggestionId,
) -> Result<Option<SuggestionView>, sqlx::Error> {
    let rest = "WHERE t.document_id = $1 AND t.id = $2";
    Ok(of!(tenant, SuggestionView, fetch_optional, SUGGESTION, rest, document.0, id.0)?.map(|Json(row)| row))
}

/// Returns a page of a document's suggestions, oldest first; of those that still wait, or all.
pub async fn suggestions(
    tenant: &Tenant,
    document: DocumentId,
    all: bool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SuggestionView>, sqlx::Error> {
    let rest = "WHERE t.document_id = $1 AND ($2::uuid IS NULL OR t.id > $2)
        AND ($4 OR EXISTS (SELECT 1 FROM document_changes o WHERE o.suggestion_id = t.id AND o.status = 'open'))
        ORDER BY t.id LIMIT $3";
    of!(tenant, SuggestionView, fetch_all, SUGGESTION, rest, document.0, after, limit, all).map(bare)
}

/// Returns one proposed change.
pub async fn change(
    tenant: &Tenant,
    document: DocumentId,
    suggestion: SuggestionId,
    change: u32,
) -> Result<Option<Change>, sqlx::Error> {
    let sql = "SELECT changes->$3::int FROM document_suggestions WHERE id = $1 AND document_id = $2 AND changes->$3::int IS NOT NULL";
    let change = i32::try_from(change).unwrap_or(i32::MAX);
    let found = sqlx::query_scalar::<_, Json<Change>>(sql).bind(suggestion.0).bind(document.0).bind(change);
    Ok(found.fetch_optional(&mut *tenant.open().await?).await?.map(|Json(change)| change))
}

/// What a document's updates came to, up to one of them.
#[derive(Clone, Debug, Default)]
pub struct TextSnapshot {
    /// The number of the update.
    pub seq: u64,
    /// Its offset in the log.
    pub offset: u64,
    /// All of them as one update.
    pub state: Vec<u8>,
}

/// Returns the snapshot of a document's text.
pub async fn snapshot(pool: &PgPool, document: DocumentId) -> Result<Option<TextSnapshot>, sqlx::Error> {
    let row = sqlx::query(r#"SELECT seq, "offset", state FROM document_snapshots WHERE document_id = $1"#)
        .bind(document.0)
        .fetch_optional(pool)
        .await?;
    row.map(|row| {
        let (seq, offset) = (row.try_get::<i64, _>(0)? as u64, row.try_get::<i64, _>(1)? as u64);
        Ok(TextSnapshot { seq, offset, state: row.try_get(2)? })
    })
    .transpose()
}

/// Keeps a snapshot, unless there is a newer one.
pub async fn keep_snapshot(
    pool: &PgPool,
    workspace: WorkspaceId,
    document: DocumentId,
    snapshot: &TextSnapshot,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        r#"INSERT INTO document_snapshots AS s (document_id, workspace_id, seq, "offset", state)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (document_id) DO UPDATE
           SET seq = excluded.seq, "offset" = excluded."offset", state = excluded.state WHERE s.seq < excluded.seq"#,
    )
    .bind(document.0)
    .bind(workspace.0)
    .bind(snapshot.seq as i64)
    .bind(snapshot.offset as i64)
    .bind(&snapshot.state)
    .execute(pool)
    .await?;
    Ok(())
}

/// One update of a document.
#[derive(Clone, Debug)]
pub struct StoredUpdate {
    /// Its offset in the log.
    pub offset: u64,
    /// Its number.
    pub seq: u64,
    /// Its bytes.
    pub update: Vec<u8>,
}

/// Reads the updates of a document after an offset, oldest first, at most `limit`.
pub async fn updates(
    pool: &PgPool,
    workspace: WorkspaceId,
    document: DocumentId,
    after: u64,
    limit: i64,
) -> Result<Vec<StoredUpdate>, sqlx::Error> {
    let rows = sqlx::query(
        r#"SELECT "offset", (data->>'seq')::bigint, decode(data->>'update', 'base64') FROM events
           WHERE workspace_id = $1 AND subject = $2 AND "offset" > $3 AND type = 'document:edited'
           ORDER BY "offset" LIMIT $4"#,
    )
    .bind(workspace.0)
    .bind(Subject::Document(document).to_string())
    .bind(after as i64)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let (offset, seq) = (row.try_get::<i64, _>(0)? as u64, row.try_get::<i64, _>(1)? as u64);
            Ok(StoredUpdate { offset, seq, update: row.try_get(2)? })
        })
        .collect()
}
