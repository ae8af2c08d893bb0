//! `auth`: API keys of people. A key does for its holder what they may, as far as its scopes go.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{KeyId, WorkspaceId},
        permission::Permission as P,
        principal::Principal,
        text::Title,
    },
    persistence::{
        api_keys::{self, ApiKey},
        queries::{self, Scope},
        revocations::Revoked,
    },
};

use super::{
    call::Call,
    inputs::Few,
    known_keys::{self, REMEMBERED},
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, Page, page},
};

/// How long a key lasts, unless it is said.
const LIFE: TimeDelta = TimeDelta::days(90);
/// How long a key lasts at most.
const LIFE_MAX: TimeDelta = TimeDelta::days(365);
/// Keys of one person that are good at the same time.
const KEYS_MAX: i64 = 100;
/// As many scopes as there are permissions.
const SCOPES_MAX: usize = P::EVERY.len();

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("auth.create_api_key", Method::Post, "/auth/api_keys", create)
            .needs(P::LoggedIn, None)
            .creates()
            .refuses(&[problem::NOT_FOUND, problem::BUSY])
            .doc("Makes an API key for the caller; the key itself is shown this once."),
        Operation::query("auth.list_api_keys", "/auth/api_keys", list)
            .needs(P::LoggedIn, None)
            .doc("Lists the caller's API keys, revoked ones too."),
        Operation::mutation("auth.revoke_api_key", Method::Delete, "/auth/api_keys/{key_id}", revoke)
            .needs(P::LoggedIn, None)
            .refuses(&[problem::NOT_FOUND])
            .doc("Ends an API key of the caller's at once."),
    ]
}

/// What a key may be good for: permissions in a workspace.
fn is_special(scope: &P) -> bool {
    matches!(scope, P::Public | P::Signed | P::LoggedIn)
}

fn scopes(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<String> = P::EVERY.iter().filter(|scope| !is_special(scope)).filter_map(name).collect();
    let items = json!({"type": "string", "enum": names});
    json_schema!({"type": ["array", "null"], "items": items, "maxItems": SCOPES_MAX, "uniqueItems": true})
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// What it is for.
    name: Title,
    /// What it is good for, of what the caller may: `read`, `converse`, `work`, `delegate` and so on. Absent: everything.
    #[serde(default)]
    #[schemars(schema_with = "scopes")]
    scopes: Option<Few<P, SCOPES_MAX>>,
    /// The only workspace that it is good for. Absent: all of the caller's.
    workspace_id: Option<WorkspaceId>,
    /// Absent: in 90 days. At most a year from now.
    expires_at: Option<DateTime<Utc>>,
}

/// An API key, without the key.
#[derive(Serialize, JsonSchema)]
struct KeyView {
    id: KeyId,
    name: String,
    /// How the key begins.
    prefix: String,
    scopes: Vec<String>,
    workspace_id: Option<WorkspaceId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            workspace_id: key.workspace,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A new API key.
#[derive(Serialize, JsonSchema)]
struct NewKey {
    #[serde(flatten)]
    view: KeyView,
    /// Send as `Authorization: Bearer …`. It cannot be shown again.
    key: String,
}

async fn create(call: Call, input: Create) -> Result<NewKey, Problem> {
    let (holder, now) = (call.user()?, call.clock().now());
    let every = || P::EVERY.into_iter().filter(|scope| !is_special(scope)).collect();
    let scopes: BTreeSet<P> = input.scopes.map_or_else(every, |scopes| scopes.0);
    if scopes.iter().any(is_special) {
        return Err(Problem::field("scopes", "must be permissions in a workspace"));
    }
    let expires_at = input.expires_at.unwrap_or(now + LIFE);
    if expires_at <= now || expires_at > now + LIFE_MAX {
        return Err(Problem::field("expires_at", "must be in the future, and at most a year away"));
    }
    if let Some(workspace) = input.workspace_id {
        let found = queries::access(call.pool(), Scope::Workspace, workspace.0, Principal::User(holder)).await?;
        found.ok_or_else(|| Problem::not_found("workspace"))?;
    }
    let made = known_keys::make().ok_or_else(|| Problem::new(problem::INTERNAL, "no key could be made"))?;
    let key = ApiKey {
        id: call.clock().id(),
        name: input.name.to_string(),
        prefix: made.prefix,
        holder,
        scopes: scopes.iter().filter_map(name).collect(),
        workspace: input.workspace_id,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    if !api_keys::add(call.pool(), &key, &made.hash, KEYS_MAX).await? {
        return Err(Problem::new(problem::BUSY, format!("there are {KEYS_MAX} keys already: revoke one first")));
    }
    Ok(NewKey { view: key.into(), key: made.key })
}

fn name(scope: &P) -> Option<String> {
    serde_json::to_value(scope).ok().as_ref().and_then(Value::as_str).map(str::to_owned)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListKeys {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: ListKeys) -> Result<Page<KeyView>, Problem> {
    let rows = input.limit.rows()?;
    let keys = api_keys::of(call.pool(), call.user()?, input.cursor, rows + 1).await?;
    Ok(page(keys.into_iter().map(KeyView::from).collect(), rows, |key| key.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeKey {
    key_id: KeyId,
}

/// The key's id.
#[derive(Serialize, JsonSchema)]
struct RevokedKey {
    id: KeyId,
}

async fn revoke(call: Call, input: RevokeKey) -> Result<RevokedKey, Problem> {
    let now = call.clock().now();
    // Twice as long as any node remembers a key that it has looked up.
    let until = now + REMEMBERED * 2 + super::auth::CLOCKS_DIFFER;
    if !api_keys::revoke(call.pool(), call.user()?, input.key_id, now, until).await? {
        return Err(Problem::not_found("key"));
    }
    call.services.revocations.add([Revoked { id: input.key_id.0, until }], now);
    Ok(RevokedKey { id: input.key_id })
}
