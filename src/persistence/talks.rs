//! Reads of conversations: who is in them, what agents owe in them, and whom names in them mean. A direct conversation
//! is listed for its participants only.

pub mod messages;
pub mod search;

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{
    conversation::handle,
    ids::{ArtifactId, ConversationId, MessageId, TaskId, WorkspaceId},
    principal::Principal,
};

use super::{
    access::Sight,
    queries::{bare, of, view},
    tenant::Tenant,
    views::{ConversationView, TurnView},
};

const CONVERSATION: &str =
    "SELECT t.*, (SELECT coalesce(jsonb_agg(p.participant ORDER BY p.joined_offset, p.participant), '[]')
        FROM conversation_participants p WHERE p.conversation_id = t.id AND p.left_offset IS NULL) AS participants,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('who', r.principal, 'seq', r.seq) ORDER BY r.principal), '[]')
            FROM read_markers r JOIN conversation_participants p ON p.conversation_id = r.conversation_id
                AND p.participant = r.principal AND p.left_offset IS NULL
            WHERE r.conversation_id = t.id) AS reads,
        CASE WHEN t.branch_parent_id IS NOT NULL THEN jsonb_build_object('parent_id', t.branch_parent_id,
            'message_id', t.branch_message_id, 'seq', t.branch_seq) END AS branch
    FROM conversations t";

/// The conversation `$1` and what it is a branch of, each with the number up to which its messages belong to it.
const LINE: &str = "WITH RECURSIVE line AS (
        SELECT c.id, c.branch_parent_id, c.branch_seq, 9223372036854775807 AS upto FROM conversations c WHERE c.id = $1
        UNION ALL
        SELECT p.id, p.branch_parent_id, p.branch_seq, least(l.upto, l.branch_seq)
        FROM line l JOIN conversations p ON p.id = l.branch_parent_id)";

/// Names that are looked through for a mention.
const NAMES_MAX: i64 = 10_000;

/// The condition that somebody may see the conversation `table`: they are the parameter `who`, and their sight is four
/// parameters from the `first` on.
fn may_see(table: &str, who: usize, first: usize) -> String {
    let chain = format!(
        "ARRAY[{table}.id, {table}.project_id, {table}.task_id,
             (SELECT k.project_id FROM tasks k WHERE k.id = {table}.task_id)] || {table}.branch_line"
    );
    format!(
        "({table}.type <> 'dm' OR EXISTS (
             SELECT 1 FROM conversation_participants p WHERE p.conversation_id = {table}.id
             AND p.participant = ${who} AND p.left_offset IS NULL)) AND {}",
        Sight::condition(first, &format!("({chain})"))
    )
}

/// Returns conversations about a task that are no direct ones, oldest first.
pub async fn about_task(
    pool: &PgPool,
    workspace: WorkspaceId,
    task: TaskId,
    limit: i64,
) -> Result<Vec<ConversationId>, sqlx::Error> {
    let query = sqlx::query_scalar(
        "SELECT id FROM conversations WHERE workspace_id = $1 AND task_id = $2 AND type <> 'dm' ORDER BY id LIMIT $3",
    );
    let ids: Vec<Uuid> = query.bind(workspace.0).bind(task.0).bind(limit).fetch_all(pool).await?;
    Ok(ids.into_iter().map(ConversationId).collect())
}

/// Returns a conversation.
pub async fn conversation(tenant: &Tenant, id: ConversationId) -> Result<Option<ConversationView>, sqlx::Error> {
    Ok(of!(tenant, ConversationView, fetch_optional, CONVERSATION, "WHERE t.id = $1", id.0)?.map(|Json(row)| row))
}

