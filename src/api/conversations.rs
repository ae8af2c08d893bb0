//! `conversations`: people and agents talking, in one order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        conversation::{ConversationCommand, ConversationKind, Part},
        ids::{ConversationId, MessageId, ProjectId, Subject, TaskId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        text::Title,
    },
    persistence::{
        queries::{self, Scope},
        views::{ConversationView, MessageView},
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
    vec![
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
        Operation::mutation("conversations.post", Method::Post, "/conversations/{conversation_id}/messages", post)
            .needs(P::Converse, SCOPE)
            .creates()
            .doc("Says something."),
        Operation::mutation(
            "conversations.edit",
            Method::Patch,
            "/conversations/{conversation_id}/messages/{message_id}",
            edit,
        )
        .needs(P::Converse, SCOPE)
        .doc("Changes one's own message; the log keeps what it was."),
        Operation::query("conversations.messages", "/conversations/{conversation_id}/messages", messages)
            .needs(P::Read, SCOPE)
            .doc("Reads messages after a number, oldest first."),
    ]
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
    };
    let receipt =
        call.execute_in(input.workspace_id, Subject::Conversation(id), Command::Conversation(command)).await?;
    read(&call, ConversationId(receipt.subject.id())).await
}

async fn read(call: &Call, id: ConversationId) -> Result<ConversationView, Problem> {
    queries::conversation(&call.tenant()?, id).await?.ok_or_else(|| Problem::not_found("conversation"))
}

async fn list(call: Call, input: ListIn) -> Result<Page<ConversationView>, Problem> {
    let rows = input.limit.rows()?;
    let (tenant, me, sight) = (call.tenant()?, call.principal()?, call.sight().await?);
    let items = queries::conversations(&tenant, me, &sight, input.cursor, rows + 1).await?;
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Post {
    conversation_id: ConversationId,
    #[schemars(length(min = 1, max = 32))]
    parts: Vec<Part>,
    /// The message that it answers.
    parent_id: Option<MessageId>,
}

async fn post(call: Call, input: Post) -> Result<MessageView, Problem> {
    let message: MessageId = call.clock().id();
    if let Some(parent) = input.parent_id {
        message_of(&call, input.conversation_id, parent).await?;
    }
    let command = ConversationCommand::Post { message, parts: input.parts, parent: input.parent_id };
    let subject = Subject::Conversation(input.conversation_id);
    let made = call.execute_making(subject, Command::Conversation(command), message.0).await?;
    message_of(&call, input.conversation_id, made.into()).await
}

async fn message_of(call: &Call, conversation: ConversationId, id: MessageId) -> Result<MessageView, Problem> {
    queries::message(&call.tenant()?, conversation, id.0).await?.ok_or_else(|| Problem::not_found("message"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    conversation_id: ConversationId,
    message_id: MessageId,
    #[schemars(length(min = 1, max = 32))]
    parts: Vec<Part>,
}

async fn edit(call: Call, input: Edit) -> Result<MessageView, Problem> {
    let author = message_of(&call, input.conversation_id, input.message_id).await?.author;
    let command = ConversationCommand::Edit { message: input.message_id, author, parts: input.parts };
    change(&call, input.conversation_id, command).await?;
    message_of(&call, input.conversation_id, input.message_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Messages {
    conversation_id: ConversationId,
    /// Only messages after this number.
    #[serde(default)]
    after: u32,
    #[serde(default)]
    limit: Limit,
}

/// Messages, oldest first.
#[derive(Serialize, JsonSchema)]
struct MessagePage {
    items: Vec<MessageView>,
    /// The number to go on after; absent on the last page.
    next_cursor: Option<u64>,
}

async fn messages(call: Call, input: Messages) -> Result<MessagePage, Problem> {
    let rows = input.limit.rows()?;
    let mut items = queries::messages(&call.tenant()?, input.conversation_id, i64::from(input.after), rows + 1).await?;
    let more = items.len() as i64 > rows;
    items.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| more).map(|message| message.seq);
    Ok(MessagePage { items, next_cursor })
}
