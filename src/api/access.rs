//! `workspaces`, continued: roles of a workspace's own, grants on single things, and why somebody may what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        access::{Effect, Grant, Reason, Viewer, explain},
        ids::{GrantId, RoleId, Subject, WorkspaceId},
        model::Command,
        permission::{Permission as P, Permissions},
        principal::Principal,
        text::Label,
        workspace::{AccessCommand, MemberRole, WorkspaceCommand},
    },
    persistence::{
        queries::{self, Listed, Scope, Sight},
        views::{GrantView, RoleView},
    },
};

use super::{
    call::Call,
    inputs::{InRole, OnThing, Somebody, Thing},
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    let role = "/workspaces/{workspace_id}/roles/{role_id}";
    vec![
        Operation::mutation("workspaces.create_role", Method::Post, "/workspaces/{workspace_id}/roles", create_role)
            .needs(P::ManageAccess, SCOPE)
            .creates()
            .doc("Makes a role of permissions that the caller has."),
        Operation::query("workspaces.list_roles", "/workspaces/{workspace_id}/roles", list_roles)
            .needs(P::Read, SCOPE)
            .doc("Lists the roles that the workspace made; owner, admin, member and guest are built in."),
        Operation::mutation("workspaces.update_role", Method::Patch, role, update_role)
            .needs(P::ManageAccess, SCOPE)
            .doc("Changes a role, for everyone who has it, at once."),
        Operation::mutation("workspaces.delete_role", Method::Delete, role, delete_role)
            .needs(P::ManageAccess, SCOPE)
            .doc("Takes a role away that no member has."),
        Operation::mutation("workspaces.grant", Method::Post, "/workspaces/{workspace_id}/grants", grant)
            .needs(P::ManageAccess, SCOPE)
            .creates()
            .doc("Allows or denies somebody something with a project, a task or a conversation and all below; deny wins."),
        Operation::query("workspaces.list_grants", "/workspaces/{workspace_id}/grants", list_grants)
            .needs(P::ManageAccess, SCOPE)
            .doc("Lists the grants, of all or of one principal or thing."),
        Operation::mutation(
            "workspaces.revoke_grant",
            Method::Delete,
            "/workspaces/{workspace_id}/grants/{grant_id}",
            revoke_grant,
        )
        .needs(P::ManageAccess, SCOPE)
        .doc("Takes a grant away; what it allowed or denied ends with it."),
        Operation::query("workspaces.explain_access", "/workspaces/{workspace_id}/access", explain_access)
            .needs(P::Enter, SCOPE)
            .doc("Says what somebody may do with a thing, and why; about others only to who manages access."),
    ]
}

/// Through a credential nobody gives away, or takes, what it is not good for itself. What its holder may give is the
/// domain's question.
pub(super) fn must_be_good_for(call: &Call, permissions: Permissions) -> Result<(), Problem> {
    let scopes = call.identity()?.viewer().scopes;
    match scopes.includes(permissions.without(Permissions::from(P::Enter))) {
        true => Ok(()),
        false => {
            Err(Problem::new(problem::FORBIDDEN, "the key is not good for everything that this would give or take")
                .then(&["Log in, or use a key with these permissions among its scopes"]))
        }
    }
}

/// The same for what a role holds. A role that does not exist is the domain's question.
pub(super) async fn must_be_good_for_role(call: &Call, role: MemberRole) -> Result<(), Problem> {
    match role {
        MemberRole::Built(role) => must_be_good_for(call, role.permissions()),
        MemberRole::Custom(id) => {
            let known: Option<RoleView> = queries::get(&call.tenant()?, Listed::Roles, id.0).await?;
            known.map_or(Ok(()), |role| must_be_good_for(call, role.permissions))
        }
    }
}

