//! Branches of conversations, and what they come to.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    domain::{
        conversation::{ConversationCommand, Decision, Merge as MergeCommand, NewBranch, Part},
        ids::{ArtifactId, ConversationId, MessageId, Subject},
        model::Command,
        permission::Permission as P,
        text::{Label, Prose, Title},
    },
    persistence::{
        queries::Scope,
        talks::{self, messages},
        views::{ConversationView, MessageView},
    },
};

use super::{
    super::{
        call::Call,
        inputs::Few,
        problem::Problem,
        table::{Method, Operation},
    },
    SCOPE,
    messages::{in_sight, own},
    read,
};

/// Decisions of a branch's own messages that its merge takes over.
const DECIDED_MAX: i64 = 100;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("conversations.branch", Method::Post, "/conversations/{conversation_id}/branches", branch)
            .needs(P::Converse, SCOPE)
            .creates()
            .doc("Begins a conversation that shares another one's messages up to one of them, and goes on by itself."),
        Operation::mutation("conversations.merge", Method::Post, "/conversations/{conversation_id}/merge", merge)
            .needs(P::Converse, SCOPE)
            .doc("Writes into another conversation what a branch came to, and closes the branch. Once: again is the same."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Branch {
    conversation_id: ConversationId,
    /// The last message that both have.
    at_message_id: MessageId,
    title: Option<Title>,
}

async fn branch(call: Call, input: Branch) -> Result<ConversationView, Problem> {
    let parent = read(&call, input.conversation_id).await?;
    let at = in_sight(&call, input.conversation_id, input.at_message_id).await?;
    let (kind, parent) = (parent.kind, parent.id);
    let command = ConversationCommand::Branch(NewBranch { kind, title: input.title, parent, at: at.id, seq: at.seq });
    let id: ConversationId = call.clock().id();
    let receipt = call.execute(Subject::Conversation(id), Command::Conversation(command)).await?;
    read(&call, ConversationId(receipt.subject.id())).await
}

/// Something that was decided: about what, and how.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settled {
    /// About what.
    key: Label,
    /// How.
    value: Title,
}

impl From<Settled> for Decision {
    fn from(Settled { key, value }: Settled) -> Self {
        Self { key, value }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// The branch.
    conversation_id: ConversationId,
    /// Where to.
    into_id: ConversationId,
    /// What it came to.
    summary: Option<Prose>,
    /// What was decided, besides what messages of the branch decided.
    #[serde(default)]
    decisions: Few<Settled, 100>,
    /// What was made: artifacts of attempts.
    #[serde(default)]
    artifacts: Few<ArtifactId, 100>,
}

async fn merge(call: Call, input: Merge) -> Result<MessageView, Problem> {
    let Merge { conversation_id: branch, into_id: into, summary, decisions: given, artifacts } = input;
    call.must_reach(Scope::Conversation, into.0, P::Converse, "conversation").await?;
    let artifacts = artifacts.0;
    if talks::artifacts_known(&call.tenant()?, &call.sight().await?, &artifacts).await? < artifacts.len() {
        return Err(Problem::not_found("artifact"));
    }
    let mut decisions: Vec<Decision> = vec![];
    let said =
        messages::decided_in(&call.tenant()?, branch, DECIDED_MAX).await?.into_iter().filter_map(|part| match part {
            Part::Decision { decision } => Some(decision),
            _ => None,
        });
    for decision in said.chain(given.0.into_iter().map(Decision::from)) {
        if !decisions.contains(&decision) {
            decisions.push(decision);
        }
    }
    let artifacts = artifacts.into_iter().collect();
    let message = call.clock().id();
    let command = ConversationCommand::Merge(MergeCommand { message, branch, summary, decisions, artifacts });
    call.execute(Subject::Conversation(into), Command::Conversation(command)).await?;
    let entry = talks::merge_of(&call.tenant()?, into, branch).await?.ok_or_else(|| Problem::not_found("message"))?;
    own(&call, into, entry).await
}
