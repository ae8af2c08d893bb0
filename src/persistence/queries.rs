//! Reads: what the projections show. A caller who may not see a row does not find it; the door's permission check
//! asks [`access`] first, every list here is bounded, and shows what the caller's [`Sight`] lets through. What belongs
//! to a workspace is read through its [`Tenant`], which has no rows of others.

use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{
    access::Effect,
    ids::{DelegationId, ProjectId, Subject, TaskId, UserId, WorkspaceId},
    permission::Permission,
    principal::{Principal, Service},
    workspace::Role,
};

pub use super::{
    access::{Access, Entrance, Scope, Sight, access, chain, entrance, rights},
    inbox::{Decider, grantors, inbox},
};
use super::{tenant::Tenant, views::*};

const WORKSPACE: &str = "SELECT w.id, w.name, w.owner_id, m.role, w.version, w.created_at
    FROM workspaces w LEFT JOIN workspace_members m ON m.workspace_id = w.id AND m.user_id = $1";
const MEMBER: &str = "SELECT m.user_id, u.email, u.name, m.role, m.joined_at
    FROM workspace_members m JOIN users u ON u.id = m.user_id";
const TASK: &str = "SELECT t.*, (SELECT coalesce(jsonb_agg(jsonb_build_object('depends_on', d.depends_on,
        'type', d.dependency_type) ORDER BY d.depends_on), '[]') FROM task_dependencies d WHERE d.task_id = t.id)
        AS dependencies, CASE WHEN t.status IN ('done', 'failed', 'cancelled') THEN NULL ELSE (
            SELECT CASE
                WHEN a.status IN ('dispatching', 'running') THEN jsonb_build_object('by', 'agent',
                    'who', 'agent:' || a.agent_id, 'what', 'works on it')
                WHEN a.status = 'cancelling' THEN jsonb_build_object('by', 'agent', 'who', 'agent:' || a.agent_id, 'what', 'is being stopped')
                WHEN (t.status = 'blocked' OR a.status = 'queued') AND EXISTS (SELECT 1 FROM fan_outs f WHERE f.task_id = t.id AND f.outcome IS NULL) THEN jsonb_build_object('by', 'task', 'who', NULL, 'what', 'waits for its parts')
                WHEN a.status = 'queued' AND t.status = 'blocked' THEN jsonb_build_object('by', 'task', 'who', NULL, 'what', 'waits for other tasks')
                WHEN a.status = 'queued' THEN jsonb_build_object('by', 'queue', 'who', 'agent:' || a.agent_id,
                    'what', 'waits for a free instance', 'at', a.not_before)
                WHEN a.status = 'awaiting' THEN jsonb_build_object('by', 'person', 'who', a.delegator, 'what', 'an answer is needed')
                WHEN a.status = 'reviewing' AND a.review_missing > 0 THEN jsonb_build_object('by', 'person', 'who', coalesce(a.owner, a.delegator), 'what', 'other approvers have to be named')
                WHEN a.status = 'reviewing' THEN jsonb_build_object('by', 'person', 'who', NULL, 'what', 'a review is needed')
                WHEN a.status = 'paused' THEN jsonb_build_object('by', 'person', 'who', a.delegator, 'what', 'it is paused: resume, reassign or cancel it')
                WHEN a.status = 'escalated' THEN jsonb_build_object('by', 'person',
                    'who', coalesce(a.owner, a.delegator), 'what', 'a decision is needed: resume, reassign or cancel it')
                WHEN t.status = 'blocked' THEN jsonb_build_object('by', 'task', 'who', (
                    SELECT 'task:' || g.depends_on FROM task_dependencies g JOIN tasks o ON o.id = g.depends_on
                    WHERE g.task_id = t.id AND o.status <> 'done'
                        AND g.dependency_type IN ('blocks', 'review_ready_ok') ORDER BY g.depends_on LIMIT 1),
                    'what', 'waits for other tasks')
                ELSE jsonb_build_object('by', 'person', 'who', coalesce(t.assignee, t.created_by),
                    'what', 'it has to be taken up')
            END FROM (SELECT 1) one LEFT JOIN agent_assignments a ON a.id = t.delegation_id AND a.ended_at IS NULL)
        END AS next_move FROM tasks t";
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
/// Runs `SELECT to_jsonb(v) FROM (<select> <rest>) v`, reading each row as a view.
macro_rules! view {
    ($database:expr, $view:ty, $fetch:ident, $select:expr, $rest:expr $(, $bind:expr)*) => {{
        let sql = format!("SELECT to_jsonb(v) FROM ({} {}) v", $select, $rest);
        let query = sqlx::query_scalar::<_, Json<$view>>(AssertSqlSafe(sql))$(.bind($bind))*;
        query.$fetch($database).await
    }};
}

