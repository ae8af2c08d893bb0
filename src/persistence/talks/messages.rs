//! Reads of messages: those of a conversation with what a branch shares, one by one, and what they were.

use serde::Deserialize;
use sqlx::{AssertSqlSafe, PgPool, types::Json};

use crate::domain::{
    conversation::Part,
    ids::{AgentId, ConversationId, MessageId},
    principal::Principal,
};

use super::{
    super::{
        queries::bare,
        tenant::Tenant,
        views::{MessageView, VersionView},
    },
    LINE,
};

/// A message as readers see it.
pub(super) const MESSAGE: &str =
    "SELECT t.id, t.conversation_id, t.seq, t.author, t.kind, t.parts, t.mentions, t.parent_id,
        t.merge, t.posted_offset, t.posted_at, t.edited_at, t.deleted_at,
        (SELECT count(*) FROM messages r WHERE r.conversation_id = t.conversation_id AND r.parent_id = t.id) AS replies,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('emoji', e.emoji, 'who', e.who) ORDER BY e.emoji), '[]') FROM (
            SELECT x.emoji, jsonb_agg(x.principal ORDER BY x.principal) AS who FROM message_reactions x
            WHERE x.message_id = t.id AND t.deleted_at IS NULL GROUP BY x.emoji) e) AS reactions";

/// Versions of a message that are shown: the newest.
const VERSIONS_MAX: i64 = 200;

/// Returns messages after a number, oldest first, with those that a branch shares; or only those that answer one.
pub async fn messages(
    tenant: &Tenant,
    conversation: ConversationId,
    parent: Option<MessageId>,
    after_seq: i64,
    limit: i64,
) -> Result<Vec<MessageView>, sqlx::Error> {
    let sql = format!(
        "{LINE} SELECT to_jsonb(v) FROM ({MESSAGE} FROM line l CROSS JOIN LATERAL (
             SELECT m.* FROM messages m WHERE m.conversation_id = l.id AND m.seq > $2 AND m.seq <= l.upto
                 AND ($4::uuid IS NULL OR m.parent_id = $4) ORDER BY m.seq LIMIT $3) t
         ORDER BY t.seq LIMIT $3) v"
    );
    let query = sqlx::query_scalar::<_, Json<MessageView>>(AssertSqlSafe(sql));
    let parent = parent.map(|parent| parent.0);
    let rows = query
        .bind(conversation.0)
        .bind(after_seq)
        .bind(limit)
        .bind(parent)
        .fetch_all(&mut *tenant.open().await?)
        .await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

