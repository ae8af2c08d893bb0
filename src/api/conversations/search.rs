//! Messages by their words.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        ids::{ConversationId, WorkspaceId},
        permission::Permission as P,
        principal::Principal,
        text::Text,
    },
    persistence::{
        talks::search::{self, Search},
        views::FoundView,
    },
};

use super::{
    super::{
        call::Call,
        problem::Problem,
        table::Operation,
        workspaces::{Limit, Page, page},
    },
    IN_WORKSPACE,
};

pub(super) fn operations() -> Vec<Operation> {
    let path = "/workspaces/{workspace_id}/messages/search";
    vec![
        Operation::query("conversations.search", path, find)
            .needs(P::Enter, IN_WORKSPACE)
            .doc("Finds messages by words among all that the caller may see, the best first."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchIn {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// Words, "phrases", -without.
    q: Text<1, 200>,
    /// Only in this conversation, with what a branch shares.
    conversation_id: Option<ConversationId>,
    /// Only theirs.
    author: Option<Principal>,
    /// Only messages after this time.
    after: Option<DateTime<Utc>>,
    /// Only messages before this time.
    before: Option<DateTime<Utc>>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn find(call: Call, input: SearchIn) -> Result<Page<FoundView>, Problem> {
    let rows = input.limit.rows()?;
    let SearchIn { q, conversation_id: conversation, author, after, before, cursor, .. } = input;
    let wanted = Search { words: &q, conversation, author, after, before, cursor };
    let (tenant, me, sight) = (call.tenant()?, call.principal()?, call.sight().await?);
    let found = search::search(call.pool(), &tenant, me, &sight, &wanted, rows + 1).await?;
    Ok(page(found, rows, |found| found.message.id.0))
}