/// The same, of one tenant.
macro_rules! of {
    ($tenant:expr, $($rest:tt)*) => { view!(&mut *$tenant.open().await?, $($rest)*) };
}

pub(super) use {of, view};

pub(super) fn bare<T, C: IntoIterator<Item = Json<T>>>(rows: C) -> Vec<T> {
    rows.into_iter().map(|Json(row)| row).collect()
}

/// Returns the workspace as one of its members sees it.
pub async fn workspace(tenant: &Tenant, who: Principal) -> Result<Option<WorkspaceView>, sqlx::Error> {
    let rest = "WHERE w.id = $2";
    let row = of!(tenant, WorkspaceView, fetch_optional, WORKSPACE, rest, id_of(who), tenant.workspace().0)?;
    Ok(row.map(|Json(row)| row))
}

/// Returns a page of the workspaces that somebody belongs to, or of the only one that matters.
pub async fn workspaces(
    pool: &PgPool,
    who: Principal,
    only: Option<WorkspaceId>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<WorkspaceView>, sqlx::Error> {
    let belongs = match who {
        Principal::User(_) => "SELECT o.workspace_id FROM workspace_members o WHERE o.user_id = $1",
        Principal::Agent(_) => "SELECT o.workspace_id FROM agents o WHERE o.id = $1 AND o.availability <> 'retired'",
        Principal::Service(Service::Account(_)) => {
            "SELECT o.workspace_id FROM workspace_services o WHERE o.service_id = $1"
        }
        Principal::Team(_) | Principal::Service(_) => return Ok(vec![]),
    };
    let rest = format!(
        "WHERE w.id IN ({belongs}) AND ($2::uuid IS NULL OR w.id > $2) AND ($4::uuid IS NULL OR w.id = $4)
         ORDER BY w.id LIMIT $3"
    );
    let only = only.map(|only| only.0);
    view!(pool, WorkspaceView, fetch_all, WORKSPACE, rest, id_of(who), after, limit, only).map(bare)
}

/// The id of whoever has one; no two principals share one.
fn id_of(who: Principal) -> Option<Uuid> {
    Uuid::parse_str(&who.id()).ok()
}

/// Returns a page of the members.
pub async fn members(tenant: &Tenant, after: Option<Uuid>, limit: i64) -> Result<Vec<MemberView>, sqlx::Error> {
    let rest = "WHERE m.workspace_id = $1 AND ($2::uuid IS NULL OR m.user_id > $2) ORDER BY m.user_id LIMIT $3";
    of!(tenant, MemberView, fetch_all, MEMBER, rest, tenant.workspace().0, after, limit).map(bare)
}

/// Returns one member.
pub async fn member(tenant: &Tenant, user: UserId) -> Result<Option<MemberView>, sqlx::Error> {
    let rest = "WHERE m.workspace_id = $1 AND m.user_id = $2";
    Ok(of!(tenant, MemberView, fetch_optional, MEMBER, rest, tenant.workspace().0, user.0)?.map(|Json(row)| row))
}

/// Counts the members who can review, other than one.
pub async fn other_reviewers(tenant: &Tenant, who: Principal) -> Result<i64, sqlx::Error> {
    let built_in = [Role::Guest, Role::Member, Role::Admin, Role::Owner].into_iter();
    let review = built_in.filter(|role| role.permissions().contains(Permission::Review)).map(Role::name);
    sqlx::query_scalar(
        "SELECT count(*) FROM workspace_members m WHERE m.workspace_id = $1 AND m.user_id IS DISTINCT FROM $2
         AND (m.role = ANY ($3) OR EXISTS (
             SELECT 1 FROM roles r WHERE r.workspace_id = $1 AND r.id::text = m.role AND r.permissions ? $4))",
    )
    .bind(tenant.workspace().0)
    .bind(id_of(who))
    .bind(review.collect::<Vec<_>>())
    .bind(Permission::Review.name())
    .fetch_one(&mut *tenant.open().await?)
    .await
}

/// Names the tables whose rows have an id and a workspace, with how each is shown.
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    /// [`TeamView`]
    Teams,
    /// [`RoleView`]
    Roles,
    /// [`GrantView`]
    Grants,
    /// Programs that are members: id, name, role, since when.
    Services,
    /// [`ProjectView`]
    Projects,
    /// [`AgentView`]
    Agents,
    /// [`TaskView`], by workspace
    Tasks,
    /// [`DelegationView`]
    Delegations,
    /// [`FanOutView`]
    FanOuts,
}

