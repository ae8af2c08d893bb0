//! One call of one operation, from whichever door.

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;
use sqlx::PgPool;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    actors::request::{Key, Meta, Receipt},
    clock::Clock,
    domain::{
        access::{Rights, Verdict},
        ids::{Subject, UserId, WorkspaceId},
        model::Command,
        permission::Permission,
        principal::Principal,
    },
    persistence::{
        log,
        queries::{self, Access, Scope, Sight},
        tenant::Tenant,
    },
};

use super::{
    identity::{Caller, Credential, Identity, unauthenticated},
    inputs::make_whole,
    problem::{self, Problem},
    services::Services,
    table::{Kind, Operation, Table},
    tokens::sha256,
};

/// The longest idempotency key, in characters.
pub(super) const KEY_LENGTH_MAX: usize = 200;

/// All operations over one node. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    services: Arc<Services>,
    table: Arc<Table>,
}

/// A successful call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What was asked for.
    pub body: Value,
    /// The offset at which the change is readable, if there was one.
    pub offset: Option<u64>,
}

impl Api {
    /// Puts the table over a node.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, table: Arc::new(super::table()) }
    }

    /// Returns the operations.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Returns the node.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Calls an operation by name.
    pub async fn call(&self, name: &str, caller: Caller, input: Value) -> Result<Answer, Problem> {
        let Some(operation) = self.table.find(name) else {
            let mut problem = Problem::new(problem::NO_SUCH_OPERATION, "no operation has this name");
            problem.trace_id = caller.trace;
            return Err(problem);
        };
        let (begun, trace) = (std::time::Instant::now(), caller.trace.clone());
        let span = tracing::info_span!("api.operation", operation = operation.name, trace = %trace);
        let result = async {
            let _pass = self.services.limits.admit(operation, &caller, self.services.context().clock.now())?;
            self.run(operation, caller, input).await
        }
        .instrument(span)
        .await;
        let outcome = result.as_ref().map_or_else(|problem| problem.code.clone(), |_| "ok".to_owned());
        metrics::counter!("link_operations_total", "operation" => operation.name, "outcome" => outcome).increment(1);
        metrics::histogram!("link_operation_seconds", "operation" => operation.name).record(begun.elapsed());
        result.map_err(|mut problem| {
            problem.trace_id = trace;
            problem
        })
    }

    async fn run(&self, operation: &Operation, caller: Caller, mut input: Value) -> Result<Answer, Problem> {
        if input.is_null() {
            input = Value::Object(Default::default());
        }
        make_whole(&mut input);
        let Value::Object(fields) = &mut input else {
            return Err(Problem::new(problem::INVALID_INPUT, "the input must be an object"));
        };
        let key_in_body = if operation.takes_key_in_body() { fields.remove("key") } else { None };
        // A read has nothing to repeat: a key that comes with it says nothing.
        let key_of_door = caller.key.clone().filter(|_| operation.kind == Kind::Mutation);
        let key_in_body = match key_in_body {
            Some(Value::String(key)) => Some(key),
            None | Some(Value::Null) => None,
            Some(_) => return Err(Problem::field("key", "must be a string")),
        };
        let access = self.authorize(operation, caller.identity.as_ref(), &input).await?;
        // The door's wins, but what is wrong is wrong in the other one as well.
        [&key_of_door, &key_in_body].into_iter().flatten().try_for_each(|key| must_be_key(key))?;
        let key = key_of_door.or(key_in_body);
        let who = caller.identity.as_ref().map(|identity| identity.principal);
        let key = key.map(|key| scoped(key, who, operation, &input));
        let (offset, home) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let call = Call {
            services: self.services.clone(),
            identity: caller.identity,
            address: caller.address,
            access: access.clone(),
            key: key.clone(),
            trace: caller.trace,
            offset: offset.clone(),
            home: home.clone(),
        };
        if let (Some(key), Some(access)) = (&key, &access)
            && let Some(body) = heard_before(&self.services.context().tenant(access.workspace), key).await?
        {
            return Ok(Answer { status: operation.status, body, offset: None });
        }
        let body = (operation.run)(call, input).await?;
        if let (Some(key), Some(workspace)) = (&key, home.get().filter(|_| !operation.reveals)) {
            let pool = &self.services.context().pool;
            if let Err(error) = log::keep_response(pool, *workspace, &key.text, &body).await {
                tracing::warn!(%error, "answer not kept; a repeated call reads the current state instead");
            }
        }
        let offset = Some(offset.load(Ordering::Acquire)).filter(|offset| *offset > 0);
        Ok(Answer { status: operation.status, body, offset })
    }

    /// Finds the workspace and decides; who may not see the thing finds nothing.
    async fn authorize(
        &self,
        operation: &Operation,
        identity: Option<&Identity>,
        input: &Value,
    ) -> Result<Option<Arc<Access>>, Problem> {
        if operation.permission == Permission::Public {
            return Ok(None);
        }
        let identity = identity.ok_or_else(|| unauthenticated("a valid token is needed"))?;
        let by_login = operation.by_login || operation.permission == Permission::LoggedIn;
        if by_login && !matches!(identity.credential, Credential::Login(_)) {
            return Err(Problem::new(problem::FORBIDDEN, "only a person who has logged in can do this, no API key"));
        }
        let Some((scope, field)) = operation.scope else {
            let limited = identity.workspace.is_some() || !identity.scopes.contains(Permission::ManageMembers);
            if limited && operation.kind == Kind::Mutation {
                return Err(Problem::new(
                    problem::FORBIDDEN,
                    "the key is not good for what is outside of its workspaces",
                ));
            }
            return Ok(None);
        };
        let id = input.get(field).and_then(Value::as_str).and_then(|text| text.parse().ok());
        let id = id.ok_or_else(|| Problem::field(field, "must be a UUID"))?;
        let found = queries::access(&self.services.context().pool, scope, id, identity.viewer()).await?;
        let what = field.strip_suffix("_id").unwrap_or(field);
        let access = found.ok_or_else(|| Problem::not_found(what))?;
        permit(&access, operation.permission, what)?;
        Ok(Some(Arc::new(access)))
    }
}

