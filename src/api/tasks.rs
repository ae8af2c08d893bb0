//! `tasks`: what has to be done, in which state, and what waits for what.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        claim::{CLAIMS_MAX, ClaimedPath},
        ids::{ProjectId, Subject, TaskId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        task::{NewTask, Parked, Priority, SKILLS_MAX, TaskChange, TaskCommand, TaskStatus},
        text::{Label, Prose, Text, Title},
        workspace::Gate,
    },
    persistence::{
        queries::{self, Direction, Listed, Scope, TaskFilter},
        views::TaskView,
    },
};

use super::{
    call::Call,
    inputs::{Few, given},
    problem::Problem,
    projects::story,
    rank,
    table::{Method, Operation},
    together::not_both,
    workspaces::{EventPage, Limit, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Task, "task_id");
const IN_PROJECT: (Scope, &str) = (Scope::Project, "project_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("tasks.create", Method::Post, "/projects/{project_id}/tasks", create)
            .needs(P::Work, IN_PROJECT)
            .creates()
            .doc("Makes a task. With a description it is ready, or blocked by what it depends on; without, it is in the backlog."),
        Operation::query("tasks.list", "/projects/{project_id}/tasks", list)
            .needs(P::Read, IN_PROJECT)
            .doc("Lists a project's tasks."),
        Operation::query("tasks.get", "/tasks/{task_id}", get).needs(P::Read, SCOPE).doc("Shows a task."),
        Operation::mutation("tasks.update", Method::Patch, "/tasks/{task_id}", update)
            .needs(P::Work, SCOPE)
            .doc("Changes fields of a task; with `expected_version`, only if nobody was faster."),
        Operation::mutation("tasks.transition", Method::Post, "/tasks/{task_id}/transition", transition)
            .needs(P::Work, SCOPE)
            .doc("Moves a task to another state by hand."),
        Operation::mutation("tasks.move", Method::Post, "/tasks/{task_id}/move", move_card)
            .needs(P::Work, SCOPE)
            .doc("Moves a card: to another state, before or after another card, or to the end."),
        Operation::mutation("tasks.add_dependency", Method::Post, "/tasks/{task_id}/dependencies", add_dependency)
            .needs(P::Work, SCOPE)
            .creates()
            .doc("Lets a task wait for another one; a cycle is refused."),
        Operation::mutation(
            "tasks.remove_dependency",
            Method::Delete,
            "/tasks/{task_id}/dependencies",
            remove_dependency,
        )
        .needs(P::Work, SCOPE)
        .doc("No longer lets a task wait for another one."),
        Operation::query("tasks.search", "/workspaces/{workspace_id}/tasks/search", search)
            .needs(P::Enter, (Scope::Workspace, "workspace_id"))
            .doc("Finds tasks by words, or by identifier as in KEY-12."),
        Operation::query("tasks.timeline", "/tasks/{task_id}/timeline", timeline)
            .needs(P::Read, SCOPE)
            .doc("Reads what happened to a task after an offset, oldest first."),
    ]
}

/// Where a new task starts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Birth {
    Backlog,
    Ready,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    project_id: ProjectId,
    title: Title,
    /// What is to be done. Without it the task waits in the backlog.
    #[serde(default)]
    description: Prose,
    /// `backlog` parks the task whatever its description.
    status: Option<Birth>,
    #[serde(default)]
    priority: Priority,
    /// Who answers for it: `user:ID`, `agent:ID` or `team:ID`.
    assignee: Option<Principal>,
    /// The task that it is a part of.
    parent_id: Option<TaskId>,
    /// Tasks that have to be done first.
    #[serde(default)]
    depends_on: Few<TaskId, 200>,
    /// Paths that nobody else's agent writes to while this task's is at work; each means everything below it too.
    #[serde(default)]
    claims: Few<ClaimedPath, CLAIMS_MAX>,
    /// What whoever does it has to be good at: every delegation of it requires that, beside its own skills.
    #[serde(default)]
    skills: Few<Label, SKILLS_MAX>,
}

async fn create(call: Call, input: Create) -> Result<TaskView, Problem> {
    for task in input.depends_on.0.iter().chain(&input.parent_id) {
        call.must_reach(Scope::Task, task.0, P::Read, "task").await?;
    }
    let id: TaskId = call.clock().id();
    let command = TaskCommand::Create(NewTask {
        project: input.project_id,
        title: input.title,
        description: input.description,
        parked: if matches!(input.status, Some(Birth::Backlog)) { Parked::Backlog } else { Parked::No },
        priority: input.priority,
        assignee: input.assignee,
        parent: input.parent_id,
        depends_on: input.depends_on.0,
        claims: input.claims.0,
        skills: input.skills.0,
    });
    let receipt = call.execute(Subject::Task(id), Command::Task(Box::new(command))).await?;
    read(&call, TaskId(receipt.subject.id())).await
}

async fn read(call: &Call, id: TaskId) -> Result<TaskView, Problem> {
    queries::get(&call.tenant()?, Listed::Tasks, id.0).await?.ok_or_else(|| Problem::not_found("task"))
}

