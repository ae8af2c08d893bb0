//! `presence`: who is here and who is writing, beside the log.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    actors::presence::{self, Seen},
    domain::{
        ids::{Subject, WorkspaceId},
        permission::Permission as P,
        presence::Presence as Status,
        principal::Principal,
        text::Text,
    },
    persistence::queries::Scope,
};

use super::{
    call::Call,
    problem::Problem,
    signals::{self, TYPING},
    table::{Method, Operation},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("presence.set", Method::Post, "/workspaces/{workspace_id}/presence", set)
            .needs(P::Converse, SCOPE)
            .doc("Says how the caller is, for a minute; a socket says it for as long as it is open."),
        Operation::query("presence.list", "/workspaces/{workspace_id}/presence", list)
            .needs(P::Read, SCOPE)
            .doc("Lists how every member and every agent is now, and since when."),
        Operation::mutation("presence.typing", Method::Post, "/workspaces/{workspace_id}/typing", typing)
            .needs(P::Enter, SCOPE)
            .doc("Tells those who may see a topic that the caller is writing there, or no longer."),
    ]
}

/// How someone is.
#[derive(Serialize, JsonSchema)]
struct PresenceView {
    /// Who: a member or an agent.
    who: Principal,
    /// How.
    status: Status,
    /// In their own words.
    text: Option<String>,
    /// Since when; unknown for who was not here lately.
    since: Option<DateTime<Utc>>,
}

impl From<Seen> for PresenceView {
    fn from(Seen { who, status, text, since }: Seen) -> Self {
        Self { who, status, text, since }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    workspace_id: WorkspaceId,
    status: Status,
    /// In your own words.
    text: Option<Text<1, 200>>,
}

async fn set(call: Call, input: Set) -> Result<PresenceView, Problem> {
    let who = (input.workspace_id, call.principal()?);
    let word = (input.status, input.text.map(String::from));
    Ok(presence::set(call.services.context(), who, None, word).into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    workspace_id: WorkspaceId,
}

/// How everyone is.
#[derive(Serialize, JsonSchema)]
struct Everyone {
    /// Members first, then agents; at most 1,000 of each.
    items: Vec<PresenceView>,
}

async fn list(call: Call, input: List) -> Result<Everyone, Problem> {
    let everyone = presence::everyone(call.services.context(), input.workspace_id).await?;
    Ok(Everyone { items: everyone.into_iter().map(PresenceView::from).collect() })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Typing {
    workspace_id: WorkspaceId,
    /// Where: `conversation:ID`, `task:ID` and the like.
    topic: Subject,
    /// Writing, or no longer.
    on: bool,
}

/// What was told.
#[derive(Serialize, JsonSchema)]
struct Told {
    topic: Subject,
    on: bool,
}

async fn typing(call: Call, input: Typing) -> Result<Told, Problem> {
    let Typing { workspace_id, topic, on } = input;
    let told = signals::tell(&call.services, call.identity()?, workspace_id, topic, TYPING, json!({"on": on})).await?;
    if !told {
        return Err(Problem::not_found("topic"));
    }
    Ok(Told { topic, on })
}
