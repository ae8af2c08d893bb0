//! Conversations and what is said in them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    conversation::{Conflict, ConversationKind, Decision, MessageKind, Part, TurnPolicy},
    failure::FailureClass,
    ids::*,
    principal::Principal,
};

views! {
    /// Where a branch begins.
    BranchPoint {
        /// Of which conversation.
        parent_id: ConversationId,
        /// The last message that both have.
        message_id: MessageId,
        /// Its number.
        seq: u64,
    }
    /// How far somebody has read.
    ReadView {
        /// Who.
        who: Principal,
        /// The number of the last message that they read.
        seq: u64,
    }
    /// An answer that an agent owes, or gave.
    TurnView {
        /// Its id.
        id: TurnId,
        /// Whose.
        agent_id: AgentId,
        /// To which message.
        message_id: MessageId,
        /// Who asked.
        asker: Principal,
        /// queued, running, stopping; answered, failed, interrupted, rolled_back or dropped.
        status: String,
        /// The answer, as far as there is one.
        answer_id: Option<MessageId>,
        /// How it failed.
        failure_class: Option<FailureClass>,
        /// In words.
        reason: Option<String>,
        /// Tokens read by the model.
        input_tokens: u64,
        /// Tokens written by the model.
        output_tokens: u64,
        /// Cost in US dollars.
        cost_usd: f64,
        /// Since when it waits.
        queued_at: DateTime<Utc>,
        /// Since when it is answered.
        started_at: Option<DateTime<Utc>>,
        /// Until when.
        ended_at: Option<DateTime<Utc>>,
    }
    /// A conversation.
    ConversationView {
        /// Its id.
        id: ConversationId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// What for.
        #[serde(rename = "type")]
        kind: ConversationKind,
        /// Its title.
        title: Option<String>,
        /// The project that it is about.
        project_id: Option<ProjectId>,
        /// The task that it is about.
        task_id: Option<TaskId>,
        /// Who is in it.
        participants: Vec<Principal>,
        /// The number of the newest message.
        last_seq: u64,
        /// Where it begins, if it is a branch.
        branch: Option<BranchPoint>,
        /// The conversation that the branch was merged into; it takes no more messages.
        merged_into: Option<ConversationId>,
        /// What becomes of messages to an agent that is busy.
        turn_policy: TurnPolicy,
        /// How far its participants have read.
        reads: Vec<ReadView>,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// One emoji below a message.
    ReactionView {
        /// Which.
        emoji: String,
        /// Whose.
        who: Vec<Principal>,
    }
    /// What a branch came to, and where that is from.
    MergeView {
        /// Which branch.
        branch_id: ConversationId,
        /// The number of its first own message.
        from_seq: u64,
        /// The number of its last one.
        to_seq: u64,
        /// What was decided.
        decisions: Vec<Decision>,
        /// What was made.
        artifacts: Vec<ArtifactId>,
        /// Decisions that differ from what was decided before; both stand.
        conflicts: Vec<Conflict>,
    }
    /// A message.
    MessageView {
        /// Its id.
        id: MessageId,
        /// Where it was said: another conversation than the one that is read, for what a branch shares.
        conversation_id: ConversationId,
        /// Its number: 1, 2, 3 …; a branch goes on after the messages that it shares.
        seq: u64,
        /// Who.
        author: Principal,
        /// Somebody's words, an interrupted agent's, Link's own, or a merge.
        kind: MessageKind,
        /// What; nothing, once it was deleted.
        parts: Vec<Part>,
        /// Whom it mentions.
        mentions: Vec<Principal>,
        /// The message that it answers.
        parent_id: Option<MessageId>,
        /// What a branch came to.
        merge: Option<MergeView>,
        /// How many messages answer it.
        replies: u64,
        /// How people and agents reacted.
        reactions: Vec<ReactionView>,
        /// Its offset in the workspace's log.
        posted_offset: u64,
        /// When.
        posted_at: DateTime<Utc>,
        /// When it was changed.
        edited_at: Option<DateTime<Utc>>,
        /// When it was deleted.
        deleted_at: Option<DateTime<Utc>>,
    }
    /// What a message said from some time on.
    VersionView {
        /// What.
        parts: Vec<Part>,
        /// Since when.
        at: DateTime<Utc>,
    }
    /// A piece of a message around what was looked for.
    Highlight {
        /// The words.
        text: String,
        /// Whether they were looked for.
        hit: bool,
    }
    /// A message that was found.
    FoundView {
        /// Which.
        message: MessageView,
        /// The words around what was looked for.
        highlights: Vec<Highlight>,
    }
}
