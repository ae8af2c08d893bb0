//! What the decision about a call rests on: which workspace an id belongs to, what the caller is there, and which
//! grants concern the two. One statement, since it stands before every call.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::{
    access::{Decision, Effect, Grant, Place, Rights, Standing, Viewer, decide},
    ids::{AgentId, NoSubject, Subject, WorkspaceId},
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    workspace::{MemberRole, NoRole},
};

use super::{
    attendance::{self, AGENTS, Attendance, SHOWN_MAX},
    tenant::Tenant,
};

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
    /// A shared document.
    Document,
}

impl Scope {
    /// Returns what a subject is, where it can be asked for.
    pub fn of(subject: Subject) -> Option<Self> {
        match subject {
            Subject::Workspace(_) => Some(Self::Workspace),
            Subject::Project(_) => Some(Self::Project),
            Subject::Task(_) => Some(Self::Task),
            Subject::Conversation(_) => Some(Self::Conversation),
            Subject::Document(_) => Some(Self::Document),
            Subject::Agent(_) => Some(Self::Agent),
            Subject::Session(_) | Subject::Webhook(_) => None,
        }
    }

    /// The workspace of a thing, and what grants can be on: itself and what it belongs to.
    fn place(self) -> &'static str {
        match self {
            Self::Workspace => "SELECT $1::uuid AS workspace_id, ARRAY[]::text[] AS chain",
            Self::Agent => "SELECT t.workspace_id, ARRAY[]::text[] AS chain FROM agents t WHERE t.id = $1",
            Self::Webhook => "SELECT t.workspace_id, ARRAY[]::text[] AS chain FROM webhooks t WHERE t.id = $1",
            Self::Instance => "SELECT t.workspace_id, ARRAY[]::text[] AS chain FROM agent_instances t WHERE t.id = $1",
            Self::Project => {
                "SELECT t.workspace_id, ARRAY['project:' || t.id] AS chain FROM projects t WHERE t.id = $1"
            }
            Self::Document => {
                "SELECT t.workspace_id, ARRAY['document:' || t.id, 'project:' || t.project_id] AS chain
                 FROM documents t WHERE t.id = $1"
            }
            Self::Task => {
                "SELECT t.workspace_id, ARRAY['task:' || t.id, 'project:' || t.project_id] AS chain
                 FROM tasks t WHERE t.id = $1"
            }
            Self::Delegation => {
                "SELECT t.workspace_id, ARRAY['task:' || t.id, 'project:' || t.project_id] AS chain
                 FROM agent_assignments d JOIN tasks t ON t.id = d.task_id WHERE d.id = $1"
            }
            // A direct conversation is found by its participants only.
            Self::Conversation => {
                "SELECT t.workspace_id, array_remove(ARRAY['conversation:' || t.id, 'task:' || t.task_id,
                     'project:' || t.project_id, 'project:' || k.project_id], NULL)
                     || ARRAY(SELECT 'conversation:' || parent FROM unnest(t.branch_line) parent) AS chain
                 FROM conversations t LEFT JOIN tasks k ON k.id = t.task_id
                 WHERE t.id = $1 AND (t.type <> 'dm' OR EXISTS (
                     SELECT 1 FROM conversation_participants p
                     WHERE p.conversation_id = t.id AND p.participant = $2 AND p.left_offset IS NULL))"
            }
        }
    }
}

/// Which kind of principal has what standing.
fn standing_of(who: Principal) -> Option<(&'static str, Uuid)> {
    match who {
        Principal::User(id) => Some((
            "SELECT p.*, m.role, r.permissions
             FROM place p JOIN workspace_members m ON m.workspace_id = p.workspace_id AND m.user_id = $3
             LEFT JOIN roles r ON r.id = CASE WHEN length(m.role) = 36 THEN m.role::uuid END",
            id.0,
        )),
        Principal::Agent(id) => Some((
            "SELECT p.*, NULL::text AS role, NULL::jsonb AS permissions
             FROM place p JOIN agents a ON a.workspace_id = p.workspace_id
             WHERE a.id = $3 AND a.availability <> 'retired'",
            id.0,
        )),
        Principal::Service(Service::Account(id)) => Some((
            "SELECT p.*, m.role, r.permissions
             FROM place p JOIN workspace_services m ON m.workspace_id = p.workspace_id AND m.service_id = $3
             LEFT JOIN roles r ON r.id = CASE WHEN length(m.role) = 36 THEN m.role::uuid END",
            id.0,
        )),
        Principal::Team(_) | Principal::Service(_) => None,
    }
}

