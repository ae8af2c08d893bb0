//! Everything that can have happened. An event is a past-tense fact: once committed it is never edited; a change
//! of shape is a new variant and an upcast in [`Event::decode`].
//!
//! On the wire and in the log an event is `{type: "noun:verb", data: {…}}`.

mod conversation;
mod document;
mod task;
mod webhook;
mod workspace;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::value::MapDeserializer};
use serde_json::Value;

use super::{
    agent::{AgentStatus, RuntimeKind},
    ids::*,
    principal::Principal,
    text::{Label, Prose, Title},
};

/// One committed event with everything that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number in the workspace's log: 1, 2, 3 …
    pub offset: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about; the entity of this subject folds it.
    pub subject: Subject,
    /// What else it concerns; a topic filter matches these too.
    pub refs: Vec<Subject>,
    /// Who did it.
    pub actor: Principal,
    /// For whom, where that differs.
    pub on_behalf_of: Option<Principal>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The event that led to it.
    pub cause: Option<u64>,
    /// The trace of the request that led to it.
    pub trace: String,
    /// Who may see it; `None` means every member.
    pub audience: Option<Vec<Principal>>,
    /// What happened.
    pub event: Event,
}

pub use document::DocumentEvent;

impl Recorded {
    /// Tells whether somebody may hear it who did not do it.
    pub fn is_for(&self, who: Principal) -> bool {
        self.actor != who && self.audience.as_ref().is_none_or(|audience| audience.contains(&who))
    }
}

pub use conversation::ConversationEvent;
pub use task::TaskEvent;
pub use webhook::WebhookEvent;
pub use workspace::WorkspaceEvent;

macro_rules! families {
    ($($family:ident: [$($noun:literal),+]),+ $(,)?) => {
        /// What happened, by the entity that it happened to.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { $(
            #[doc = concat!("See [`", stringify!($family), "Event`].")]
            $family(paste_event!($family)),
        )+ }

        impl Event {
            /// What a type may begin with.
            pub const NOUNS: &[&str] = &[$($($noun),+),+];

            /// Returns `{type, data}`.
            pub fn encode(&self) -> (String, Value) {
                let value = match self { $(Self::$family(event) => serde_json::to_value(event),)+ };
                let Ok(Value::Object(mut map)) = value else { unreachable!("events are adjacently tagged objects") };
                let Some(Value::String(kind)) = map.remove("type") else { unreachable!("the tag is a string") };
                (kind, map.remove("data").unwrap_or(Value::Object(Default::default())))
            }

            /// Reads an event of any age.
            pub fn decode(kind: &str, data: Value) -> Result<Self, serde_json::Error> {
                let noun = kind.split(':').next().unwrap_or_default();
                // The tag comes first: serde would have to keep the data aside until it knows what to read.
                let tagged = MapDeserializer::new([("type", Value::from(kind)), ("data", data)].into_iter());
                match noun {
                    $($($noun)|+ => Deserialize::deserialize(tagged).map(Self::$family),)+
                    _ => Err(serde::de::Error::custom(format!("no event is called `{kind}`"))),
                }
            }
        }
    };
}
macro_rules! paste_event {
    (Workspace) => {
        WorkspaceEvent
    };
    (Project) => {
        ProjectEvent
    };
    (Task) => {
        TaskEvent
    };
    (Conversation) => {
        ConversationEvent
    };
    (Document) => {
        DocumentEvent
    };
    (Agent) => {
        AgentEvent
    };
    (Session) => {
        SessionEvent
    };
    (Webhook) => {
        WebhookEvent
    };
}
families! {
    Workspace: ["workspace", "member", "team", "role", "grant", "service", "key", "right"],
    Project: ["project"],
    Task: ["task", "delegation", "handoff", "fanout", "attempt", "interrupt", "artifact", "reminder", "decision"],
    Conversation: ["conversation"],
    Document: ["document"],
    Agent: ["agent", "instance"],
    Session: ["session"],
    Webhook: ["webhook"],
}