async fn change(call: &Call, command: AccessCommand, made: Option<Uuid>) -> Result<Uuid, Problem> {
    let subject = Subject::Workspace(call.workspace()?);
    let command = Command::Workspace(WorkspaceCommand::Access(command));
    match made {
        Some(made) => call.execute_making(subject, command, made).await,
        None => call.execute(subject, command).await.map(|_| Uuid::nil()),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRole {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    name: Label,
    permissions: InRole,
}

async fn create_role(call: Call, input: CreateRole) -> Result<RoleView, Problem> {
    must_be_good_for(&call, input.permissions.0)?;
    let role: RoleId = call.clock().id();
    let command = AccessCommand::CreateRole { role, name: input.name, permissions: input.permissions.0 };
    let made = change(&call, command, Some(role.0)).await?;
    role_of(&call, made.into()).await
}

async fn role_of(call: &Call, id: RoleId) -> Result<RoleView, Problem> {
    queries::get(&call.tenant()?, Listed::Roles, id.0).await?.ok_or_else(|| Problem::not_found("role"))
}

async fn list_roles(call: Call, input: ListIn) -> Result<Page<RoleView>, Problem> {
    let rows = input.limit.rows()?;
    let items: Vec<RoleView> =
        queries::list(&call.tenant()?, Listed::Roles, &Sight::all(), input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateRole {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    role_id: RoleId,
    name: Option<Label>,
    permissions: Option<InRole>,
}

async fn update_role(call: Call, input: UpdateRole) -> Result<RoleView, Problem> {
    let UpdateRole { role_id: role, name, permissions, .. } = input;
    let permissions = permissions.map(|chosen| chosen.0);
    must_be_good_for_role(&call, MemberRole::Custom(role)).await?;
    must_be_good_for(&call, permissions.unwrap_or_default())?;
    change(&call, AccessCommand::UpdateRole { role, name, permissions }, None).await?;
    role_of(&call, role).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedRole {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    role_id: RoleId,
}

/// Which role is gone.
#[derive(Serialize, JsonSchema)]
struct RoleDeleted {
    role_id: RoleId,
}

async fn delete_role(call: Call, input: NamedRole) -> Result<RoleDeleted, Problem> {
    must_be_good_for_role(&call, MemberRole::Custom(input.role_id)).await?;
    change(&call, AccessCommand::DeleteRole(input.role_id), None).await?;
    Ok(RoleDeleted { role_id: input.role_id })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetGrant {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// `project:ID`, `task:ID` or `conversation:ID`.
    subject: Thing,
    /// `user:ID`, `agent:ID`, `service:ID` or `team:ID`; a team means its members.
    principal: Somebody,
    effect: Effect,
    /// At least one of read, converse, work, delegate and review. Without read nothing else is left.
    permissions: OnThing,
}

async fn grant(call: Call, input: SetGrant) -> Result<GrantView, Problem> {
    let SetGrant { subject: Thing(subject), principal: Somebody(principal), effect, permissions, .. } = input;
    let OnThing(permissions) = permissions;
    must_be_good_for(&call, permissions)?;
    let grant = Grant { id: call.clock().id(), subject, principal, effect, permissions };
    change(&call, AccessCommand::SetGrant(grant), None).await?;
    let known = queries::grant(&call.tenant()?, subject, principal, effect).await?;
    known.ok_or_else(|| Problem::not_found("grant"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListGrants {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// Only those for this principal itself.
    principal: Option<Principal>,
    /// Only those on this thing itself.
    subject: Option<Subject>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list_grants(call: Call, input: ListGrants) -> Result<Page<GrantView>, Problem> {
    let rows = input.limit.rows()?;
    let tenant = call.tenant()?;
    let items = queries::grants(&tenant, input.subject, input.principal, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedGrant {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    grant_id: GrantId,
}

/// Which grant is gone.
#[derive(Serialize, JsonSchema)]
struct GrantRevoked {
    grant_id: GrantId,
}

async fn revoke_grant(call: Call, input: NamedGrant) -> Result<GrantRevoked, Problem> {
    let known: Option<GrantView> = queries::get(&call.tenant()?, Listed::Grants, input.grant_id.0).await?;
    known.map_or(Ok(()), |grant| must_be_good_for(&call, grant.permissions))?;
    change(&call, AccessCommand::RemoveGrant(input.grant_id), None).await?;
    Ok(GrantRevoked { grant_id: input.grant_id })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainAccess {
    workspace_id: WorkspaceId,
    /// The thing; the workspace itself when absent.
    subject: Option<Subject>,
    /// Who; the caller when absent.
    principal: Option<Principal>,
}

/// What somebody may do with a thing, and why.
#[derive(Serialize, JsonSchema)]
struct Explanation {
    principal: Principal,
    subject: Subject,
    /// Their role in the workspace; absent for agents.
    role: Option<MemberRole>,
    /// Whether they may know that it exists.
    visible: bool,
    /// What they may do.
    may: Permissions,
    /// Each permission with its reason.
    reasons: Vec<Explained>,
}

/// Why one permission is there, or not.
#[derive(Serialize, JsonSchema)]
struct Explained {
    permission: P,
    may: bool,
    because: Reason,
    /// The grant that gives or takes it.
    grant_id: Option<GrantId>,
}

async fn explain_access(call: Call, input: ExplainAccess) -> Result<Explanation, Problem> {
    let workspace = input.workspace_id;
    let subject = input.subject.unwrap_or(Subject::Workspace(workspace));
    let (own, principal) = (call.identity()?.viewer(), input.principal.unwrap_or(call.principal()?));
    let about_others = principal != own.principal;
    let viewer = if about_others { Viewer { principal, scopes: Permissions::ALL, workspace: None } } else { own };
    if about_others && !call.may(P::ManageAccess)? {
        return Err(Problem::new(problem::FORBIDDEN, "only who manages access may ask about others"));
    }
    let not_found = || Problem::not_found("principal or subject");
    // No permission is about a session.
    let scope = Scope::of(subject).ok_or_else(not_found)?;
    let found = queries::access(call.pool(), scope, subject.id(), viewer).await?;
    let found = found.filter(|found| found.workspace == workspace).ok_or_else(not_found)?;
    let decision = found.decision();
    if !about_others && !decision.visible {
        return Err(not_found());
    }
    let permissions = if scope == Scope::Workspace { found.standing.role } else { Permissions::ON_THINGS };
    let reasons = permissions.iter().map(|permission| {
        let (because, grant_id) = explain(found.standing, found.place(), permission);
        Explained { permission, may: decision.may.contains(permission), because, grant_id }
    });
    let reasons = reasons.collect();
    Ok(Explanation { principal, subject, role: found.role, visible: decision.visible, may: decision.may, reasons })
}
