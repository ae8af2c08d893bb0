//! `workspaces` and `agents`, continued: services as members, and the API keys of services and agents. Such a key acts as
//! its holder, in its holder's workspace only.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{AgentId, KeyId, ServiceId, Subject, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::{Principal, Service},
        text::{Label, Title},
        workspace::{Issued, MemberRole, ServiceCommand, WorkspaceCommand},
    },
    persistence::queries::{self, Listed, Scope},
};

use super::{
    access::must_be_good_for_role,
    api_keys::{self, KeyView, NewKey, RevokedKey, SCOPES_MAX, Wanted, scopes},
    call::Call,
    inputs::Few,
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");
const OF_AGENT: (Scope, &str) = (Scope::Agent, "agent_id");

pub(super) fn operations() -> Vec<Operation> {
    let services = "/workspaces/{workspace_id}/services";
    let service = "/workspaces/{workspace_id}/services/{service_id}";
    let keys = "/workspaces/{workspace_id}/services/{service_id}/keys";
    let key = "/workspaces/{workspace_id}/services/{service_id}/keys/{key_id}";
    vec![
        Operation::mutation("workspaces.add_service", Method::Post, services, add)
            .needs(P::ManageIntegrations, SCOPE)
            .by_login()
            .creates()
            .doc("Lets a program in as a member, with a role that the caller could have."),
        Operation::query("workspaces.list_services", services, list)
            .needs(P::Read, SCOPE)
            .doc("Lists the programs that are members."),
        Operation::mutation("workspaces.remove_service", Method::Delete, service, remove)
            .needs(P::ManageIntegrations, SCOPE)
            .by_login()
            .doc("Takes a program out; its keys end at once."),
        Operation::mutation("workspaces.create_service_key", Method::Post, keys, create_service_key)
            .needs(P::ManageIntegrations, SCOPE)
            .by_login()
            .creates()
            .reveals()
            .doc("Makes an API key for a program; the key itself is shown this once."),
        Operation::query("workspaces.list_service_keys", keys, list_service_keys)
            .needs(P::ManageIntegrations, SCOPE)
            .doc("Lists a program's API keys, revoked ones too."),
        Operation::mutation("workspaces.revoke_service_key", Method::Delete, key, revoke_service_key)
            .needs(P::ManageIntegrations, SCOPE)
            .by_login()
            .doc("Ends an API key of a program at once."),
        Operation::mutation("agents.create_key", Method::Post, "/agents/{agent_id}/keys", create_agent_key)
            .needs(P::ManageAgents, OF_AGENT)
            .by_login()
            .creates()
            .reveals()
            .doc("Makes an API key that is bound to an agent; the key itself is shown this once."),
        Operation::query("agents.list_keys", "/agents/{agent_id}/keys", list_agent_keys)
            .needs(P::ManageAgents, OF_AGENT)
            .doc("Lists an agent's API keys, revoked ones too."),
        Operation::mutation("agents.revoke_key", Method::Delete, "/agents/{agent_id}/keys/{key_id}", revoke_agent_key)
            .needs(P::ManageAgents, OF_AGENT)
            .by_login()
            .doc("Ends an API key of an agent at once."),
    ]
}

async fn tell(call: &Call, command: ServiceCommand) -> Result<(), Problem> {
    let subject = Subject::Workspace(call.workspace()?);
    call.execute(subject, Command::Workspace(WorkspaceCommand::Services(command))).await?;
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    workspace_id: WorkspaceId,
    /// What others see; one service each.
    name: Label,
    /// A built-in role, or the id of one of the workspace's own.
    role: MemberRole,
}

/// A program that is a member.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ServiceView {
    id: ServiceId,
    name: String,
    /// A built-in role, or the id of one of the workspace's own.
    role: MemberRole,
    added_at: DateTime<Utc>,
}

async fn add(call: Call, input: Add) -> Result<ServiceView, Problem> {
    must_be_good_for_role(&call, input.role).await?;
    let service: ServiceId = call.clock().id();
    let command = ServiceCommand::Add { service, name: input.name, role: input.role };
    let command = Command::Workspace(WorkspaceCommand::Services(command));
    let made = call.execute_making(Subject::Workspace(input.workspace_id), command, service.0).await?;
    queries::get(&call.tenant()?, Listed::Services, made).await?.ok_or_else(|| Problem::not_found("service"))
}

