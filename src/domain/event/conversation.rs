//! What happens in a conversation.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    conversation::{
        Conflict, ConversationKind, Decision, Emoji, MessageKind, Part, StopReason, TurnOutcome, TurnPolicy,
    },
    failure::FailureClass,
    ids::*,
    principal::Principal,
    run::Usage,
    task::Route,
    text::{Prose, Title},
};

/// What happens to a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ConversationEvent {
    /// The conversation was made.
    #[serde(rename = "conversation:created")]
    Created {
        /// What for.
        kind: ConversationKind,
        /// Its title.
        title: Option<Title>,
        /// The project that it is about.
        project: Option<ProjectId>,
        /// The task that it is about.
        task: Option<TaskId>,
        /// Who is in it from the start.
        participants: BTreeSet<Principal>,
    },
    /// Someone joined.
    #[serde(rename = "conversation:participant_added")]
    ParticipantAdded {
        /// Who.
        participant: Principal,
    },
    /// Someone left.
    #[serde(rename = "conversation:participant_removed")]
    ParticipantRemoved {
        /// Who.
        participant: Principal,
    },
    /// Someone said something.
    #[serde(rename = "conversation:message")]
    Message {
        /// Which message.
        message: MessageId,
        /// Its number in the conversation: 1, 2, 3 …
        seq: u64,
        /// Who.
        author: Principal,
        /// What.
        parts: Vec<Part>,
        /// The message that it answers.
        parent: Option<MessageId>,
        /// Whom it mentions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<Principal>,
        /// What it is, where it is not somebody's words.
        #[serde(default, skip_serializing_if = "MessageKind::is_said")]
        kind: MessageKind,
    },
    /// An author changed a message; the log keeps what it was.
    #[serde(rename = "conversation:message_edited")]
    MessageEdited {
        /// Which message.
        message: MessageId,
        /// What it says now.
        parts: Vec<Part>,
    },
    /// The conversation was made as a branch of another one, and shares its messages up to one of them.
    #[serde(rename = "conversation:branched")]
    Branched {
        /// As the parent's.
        kind: ConversationKind,
        /// Its title.
        title: Option<Title>,
        /// The project that it is about.
        project: Option<ProjectId>,
        /// The task that it is about.
        task: Option<TaskId>,
        /// Who is in it from the start.
        participants: BTreeSet<Principal>,
        /// Of which conversation.
        parent: ConversationId,
        /// The last message that both have.
        at: MessageId,
        /// Its number; the branch's own messages go on after it.
        seq: u64,
        /// What it belongs to: the parent, and what that is a branch of, up to the root.
        line: Vec<ConversationId>,
    },
    /// A message was deleted; readers see that there was one.
    #[serde(rename = "conversation:message_deleted")]
    MessageDeleted {
        /// Which message.
        message: MessageId,
        /// By whom.
        by: Principal,
    },
    /// Someone reacted to a message.
    #[serde(rename = "conversation:reacted")]
    Reacted {
        /// To which message.
        message: MessageId,
        /// Who.
        who: Principal,
        /// How.
        emoji: Emoji,
    },
    /// Someone took a reaction back.
    #[serde(rename = "conversation:unreacted")]
    Unreacted {
        /// To which message.
        message: MessageId,
        /// Who.
        who: Principal,
        /// How.
        emoji: Emoji,
    },
    /// Someone has read up to here.
    #[serde(rename = "conversation:read")]
    Read {
        /// Who.
        reader: Principal,
        /// The number of the last message that was read.
        seq: u64,
    },
    /// A branch was merged into this conversation: one entry among the messages.
    #[serde(rename = "conversation:merged")]
    Merged {
        /// The entry.
        message: MessageId,
        /// Its number in the conversation.
        seq: u64,
        /// Who merged.
        author: Principal,
        /// Which branch.
        branch: ConversationId,
        /// The number of the branch's first own message.
        from: u64,
        /// The number of its last one.
        to: u64,
        /// What it came to.
        summary: Option<Prose>,
        /// What was decided.
        decisions: Vec<Decision>,
        /// What was made.
        artifacts: Vec<ArtifactId>,
        /// Decisions that differ from what was decided here; both are kept.
        conflicts: Vec<Conflict>,
    },
    /// The branch was merged and takes no more messages.
    #[serde(rename = "conversation:sealed")]
    Sealed {
        /// Into which conversation.
        into: ConversationId,
        /// The entry there.
        entry: MessageId,
    },
    /// Fields changed.
    #[serde(rename = "conversation:updated")]
    Updated {
        /// The new title, if it changed.
        title: Option<Title>,
        /// What becomes of messages to an agent that is busy, if that changed.
        turn_policy: Option<TurnPolicy>,
    },
    /// The task that it is about went back to a checkpoint. Everything stays; what was said after a message is not told to
    /// the task's next attempts.
    #[serde(rename = "conversation:rolled_back")]
    RolledBack {
        /// The task.
        task: TaskId,
        /// To which checkpoint.
        checkpoint: CheckpointId,
        /// The number of the last message that is told.
        seq: u64,
    },
    /// An agent has to answer a message.
    #[serde(rename = "conversation:turn_queued")]
    TurnQueued {
        /// The turn.
        turn: TurnId,
        /// Which agent.
        agent: AgentId,
        /// Which message.
        message: MessageId,
        /// Whose message.
        asker: Principal,
        /// When it is given up, if the agent has no room until then.
        expires_at: DateTime<Utc>,
    },
    /// An agent answers.
    #[serde(rename = "conversation:turn_started")]
    TurnStarted {
        /// The turn.
        turn: TurnId,
        /// Which agent.
        agent: AgentId,
        /// On which of its servers.
        instance: InstanceId,
        /// The number of the newest message that the agent sees.
        upto: u64,
        /// Why there.
        route: Route,
    },
    /// An agent that answers is being stopped.
    #[serde(rename = "conversation:turn_stopping")]
    TurnStopping {
        /// The turn.
        turn: TurnId,
        /// Which agent.
        agent: AgentId,
        /// Why.
        why: StopReason,
    },
    /// An agent's turn is over.
    #[serde(rename = "conversation:turn_ended")]
    TurnEnded {
        /// The turn.
        turn: TurnId,
        /// Which agent.
        agent: AgentId,
        /// How.
        outcome: TurnOutcome,
        /// The agent's message, if there is one.
        answer: Option<MessageId>,
        /// How it failed.
        class: Option<FailureClass>,
        /// In words.
        reason: Option<String>,
        /// What it cost.
        usage: Usage,
    },
}
