//! What an entity actor hosts: one state machine of any kind, behind one pair of functions.

use super::{
    agent::{Agent, AgentCommand},
    conversation::{Conversation, ConversationCommand},
    document::{Document, DocumentCommand},
    event::Event,
    ids::*,
    project::{Project, ProjectCommand},
    rejection::Rejection,
    session::{Session, SessionCommand},
    task::{Circumstance, Task, TaskCommand},
    webhook::{Webhook, WebhookCommand},
    workspace::WorkspaceCommand,
};

/// A request to change one entity.
#[derive(Clone, Debug)]
pub enum Command {
    /// For the workspace itself.
    Workspace(WorkspaceCommand),
    /// For a project.
    Project(ProjectCommand),
    /// For a task.
    Task(Box<TaskCommand>),
    /// For a conversation.
    Conversation(ConversationCommand),
    /// For a document.
    Document(DocumentCommand),
    /// For an agent.
    Agent(AgentCommand),
    /// For a session.
    Session(SessionCommand),
    /// For a webhook.
    Webhook(WebhookCommand),
    /// Panics in `decide`: how the tests see what a bug would do. Only where the host allows it.
    Panic,
}

/// The state of one entity; the workspace's own is not here, its writer hosts it.
#[derive(Clone, Debug)]
pub enum Model {
    /// A project.
    Project(ProjectId, Project),
    /// A task.
    Task(TaskId, Box<Task>),
    /// A conversation.
    Conversation(ConversationId, Conversation),
    /// A document.
    Document(DocumentId, Document),
    /// An agent.
    Agent(AgentId, Agent),
    /// A session.
    Session(AttemptId, Session),
    /// A webhook.
    Webhook(WebhookId, Webhook),
}

/// The version of the snapshots' shape; another one is ignored and the log is folded instead.
pub const SNAPSHOT_SCHEMA: i32 = 18;

impl Model {
    /// Makes the empty state, before any event. The workspace's subject has no model of its own.
    pub fn empty(subject: Subject) -> Option<Self> {
        Some(match subject {
            Subject::Workspace(_) => return None,
            Subject::Project(id) => Self::Project(id, Project::default()),
            Subject::Task(id) => Self::Task(id, Box::default()),
            Subject::Conversation(id) => Self::Conversation(id, Conversation::default()),
            Subject::Document(id) => Self::Document(id, Document::default()),
            Subject::Agent(id) => Self::Agent(id, Agent::default()),
            Subject::Session(id) => Self::Session(id, Session::default()),
            Subject::Webhook(id) => Self::Webhook(id, Webhook::default()),
        })
    }

    /// Decides a command.
    pub fn decide(&self, cx: Circumstance, command: Command) -> Result<Vec<Event>, Rejection> {
        match (self, command) {
            (_, Command::Panic) => panic!("asked to panic in decide"),
            (Self::Project(id, state), Command::Project(command)) => {
                Ok(state.decide(*id, command)?.into_iter().map(Event::Project).collect())
            }
            (Self::Task(id, state), Command::Task(command)) => {
                Ok(state.decide(*id, cx, *command)?.into_iter().map(Event::Task).collect())
            }
            (Self::Conversation(id, state), Command::Conversation(command)) => {
                Ok(state.decide(*id, cx, command)?.into_iter().map(Event::Conversation).collect())
            }
            (Self::Document(id, state), Command::Document(command)) => {
                Ok(state.decide(*id, cx.by, command)?.into_iter().map(Event::Document).collect())
            }
            (Self::Agent(id, state), Command::Agent(command)) => {
                Ok(state.decide(*id, command)?.into_iter().map(Event::Agent).collect())
            }
            (Self::Session(_, state), Command::Session(command)) => {
                Ok(state.decide(command).into_iter().map(Event::Session).collect())
            }
            (Self::Webhook(id, state), Command::Webhook(command)) => {
                Ok(state.decide(*id, cx.now, command)?.into_iter().map(Event::Webhook).collect())
            }
            (_, _) => Err(Rejection::Invalid { path: "command", message: "is for another kind of entity".into() }),
        }
    }

    /// Folds an event of its own subject.
    pub fn apply(&mut self, offset: u64, event: &Event) {
        match (self, event) {
            (Self::Project(_, state), Event::Project(event)) => state.apply(event),
            (Self::Task(_, state), Event::Task(event)) => state.apply(offset, event),
            (Self::Conversation(id, state), Event::Conversation(event)) => state.apply(*id, event),
            (Self::Document(_, state), Event::Document(event)) => state.apply(event),
            (Self::Agent(_, state), Event::Agent(event)) => state.apply(event),
            (Self::Session(_, state), Event::Session(event)) => state.apply(event),
            (Self::Webhook(_, state), Event::Webhook(event)) => state.apply(event),
            (_, _) => {}
        }
    }

    /// Writes the state down, in MessagePack.
    pub fn to_snapshot(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        match self {
            Self::Project(_, state) => rmp_serde::to_vec_named(state),
            Self::Task(_, state) => rmp_serde::to_vec_named(state),
            Self::Conversation(_, state) => rmp_serde::to_vec_named(state),
            Self::Document(_, state) => rmp_serde::to_vec_named(state),
            Self::Agent(_, state) => rmp_serde::to_vec_named(state),
            Self::Session(_, state) => rmp_serde::to_vec_named(state),
            Self::Webhook(_, state) => rmp_serde::to_vec_named(state),
        }
    }

    /// Reads a state back.
    pub fn from_snapshot(subject: Subject, bytes: &[u8]) -> Result<Option<Self>, rmp_serde::decode::Error> {
        Ok(Some(match subject {
            Subject::Workspace(_) => return Ok(None),
            Subject::Project(id) => Self::Project(id, rmp_serde::from_slice(bytes)?),
            Subject::Task(id) => Self::Task(id, Box::new(rmp_serde::from_slice(bytes)?)),
            Subject::Conversation(id) => Self::Conversation(id, rmp_serde::from_slice(bytes)?),
            Subject::Document(id) => Self::Document(id, rmp_serde::from_slice(bytes)?),
            Subject::Agent(id) => Self::Agent(id, rmp_serde::from_slice(bytes)?),
            Subject::Session(id) => Self::Session(id, rmp_serde::from_slice(bytes)?),
            Subject::Webhook(id) => Self::Webhook(id, rmp_serde::from_slice(bytes)?),
        }))
    }
}
