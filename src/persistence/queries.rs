//! Reads: what the projections show. A caller who may not see a row does not find it; the door's permission check
//! asks [`access`] first, and every list here is bounded.

use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, PgPool, Row, types::Json};
use uuid::Uuid;

use crate::domain::{
    ids::{ConversationId, DelegationId, ProjectId, TaskId, UserId, WorkspaceId},
    principal::Principal,
    workspace::Role,
};

use super::views::*;

/// What an id in a request is of; from it follows the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A workspace.
    Workspace,
    /// A project.
    Project,
    /// A task.
    Task,
    /// A delegation.
    Delegation,
    /// An agent.
    Agent,
    /// An instance of an agent.
    Instance,
    /// A webhook.
    Webhook,
    /// A conversation.
    Conversation,
}

/// Finds the workspace of an id and the caller's role in it; nothing when either is missing, so that a stranger
/// cannot tell which.
pub async fn access(
    pool: &PgPool,
    scope: Scope,
    id: Uuid,
    who: Principal,
) -> Result<Option<(WorkspaceId, Role)>, sqlx::Error> {
    let Some(user) = who.user() else { return Ok(None) };
    let sql = match scope {
        Scope::Workspace => "SELECT workspace_id, role FROM workspace_members WHERE workspace_id = $1 AND user_id = $2",
        Scope::Project => {
            "SELECT m.workspace_id, m.role FROM projects t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        Scope::Task => {
            "SELECT m.workspace_id, m.role FROM tasks t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        Scope::Delegation => {
            "SELECT m.workspace_id, m.role FROM agent_assignments t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        Scope::Agent => {
            "SELECT m.workspace_id, m.role FROM agents t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        Scope::Instance => {
            "SELECT m.workspace_id, m.role FROM agent_instances t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        Scope::Webhook => {
            "SELECT m.workspace_id, m.role FROM webhooks t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2"
        }
        // A direct conversation is found by its participants only.
        Scope::Conversation => {
            "SELECT m.workspace_id, m.role FROM conversations t JOIN workspace_members m USING (workspace_id)
             WHERE t.id = $1 AND m.user_id = $2 AND (t.type <> 'dm' OR EXISTS (
                 SELECT 1 FROM conversation_participants p
                 WHERE p.conversation_id = t.id AND p.participant = 'user:' || $2::text AND p.left_offset IS NULL))"
        }
    };
    let row = sqlx::query(sql).bind(id).bind(user.0).fetch_optional(pool).await?;
    row.map(|row| Ok((WorkspaceId(row.try_get(0)?), role(&row.try_get::<String, _>(1)?)))).transpose()
}

fn role(text: &str) -> Role {
    match text {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        "member" => Role::Member,
        _ => Role::Guest,
    }
}

const WORKSPACE: &str = "SELECT w.id, w.name, w.owner_id, m.role, w.version, w.created_at
    FROM workspaces w JOIN workspace_members m ON m.workspace_id = w.id";
const MEMBER: &str = "SELECT m.user_id, u.email, u.name, m.role, m.joined_at
    FROM workspace_members m JOIN users u ON u.id = m.user_id";
const TASK: &str = "SELECT t.*, (SELECT coalesce(jsonb_agg(jsonb_build_object('depends_on', d.depends_on,
        'type', d.dependency_type) ORDER BY d.depends_on), '[]') FROM task_dependencies d WHERE d.task_id = t.id)
        AS dependencies FROM tasks t";
const AGENT: &str = "SELECT t.*, (SELECT coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.id), '[]')
        FROM agent_instances i WHERE i.agent_id = t.id) AS instances FROM agents t";
const DELEGATION: &str = "SELECT t.*,
        (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.fence), '[]') FROM agent_sessions s
            WHERE s.delegation_id = t.id) AS attempts,
        (SELECT coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.opened_at, i.id), '[]') FROM interrupts i
            WHERE i.delegation_id = t.id) AS interrupts,
        (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.\"offset\"), '[]') FROM reviews r
            WHERE r.delegation_id = t.id) AS reviews
    FROM agent_assignments t";
const CONVERSATION: &str =
    "SELECT t.*, (SELECT coalesce(jsonb_agg(p.participant ORDER BY p.joined_offset, p.participant), '[]')
        FROM conversation_participants p WHERE p.conversation_id = t.id AND p.left_offset IS NULL) AS participants
    FROM conversations t";

/// Runs `SELECT to_jsonb(v) FROM (<select> <rest>) v`, reading each row as a view.
macro_rules! view {
    ($pool:expr, $view:ty, $fetch:ident, $select:expr, $rest:expr $(, $bind:expr)*) => {{
        let sql = format!("SELECT to_jsonb(v) FROM ({} {}) v", $select, $rest);
        let query = sqlx::query_scalar::<_, Json<$view>>(AssertSqlSafe(sql))$(.bind($bind))*;
        query.$fetch($pool).await
    }};
}

