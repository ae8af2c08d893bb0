//! Names of things: one newtype per kind of id, and the subject that an event is about.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }
    )+};
}

ids! {
    /// A tenant: everything below it lives in one ordered log.
    WorkspaceId,
    /// A person.
    UserId,
    /// A group of people and agents that work can be assigned to.
    TeamId,
    /// A role that a workspace made for itself.
    RoleId,
    /// What somebody may, or may not, do with one thing.
    GrantId,
    /// What an agent may decide on somebody's behalf.
    RightId,
    /// A project.
    ProjectId,
    /// A task.
    TaskId,
    /// A conversation.
    ConversationId,
    /// A message of a conversation.
    MessageId,
    /// A shared document.
    DocumentId,
    /// Changes that somebody proposed for a document.
    SuggestionId,
    /// One answer that an agent owes to a message.
    TurnId,
    /// An AI agent as a member of a workspace.
    AgentId,
    /// One running agent server.
    InstanceId,
    /// One request to move one task forward with an agent.
    DelegationId,
    /// One try of a delegation on one instance; users see it as an agent session.
    AttemptId,
    /// An open question that stops an attempt.
    InterruptId,
    /// Something that an attempt produced.
    ArtifactId,
    /// A state of a task that it can go back to.
    CheckpointId,
    /// One splitting of a task into parts.
    FanOutId,
    /// An endpoint outside that hears of events.
    WebhookId,
    /// Something that is kept sealed: an address, a secret.
    SealedId,
    /// One committed event.
    EventId,
    /// One login of a person.
    LoginId,
    /// An API key.
    KeyId,
    /// A program outside of Link that is a member of a workspace.
    ServiceId,
}

/// What an id looks like.
pub const UUID: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
/// How long it is. A UUID can be written in several ways: where a kind stands before it, in this one.
pub const UUID_LENGTH: usize = 36;

/// What an event is about, written `kind:id`; also the key of the entity that folds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// The workspace itself: members, roles, settings.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
    /// A task with its delegations and attempts.
    Task(TaskId),
    /// A conversation.
    Conversation(ConversationId),
    /// A shared document.
    Document(DocumentId),
    /// An agent with its instances.
    Agent(AgentId),
    /// The durable side of one attempt: where it runs and how far it was followed.
    Session(AttemptId),
    /// An endpoint outside that hears of events.
    Webhook(WebhookId),
}

impl Subject {
    /// Returns the part before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace",
            Self::Project(_) => "project",
            Self::Task(_) => "task",
            Self::Conversation(_) => "conversation",
            Self::Document(_) => "document",
            Self::Agent(_) => "agent",
            Self::Session(_) => "session",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Returns the part after the colon.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Workspace(id) => id.0,
            Self::Project(id) => id.0,
            Self::Task(id) => id.0,
            Self::Conversation(id) => id.0,
            Self::Document(id) => id.0,
            Self::Agent(id) => id.0,
            Self::Session(id) => id.0,
            Self::Webhook(id) => id.0,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

/// The text is no `kind:id` of a known kind.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no subject: write kind:id, as in task:018f…")]
pub struct NoSubject(String);

impl FromStr for Subject {
    type Err = NoSubject;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoSubject(text.chars().take(80).collect());
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        let id = Some(id).filter(|id| id.len() == UUID_LENGTH).ok_or_else(wrong)?;
        let id = Uuid::parse_str(id).map_err(|_| wrong())?;
        Ok(match kind {
            "workspace" => Self::Workspace(id.into()),
            "project" => Self::Project(id.into()),
            "task" => Self::Task(id.into()),
            "conversation" => Self::Conversation(id.into()),
            "document" => Self::Document(id.into()),
            "agent" => Self::Agent(id.into()),
            "session" => Self::Session(id.into()),
            "webhook" => Self::Webhook(id.into()),
            _ => return Err(wrong()),
        })
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for Subject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Subject".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "What an event is about, as `kind:id`.",
            "pattern": format!("^(workspace|project|task|conversation|document|agent|session|webhook):{UUID}$"),
            "examples": ["task:0190f3c2-7b1e-7000-8000-000000000001"]
        })
    }
}
