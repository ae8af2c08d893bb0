//! `workspaces`: tenants, members, and the log itself.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    actors::feed::shown,
    domain::{
        event::Recorded,
        ids::{Subject, UserId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        text::Title,
        workspace::{MemberRole, WorkspaceCommand},
    },
    persistence::{
        people,
        queries::{self, Scope},
        views::{MemberView, WorkspaceView},
    },
};

use super::{
    access::must_be_good_for_role,
    auth::Email,
    call::Call,
    events::EventView,
    problem::Problem,
    table::{Method, Operation},
    together::exactly_one,
};

const SCOPE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("workspaces.create", Method::Post, "/workspaces", create)
            .needs(P::Signed, None)
            .creates()
            .doc("Makes a workspace; the caller is its first owner."),
        Operation::query("workspaces.list", "/workspaces", list)
            .needs(P::Signed, None)
            .doc("Lists the workspaces that the caller is a member of."),
        Operation::query("workspaces.get", "/workspaces/{workspace_id}", get)
            .needs(P::Enter, SCOPE)
            .doc("Shows a workspace."),
        Operation::mutation("workspaces.update", Method::Patch, "/workspaces/{workspace_id}", update)
            .needs(P::ManageMembers, SCOPE)
            .doc("Renames a workspace."),
        Operation::mutation("workspaces.add_member", Method::Post, "/workspaces/{workspace_id}/members", add_member)
            .needs(P::ManageMembers, SCOPE)
            .creates()
            .doc("Lets a person in who has an account, by address or id."),
        Operation::query("workspaces.list_members", "/workspaces/{workspace_id}/members", list_members)
            .needs(P::Read, SCOPE)
            .doc("Lists the members."),
        Operation::mutation(
            "workspaces.update_member",
            Method::Patch,
            "/workspaces/{workspace_id}/members/{user_id}",
            update_member,
        )
        .needs(P::ManageMembers, SCOPE)
        .doc("Changes a member's role."),
        Operation::mutation(
            "workspaces.remove_member",
            Method::Delete,
            "/workspaces/{workspace_id}/members/{user_id}",
            remove_member,
        )
        .needs(P::Enter, SCOPE)
        .doc("Takes a member out; everyone may leave, the last owner cannot."),
        Operation::query("workspaces.events", "/workspaces/{workspace_id}/events", events)
            .needs(P::Enter, SCOPE)
            .doc("Reads what the caller may see of the log after an offset, oldest first."),
    ]
}

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(super) struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<Uuid>,
}

/// The most rows of one page; 50 when absent.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent, inline)]
pub(super) struct Limit(#[schemars(range(min = 1, max = 200))] pub Option<u16>);

impl Limit {
    /// Returns how many rows to read: one more than shown, to see whether there are more.
    pub fn rows(self) -> Result<i64, Problem> {
        match self.0.unwrap_or(50) {
            rows @ 1..=200 => Ok(i64::from(rows)),
            _ => Err(Problem::field("limit", "must be 1 to 200")),
        }
    }
}

/// Cuts a list that was read one row too far.
pub(super) fn page<T>(mut items: Vec<T>, rows: i64, id: impl Fn(&T) -> Uuid) -> Page<T> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let more = items.len() > rows;
    items.truncate(rows);
    let next_cursor = items.last().filter(|_| more).map(id);
    Page { items, next_cursor }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Title,
}

async fn create(call: Call, input: Create) -> Result<WorkspaceView, Problem> {
    let owner = call.user()?;
    let id = call.new_workspace();
    if let Some(Ok(first)) = call.heard_before(id).await?.map(serde_json::from_value) {
        return Ok(first);
    }
    let command = Command::Workspace(WorkspaceCommand::Create { name: input.name, owner });
    call.execute_in(id, Subject::Workspace(id), command).await?;
    read(&call, id).await
}

