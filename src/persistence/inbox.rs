//! What waits for a person's decision, across the tasks of a workspace: questions, reviews, escalations.

use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use crate::domain::principal::Principal;

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
    SELECT d.id, 'review_stuck', d.task_id, d.id, d.attempt_id,
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

/// Returns a page of what somebody may decide, oldest first.
pub async fn inbox(
    tenant: &Tenant,
    who: Principal,
    delegate: &Sight,
    review: &Sight,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<InboxItemView>, sqlx::Error> {
    // Agents and services decide nothing.
    if who.user().is_none() {
        return Ok(vec![]);
    }
    let chain = "ARRAY[t.id, t.project_id]";
    let select = format!(
        "{ITEMS} SELECT n.*, t.identifier, t.title, t.priority, t.project_id, a.agent_id, a.delegator,
            (coalesce(n.owner, a.delegator) = $2 OR t.assignee IS NOT DISTINCT FROM $2
                OR EXISTS (SELECT 1 FROM teams g WHERE g.workspace_id = $1 AND t.assignee = 'team:' || g.id AND g.members ? $2)
                OR n.kind = 'review' AND a.review ? 'approvers' OR n.reminded ? $2) AS mine"
    );
    let rest = format!(
        "FROM items n JOIN tasks t ON t.id = n.task_id JOIN agent_assignments a ON a.id = n.delegation_id
         WHERE ($3::uuid IS NULL OR n.id > $3)
             AND CASE WHEN n.kind = 'review' THEN {} ELSE {} END
         ORDER BY n.id LIMIT $4",
        Sight::condition(5, chain),
        Sight::condition(9, chain),
    );
    let (all, denied, role, granted) = review.parameters();
    let (all2, denied2, role2, granted2) = delegate.parameters();
    let (workspace, me) = (tenant.workspace().0, who.to_string());
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
        granted2
    )
    .map(bare)
}
