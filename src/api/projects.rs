//! `projects`: lists of tasks with a key, their boards and their stories.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    domain::{
        ids::{ProjectId, Subject, WorkspaceId},
        model::Command,
        permission::Permission as P,
        project::ProjectCommand,
        text::{Prose, Title},
    },
    persistence::{
        queries::{self, Listed, Scope},
        views::{BoardView, ColumnView, ProjectView},
    },
};

use super::{
    call::Call,
    problem::Problem,
    table::{Method, Operation},
    workspaces::{EventPage, Limit, ListIn, Page, page, visible},
};

const SCOPE: (Scope, &str) = (Scope::Project, "project_id");
const IN_WORKSPACE: (Scope, &str) = (Scope::Workspace, "workspace_id");
/// The most cards of one board.
const CARDS_MAX: i64 = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("projects.create", Method::Post, "/workspaces/{workspace_id}/projects", create)
            .needs(P::Work, IN_WORKSPACE)
            .creates()
            .doc("Makes a project. Its key is made from the name when none is given."),
        Operation::query("projects.list", "/workspaces/{workspace_id}/projects", list)
            .needs(P::Enter, IN_WORKSPACE)
            .doc("Lists the projects of a workspace that the caller may see."),
        Operation::query("projects.get", "/projects/{project_id}", get).needs(P::Read, SCOPE).doc("Shows a project."),
        Operation::mutation("projects.update", Method::Patch, "/projects/{project_id}", update)
            .needs(P::Work, SCOPE)
            .doc("Changes a project's name or description."),
        Operation::mutation("projects.archive", Method::Post, "/projects/{project_id}/archive", archive)
            .needs(P::Work, SCOPE)
            .doc("Closes a project for new tasks; nothing is lost."),
        Operation::query("projects.board", "/projects/{project_id}/board", board)
            .needs(P::Read, SCOPE)
            .doc("Shows a project's tasks in columns, in the order that people gave them."),
        Operation::query("projects.timeline", "/projects/{project_id}/timeline", timeline)
            .needs(P::Read, SCOPE)
            .doc("Reads what happened in a project after an offset, oldest first."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    workspace_id: WorkspaceId,
    name: Title,
    /// 2 to 10 capital letters and digits, a letter first; made from the name when absent.
    #[schemars(regex(pattern = "^[A-Z][A-Z0-9]{1,9}$"))]
    key: Option<String>,
    #[serde(default)]
    description: Prose,
}

async fn create(call: Call, input: Create) -> Result<ProjectView, Problem> {
    let id: ProjectId = call.clock().id();
    let command = ProjectCommand::Create { name: input.name, key: input.key, description: input.description };
    let receipt = call.execute_in(input.workspace_id, Subject::Project(id), Command::Project(command)).await?;
    read(&call, ProjectId(receipt.subject.id())).await
}

async fn read(call: &Call, id: ProjectId) -> Result<ProjectView, Problem> {
    queries::get(&call.tenant()?, Listed::Projects, id.0).await?.ok_or_else(|| Problem::not_found("project"))
}

async fn list(call: Call, input: ListIn) -> Result<Page<ProjectView>, Problem> {
    let rows = input.limit.rows()?;
    let items: Vec<ProjectView> =
        queries::list(&call.tenant()?, Listed::Projects, &call.sight().await?, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    project_id: ProjectId,
}

async fn get(call: Call, input: Named) -> Result<ProjectView, Problem> {
    read(&call, input.project_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    project_id: ProjectId,
    name: Option<Title>,
    description: Option<Prose>,
}

async fn update(call: Call, input: Update) -> Result<ProjectView, Problem> {
    let command = ProjectCommand::Update { name: input.name, description: input.description };
    call.execute(Subject::Project(input.project_id), Command::Project(command)).await?;
    read(&call, input.project_id).await
}

async fn archive(call: Call, input: Named) -> Result<ProjectView, Problem> {
    call.execute(Subject::Project(input.project_id), Command::Project(ProjectCommand::Archive)).await?;
    read(&call, input.project_id).await
}

async fn board(call: Call, input: Named) -> Result<BoardView, Problem> {
    // The offset is read first: the board shows at least everything up to it.
    let tenant = call.tenant()?;
    let offset = tenant.head().await?.offset;
    let tasks = queries::board(&tenant, input.project_id, &call.sight().await?, CARDS_MAX).await?;
    let names = ["backlog", "todo", "in_progress", "review", "done", "cancelled"];
    let mut columns: Vec<ColumnView> =
        names.iter().map(|name| ColumnView { name: (*name).into(), tasks: vec![] }).collect();
    for task in tasks {
        if let Some(column) = columns.iter_mut().find(|column| column.name == task.status.column()) {
            column.tasks.push(task);
        }
    }
    Ok(BoardView { project_id: input.project_id, offset, columns })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Timeline {
    project_id: ProjectId,
    /// Only events after this offset.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: Limit,
}

async fn timeline(call: Call, input: Timeline) -> Result<EventPage, Problem> {
    story(&call, Subject::Project(input.project_id), input.after, input.limit).await
}

/// What happened to a subject and to what belongs to it.
pub(super) async fn story(call: &Call, subject: Subject, after: u64, limit: Limit) -> Result<EventPage, Problem> {
    let (tenant, rows) = (call.tenant()?, limit.rows()?);
    let head = tenant.head().await?.offset;
    let page = tenant.about(subject, after, rows).await?;
    visible(call, &page, head).await
}