/// What was found of a place and of who wants to go there.
#[derive(Clone, Debug)]
pub struct Access {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who asks.
    pub viewer: Viewer,
    /// Their role, if they have one.
    pub role: Option<MemberRole>,
    /// What they are.
    pub standing: Standing,
    /// The thing and what it belongs to.
    pub chain: Vec<Subject>,
    /// The grants that concern both.
    pub grants: Vec<Grant>,
    /// Whether there may be things in the workspace that they see not, or only they see: lists have to look.
    pub partial: bool,
    scope: Scope,
}

impl Access {
    /// Returns where the caller wants to go.
    pub fn place(&self) -> Place<'_> {
        match self.scope {
            Scope::Workspace => Place::Workspace,
            _ => Place::Thing(&self.grants),
        }
    }

    /// Decides.
    pub fn decision(&self) -> Decision {
        decide(self.standing, self.place())
    }
}

/// Finds the workspace of an id and what the caller is in it; nothing when either is missing, so that a stranger
/// cannot tell which.
pub async fn access(pool: &PgPool, scope: Scope, id: Uuid, viewer: Viewer) -> Result<Option<Access>, sqlx::Error> {
    find(pool, scope, id, viewer, false).await
}

/// Finds everything that decides what somebody may do in a workspace; nothing when they do not belong to it.
pub async fn rights(pool: &PgPool, workspace: WorkspaceId, viewer: Viewer) -> Result<Option<Rights>, sqlx::Error> {
    let found = find(pool, Scope::Workspace, workspace.0, viewer, true).await?;
    Ok(found.map(|Access { standing, grants, .. }| Rights { who: viewer.principal, standing, grants }))
}

/// What somebody who begins to listen has to know.
pub struct Entrance {
    /// What they may see.
    pub rights: Rights,
    /// The end of the workspace's log at that moment.
    pub head: u64,
    /// What the agents do, where it was asked for.
    pub agents: Vec<Attendance>,
}

/// Finds in one question what somebody who begins to listen has to know; nothing when they do not belong to it.
pub async fn entrance(
    pool: &PgPool,
    workspace: WorkspaceId,
    viewer: Viewer,
    agents: bool,
) -> Result<Option<Entrance>, sqlx::Error> {
    let Some((sql, who)) = question(Scope::Workspace, viewer.principal) else { return Ok(None) };
    let sql = format!(
        r#"SELECT found.*, (SELECT e."offset" FROM events e WHERE e.workspace_id = found.workspace_id
             ORDER BY e."offset" DESC LIMIT 1) AS head,
             (SELECT json_agg(json_build_array(a.id, a.status, a.updated_at)) FROM ({AGENTS}) a
             WHERE found.workspace_id = $1) AS agents
           FROM ({sql}) found"#,
        AGENTS = AGENTS.replace("$2", "$5"),
    );
    let shown = if agents { SHOWN_MAX } else { 0 };
    let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.0).bind(viewer.principal.to_string());
    let Some(row) = query.bind(who).bind(true).bind(shown).fetch_optional(pool).await? else { return Ok(None) };
    let Access { standing, grants, workspace, .. } = read(&row, Scope::Workspace, viewer)?;
    let head = row.try_get::<Option<i64>, _>("head")?.unwrap_or_default() as u64;
    type Found = (AgentId, String, DateTime<Utc>);
    let agents: Option<Json<Vec<Found>>> = row.try_get("agents")?;
    let agents = agents.map(|Json(agents)| agents).unwrap_or_default().into_iter();
    let agents = agents.map(|(id, name, since)| (id, attendance::status(&name), since)).collect();
    let rights = Rights { who: viewer.principal, standing, grants };
    Ok(viewer.may_enter(workspace).then_some(Entrance { rights, head, agents }))
}

/// Returns a thing and what it belongs to, as somebody may know it; nothing where it does not exist.
pub async fn chain(tenant: &Tenant, scope: Scope, id: Uuid, who: Principal) -> Result<Vec<Subject>, sqlx::Error> {
    let sql = format!("SELECT p.chain FROM ({}) p WHERE $2::text IS NOT NULL", scope.place());
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).bind(who.to_string());
    let texts: Option<Vec<String>> = query.fetch_optional(&mut *tenant.open().await?).await?;
    subjects(&texts.unwrap_or_default())
}

fn subjects(texts: &[String]) -> Result<Vec<Subject>, sqlx::Error> {
    texts.iter().map(|text| text.parse().map_err(|error: NoSubject| sqlx::Error::Decode(error.into()))).collect()
}

