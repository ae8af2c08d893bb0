//! Reads of conversations and messages. A direct conversation is listed for its participants only.

use sqlx::{AssertSqlSafe, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{
    ids::{ConversationId, TaskId, WorkspaceId},
    principal::Principal,
};

use super::{
    access::Sight,
    queries::{bare, of, view},
    tenant::Tenant,
    views::{ConversationView, MessageView},
};

const CONVERSATION: &str =
    "SELECT t.*, (SELECT coalesce(jsonb_agg(p.participant ORDER BY p.joined_offset, p.participant), '[]')
        FROM conversation_participants p WHERE p.conversation_id = t.id AND p.left_offset IS NULL) AS participants
    FROM conversations t";

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
    let task = "(SELECT k.project_id FROM tasks k WHERE k.id = t.task_id)";
    let rest = format!(
        "WHERE t.workspace_id = $1 AND ($3::uuid IS NULL OR t.id > $3) AND (t.type <> 'dm' OR EXISTS (
             SELECT 1 FROM conversation_participants p WHERE p.conversation_id = t.id
             AND p.participant = $2 AND p.left_offset IS NULL)) AND {}
         ORDER BY t.id LIMIT $4",
        Sight::condition(5, &format!("t.id, t.project_id, t.task_id, {task}"))
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

/// Returns messages after a number, oldest first.
pub async fn messages(
    tenant: &Tenant,
    conversation: ConversationId,
    after_seq: i64,
    limit: i64,
) -> Result<Vec<MessageView>, sqlx::Error> {
    let rest = "WHERE t.conversation_id = $1 AND t.seq > $2 ORDER BY t.seq LIMIT $3";
    of!(tenant, MessageView, fetch_all, "SELECT * FROM messages t", rest, conversation.0, after_seq, limit).map(bare)
}

/// Returns one message of a conversation.
pub async fn message(
    tenant: &Tenant,
    conversation: ConversationId,
    id: Uuid,
) -> Result<Option<MessageView>, sqlx::Error> {
    let rest = "WHERE t.conversation_id = $1 AND t.id = $2";
    let row = of!(tenant, MessageView, fetch_optional, "SELECT * FROM messages t", rest, conversation.0, id)?;
    Ok(row.map(|Json(row)| row))
}