/// Returns a page of the conversations that somebody may see.
pub async fn conversations(
    tenant: &Tenant,
    who: Principal,
    sight: &Sight,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ConversationView>, sqlx::Error> {
    let rest = format!(
        "WHERE t.workspace_id = $1 AND ($3::uuid IS NULL OR t.id > $3) AND {} ORDER BY t.id LIMIT $4",
        may_see("t", 2, 5)
    );
    let (workspace, who) = (tenant.workspace().0, who.to_string());
    let (all, denied, role, granted) = sight.parameters();
    of!(
        tenant,
        ConversationView,
        fetch_all,
        CONVERSATION,
        rest,
        workspace,
        who,
        after,
        limit,
        all,
        denied,
        role,
        granted
    )
    .map(bare)
}

/// Returns the entry that a branch was merged with, if it was merged into this conversation.
pub async fn merge_of(
    tenant: &Tenant,
    into: ConversationId,
    branch: ConversationId,
) -> Result<Option<MessageId>, sqlx::Error> {
    let sql = "SELECT merge_entry_id FROM conversations WHERE id = $1 AND merged_into = $2";
    let query = sqlx::query_scalar::<_, Uuid>(sql).bind(branch.0).bind(into.0);
    Ok(query.fetch_optional(&mut *tenant.open().await?).await?.map(MessageId))
}

/// Counts which of these artifacts somebody may see.
pub async fn artifacts_known(tenant: &Tenant, sight: &Sight, ids: &BTreeSet<ArtifactId>) -> Result<usize, sqlx::Error> {
    let sql = format!(
        "SELECT count(DISTINCT a.id) FROM artifacts a JOIN agent_sessions s ON s.id = a.attempt_id
             JOIN agent_assignments d ON d.id = s.delegation_id JOIN tasks t ON t.id = d.task_id
         WHERE a.id = ANY ($1) AND {}",
        Sight::condition(2, "ARRAY[t.id, t.project_id]")
    );
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let (all, denied, role, granted) = sight.parameters();
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).bind(all).bind(denied).bind(role).bind(granted);
    let count: i64 = query.fetch_one(&mut *tenant.open().await?).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Returns whom names after `@` mean. A name that several have means none of them.
pub async fn named(tenant: &Tenant, handles: &BTreeSet<String>) -> Result<BTreeSet<Principal>, sqlx::Error> {
    if handles.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = "SELECT 'user:' || m.user_id, u.name FROM workspace_members m JOIN users u ON u.id = m.user_id
            WHERE m.workspace_id = $1
        UNION ALL SELECT 'agent:' || a.id, a.name FROM agents a WHERE a.workspace_id = $1 AND a.availability <> 'retired'
        UNION ALL SELECT 'team:' || t.id, t.name FROM teams t WHERE t.workspace_id = $1
        LIMIT $2";
    let rows: Vec<(String, String)> =
        sqlx::query_as(sql).bind(tenant.workspace().0).bind(NAMES_MAX).fetch_all(&mut *tenant.open().await?).await?;
    let known: Vec<(String, Option<Principal>)> =
        rows.into_iter().map(|(who, name)| (handle(&name), who.parse().ok())).collect();
    let meant = handles.iter().filter_map(|name| {
        let mut all = known.iter().filter(|(known, _)| known == name);
        let first = all.next()?;
        all.next().is_none().then_some(first.1).flatten()
    });
    Ok(meant.collect())
}

/// Returns the turns of a conversation, newest first.
pub async fn turns(
    tenant: &Tenant,
    conversation: ConversationId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TurnView>, sqlx::Error> {
    let sql = "SELECT to_jsonb(t) FROM conversation_turns t WHERE t.conversation_id = $1 AND ($2::uuid IS NULL OR
            (t.queued_at, t.id) < (SELECT k.queued_at, k.id FROM conversation_turns k WHERE k.id = $2))
        ORDER BY t.queued_at DESC, t.id DESC LIMIT $3";
    let query = sqlx::query_scalar::<_, Json<TurnView>>(sql).bind(conversation.0).bind(before).bind(limit);
    Ok(query.fetch_all(&mut *tenant.open().await?).await?.into_iter().map(|Json(row)| row).collect())
}
