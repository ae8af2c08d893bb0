//! `auth`: API keys of people. A key does for its holder what they may, as far as its scopes go.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    known_keys::{self, Made, REMEMBERED},
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
pub(super) const SCOPES_MAX: usize = P::EVERY.len();

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
    matches!(scope, P::Public | P::Signed | P::LoggedIn | P::Enter)
}

pub(super) fn scopes(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = P::EVERY.iter().filter(|scope| !is_special(scope)).map(|scope| scope.name()).collect();
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
pub(super) struct KeyView {
    pub id: KeyId,
    name: String,
    /// Whom it is bound to.
    holder: Principal,
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
            holder: key.holder,
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
pub(super) struct NewKey {
    #[serde(flatten)]
    view: KeyView,
    /// Send as `Authorization: Bearer …`. It cannot be shown again, not even to a repeated request.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

async fn create(call: Call, input: Create) -> Result<NewKey, Problem> {
    if let Some(workspace) = input.workspace_id {
        let found = queries::access(call.pool(), Scope::Workspace, workspace.0, call.identity()?.viewer()).await?;
        found.ok_or_else(|| Problem::not_found("workspace"))?;
    }
    let holder = Principal::User(call.user()?);
    let wanted = Wanted { name: input.name, scopes: input.scopes.map(|scopes| scopes.0), expires_at: input.expires_at };
    let draft = draft(&call, holder, input.workspace_id, wanted)?;
    keep(&call, draft).await
}

/// What a new key shall be.
pub(super) struct Wanted {
    pub name: Title,
    pub scopes: Option<BTreeSet<P>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that is not kept yet.
pub(super) struct Draft {
    pub stored: ApiKey,
    pub name: Title,
    pub scopes: BTreeSet<P>,
    made: Made,
}

/// Makes a key for somebody.
pub(super) fn draft(
    call: &Call,
    holder: Principal,
    workspace: Option<WorkspaceId>,
    wanted: Wanted,
) -> Result<Draft, Problem> {
    let now = call.clock().now();
    let every = || P::EVERY.into_iter().filter(|scope| !is_special(scope)).collect();
    let scopes: BTreeSet<P> = wanted.scopes.unwrap_or_else(every);
    if scopes.iter().any(is_special) {
        return Err(Problem::field("scopes", "must be permissions in a workspace"));
    }
    let expires_at = wanted.expires_at.unwrap_or(now + LIFE);
    if expires_at <= now || expires_at > now + LIFE_MAX {
        return Err(Problem::field("expires_at", "must be in the future, and at most a year away"));
    }
    let made = known_keys::make(holder).ok_or_else(|| Problem::new(problem::INTERNAL, "no key could be made"))?;
    let stored = ApiKey {
        id: call.clock().id(),
        name: wanted.name.to_string(),
        prefix: made.prefix.clone(),
        holder,
        created_by: call.user()?,
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        workspace,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    Ok(Draft { stored, name: wanted.name, scopes, made })
}

/// Keeps a key's hash, and shows the key.
pub(super) async fn keep(call: &Call, draft: Draft) -> Result<NewKey, Problem> {
    let Draft { stored, made, .. } = draft;
    if !api_keys::add(call.pool(), &stored, &made.hash, KEYS_MAX).await? {
        return Err(Problem::new(problem::BUSY, format!("there are {KEYS_MAX} keys already: revoke one first")));
    }
    Ok(NewKey { view: stored.into(), key: Some(made.key) })
}

/// Takes a key back that nobody has seen.
pub(super) async fn forget(call: &Call, id: KeyId) -> Result<(), Problem> {
    Ok(api_keys::forget(call.pool(), id).await?)
}

/// Returns what an earlier request made, without the key.
pub(super) async fn made_before(call: &Call, holder: Principal, id: KeyId) -> Result<NewKey, Problem> {
    let keys = api_keys::of(call.pool(), holder, None, KEYS_MAX).await?;
    let known = keys.into_iter().find(|key| key.id == id);
    Ok(NewKey { view: known.ok_or_else(|| Problem::not_found("key"))?.into(), key: None })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListKeys {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: ListKeys) -> Result<Page<KeyView>, Problem> {
    listed(&call, Principal::User(call.user()?), input.limit, input.cursor).await
}

/// Returns a page of somebody's keys.
pub(super) async fn listed(
    call: &Call,
    holder: Principal,
    limit: Limit,
    cursor: Option<Uuid>,
) -> Result<Page<KeyView>, Problem> {
    let rows = limit.rows()?;
    let keys = api_keys::of(call.pool(), holder, cursor, rows + 1).await?;
    Ok(page(keys.into_iter().map(KeyView::from).collect(), rows, |key| key.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeKey {
    key_id: KeyId,
}

/// The key's id.
#[derive(Serialize, JsonSchema)]
pub(super) struct RevokedKey {
    pub id: KeyId,
}

async fn revoke(call: Call, input: RevokeKey) -> Result<RevokedKey, Problem> {
    end(&call, Principal::User(call.user()?), input.key_id).await
}

/// Ends a key of somebody's on every node.
pub(super) async fn end(call: &Call, holder: Principal, id: KeyId) -> Result<RevokedKey, Problem> {
    let now = call.clock().now();
    // Twice as long as any node remembers a key that it has looked up.
    let until = now + REMEMBERED * 2 + super::auth::CLOCKS_DIFFER;
    if !api_keys::revoke(call.pool(), holder, id, now, until).await? {
        return Err(Problem::not_found("key"));
    }
    call.services.revocations.add([Revoked { id: id.0, until }], now);
    Ok(RevokedKey { id })
}