/// What happens to a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ProjectEvent {
    /// The project was made.
    #[serde(rename = "project:created")]
    Created {
        /// Its name.
        name: Title,
        /// The `KEY` of `KEY-12`.
        key: String,
        /// What it is for.
        description: Prose,
    },
    /// Name or description changed.
    #[serde(rename = "project:update")]
    Updated {
        /// The new name, if it changed.
        name: Option<Title>,
        /// The new description, if it changed.
        description: Option<Prose>,
    },
    /// The project is closed for new tasks; nothing is lost.
    #[serde(rename = "project:archived")]
    Archived {},
}

/// A path or a title of an artifact; part of a key, so short enough for an index.
pub type ArtifactName = super::text::Text<1, 512>;

/// What happens to an agent and its instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum AgentEvent {
    /// The agent joined the workspace.
    #[serde(rename = "agent:registered")]
    Registered {
        /// Its name.
        name: Title,
        /// How it is driven.
        runtime: RuntimeKind,
        /// What it is good at.
        skills: BTreeSet<Label>,
        /// Most attempts at the same time, over all instances.
        max_concurrency: u32,
    },
    /// Fields changed.
    #[serde(rename = "agent:updated")]
    Updated {
        /// The new name.
        name: Option<Title>,
        /// The new skills.
        skills: Option<BTreeSet<Label>>,
        /// The new bound.
        max_concurrency: Option<u32>,
    },
    /// What the agent does changed: it works, waits, is paused, is offline.
    #[serde(rename = "agent:status")]
    Status {
        /// What it does now.
        status: AgentStatus,
        /// Why.
        cause: String,
    },
    /// A person wants the agent to take work again, or no longer.
    #[serde(rename = "agent:availability")]
    Availability {
        /// What is wanted.
        wanted: super::agent::Availability,
    },
    /// A server of the agent is known. Its secrets are not in the log.
    #[serde(rename = "instance:added")]
    InstanceAdded {
        /// Which.
        instance: InstanceId,
        /// Where; or the script, for scripted agents.
        url: String,
        /// The model to ask for.
        model: Option<String>,
        /// Attempts at the same time.
        slots: u32,
        /// Model turns of one attempt.
        turns_max: u32,
    },
    /// A server of the agent has connected by itself: it lives.
    #[serde(rename = "instance:connected")]
    InstanceConnected {
        /// Which.
        instance: InstanceId,
        /// Attempts that it takes at the same time.
        slots: u32,
        /// What it is good at.
        skills: BTreeSet<Label>,
        /// Names the connection; changes with each.
        boot: String,
    },
    /// A server of the agent is no longer used.
    #[serde(rename = "instance:removed")]
    InstanceRemoved {
        /// Which.
        instance: InstanceId,
    },
    /// A probe's result differs from the one before.
    #[serde(rename = "instance:probed")]
    InstanceProbed {
        /// Which.
        instance: InstanceId,
        /// Whether it answered.
        healthy: bool,
        /// Changes when the server restarts.
        boot: Option<String>,
        /// Why not.
        cause: Option<String>,
    },
    /// An instance serves worse than it did, or well again, by what became of the work on it.
    #[serde(rename = "instance:standing")]
    InstanceStanding {
        /// Which.
        instance: InstanceId,
        /// How it stands now.
        standing: super::routing::Standing,
        /// Why.
        cause: String,
    },
    /// The agent's work at something got worse, or is no longer held against it.
    #[serde(rename = "agent:skill")]
    Skill {
        /// The kind of work: the project that it is for.
        kind: Option<ProjectId>,
        /// With which model.
        model: Option<String>,
        /// Whether it is worse.
        worse: bool,
    },
}

/// What is remembered of an attempt's run, to find it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum SessionEvent {
    /// The instance has the work, and this finds it again.
    #[serde(rename = "session:bound")]
    Bound {
        /// The driver's own notes.
        remote: Value,
    },
    /// What the attempt is told was put together.
    #[serde(rename = "session:packed")]
    Packed {
        /// The SHA-256 of the whole text, in hexadecimal digits.
        hash: String,
        /// About how many tokens it has.
        tokens: u64,
        /// What did not fit.
        left_out: Vec<String>,
    },
    /// The stream was followed up to here.
    #[serde(rename = "session:followed")]
    Followed {
        /// The driver's own notes.
        cursor: Value,
    },
}
