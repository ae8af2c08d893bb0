//! What waits for a decision, across the tasks of a workspace: questions, reviews, escalations. An agent's inbox is that of
//! the people who let it decide, as far as they did.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use crate::domain::{
    ids::{AgentId, UserId},
    principal::Principal,
};

use super::{
    access::Sight,
    queries::{bare, of, view},
    tenant::Tenant,
    views::InboxItemView,
};

/// Each kind of decision: its id, what it is about, and since when it waits.
const ITEMS: &str = "WITH items AS (
    SELECT i.id, i.kind, i.task_id, i.delegation_id, i.attempt_id, i.prompt AS text, i.details,
        NULL::jsonb AS options, NULL::text AS proposal, NULL::text AS owner, i.opened_at AS since, i.reminders,
        i.reminded
    FROM interrupts i WHERE i.workspace_id = $1 AND i.status = 'open'
    UNION ALL
    SELECT d.id, 'review', d.task_id, d.id, d.attempt_id, coalesce(d.output, ''), NULL,
        '[\"approve\", \"request_changes\", \"reject\"]'::jsonb, NULL, NULL, coalesce(d.waiting_since, d.updated_at),
        d.reminders, d.reminded
    FROM agent_assignments d WHERE d.workspace_id = $1 AND d.ended_at IS NULL AND d.status = 'reviewing'
        AND (d.review ->> 'by' = 'anyone' OR d.delegator <> $2)
        AND (NOT d.review ? 'approvers' OR d.review -> 'approvers' ? $2)
        AND NOT EXISTS (SELECT 1 FROM reviews r WHERE r.delegation_id = d.id AND r.\"offset\" > d.queued_offset
            AND r.reviewer = $2)
    UNION ALL
    SELECT d.id, 'escalation', d.task_id, d.id, d.attempt_id, coalesce(d.reason, ''), d.step,
        d.options, d.proposal, d.owner, coalesce(d.waiting_since, d.updated_at),
        d.reminders, d.reminded
    FROM agent_assignments d WHERE d.workspace_id = $1 AND d.ended_at IS NULL AND d.status = 'escalated'
    UNION ALL
    -- A review of the same delegation may wait beside it: each has an id of its own, and those are next to each other.
    SELECT overlay(d.id::text PLACING 'f' FROM 15 FOR 1)::uuid, 'review_stuck', d.task_id, d.id, d.attempt_id,
        'approvals are missing that nobody who was named can give: ' || d.review_missing, NULL,
        '[\"set_approvers\", \"cancel\"]'::jsonb, NULL, d.owner, coalesce(d.waiting_since, d.updated_at),
        d.reminders, d.reminded
    FROM agent_assignments d WHERE d.workspace_id = $1 AND d.ended_at IS NULL AND d.status = 'reviewing'
        AND d.review_missing > 0
    UNION ALL
    SELECT d.id, 'queue', d.task_id, d.id, d.attempt_id, d.overdue, NULL, '[\"reassign\", \"cancel\"]'::jsonb, NULL,
        d.owner, coalesce(d.waiting_since, d.updated_at), d.reminders, d.reminded
    FROM agent_assignments d WHERE d.workspace_id = $1 AND d.ended_at IS NULL AND d.status = 'queued'
        AND d.overdue IS NOT NULL
    UNION ALL
    SELECT f.id, 'join', f.task_id, f.failed_id, NULL, 'too many of its parts ended without a result', f.results,
        '[\"delegate\", \"fan_out\", \"cancel\"]'::jsonb, NULL, f.owner, f.decided_at,
        0, NULL
    FROM fan_outs f JOIN tasks w ON w.id = f.task_id
    WHERE f.workspace_id = $1 AND f.outcome = 'impossible' AND w.status IN ('ready', 'backlog')
        AND NOT EXISTS (SELECT 1 FROM agent_assignments d WHERE d.task_id = f.task_id
            AND (d.ended_at IS NULL OR d.queued_offset > f.decided_offset))
        AND NOT EXISTS (SELECT 1 FROM fan_outs o WHERE o.task_id = f.task_id AND o.opened_at > f.decided_at)
)";

/// What is for somebody first.
const OWN: &str = "coalesce(n.owner, a.delegator) = $2 OR t.assignee IS NOT DISTINCT FROM $2
    OR EXISTS (SELECT 1 FROM teams g WHERE g.workspace_id = $1 AND t.assignee = 'team:' || g.id AND g.members ? $2)
    OR n.kind = 'review' AND a.review ? 'approvers' OR n.reminded ? $2";

