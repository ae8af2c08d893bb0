//! `workspaces`, continued: what waits for somebody's decision.

use uuid::Uuid;

use crate::{
    domain::{
        access::Viewer, ids::AgentId, permission::Permission as P, permission::Permissions, principal::Principal,
    },
    persistence::{
        queries::{self, Decider, Scope, Sight},
        views::InboxItemView,
    },
};

use super::{
    call::Call,
    problem::Problem,
    table::Operation,
    workspaces::{ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");
/// On behalf of so many people an agent sees what it may decide, those first who let it first.
const GRANTORS_MAX: i64 = 20;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::query("workspaces.inbox", "/workspaces/{workspace_id}/inbox", inbox)
            .needs(P::Enter, SCOPE)
            .doc("Lists what waits for a decision that the caller may make: questions, reviews, escalations."),
    ]
}

async fn inbox(call: Call, input: ListIn) -> Result<Page<InboxItemView>, Problem> {
    let rows = input.limit.rows()?;
    let items = match call.principal()? {
        Principal::Agent(agent) => of_agent(&call, agent, input.cursor, rows + 1).await?,
        who @ Principal::User(_) => {
            let [delegate, review] = call.sights([P::Delegate, P::Review]).await?;
            queries::inbox(&call.tenant()?, &Decider { who, delegate, review }, None, input.cursor, rows + 1).await?
        }
        // Nobody lets these decide anything.
        Principal::Team(_) | Principal::Service(_) => vec![],
    };
    Ok(page(items, rows, |row| row.id))
}

/// What people let an agent decide, of what they may decide themselves now; where the agent may call for it at all.
async fn of_agent(call: &Call, agent: AgentId, after: Option<Uuid>, limit: i64) -> Result<Vec<InboxItemView>, Problem> {
    let (tenant, now) = (call.tenant()?, call.clock().now());
    // What it decides it needs this for itself, where it is.
    let [own] = call.sights([P::Delegate]).await?;
    let mut items: Vec<InboxItemView> = vec![];
    for grantor in queries::grantors(&tenant, agent, now, GRANTORS_MAX).await? {
        let who = Principal::User(grantor);
        let viewer = Viewer { principal: who, scopes: Permissions::ALL, workspace: None };
        let Some(rights) = queries::rights(call.pool(), tenant.workspace(), viewer).await? else { continue };
        let [delegate, review] = [P::Delegate, P::Review].map(|permission| Sight::to(&rights, permission));
        let decider = Decider { who, delegate, review };
        items.extend(queries::inbox(&tenant, &decider, Some((agent, now, &own)), after, limit).await?);
    }
    // What several let it decide is there once.
    items.sort_by_key(|item| item.id);
    items.dedup_by_key(|item| item.id);
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(items)
}