fn bare<T, C: IntoIterator<Item = Json<T>>>(rows: C) -> Vec<T> {
    rows.into_iter().map(|Json(row)| row).collect()
}

/// Returns a workspace as one member sees it.
pub async fn workspace(pool: &PgPool, id: WorkspaceId, user: UserId) -> Result<Option<WorkspaceView>, sqlx::Error> {
    let rest = "WHERE w.id = $1 AND m.user_id = $2";
    Ok(view!(pool, WorkspaceView, fetch_optional, WORKSPACE, rest, id.0, user.0)?.map(|Json(row)| row))
}

/// Returns a page of the workspaces that a person is a member of.
pub async fn workspaces(
    pool: &PgPool,
    user: UserId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<WorkspaceView>, sqlx::Error> {
    let rest = "WHERE m.user_id = $1 AND ($2::uuid IS NULL OR w.id > $2) ORDER BY w.id LIMIT $3";
    view!(pool, WorkspaceView, fetch_all, WORKSPACE, rest, user.0, after, limit).map(bare)
}

/// Returns a page of the members.
pub async fn members(
    pool: &PgPool,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<MemberView>, sqlx::Error> {
    let rest = "WHERE m.workspace_id = $1 AND ($2::uuid IS NULL OR m.user_id > $2) ORDER BY m.user_id LIMIT $3";
    view!(pool, MemberView, fetch_all, MEMBER, rest, workspace.0, after, limit).map(bare)
}

/// Returns one member.
pub async fn member(pool: &PgPool, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberView>, sqlx::Error> {
    let rest = "WHERE m.workspace_id = $1 AND m.user_id = $2";
    Ok(view!(pool, MemberView, fetch_optional, MEMBER, rest, workspace.0, user.0)?.map(|Json(row)| row))
}

/// Counts the members who can review, other than one.
pub async fn other_reviewers(pool: &PgPool, workspace: WorkspaceId, user: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) FROM workspace_members WHERE workspace_id = $1 AND user_id <> $2 AND role <> 'guest'",
    )
    .bind(workspace.0)
    .bind(user.0)
    .fetch_one(pool)
    .await
}

/// Names the tables whose rows have an id and a workspace, with how each is shown.
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    /// [`TeamView`]
    Teams,
    /// [`ProjectView`]
    Projects,
    /// [`AgentView`]
    Agents,
    /// [`TaskView`], by workspace
    Tasks,
    /// [`DelegationView`]
    Delegations,
}

impl Listed {
    fn select(self) -> &'static str {
        match self {
            Self::Teams => "SELECT * FROM teams t",
            Self::Projects => "SELECT * FROM projects t",
            Self::Agents => AGENT,
            Self::Tasks => TASK,
            Self::Delegations => DELEGATION,
        }
    }
}

/// Returns one row by id.
pub async fn get<T: DeserializeOwned + Send + Unpin + 'static>(
    pool: &PgPool,
    what: Listed,
    id: Uuid,
) -> Result<Option<T>, sqlx::Error> {
    Ok(view!(pool, T, fetch_optional, what.select(), "WHERE t.id = $1", id)?.map(|Json(row)| row))
}

/// Returns a page of rows of a workspace, oldest first.
pub async fn list<T: DeserializeOwned + Send + Unpin + 'static>(
    pool: &PgPool,
    what: Listed,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<T>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    view!(pool, T, fetch_all, what.select(), rest, workspace.0, after, limit).map(bare)
}

/// Which tasks of a project.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only in this state.
    pub status: Option<String>,
    /// Only with this assignee.
    pub assignee: Option<Principal>,
}

/// Returns a page of a project's tasks, oldest first.
pub async fn tasks(
    pool: &PgPool,
    project: ProjectId,
    filter: &TaskFilter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let rest = "WHERE t.project_id = $1 AND ($2::uuid IS NULL OR t.id > $2) AND ($3::text IS NULL OR t.status = $3)
        AND ($4::text IS NULL OR t.assignee = $4) ORDER BY t.id LIMIT $5";
    let assignee = filter.assignee.map(|who| who.to_string());
    view!(pool, TaskView, fetch_all, TASK, rest, project.0, after, filter.status.as_deref(), assignee, limit).map(bare)
}

/// Returns the tasks of a board, by rank, at most `limit`.
pub async fn board(pool: &PgPool, project: ProjectId, limit: i64) -> Result<Vec<TaskView>, sqlx::Error> {
    let rest = "WHERE t.project_id = $1 ORDER BY t.rank, t.id LIMIT $2";
    view!(pool, TaskView, fetch_all, TASK, rest, project.0, limit).map(bare)
}