async fn list(call: Call, input: ListIn) -> Result<Page<ServiceView>, Problem> {
    let rows = input.limit.rows()?;
    let items: Vec<ServiceView> =
        queries::list(&call.tenant()?, Listed::Services, &call.sight().await?, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    service_id: ServiceId,
}

/// Which program is no longer a member.
#[derive(Serialize, JsonSchema)]
struct Removed {
    service_id: ServiceId,
}

async fn remove(call: Call, input: Named) -> Result<Removed, Problem> {
    let holder = Principal::Service(Service::Account(input.service_id));
    let known: Option<ServiceView> = queries::get(&call.tenant()?, Listed::Services, input.service_id.0).await?;
    if let Some(known) = known {
        must_be_good_for_role(&call, known.role).await?;
    }
    tell(&call, ServiceCommand::Remove(input.service_id)).await?;
    // A key whose holder is gone has no rights any more; this ends the sockets that it opened.
    let keys = api_keys::listed(&call, holder, Limit(Some(200)), None).await?;
    for key in keys.items {
        api_keys::end(&call, holder, key.id).await?;
    }
    Ok(Removed { service_id: input.service_id })
}

async fn issue(call: &Call, holder: Principal, wanted: Wanted) -> Result<NewKey, Problem> {
    let workspace = call.workspace()?;
    let draft = api_keys::draft(call, holder, Some(workspace), wanted)?;
    let issued = Issued {
        key: draft.stored.id,
        holder,
        name: draft.name.clone(),
        prefix: draft.stored.prefix.clone(),
        scopes: draft.scopes.clone(),
        expires_at: draft.stored.expires_at,
    };
    // Kept first: a repeated request must find what the first one made. Nobody has seen the key until it is noted.
    let (id, new) = (draft.stored.id, api_keys::keep(call, draft).await?);
    let command = Command::Workspace(WorkspaceCommand::Services(ServiceCommand::IssueKey(issued)));
    let made = call.execute_making(Subject::Workspace(workspace), command, id.0).await;
    if made.as_ref().is_ok_and(|made| *made == id.0) {
        return Ok(new);
    }
    api_keys::forget(call, id).await?;
    api_keys::made_before(call, holder, KeyId(made?)).await
}

async fn end(call: &Call, holder: Principal, key: KeyId) -> Result<RevokedKey, Problem> {
    // Ended first: what the log says must be true already.
    let revoked = api_keys::end(call, holder, key).await?;
    match tell(call, ServiceCommand::RevokeKey(key)).await {
        // It was noted before.
        Err(problem) if problem.code == problem::NOT_FOUND.name => Ok(revoked),
        told => told.map(|()| revoked),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateServiceKey {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    service_id: ServiceId,
    /// What it is for.
    name: Title,
    /// What it is good for, of what the service may. Absent: everything.
    #[serde(default)]
    #[schemars(schema_with = "scopes")]
    scopes: Option<Few<P, SCOPES_MAX>>,
    /// Absent: in 90 days. At most a year from now.
    expires_at: Option<DateTime<Utc>>,
}

async fn create_service_key(call: Call, input: CreateServiceKey) -> Result<NewKey, Problem> {
    let holder = Principal::Service(Service::Account(input.service_id));
    issue(
        &call,
        holder,
        Wanted { name: input.name, scopes: input.scopes.map(|scopes| scopes.0), expires_at: input.expires_at },
    )
    .await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListServiceKeys {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    service_id: ServiceId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list_service_keys(call: Call, input: ListServiceKeys) -> Result<Page<KeyView>, Problem> {
    let known: Option<ServiceView> = queries::get(&call.tenant()?, Listed::Services, input.service_id.0).await?;
    known.ok_or_else(|| Problem::not_found("service"))?;
    let holder = Principal::Service(Service::Account(input.service_id));
    api_keys::listed(&call, holder, input.limit, input.cursor).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeServiceKey {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    service_id: ServiceId,
    key_id: KeyId,
}

async fn revoke_service_key(call: Call, input: RevokeServiceKey) -> Result<RevokedKey, Problem> {
    let known: Option<ServiceView> = queries::get(&call.tenant()?, Listed::Services, input.service_id.0).await?;
    known.ok_or_else(|| Problem::not_found("service"))?;
    end(&call, Principal::Service(Service::Account(input.service_id)), input.key_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateAgentKey {
    agent_id: AgentId,
    /// What it is for.
    name: Title,
    /// What it is good for, of what the agent may. Absent: everything.
    #[serde(default)]
    #[schemars(schema_with = "scopes")]
    scopes: Option<Few<P, SCOPES_MAX>>,
    /// Absent: in 90 days. At most a year from now.
    expires_at: Option<DateTime<Utc>>,
}

async fn create_agent_key(call: Call, input: CreateAgentKey) -> Result<NewKey, Problem> {
    let wanted = Wanted { name: input.name, scopes: input.scopes.map(|scopes| scopes.0), expires_at: input.expires_at };
    issue(&call, Principal::Agent(input.agent_id), wanted).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListAgentKeys {
    agent_id: AgentId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list_agent_keys(call: Call, input: ListAgentKeys) -> Result<Page<KeyView>, Problem> {
    api_keys::listed(&call, Principal::Agent(input.agent_id), input.limit, input.cursor).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeAgentKey {
    agent_id: AgentId,
    key_id: KeyId,
}

async fn revoke_agent_key(call: Call, input: RevokeAgentKey) -> Result<RevokedKey, Problem> {
    end(&call, Principal::Agent(input.agent_id), input.key_id).await
}
