//! What agents may decide on somebody's behalf.

use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use crate::domain::{ids::RightId, principal::Principal};

use super::{
    queries::{bare, of, view},
    tenant::Tenant,
    views::RightView,
};

const SELECT: &str = "SELECT t.* FROM decision_rights t";

/// Returns one of them.
pub async fn right(tenant: &Tenant, id: RightId) -> Result<Option<RightView>, sqlx::Error> {
    let rest = "WHERE t.workspace_id = $1 AND t.id = $2";
    let row = of!(tenant, RightView, fetch_optional, SELECT, rest, tenant.workspace().0, id.0)?;
    Ok(row.map(|Json(row)| row))
}

/// Returns a page of them: all, or those that concern one principal.
pub async fn rights(
    tenant: &Tenant,
    of: Option<Principal>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<RightView>, sqlx::Error> {
    let rest =
        "WHERE t.workspace_id = $1 AND ($2::text IS NULL OR 'user:' || t.grantor = $2 OR 'agent:' || t.agent_id = $2)
        AND ($3::uuid IS NULL OR t.id > $3) ORDER BY t.id LIMIT $4";
    let (workspace, who) = (tenant.workspace().0, of.map(|who| who.to_string()));
    of!(tenant, RightView, fetch_all, SELECT, rest, workspace, who, after, limit).map(bare)
}
