//! A conversation: who is in it, and messages in one order.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    event::ConversationEvent,
    ids::{ConversationId, MessageId, ProjectId, Subject, TaskId},
    principal::Principal,
    rejection::Rejection,
    text::{Title, Words, scrubbed},
};

/// What a conversation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Open to the whole workspace.
    #[default]
    Channel,
    /// Between its participants only.
    Dm,
    /// About one task.
    Task,
    /// What one agent session says.
    AgentSession,
    /// About one review.
    Review,
}

/// A piece of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Words, in Markdown.
    Text {
        /// The words.
        text: Words,
    },
    /// A file by reference.
    File {
        /// Its name.
        name: Title,
        /// Where it is.
        url: Title,
    },
    /// Structured data.
    Data {
        /// The data.
        data: Value,
    },
}

/// The most parts of one message.
pub const PARTS_MAX: usize = 32;

/// The state of a conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conversation {
    id: Option<ConversationId>,
    kind: ConversationKind,
    participants: BTreeSet<Principal>,
    last_seq: u64,
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
    },
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
        /// The message that it answers.
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
}

impl Conversation {
    /// Decides a command.
    pub fn decide(
        &self,
        id: ConversationId,
        by: Principal,
        command: ConversationCommand,
    ) -> Result<Vec<ConversationEvent>, Rejection> {
        use ConversationCommand as C;
        match (self.id, command) {
            (Some(_), C::Create { .. }) => Err(Rejection::Exists(Subject::Conversation(id))),
            (None, C::Create { kind, title, project, task, mut participants }) => {
                participants.insert(by);
                Ok(vec![ConversationEvent::Created { kind, title, project, task, participants }])
            }
            (None, _) => Err(Rejection::NotFound("conversation")),
            (Some(_), C::AddParticipant(participant)) => {
                self.must_be_let_in(by)?;
                if self.participants.contains(&participant) {
                    return Ok(vec![]);
                }
                Ok(vec![ConversationEvent::ParticipantAdded { participant }])
            }
            (Some(_), C::RemoveParticipant(participant)) => {
                self.must_be_let_in(by)?;
                if !self.participants.contains(&participant) {
                    return Err(Rejection::NotFound("participant"));
                }
                Ok(vec![ConversationEvent::ParticipantRemoved { participant }])
            }
            (Some(_), C::Post { message, parts, parent }) => {
                self.must_be_let_in(by)?;
                must_fit(&parts)?;
                Ok(vec![ConversationEvent::Message { message, seq: self.last_seq + 1, author: by, parts, parent }])
            }
            (Some(_), C::Edit { message, author, parts }) => {
                self.must_be_let_in(by)?;
                must_fit(&parts)?;
                if author != by {
                    return Err(Rejection::Forbidden("only its author can edit a message"));
                }
                Ok(vec![ConversationEvent::MessageEdited { message, parts }])
            }
        }
    }

    /// Changes the state.
    pub fn apply(&mut self, id: ConversationId, event: &ConversationEvent) {
        match event {
            ConversationEvent::Created { kind, participants, .. } => {
                self.id = Some(id);
                self.kind = *kind;
                self.participants.clone_from(participants);
            }
            ConversationEvent::ParticipantAdded { participant } => {
                self.participants.insert(*participant);
            }
            ConversationEvent::ParticipantRemoved { participant } => {
                self.participants.remove(participant);
            }
            ConversationEvent::Message { seq, .. } => self.last_seq = *seq,
            ConversationEvent::MessageEdited { .. } => {}
        }
    }

    /// A direct conversation is its participants' own; the others are open to the workspace.
    fn must_be_let_in(&self, by: Principal) -> Result<(), Rejection> {
        if self.kind == ConversationKind::Dm && !self.participants.contains(&by) {
            return Err(Rejection::NotFound("conversation"));
        }
        Ok(())
    }
}

fn must_fit(parts: &[Part]) -> Result<(), Rejection> {
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(Rejection::Invalid { path: "parts", message: format!("1 to {PARTS_MAX} parts are needed") });
    }
    let unfit = |part: &Part| matches!(part, Part::Data { data } if scrubbed(data.clone()) != *data);
    if parts.iter().any(unfit) {
        return Err(Rejection::Invalid { path: "parts", message: "contains the character U+0000".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn messages_are_numbered_without_gaps() {
        let me = Principal::User(id(1).into());
        let here = ConversationId(id(2));
        let mut conversation = Conversation::default();
        let create = ConversationCommand::Create {
            kind: ConversationKind::Channel,
            title: None,
            project: None,
            task: None,
            participants: BTreeSet::new(),
        };
        for event in conversation.decide(here, me, create).unwrap() {
            conversation.apply(here, &event);
        }
        for n in 1..=5u64 {
            let parts = vec![Part::Text { text: Words::new("hello").unwrap() }];
            let post = ConversationCommand::Post { message: id(10 + u128::from(n)).into(), parts, parent: None };
            let events = conversation.decide(here, me, post).unwrap();
            assert!(matches!(events[..], [ConversationEvent::Message { seq, .. }] if seq == n));
            events.iter().for_each(|event| conversation.apply(here, event));
        }
    }

    #[test]
    fn a_stranger_does_not_see_that_a_direct_conversation_exists() {
        let (me, stranger) = (Principal::User(id(1).into()), Principal::User(id(9).into()));
        let here = ConversationId(id(2));
        let mut conversation = Conversation::default();
        conversation.apply(
            here,
            &ConversationEvent::Created {
                kind: ConversationKind::Dm,
                title: None,
                project: None,
                task: None,
                participants: [me].into(),
            },
        );
        let post = ConversationCommand::Post { message: id(3).into(), parts: vec![], parent: None };
        assert_eq!(conversation.decide(here, stranger, post), Err(Rejection::NotFound("conversation")));
    }
}