async fn find(pool: &PgPool, scope: Scope, id: Uuid, viewer: Viewer, all: bool) -> Result<Option<Access>, sqlx::Error> {
    let Some((sql, who)) = question(scope, viewer.principal) else { return Ok(None) };
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(viewer.principal.to_string()).bind(who).bind(all);
    let row = query.fetch_optional(pool).await?;
    let found = row.map(|row| read(&row, scope, viewer)).transpose()?;
    Ok(found.filter(|access| viewer.may_enter(access.workspace)))
}

/// Asks what somebody is at a place ($1, $2: who, as text, $3: their id, $4: whether all of their grants count), and says
/// their id; nothing for who can be nowhere.
fn question(scope: Scope, who: Principal) -> Option<(String, Uuid)> {
    let (standing, who) = standing_of(who)?;
    // Grants for teams are few; only where there are some it is asked who is in the team.
    let sql = format!(
        "WITH place AS ({place}), standing AS ({standing}), mine AS (
             SELECT g.* FROM standing s JOIN grants g ON g.workspace_id = s.workspace_id AND g.principal = $2
             UNION ALL
             SELECT g.* FROM standing s
             JOIN grants g ON g.workspace_id = s.workspace_id AND g.principal >= 'team:' AND g.principal < 'team;'
             JOIN teams t ON t.workspace_id = s.workspace_id AND 'team:' || t.id = g.principal AND t.members ? $2
         )
         SELECT s.workspace_id, s.role, s.permissions, s.chain, EXISTS (SELECT 1 FROM mine) AS granted,
             (SELECT coalesce(jsonb_agg(to_jsonb(g) ORDER BY g.id), '[]') FROM mine g
                 WHERE $4 OR g.subject = ANY (s.chain)) AS grants
         FROM standing s",
        place = scope.place(),
    );
    Some((sql, who))
}

fn read(row: &PgRow, scope: Scope, viewer: Viewer) -> Result<Access, sqlx::Error> {
    let role = row.try_get::<Option<String>, _>("role")?;
    let role = role.map(|text| text.parse()).transpose().map_err(|error: NoRole| sqlx::Error::Decode(error.into()))?;
    let custom = row.try_get::<Option<Json<Permissions>>, _>("permissions")?;
    let given = match role {
        Some(MemberRole::Built(role)) => role.permissions(),
        Some(MemberRole::Custom(_)) => custom.map(|Json(set)| set).unwrap_or_default(),
        None => Permissions::OF_AGENTS,
    };
    let standing = Standing { role: given, scopes: viewer.scopes };
    let Json(grants) = row.try_get::<Json<Vec<Grant>>, _>("grants")?;
    let plain = Rights { who: viewer.principal, standing, grants: vec![] }.are_plain();
    Ok(Access {
        workspace: WorkspaceId(row.try_get("workspace_id")?),
        viewer,
        role,
        standing,
        chain: subjects(&row.try_get::<Vec<String>, _>("chain")?)?,
        grants,
        partial: row.try_get::<bool, _>("granted")? || !plain,
        scope,
    })
}

/// Which things of a workspace a list may show: those that [`decide`] lets the caller read.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    all: bool,
    denied: Vec<Uuid>,
    role: bool,
    granted: Vec<Uuid>,
}

impl Sight {
    /// Everything: for callers whom nothing is denied and whose role reads.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// What these rights let one read.
    pub fn of(rights: &Rights) -> Self {
        Self::to(rights, Permission::Read)
    }

    /// Where these rights let one do something that also has to be seen.
    pub fn to(rights: &Rights, permission: Permission) -> Self {
        let Standing { role, scopes } = rights.standing;
        if !scopes.contains(permission) || !scopes.contains(Permission::Read) {
            return Self::default();
        }
        let of = |effect, wanted: &[Permission]| {
            let grants = rights.grants.iter().filter(move |grant| grant.effect == effect);
            let about = grants.filter(|grant| wanted.iter().any(|permission| grant.permissions.contains(*permission)));
            about.map(|grant| grant.subject.id()).collect()
        };
        Self {
            all: rights.are_plain() && role.contains(permission),
            // What cannot be seen cannot be decided either.
            denied: of(Effect::Deny, &[permission, Permission::Read]),
            role: role.contains(permission),
            granted: of(Effect::Allow, &[permission]),
        }
    }

    /// The condition on rows whose chain is this array; it takes four parameters from the `first` on.
    pub(super) fn condition(first: usize, chain: &str) -> String {
        let [all, denied, role, granted] = [first, first + 1, first + 2, first + 3];
        format!(
            "(${all} OR (NOT coalesce({chain} && ${denied}::uuid[], false)
                 AND (${role} OR {chain} && ${granted}::uuid[])))"
        )
    }

    pub(super) fn parameters(&self) -> (bool, &[Uuid], bool, &[Uuid]) {
        (self.all, &self.denied, self.role, &self.granted)
    }
}