/// Finds tasks by words in identifier, title and description; or by an exact identifier.
pub async fn search_tasks(
    pool: &PgPool,
    workspace: WorkspaceId,
    words: &str,
    limit: i64,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND (upper(t.identifier) = upper($2)
            OR to_tsvector('simple', t.identifier || ' ' || t.title || ' ' || t.description)
                @@ websearch_to_tsquery('simple', $2))
        ORDER BY upper(t.identifier) = upper($2) DESC, t.id DESC LIMIT $3";
    view!(pool, TaskView, fetch_all, TASK, rest, workspace.0, words, limit).map(bare)
}

/// Returns the last rank of a project's board.
pub async fn last_rank(pool: &PgPool, project: ProjectId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT max(rank) FROM tasks WHERE project_id = $1").bind(project.0).fetch_one(pool).await
}

/// Returns the ranks of a card's neighbours in its project: the one before or after another card.
pub async fn neighbour_rank(
    pool: &PgPool,
    of: TaskId,
    direction: Direction,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let sql = match direction {
        Direction::Before => {
            "SELECT a.rank, (SELECT max(b.rank) FROM tasks b WHERE b.project_id = a.project_id AND b.rank < a.rank)
             FROM tasks a WHERE a.id = $1"
        }
        Direction::After => {
            "SELECT a.rank, (SELECT min(b.rank) FROM tasks b WHERE b.project_id = a.project_id AND b.rank > a.rank)
             FROM tasks a WHERE a.id = $1"
        }
    };
    sqlx::query_as(sql).bind(of.0).fetch_optional(pool).await
}

/// Towards which end of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the top.
    Before,
    /// Towards the bottom.
    After,
}

/// Returns the delegations of a task, oldest first.
pub async fn delegations(
    pool: &PgPool,
    task: TaskId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DelegationView>, sqlx::Error> {
    let rest = "WHERE t.task_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    view!(pool, DelegationView, fetch_all, DELEGATION, rest, task.0, after, limit).map(bare)
}

/// Returns what all attempts of a delegation produced.
pub async fn artifacts(pool: &PgPool, delegation: DelegationId, limit: i64) -> Result<Vec<ArtifactView>, sqlx::Error> {
    let rest = "JOIN agent_sessions s ON s.id = t.attempt_id WHERE s.delegation_id = $1
        ORDER BY t.recorded_at, t.id LIMIT $2";
    view!(pool, ArtifactView, fetch_all, "SELECT t.* FROM artifacts t", rest, delegation.0, limit).map(bare)
}

/// Returns a conversation.
pub async fn conversation(pool: &PgPool, id: ConversationId) -> Result<Option<ConversationView>, sqlx::Error> {
    Ok(view!(pool, ConversationView, fetch_optional, CONVERSATION, "WHERE t.id = $1", id.0)?.map(|Json(row)| row))
}

/// Returns a page of the conversations that a person may see.
pub async fn conversations(
    pool: &PgPool,
    workspace: WorkspaceId,
    user: UserId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ConversationView>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND ($3::uuid IS NULL OR t.id > $3) AND (t.type <> 'dm' OR EXISTS (
            SELECT 1 FROM conversation_participants p WHERE p.conversation_id = t.id
            AND p.participant = 'user:' || $2::text AND p.left_offset IS NULL))
        ORDER BY t.id LIMIT $4";
    view!(pool, ConversationView, fetch_all, CONVERSATION, rest, workspace.0, user.0, after, limit).map(bare)
}

/// Returns messages after a number, oldest first.
pub async fn messages(
    pool: &PgPool,
    conversation: ConversationId,
    after_seq: i64,
    limit: i64,
) -> Result<Vec<MessageView>, sqlx::Error> {
    let rest = "WHERE t.conversation_id = $1 AND t.seq > $2 ORDER BY t.seq LIMIT $3";
    view!(pool, MessageView, fetch_all, "SELECT * FROM messages t", rest, conversation.0, after_seq, limit).map(bare)
}

/// Returns one message of a conversation.
pub async fn message(
    pool: &PgPool,
    conversation: ConversationId,
    id: Uuid,
) -> Result<Option<MessageView>, sqlx::Error> {
    let rest = "WHERE t.conversation_id = $1 AND t.id = $2";
    let row = view!(pool, MessageView, fetch_optional, "SELECT * FROM messages t", rest, conversation.0, id)?;
    Ok(row.map(|Json(row)| row))
}

/// Returns the workspaces that have work open: delegations that have not ended.
pub async fn workspaces_with_open_work(pool: &PgPool) -> Result<Vec<WorkspaceId>, sqlx::Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT DISTINCT workspace_id FROM agent_assignments WHERE ended_at IS NULL")
            .fetch_all(pool)
            .await?;
    Ok(ids.into_iter().map(WorkspaceId).collect())
}