/// Returns one message that was said in a conversation.
pub async fn message(
    tenant: &Tenant,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<MessageView>, sqlx::Error> {
    let rest = "FROM messages t WHERE t.conversation_id = $1 AND t.id = $2";
    one(tenant, format!("SELECT to_jsonb(v) FROM ({MESSAGE} {rest}) v"), conversation, id).await
}

/// Returns one message that a reader of a conversation sees in it: its own, or one that the branch shares.
pub async fn message_in_sight(
    tenant: &Tenant,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<MessageView>, sqlx::Error> {
    let rest = "FROM messages t JOIN line l ON l.id = t.conversation_id AND t.seq <= l.upto WHERE t.id = $2";
    one(tenant, format!("{LINE} SELECT to_jsonb(v) FROM ({MESSAGE} {rest}) v"), conversation, id).await
}

async fn one(
    tenant: &Tenant,
    sql: String,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<MessageView>, sqlx::Error> {
    let query = sqlx::query_scalar::<_, Json<MessageView>>(AssertSqlSafe(sql)).bind(conversation.0).bind(id.0);
    Ok(query.fetch_optional(&mut *tenant.open().await?).await?.map(|Json(row)| row))
}

/// Returns what was decided by messages of a branch's own, in their order.
pub async fn decided_in(tenant: &Tenant, branch: ConversationId, limit: i64) -> Result<Vec<Part>, sqlx::Error> {
    let sql =
        "SELECT part FROM messages m CROSS JOIN LATERAL jsonb_array_elements(m.parts) WITH ORDINALITY AS p(part, n)
        WHERE m.conversation_id = $1 AND m.parts @> '[{\"type\": \"decision\"}]' AND part ->> 'type' = 'decision'
        ORDER BY m.seq, n LIMIT $2";
    let rows = sqlx::query_scalar::<_, Json<Part>>(sql)
        .bind(branch.0)
        .bind(limit)
        .fetch_all(&mut *tenant.open().await?)
        .await?;
    Ok(rows.into_iter().map(|Json(part)| part).collect())
}

/// Returns what a message said, oldest first; nothing once it was deleted. Which events tell it is looked up with an
/// index that the database does not use behind row-level security; they are read behind it.
pub async fn history(pool: &PgPool, tenant: &Tenant, message: &MessageView) -> Result<Vec<VersionView>, sqlx::Error> {
    if message.deleted_at.is_some() {
        return Ok(vec![]);
    }
    let sql = "SELECT \"offset\" FROM events WHERE workspace_id = $1 AND type = 'conversation:message_edited'
            AND data ->> 'message' = $2 ORDER BY \"offset\" DESC LIMIT $3";
    let query = sqlx::query_scalar(sql).bind(tenant.workspace().0).bind(message.id.to_string()).bind(VERSIONS_MAX);
    let mut offsets: Vec<i64> = query.fetch_all(pool).await?;
    offsets.push(i64::try_from(message.posted_offset).unwrap_or(i64::MAX));
    let sql = "SELECT jsonb_build_object('parts', coalesce((data -> 'parts')::jsonb, '[]'), 'at', at) FROM events
        WHERE workspace_id = $1 AND \"offset\" = ANY ($2) ORDER BY \"offset\"";
    let query = sqlx::query_scalar::<_, Json<VersionView>>(sql).bind(tenant.workspace().0).bind(offsets);
    query.fetch_all(&mut *tenant.open().await?).await.map(bare)
}

/// What somebody said, for an agent that has to answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Heard {
    /// Which message.
    pub id: MessageId,
    /// Who.
    pub author: Principal,
    /// Their name.
    pub name: Option<String>,
    /// What.
    pub parts: Vec<Part>,
}

/// Returns the last messages up to a number as an agent hears them, oldest first: without what was deleted, what Link
/// noted, and what was asked of the agent and taken back.
pub async fn heard(
    tenant: &Tenant,
    conversation: ConversationId,
    agent: AgentId,
    upto: u64,
    limit: i64,
) -> Result<Vec<Heard>, sqlx::Error> {
    let sql = format!(
        "{LINE} SELECT jsonb_build_object('id', t.id, 'author', t.author, 'parts', t.parts, 'name',
             CASE split_part(t.author, ':', 1)
                 WHEN 'user' THEN (SELECT u.name FROM users u WHERE u.id = split_part(t.author, ':', 2)::uuid)
                 WHEN 'agent' THEN (SELECT a.name FROM agents a WHERE a.id = split_part(t.author, ':', 2)::uuid) END)
         FROM line l CROSS JOIN LATERAL (
             SELECT m.* FROM messages m WHERE m.conversation_id = l.id AND m.seq <= least(l.upto, $2)
                 AND m.deleted_at IS NULL AND m.kind <> 'note' AND NOT EXISTS (
                     SELECT 1 FROM conversation_turns o
                     WHERE o.message_id = m.id AND o.agent_id = $3 AND o.status = 'rolled_back')
             ORDER BY m.seq DESC LIMIT $4) t
         ORDER BY t.seq DESC LIMIT $4"
    );
    let query = sqlx::query_scalar::<_, Json<Heard>>(AssertSqlSafe(sql)).bind(conversation.0);
    let upto = i64::try_from(upto).unwrap_or(i64::MAX);
    let rows = query.bind(upto).bind(agent.0).bind(limit).fetch_all(&mut *tenant.open().await?).await?;
    Ok(rows.into_iter().rev().map(|Json(row)| row).collect())
}