/// Puts a decision into words.
fn permit(access: &Access, needed: Permission, what: &str) -> Result<(), Problem> {
    match access.decision().verdict(needed) {
        Verdict::Granted => Ok(()),
        Verdict::Hidden => Err(Problem::not_found(what)),
        Verdict::Forbidden => {
            let lacks = match access.viewer.scopes.contains(needed) {
                true => "neither your role nor a grant gives you",
                false => "the credential is not good for",
            };
            Err(Problem::new(problem::FORBIDDEN, format!("this needs a permission that {lacks}: {}", needed.name())))
        }
    }
}

/// Returns what this request was answered when it came before.
async fn heard_before(tenant: &Tenant, key: &Key) -> Result<Option<Value>, Problem> {
    let Some(memory) = tenant.recall(&key.text).await? else { return Ok(None) };
    if memory.request_hash != key.request_hash {
        return Err(Problem::new(problem::KEY_REUSED, "this key came with another request before"));
    }
    Ok(memory.response)
}

fn must_be_key(key: &str) -> Result<(), Problem> {
    if key.is_empty() || key.chars().count() > KEY_LENGTH_MAX || key.contains('\0') {
        return Err(Problem::field("key", format!("must be 1 to {KEY_LENGTH_MAX} characters")));
    }
    Ok(())
}

fn scoped(key: String, who: Option<Principal>, operation: &Operation, input: &Value) -> Key {
    let whose = who.map(|who| who.to_string()).unwrap_or_default();
    // Objects of `serde_json` are sorted, so the same request has the same text.
    let request_hash = sha256(format!("{} {input}", operation.name).as_bytes());
    Key { text: format!("{whose}:{key}"), request_hash }
}

/// What an operation's function works with.
#[derive(Clone)]
pub struct Call {
    /// The node.
    pub services: Arc<Services>,
    identity: Option<Identity>,
    /// Where the request comes from, as far as that is known.
    pub address: Option<IpAddr>,
    access: Option<Arc<Access>>,
    key: Option<Key>,
    /// Ties events, logs and calls together.
    pub trace: String,
    offset: Arc<AtomicU64>,
    /// The workspace that something was committed in: it remembers the answer.
    home: Arc<OnceLock<WorkspaceId>>,
}

impl Call {
    /// Returns the database, for what belongs to no single workspace.
    pub fn pool(&self) -> &PgPool {
        &self.services.context().pool
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.services.context().clock
    }

    /// Returns who calls, with what they showed.
    pub fn identity(&self) -> Result<&Identity, Problem> {
        self.identity.as_ref().ok_or_else(|| unauthenticated("a valid token is needed"))
    }

    /// Returns who calls.
    pub fn principal(&self) -> Result<Principal, Problem> {
        Ok(self.identity()?.principal)
    }

    /// Returns the person who calls; agents and services are refused.
    pub fn user(&self) -> Result<UserId, Problem> {
        let person = self.identity()?.user();
        person.ok_or_else(|| Problem::new(problem::FORBIDDEN, "only a person can do this"))
    }

    /// Returns the workspace that the call is about.
    pub fn workspace(&self) -> Result<WorkspaceId, Problem> {
        Ok(self.access()?.workspace)
    }

    fn access(&self) -> Result<&Access, Problem> {
        let found = self.access.as_deref();
        found.ok_or_else(|| Problem::new(problem::INTERNAL, "the operation is declared without a scope"))
    }

