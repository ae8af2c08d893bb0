//! What can be asked of a conversation.

use std::collections::BTreeSet;

use crate::domain::{ids::*, principal::Principal, run::Usage, task::Route, text::Title};

use super::{ConversationKind, Emoji, Merge, NewBranch, Part, TurnPolicy, TurnReport};

/// By which right somebody deletes a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// One's own.
    Author,
    /// Anyone's, as somebody who keeps order.
    Moderator,
}

/// What can be asked of a conversation.
#[derive(Clone, Debug)]
pub enum ConversationCommand {
    /// Make it.
    Create {
        /// What for.
        kind: ConversationKind,
        /// Its title.
        title: Option<Title>,
        /// The project that it is about.
        project: Option<ProjectId>,
        /// The task that it is about.
        task: Option<TaskId>,
        /// Who is in it from the start, besides its maker.
        participants: BTreeSet<Principal>,
        /// What becomes of messages to an agent that is busy.
        turn_policy: TurnPolicy,
    },
    /// Change what is not `None`.
    Update {
        /// The title.
        title: Option<Title>,
        /// What becomes of messages to an agent that is busy.
        turn_policy: Option<TurnPolicy>,
    },
    /// Make it as a branch of another one.
    Branch(NewBranch),
    /// Let someone in.
    AddParticipant(Principal),
    /// Take someone out.
    RemoveParticipant(Principal),
    /// Say something.
    Post {
        /// The new message.
        message: MessageId,
        /// What.
        parts: Vec<Part>,
        /// The message that it answers, in the same conversation.
        parent: Option<MessageId>,
        /// Whom its words name; whom its parts name is added.
        mentions: BTreeSet<Principal>,
    },
    /// Have Link say something.
    Note {
        /// The new message.
        message: MessageId,
        /// What.
        parts: Vec<Part>,
        /// The message that it is about.
        parent: Option<MessageId>,
    },
    /// Change a message.
    Edit {
        /// Which.
        message: MessageId,
        /// Who wrote it; never changes.
        author: Principal,
        /// What it shall say.
        parts: Vec<Part>,
    },
    /// Take a message's words out of sight.
    Delete {
        /// Which.
        message: MessageId,
        /// Who wrote it; never changes.
        author: Principal,
        /// By which right.
        standing: Standing,
    },
    /// React to a message.
    React {
        /// To which.
        message: MessageId,
        /// How.
        emoji: Emoji,
    },
    /// Take a reaction back.
    Unreact {
        /// To which.
        message: MessageId,
        /// How.
        emoji: Emoji,
    },
    /// Say how far one has read.
    MarkRead(u64),
    /// Write down what a branch came to, and seal it.
    Merge(Merge),
    /// Give an agent its next turn.
    StartTurn {
        /// Which.
        turn: TurnId,
        /// Whose.
        agent: AgentId,
        /// Where.
        instance: InstanceId,
        /// Why there.
        route: Route,
    },
    /// Say what became of a turn.
    EndTurn {
        /// Which.
        turn: TurnId,
        /// Whose.
        agent: AgentId,
        /// What it cost.
        usage: Usage,
        /// What.
        report: TurnReport,
    },
}