async fn change(call: &Call, id: TaskId, command: TaskCommand) -> Result<TaskView, Problem> {
    call.execute(Subject::Task(id), Command::Task(Box::new(command))).await?;
    read(call, id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    project_id: ProjectId,
    /// Only tasks in this state.
    status: Option<TaskStatus>,
    /// Only tasks of this assignee.
    assignee: Option<Principal>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: List) -> Result<Page<TaskView>, Problem> {
    let rows = input.limit.rows()?;
    let filter = TaskFilter { status: input.status.map(|status| status.to_string()), assignee: input.assignee };
    let items =
        queries::tasks(&call.tenant()?, input.project_id, &filter, &call.sight().await?, input.cursor, rows + 1)
            .await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    task_id: TaskId,
}

async fn get(call: Call, input: Get) -> Result<TaskView, Problem> {
    read(&call, input.task_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    task_id: TaskId,
    title: Option<Title>,
    description: Option<Prose>,
    priority: Option<Priority>,
    /// The new assignee; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    assignee: Option<Option<Principal>>,
    /// The new claims; an empty list gives up what there was.
    claims: Option<Few<ClaimedPath, CLAIMS_MAX>>,
    /// The new skills that it requires, all of them. What was delegated before stays as it was agreed.
    skills: Option<Few<Label, SKILLS_MAX>>,
    /// The `version` that the change is based on.
    expected_version: Option<u64>,
}

async fn update(call: Call, input: Update) -> Result<TaskView, Problem> {
    let change_ = TaskChange {
        title: input.title,
        description: input.description,
        priority: input.priority,
        assignee: input.assignee,
        claims: input.claims.map(|claims| claims.0),
        skills: input.skills.map(|skills| skills.0),
        expected_version: input.expected_version,
    };
    change(&call, input.task_id, TaskCommand::Update(change_)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Transition {
    task_id: TaskId,
    to: TaskStatus,
}

async fn transition(call: Call, input: Transition) -> Result<TaskView, Problem> {
    change(&call, input.task_id, TaskCommand::Transition(input.to)).await
}

/// A card stands before or after another one, not between two that are far apart.
fn before_or_after(schema: &mut Schema) {
    not_both(schema, ["before", "after"]);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = before_or_after)]
struct Move {
    task_id: TaskId,
    /// The new state, if the column changes.
    status: Option<TaskStatus>,
    /// The card that it shall stand before.
    before: Option<TaskId>,
    /// The card that it shall stand after.
    after: Option<TaskId>,
}

async fn move_card(call: Call, input: Move) -> Result<TaskView, Problem> {
    let own = read(&call, input.task_id).await?;
    let neighbour = match (input.before, input.after) {
        (Some(_), Some(_)) => return Err(Problem::field("before", "either `before` or `after`, not both")),
        (Some(card), None) => Some((card, Direction::Before)),
        (None, Some(card)) => Some((card, Direction::After)),
        (None, None) => None,
    };
    let rank = match neighbour {
        None => {
            let last = queries::last_rank(&call.tenant()?, own.project_id).await?;
            match last {
                Some(last) if last == own.rank => last,
                last => rank::between(last.as_deref(), None),
            }
        }
        Some((card, direction)) => {
            call.must_reach(Scope::Task, card.0, P::Read, "card in this project").await?;
            let same_project = read(&call, card).await.is_ok_and(|card| card.project_id == own.project_id);
            let found = queries::neighbour_rank(&call.tenant()?, card, input.task_id, direction).await?;
            let found = found.filter(|_| same_project);
            let (rank, next) = found.ok_or_else(|| Problem::not_found("card in this project"))?;
            match direction {
                Direction::Before => rank::within(&own.rank, next.as_deref(), Some(&rank)),
                Direction::After => rank::within(&own.rank, Some(&rank), next.as_deref()),
            }
        }
    };
    change(&call, input.task_id, TaskCommand::Move { status: input.status, rank }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddDependency {
    task_id: TaskId,
    depends_on: TaskId,
    #[serde(default, rename = "type")]
    gate: Gate,
}

async fn add_dependency(call: Call, input: AddDependency) -> Result<TaskView, Problem> {
    call.must_reach(Scope::Task, input.depends_on.0, P::Read, "task").await?;
    let command = TaskCommand::AddDependency { depends_on: input.depends_on, gate: input.gate };
    change(&call, input.task_id, command).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveDependency {
    task_id: TaskId,
    depends_on: TaskId,
}

async fn remove_dependency(call: Call, input: RemoveDependency) -> Result<TaskView, Problem> {
    change(&call, input.task_id, TaskCommand::RemoveDependency { depends_on: input.depends_on }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    #[expect(dead_code, reason = "the call's scope")]
    workspace_id: WorkspaceId,
    /// Words, "phrases", -without; or an identifier.
    q: Text<1, 200>,
    #[serde(default)]
    limit: Limit,
}

async fn search(call: Call, input: Search) -> Result<Page<TaskView>, Problem> {
    let (tenant, sight, rows) = (call.tenant()?, call.sight().await?, input.limit.rows()?);
    let items = queries::search_tasks(call.pool(), &tenant, &sight, &input.q, rows).await?;
    Ok(Page { items, next_cursor: None })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Timeline {
    task_id: TaskId,
    /// Only events after this offset.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: Limit,
}

async fn timeline(call: Call, input: Timeline) -> Result<EventPage, Problem> {
    story(&call, Subject::Task(input.task_id), input.after, input.limit).await
}