/// Which rights let an agent decide an item on behalf of the person whose inbox it is in.
const RIGHT: &str = "JOIN LATERAL (
    SELECT r.id FROM decision_rights r
    WHERE r.workspace_id = $1 AND r.agent_id = $13 AND 'user:' || r.grantor = $2 AND r.expires_at > $14
        AND r.uses < r.uses_max AND r.subject IN ('task:' || t.id, 'project:' || t.project_id)
        AND r.decides ? CASE n.kind WHEN 'question' THEN 'question' WHEN 'approval' THEN 'approval'
            WHEN 'budget' THEN 'approval' WHEN 'review' THEN 'review' ELSE '' END
        AND (n.kind = 'review' OR r.cost_usd_max IS NULL OR CASE WHEN jsonb_typeof(n.details -> 'cost_usd') = 'number'
            THEN (n.details ->> 'cost_usd')::numeric <= r.cost_usd_max::numeric ELSE true END)
        AND (n.kind = 'review' OR r.risk_max IS NULL OR coalesce(n.details -> 'risk', 'null') = 'null'
            OR array_position(ARRAY['low', 'medium', 'high'], CASE WHEN n.details ->> 'risk' IN ('low', 'medium')
                THEN n.details ->> 'risk' ELSE 'high' END) <= array_position(ARRAY['low', 'medium', 'high'], r.risk_max))
        AND a.delegator <> 'agent:' || $13 AND a.agent_id IS DISTINCT FROM $13
        AND NOT EXISTS (SELECT 1 FROM agent_sessions s WHERE s.delegation_id = n.delegation_id AND s.agent_id = $13)
    ORDER BY r.id LIMIT 1
) may ON true";

/// What somebody may decide where.
#[derive(Debug)]
pub struct Decider {
    /// Who.
    pub who: Principal,
    /// Where they may delegate.
    pub delegate: Sight,
    /// Where they may review.
    pub review: Sight,
}

/// Returns a page of what a person may decide, oldest first; or of that, what an agent may decide on their behalf now.
pub async fn inbox(
    tenant: &Tenant,
    Decider { who, delegate, review }: &Decider,
    agent: Option<(AgentId, DateTime<Utc>, &Sight)>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<InboxItemView>, sqlx::Error> {
    let chain = "ARRAY[t.id, t.project_id]";
    let (right, behalf, join) = match agent {
        Some(_) => ("may.id", "$2", RIGHT),
        None => ("NULL::uuid", "NULL::text", ""),
    };
    let select = format!(
        "{ITEMS} SELECT n.*, t.identifier, t.title, t.priority, t.project_id, a.agent_id, a.delegator,
            {right} AS right_id, {behalf} AS on_behalf_of, coalesce({OWN}, false) AS mine"
    );
    let rest = format!(
        "FROM items n JOIN tasks t ON t.id = n.task_id JOIN agent_assignments a ON a.id = n.delegation_id {join}
         WHERE ($3::uuid IS NULL OR n.id > $3) AND ($13::uuid IS NULL OR $14::timestamptz IS NOT NULL)
             AND CASE WHEN n.kind = 'review' THEN {} ELSE {} END AND {}
         ORDER BY n.id LIMIT $4",
        Sight::condition(5, chain),
        Sight::condition(9, chain),
        Sight::condition(15, chain),
    );
    let (all, denied, role, granted) = review.parameters();
    let (all2, denied2, role2, granted2) = delegate.parameters();
    let (workspace, me) = (tenant.workspace().0, who.to_string());
    // An agent sees no more of it than it may see itself.
    let everything = Sight::all();
    let (all3, denied3, role3, granted3) = agent.map_or(&everything, |(_, _, own)| own).parameters();
    let (agent, now) = agent.map(|(agent, now, _)| (agent.0, now)).unzip();
    of!(
        tenant,
        InboxItemView,
        fetch_all,
        select,
        rest,
        workspace,
        me,
        after,
        limit,
        all,
        denied,
        role,
        granted,
        all2,
        denied2,
        role2,
        granted2,
        agent,
        now,
        all3,
        denied3,
        role3,
        granted3
    )
    .map(bare)
}

/// Returns the people on whose behalf an agent may decide something now, those first who let it first.
pub async fn grantors(
    tenant: &Tenant,
    agent: AgentId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<UserId>, sqlx::Error> {
    let sql = "SELECT r.grantor FROM decision_rights r
        WHERE r.workspace_id = $1 AND r.agent_id = $2 AND r.expires_at > $3 AND r.uses < r.uses_max
        GROUP BY r.grantor ORDER BY min(r.id::text) LIMIT $4";
    let query = sqlx::query_scalar(sql).bind(tenant.workspace().0).bind(agent.0).bind(now).bind(limit);
    let grantors: Vec<Uuid> = query.fetch_all(&mut *tenant.open().await?).await?;
    Ok(grantors.into_iter().map(UserId).collect())
}