impl Listed {
    fn select(self) -> &'static str {
        match self {
            Self::Teams => "SELECT * FROM teams t",
            Self::Roles => "SELECT * FROM roles t",
            Self::Grants => "SELECT * FROM grants t",
            Self::Services => "SELECT t.* FROM (SELECT service_id AS id, * FROM workspace_services) t",
            Self::Projects => "SELECT * FROM projects t",
            Self::Agents => AGENT,
            Self::Tasks => TASK,
            Self::Delegations => DELEGATION,
            Self::FanOuts => "SELECT * FROM fan_outs t",
        }
    }

    /// What grants can be on, of a row: nothing where a list of it has no rows that some see and some do not.
    fn chain(self) -> Option<&'static str> {
        match self {
            Self::Projects => Some("ARRAY[t.id]"),
            Self::Tasks => Some("ARRAY[t.id, t.project_id]"),
            Self::Teams
            | Self::Roles
            | Self::Grants
            | Self::Services
            | Self::Agents
            | Self::Delegations
            | Self::FanOuts => None,
        }
    }
}

/// Returns one row by id.
pub async fn get<T: DeserializeOwned + Send + Unpin + 'static>(
    tenant: &Tenant,
    what: Listed,
    id: Uuid,
) -> Result<Option<T>, sqlx::Error> {
    Ok(of!(tenant, T, fetch_optional, what.select(), "WHERE t.id = $1", id)?.map(|Json(row)| row))
}

/// Returns a page of rows of a workspace, oldest first.
pub async fn list<T: DeserializeOwned + Send + Unpin + 'static>(
    tenant: &Tenant,
    what: Listed,
    sight: &Sight,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<T>, sqlx::Error> {
    let seen = what.chain().map_or_else(|| "true".into(), |chain| Sight::condition(4, chain));
    let rest =
        format!("WHERE t.workspace_id = $1 AND ($2::uuid IS NULL OR t.id > $2) AND {seen} ORDER BY t.id LIMIT $3");
    let (all, denied, role, granted) = sight.parameters();
    let workspace = tenant.workspace().0;
    of!(tenant, T, fetch_all, what.select(), rest, workspace, after, limit, all, denied, role, granted).map(bare)
}

/// Returns the grant for a principal on a thing.
pub async fn grant(
    tenant: &Tenant,
    subject: Subject,
    principal: Principal,
    effect: Effect,
) -> Result<Option<GrantView>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND t.principal = $2 AND t.subject = $3 AND t.effect = $4";
    let (workspace, who, what) = (tenant.workspace().0, principal.to_string(), subject.to_string());
    let (grants, effect) = (Listed::Grants.select(), effect.name());
    let row = of!(tenant, GrantView, fetch_optional, grants, rest, workspace, who, what, effect)?;
    Ok(row.map(|Json(row)| row))
}

/// Returns a page of the grants, of all or of one thing or principal.
pub async fn grants(
    tenant: &Tenant,
    subject: Option<Subject>,
    principal: Option<Principal>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<GrantView>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND ($2::text IS NULL OR t.subject = $2)
        AND ($3::text IS NULL OR t.principal = $3) AND ($4::uuid IS NULL OR t.id > $4) ORDER BY t.id LIMIT $5";
    let (subject, principal) = (subject.map(|what| what.to_string()), principal.map(|who| who.to_string()));
    let (select, workspace) = (Listed::Grants.select(), tenant.workspace().0);
    of!(tenant, GrantView, fetch_all, select, rest, workspace, subject, principal, after, limit).map(bare)
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
    tenant: &Tenant,
    project: ProjectId,
    filter: &TaskFilter,
    sight: &Sight,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let rest = format!(
        "WHERE t.project_id = $1 AND ($2::uuid IS NULL OR t.id > $2) AND ($3::text IS NULL OR t.status = $3)
         AND ($4::text IS NULL OR t.assignee = $4) AND {} ORDER BY t.id LIMIT $5",
        Sight::condition(6, "ARRAY[t.id, t.project_id]")
    );
    let (status, assignee) = (filter.status.as_deref(), filter.assignee.map(|who| who.to_string()));
    let (all, denied, role, granted) = sight.parameters();
    of!(tenant, TaskView, fetch_all, TASK, rest, project.0, after, status, assignee, limit, all, denied, role, granted)
        .map(bare)
}