async fn read(call: &Call, id: WorkspaceId) -> Result<WorkspaceView, Problem> {
    queries::workspace(&call.tenant_of(id), call.principal()?).await?.ok_or_else(|| Problem::not_found("workspace"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: List) -> Result<Page<WorkspaceView>, Problem> {
    let rows = input.limit.rows()?;
    let only = call.identity()?.workspace;
    let items = queries::workspaces(call.pool(), call.principal()?, only, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    workspace_id: WorkspaceId,
}

async fn get(call: Call, input: Get) -> Result<WorkspaceView, Problem> {
    read(&call, input.workspace_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    workspace_id: WorkspaceId,
    name: Title,
}

async fn update(call: Call, input: Update) -> Result<WorkspaceView, Problem> {
    let command = Command::Workspace(WorkspaceCommand::Rename(input.name));
    call.execute(Subject::Workspace(input.workspace_id), command).await?;
    read(&call, input.workspace_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = |schema: &mut Schema| exactly_one(schema, &["email", "user_id"]))]
struct AddMember {
    workspace_id: WorkspaceId,
    /// The person's address; or `user_id`.
    email: Option<Email>,
    /// The person's id; or `email`.
    user_id: Option<UserId>,
    role: MemberRole,
}

async fn add_member(call: Call, input: AddMember) -> Result<MemberView, Problem> {
    let person = match (&input.email, input.user_id) {
        (Some(email), None) => people::by_email(call.pool(), &email.0).await?,
        (None, Some(id)) => people::by_id(call.pool(), id).await?,
        _ => return Err(Problem::field("email", "either `email` or `user_id` is needed")),
    };
    let person = person.ok_or_else(|| Problem::not_found("account"))?;
    must_be_good_for_role(&call, input.role).await?;
    let command = WorkspaceCommand::AddMember { user: person.id, role: input.role };
    call.execute(Subject::Workspace(input.workspace_id), Command::Workspace(command)).await?;
    member(&call, person.id).await
}

async fn member(call: &Call, user: UserId) -> Result<MemberView, Problem> {
    queries::member(&call.tenant()?, user).await?.ok_or_else(|| Problem::not_found("member"))
}

/// A page of what a workspace has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListIn {
    pub workspace_id: WorkspaceId,
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<Uuid>,
}

async fn list_members(call: Call, input: ListIn) -> Result<Page<MemberView>, Problem> {
    let rows = input.limit.rows()?;
    let items = queries::members(&call.tenant()?, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.user_id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateMember {
    workspace_id: WorkspaceId,
    user_id: UserId,
    role: MemberRole,
}

async fn update_member(call: Call, input: UpdateMember) -> Result<MemberView, Problem> {
    must_be_good_for_role(&call, input.role).await?;
    must_outrank(&call, input.user_id).await?;
    let command = WorkspaceCommand::UpdateMember { user: input.user_id, role: input.role };
    call.execute(Subject::Workspace(input.workspace_id), Command::Workspace(command)).await?;
    member(&call, input.user_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveMember {
    workspace_id: WorkspaceId,
    user_id: UserId,
}

/// Who is no longer a member.
#[derive(Serialize, JsonSchema)]
struct Removed {
    user_id: UserId,
}

/// A credential takes nothing from a member that it is not good for.
async fn must_outrank(call: &Call, user: UserId) -> Result<(), Problem> {
    match queries::member(&call.tenant()?, user).await? {
        Some(member) if call.user().ok() != Some(user) => must_be_good_for_role(call, member.role).await,
        _ => Ok(()),
    }
}

async fn remove_member(call: Call, input: RemoveMember) -> Result<Removed, Problem> {
    must_outrank(&call, input.user_id).await?;
    let command = Command::Workspace(WorkspaceCommand::RemoveMember(input.user_id));
    call.execute(Subject::Workspace(input.workspace_id), command).await?;
    Ok(Removed { user_id: input.user_id })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Events {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// Only events after this offset.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: Limit,
}

/// About the most bytes of events in one answer.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A piece of the log.
#[derive(Serialize, JsonSchema)]
pub(super) struct EventPage {
    /// The events, oldest first; those that the caller may not see are left out.
    #[schemars(with = "Vec<EventView>")]
    pub events: Vec<Value>,
    /// The end of the log.
    pub head: u64,
}

async fn events(call: Call, input: Events) -> Result<EventPage, Problem> {
    let (tenant, rows) = (call.tenant()?, input.limit.rows()?);
    let head = tenant.head().await?.offset;
    let page = tenant.page(input.after, rows, PAGE_BYTES).await?;
    visible(&call, &page, head).await
}

/// What the caller may see of a piece of the log. What they may is asked after it was read.
pub(super) async fn visible(call: &Call, page: &[Recorded], head: u64) -> Result<EventPage, Problem> {
    let rights = call.rights().await?;
    let seen = page.iter().filter(|event| rights.see(event));
    Ok(EventPage { events: seen.map(shown).collect(), head })
}
