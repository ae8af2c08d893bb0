//! `conversations`: people and agents talking, in one order.

mod branches;
mod messages;
mod order;
mod search;

use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        conversation::{ConversationCommand, ConversationKind, TurnPolicy},
        ids::{ConversationId, ProjectId, Subject, TaskId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        text::Title,
    },
    persistence::{
        queries::Scope,
        talks,
        views::{ConversationView, TurnView},
    },
};

use super::{
    call::Call,
    inputs::Few,
    problem::Problem,
    table::{Method, Operation},
    workspaces::{Limit, ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Conversation, "conversation_id");
const IN_WORKSPACE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    let own = vec![
        Operation::mutation("conversations.create", Method::Post, "/workspaces/{workspace_id}/conversations", create)
            .needs(P::Converse, IN_WORKSPACE)
            .creates()
            .doc("Begins a conversation; a direct one is seen by its participants only."),
        Operation::query("conversations.list", "/workspaces/{workspace_id}/conversations", list)
            .needs(P::Enter, IN_WORKSPACE)
            .doc("Lists the conversations that the caller may see."),
        Operation::query("conversations.get", "/conversations/{conversation_id}", get)
            .needs(P::Read, SCOPE)
            .doc("Shows a conversation."),
        Operation::mutation("conversations.update", Method::Patch, "/conversations/{conversation_id}", update)
            .needs(P::Converse, SCOPE)
            .doc("Changes the title, or what becomes of messages to an agent that is busy."),
        Operation::query("conversations.turns", "/conversations/{conversation_id}/turns", turns)
            .needs(P::Read, SCOPE)
            .doc("Lists what agents were asked in a conversation and what came of it, newest first."),
        Operation::mutation(
            "conversations.add_participant",
            Method::Post,
            "/conversations/{conversation_id}/participants",
            add_participant,
        )
        .needs(P::Converse, SCOPE)
        .creates()
        .doc("Lets a person or an agent into a conversation."),
        Operation::mutation(
            "conversations.remove_participant",
            Method::Delete,
            "/conversations/{conversation_id}/participants/{participant}",
            remove_participant,
        )
        .needs(P::Converse, SCOPE)
        .doc("Takes a person or an agent out of a conversation."),
    ];
    own.into_iter().chain(messages::operations()).chain(branches::operations()).chain(search::operations()).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    workspace_id: WorkspaceId,
    #[serde(rename = "type")]
    kind: ConversationKind,
    title: Option<Title>,
    project_id: Option<ProjectId>,
    task_id: Option<TaskId>,
    /// Who is in it besides the caller.
    #[serde(default)]
    participants: Few<Principal, 500>,
    /// What becomes of messages to an agent that is busy.
    #[serde(default)]
    turn_policy: TurnPolicy,
}

async fn create(call: Call, input: Create) -> Result<ConversationView, Problem> {
    if let Some(project) = input.project_id {
        call.must_reach(Scope::Project, project.0, P::Converse, "project").await?;
    }
    if let Some(task) = input.task_id {
        call.must_reach(Scope::Task, task.0, P::Converse, "task").await?;
    }
    let id: ConversationId = call.clock().id();
    let command = ConversationCommand::Create {
        kind: input.kind,
        title: input.title,
        project: input.project_id,
        task: input.task_id,
        participants: input.participants.0,
        turn_policy: input.turn_policy,
    };
    let receipt =
        call.execute_in(input.workspace_id, Subject::Conversation(id), Command::Conversation(command)).await?;
    read(&call, ConversationId(receipt.subject.id())).await
}

async fn read(call: &Call, id: ConversationId) -> Result<ConversationView, Problem> {
    talks::conversation(&call.tenant()?, id).await?.ok_or_else(|| Problem::not_found("conversation"))
}

async fn list(call: Call, input: ListIn) -> Result<Page<ConversationView>, Problem> {
    let rows = input.limit.rows()?;
    let (tenant, me, sight) = (call.tenant()?, call.principal()?, call.sight().await?);
    let items = talks::conversations(&tenant, me, &sight, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    conversation_id: ConversationId,
}

async fn get(call: Call, input: Named) -> Result<ConversationView, Problem> {
    read(&call, input.conversation_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    conversation_id: ConversationId,
    title: Option<Title>,
    /// `reject`, `enqueue`, `interrupt` or `roll_back`.
    turn_policy: Option<TurnPolicy>,
}

async fn update(call: Call, input: Update) -> Result<ConversationView, Problem> {
    let command = ConversationCommand::Update { title: input.title, turn_policy: input.turn_policy };
    change(&call, input.conversation_id, command).await?;
    read(&call, input.conversation_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Turns {
    conversation_id: ConversationId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn turns(call: Call, input: Turns) -> Result<Page<TurnView>, Problem> {
    let rows = input.limit.rows()?;
    let items = talks::turns(&call.tenant()?, input.conversation_id, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |turn| turn.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Participant {
    conversation_id: ConversationId,
    /// `user:ID`, `agent:ID` or `team:ID`.
    participant: Principal,
}

async fn change(call: &Call, id: ConversationId, command: ConversationCommand) -> Result<(), Problem> {
    call.execute(Subject::Conversation(id), Command::Conversation(command)).await.map(|_| ())
}

async fn add_participant(call: Call, input: Participant) -> Result<ConversationView, Problem> {
    change(&call, input.conversation_id, ConversationCommand::AddParticipant(input.participant)).await?;
    read(&call, input.conversation_id).await
}

async fn remove_participant(call: Call, input: Participant) -> Result<ConversationView, Problem> {
    change(&call, input.conversation_id, ConversationCommand::RemoveParticipant(input.participant)).await?;
    read(&call, input.conversation_id).await
}