    /// Returns the reads of the call's workspace; rows of others are not there.
    pub fn tenant(&self) -> Result<Tenant, Problem> {
        Ok(self.tenant_of(self.workspace()?))
    }

    /// Returns the reads of a workspace that the operation itself knows the caller to be in.
    pub fn tenant_of(&self, workspace: WorkspaceId) -> Tenant {
        self.services.context().tenant(workspace)
    }

    /// Tells whether the caller has a permission besides the one that the operation needs, at the same place.
    pub fn may(&self, permission: Permission) -> Result<bool, Problem> {
        Ok(self.access()?.decision().may.contains(permission))
    }

    /// Returns which things of the workspace a list may show.
    pub async fn sight(&self) -> Result<Sight, Problem> {
        match self.access()?.partial {
            false => Ok(Sight::all()),
            true => Ok(Sight::of(&self.rights().await?)),
        }
    }

    /// Returns with which things of the workspace the caller may do each of these.
    pub async fn sights<const N: usize>(&self, permissions: [Permission; N]) -> Result<[Sight; N], Problem> {
        let rights = self.rights().await?;
        Ok(permissions.map(|permission| Sight::to(&rights, permission)))
    }

    /// Returns what the caller may do in the workspace, as it is now. What was read before this shows nothing that was
    /// committed after they lost the right to see it.
    pub async fn rights(&self) -> Result<Rights, Problem> {
        let Access { workspace, viewer, .. } = self.access()?;
        let rights = queries::rights(self.pool(), *workspace, *viewer).await?;
        rights.ok_or_else(|| Problem::not_found("workspace"))
    }

    /// Refuses what the caller may not do with another thing that the input names. Whether it exists is the domain's
    /// question, except for those from whom something may be hidden.
    pub async fn must_reach(&self, scope: Scope, id: Uuid, needed: Permission, what: &str) -> Result<(), Problem> {
        let Access { workspace, viewer, partial, .. } = self.access()?;
        if !partial {
            return Ok(());
        }
        let found = queries::access(self.pool(), scope, id, *viewer).await?;
        let found = found.filter(|found| found.workspace == *workspace);
        permit(&found.ok_or_else(|| Problem::not_found(what))?, needed, what)
    }

    /// Makes the id of a new workspace. With a key it follows from the key, so that the same request finds the same
    /// workspace: there is no other log yet that could remember it.
    pub fn new_workspace(&self) -> WorkspaceId {
        let Some(key) = &self.key else { return self.clock().id() };
        let hash = sha256(format!("workspace {}", key.text).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        WorkspaceId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns what this request was answered when it came before, where only the operation knows the workspace.
    pub async fn heard_before(&self, workspace: WorkspaceId) -> Result<Option<Value>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        heard_before(&self.tenant_of(workspace), key).await
    }

    /// Has a command decided and committed, in the call's own workspace.
    pub async fn execute(&self, subject: Subject, command: Command) -> Result<Receipt, Problem> {
        self.execute_in(self.workspace()?, subject, command).await
    }

    /// Has a command decided and committed that makes something inside its entity; returns the id of what was made,
    /// which is another one when the same request made it before.
    pub async fn execute_making(&self, subject: Subject, command: Command, made: Uuid) -> Result<Uuid, Problem> {
        let receipt = self.commit(self.workspace()?, subject, command, Some(made)).await?;
        Ok(receipt.made.unwrap_or(made))
    }

    /// Has a command decided and committed.
    pub async fn execute_in(
        &self,
        workspace: WorkspaceId,
        subject: Subject,
        command: Command,
    ) -> Result<Receipt, Problem> {
        self.commit(workspace, subject, command, None).await
    }

    async fn commit(
        &self,
        workspace: WorkspaceId,
        subject: Subject,
        command: Command,
        made: Option<Uuid>,
    ) -> Result<Receipt, Problem> {
        let meta = self.meta(made)?;
        let handle = self.services.directory.workspace(workspace).await?;
        let receipt = handle.execute(subject, command, meta).await?;
        self.note(workspace, &receipt);
        Ok(receipt)
    }

    /// Returns who asks for a command, when, under which key.
    pub(super) fn meta(&self, made: Option<Uuid>) -> Result<Meta, Problem> {
        Ok(Meta {
            by: self.principal()?,
            on_behalf_of: None,
            now: self.clock().now(),
            key: self.key.clone(),
            trace: self.trace.clone(),
            cause: None,
            made,
        })
    }

    /// Notes where a command took effect: the answer says it, and is kept for the same request.
    pub(super) fn note(&self, workspace: WorkspaceId, receipt: &Receipt) {
        self.offset.fetch_max(receipt.offset, Ordering::AcqRel);
        self.home.get_or_init(|| workspace);
    }
}