/// Returns the tasks of a board, by rank, at most `limit`.
pub async fn board(
    tenant: &Tenant,
    project: ProjectId,
    sight: &Sight,
    limit: i64,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let seen = Sight::condition(3, "ARRAY[t.id, t.project_id]");
    let rest = format!("WHERE t.project_id = $1 AND {seen} ORDER BY t.rank, t.id LIMIT $2");
    let (all, denied, role, granted) = sight.parameters();
    of!(tenant, TaskView, fetch_all, TASK, rest, project.0, limit, all, denied, role, granted).map(bare)
}

/// Finds tasks by words in identifier, title and description; or by an exact identifier. Which they are is looked up
/// with the index of words, which the database does not use behind row-level security; they are read behind it.
pub async fn search_tasks(
    pool: &PgPool,
    tenant: &Tenant,
    sight: &Sight,
    words: &str,
    limit: i64,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let sql = format!(
        "SELECT t.id FROM tasks t WHERE t.workspace_id = $1 AND (upper(t.identifier) = upper($2)
             OR to_tsvector('simple', t.identifier || ' ' || t.title || ' ' || t.description)
                 @@ websearch_to_tsquery('simple', $2)) AND {}
         ORDER BY upper(t.identifier) = upper($2) DESC, t.id DESC LIMIT $3",
        Sight::condition(4, "ARRAY[t.id, t.project_id]")
    );
    let (all, denied, role, granted) = sight.parameters();
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(tenant.workspace().0).bind(words).bind(limit);
    let ids: Vec<Uuid> = query.bind(all).bind(denied).bind(role).bind(granted).fetch_all(pool).await?;
    let rest = "WHERE t.id = ANY ($1) ORDER BY array_position($1, t.id)";
    of!(tenant, TaskView, fetch_all, TASK, rest, ids).map(bare)
}

/// Returns the last rank of a project's board.
pub async fn last_rank(tenant: &Tenant, project: ProjectId) -> Result<Option<String>, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT max(rank) FROM tasks WHERE project_id = $1").bind(project.0);
    query.fetch_one(&mut *tenant.open().await?).await
}

/// Returns the ranks between which a card comes that is put before or after another one: as if it were nowhere yet.
pub async fn neighbour_rank(
    tenant: &Tenant,
    of: TaskId,
    moving: TaskId,
    direction: Direction,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let (end, side) = match direction {
        Direction::Before => ("max", "<"),
        Direction::After => ("min", ">"),
    };
    let sql = format!(
        "SELECT a.rank, (SELECT {end}(b.rank) FROM tasks b
             WHERE b.project_id = a.project_id AND b.rank {side} a.rank AND b.id <> $2) FROM tasks a WHERE a.id = $1"
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(of.0).bind(moving.0).fetch_optional(&mut *tenant.open().await?).await
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
    tenant: &Tenant,
    task: TaskId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DelegationView>, sqlx::Error> {
    let rest = "WHERE t.task_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    of!(tenant, DelegationView, fetch_all, DELEGATION, rest, task.0, after, limit).map(bare)
}

/// Returns how a task was split into parts, oldest first.
pub async fn fan_outs(
    tenant: &Tenant,
    task: TaskId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<FanOutView>, sqlx::Error> {
    let rest = "WHERE t.task_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3";
    of!(tenant, FanOutView, fetch_all, Listed::FanOuts.select(), rest, task.0, after, limit).map(bare)
}

/// Returns what all attempts of a delegation produced.
pub async fn artifacts(
    tenant: &Tenant,
    delegation: DelegationId,
    limit: i64,
) -> Result<Vec<ArtifactView>, sqlx::Error> {
    let rest = "JOIN agent_sessions s ON s.id = t.attempt_id WHERE s.delegation_id = $1
        ORDER BY t.recorded_at, t.id LIMIT $2";
    of!(tenant, ArtifactView, fetch_all, "SELECT t.* FROM artifacts t", rest, delegation.0, limit).map(bare)
}

/// Returns the workspaces that have work open: delegations and turns that have not ended, and agents that have to be
/// told to stop.
pub async fn workspaces_with_open_work(pool: &PgPool) -> Result<Vec<WorkspaceId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT workspace_id FROM agent_assignments WHERE ended_at IS NULL
             UNION SELECT workspace_id FROM agent_sessions WHERE stopping
             UNION SELECT workspace_id FROM fan_outs WHERE outcome IS NULL
             UNION SELECT workspace_id FROM conversation_turns WHERE ended_at IS NULL",
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(WorkspaceId).collect())
}
