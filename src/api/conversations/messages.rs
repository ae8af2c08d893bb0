//! What is said: posting, changing, deleting, reacting, reading.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        conversation::{ConversationCommand, Emoji, Part, Standing, handles, words},
        ids::{ConversationId, MessageId, Subject},
        model::Command,
        permission::Permission as P,
        principal::Principal,
    },
    persistence::{
        talks::{self, messages as kept},
        views::{ConversationView, MessageView, VersionView},
    },
};

use super::{
    super::{
        call::Call,
        problem::Problem,
        table::{Method, Operation},
        workspaces::Limit,
    },
    SCOPE, change, order, read,
};

const MESSAGES: &str = "/conversations/{conversation_id}/messages";
const MESSAGE: &str = "/conversations/{conversation_id}/messages/{message_id}";
const REACTIONS: &str = "/conversations/{conversation_id}/messages/{message_id}/reactions";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("conversations.post", Method::Post, MESSAGES, post)
            .needs(P::Converse, SCOPE)
            .creates()
            .doc("Says something. `@name` and `mention` parts mention people, agents and teams; `/penguin TITLE` makes a task."),
        Operation::mutation("conversations.edit", Method::Patch, MESSAGE, edit)
            .needs(P::Converse, SCOPE)
            .doc("Changes one's own message; `conversations.history` shows what it was."),
        Operation::query("conversations.messages", MESSAGES, messages)
            .needs(P::Read, SCOPE)
            .doc("Reads messages after a number, oldest first; with `parent_id` the answers to one of them."),
        Operation::query(
            "conversations.history",
            "/conversations/{conversation_id}/messages/{message_id}/history",
            history,
        )
        .needs(P::Read, SCOPE)
        .doc("Shows what a message said before it was changed, oldest first; nothing once it was deleted."),
        Operation::mutation("conversations.react", Method::Post, REACTIONS, react)
            .needs(P::Converse, SCOPE)
            .creates()
            .doc("Reacts to a message with an emoji; the same one twice is one."),
        Operation::mutation(
            "conversations.unreact",
            Method::Delete,
            "/conversations/{conversation_id}/messages/{message_id}/reactions/{emoji}",
            unreact,
        )
        .needs(P::Converse, SCOPE)
        .doc("Takes one's own reaction back."),
        Operation::mutation("conversations.mark_read", Method::Post, "/conversations/{conversation_id}/read", mark_read)
            .needs(P::Converse, SCOPE)
            .doc("Says up to which message one has read, or that it was all; it never goes back."),
        Operation::mutation("conversations.delete", Method::Delete, MESSAGE, delete)
            .needs(P::Converse, SCOPE)
            .doc("Deletes a message: its author or an admin may. Its words are gone for readers; the log keeps them."),
    ]
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
        in_sight(&call, input.conversation_id, parent).await?;
    }
    let wanted = order::wanted(&call, &read(&call, input.conversation_id).await?, &input.parts).await?;
    let mentions = named(&call, &input.parts).await?;
    let command = ConversationCommand::Post { message, parts: input.parts, parent: input.parent_id, mentions };
    let subject = Subject::Conversation(input.conversation_id);
    let made = call.execute_making(subject, Command::Conversation(command), message.0).await?;
    let message = own(&call, input.conversation_id, made.into()).await?;
    if let Some(wanted) = wanted {
        order::carry_out(&call, wanted, &message).await?;
    }
    Ok(message)
}

/// Finds whom the words name.
async fn named(call: &Call, parts: &[Part]) -> Result<BTreeSet<Principal>, Problem> {
    let names: BTreeSet<String> = words(parts).flat_map(handles).collect();
    Ok(talks::named(&call.tenant()?, &names).await?)
}

/// Finds a message that was said in the conversation.
pub(super) async fn own(call: &Call, conversation: ConversationId, id: MessageId) -> Result<MessageView, Problem> {
    kept::message(&call.tenant()?, conversation, id).await?.ok_or_else(|| Problem::not_found("message"))
}

/// Finds a message that its readers see, wherever it was said.
pub(super) async fn in_sight(call: &Call, conversation: ConversationId, id: MessageId) -> Result<MessageView, Problem> {
    kept::message_in_sight(&call.tenant()?, conversation, id).await?.ok_or_else(|| Problem::not_found("message"))
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
    let author = own(&call, input.conversation_id, input.message_id).await?.author;
    let command = ConversationCommand::Edit { message: input.message_id, author, parts: input.parts };
    change(&call, input.conversation_id, command).await?;
    own(&call, input.conversation_id, input.message_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    conversation_id: ConversationId,
    message_id: MessageId,
}

async fn delete(call: Call, input: One) -> Result<MessageView, Problem> {
    let author = own(&call, input.conversation_id, input.message_id).await?.author;
    let standing = if call.may(P::ManageMembers)? { Standing::Moderator } else { Standing::Author };
    let command = ConversationCommand::Delete { message: input.message_id, author, standing };
    change(&call, input.conversation_id, command).await?;
    own(&call, input.conversation_id, input.message_id).await
}

/// What a message said, over time.
#[derive(Serialize, JsonSchema)]
struct Versions {
    items: Vec<VersionView>,
}

async fn history(call: Call, input: One) -> Result<Versions, Problem> {
    let message = in_sight(&call, input.conversation_id, input.message_id).await?;
    Ok(Versions { items: kept::history(call.pool(), &call.tenant()?, &message).await? })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reaction {
    conversation_id: ConversationId,
    message_id: MessageId,
    /// An emoji, or a short name of one.
    emoji: Emoji,
}

async fn react(call: Call, input: Reaction) -> Result<MessageView, Problem> {
    let Reaction { conversation_id, message_id: message, emoji } = input;
    own(&call, conversation_id, message).await?;
    change(&call, conversation_id, ConversationCommand::React { message, emoji }).await?;
    own(&call, conversation_id, message).await
}

async fn unreact(call: Call, input: Reaction) -> Result<MessageView, Problem> {
    let Reaction { conversation_id, message_id: message, emoji } = input;
    own(&call, conversation_id, message).await?;
    change(&call, conversation_id, ConversationCommand::Unreact { message, emoji }).await?;
    own(&call, conversation_id, message).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MarkRead {
    conversation_id: ConversationId,
    /// The number of the last message that was read.
    seq: u32,
}

async fn mark_read(call: Call, input: MarkRead) -> Result<ConversationView, Problem> {
    change(&call, input.conversation_id, ConversationCommand::MarkRead(input.seq.into())).await?;
    read(&call, input.conversation_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Messages {
    conversation_id: ConversationId,
    /// Only messages that answer this one.
    parent_id: Option<MessageId>,
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
    let (conversation, after) = (input.conversation_id, i64::from(input.after));
    let mut items = kept::messages(&call.tenant()?, conversation, input.parent_id, after, rows + 1).await?;
    let more = items.len() as i64 > rows;
    items.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| more).map(|message| message.seq);
    Ok(MessagePage { items, next_cursor })
}
