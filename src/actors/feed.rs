//! The feed: committed batches and signals, to every client actor of this node that listens to the workspace.
//!
//! Each event is written at most once in each encoding and shared; a slow listener costs the publisher nothing but a
//! message.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use ractor::ActorRef;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::domain::{
    event::Recorded,
    ids::{EventId, Subject, WorkspaceId},
    principal::Principal,
};

use super::{client::ClientMessage, encoding::Encoded};

/// One committed event of a workspace, and its frame.
#[derive(Debug)]
pub struct Committed {
    /// The event.
    pub recorded: Recorded,
    /// The bytes of its frame, for whoever sends it.
    pub encoded: Encoded,
    workspace: WorkspaceId,
}

impl Committed {
    /// Wraps an event of a workspace.
    pub fn new(workspace: WorkspaceId, recorded: Recorded) -> Self {
        Self { recorded, encoded: Encoded::default(), workspace }
    }

    /// Tells whether a topic filter lets the event through.
    pub fn matches(&self, topics: &Topics) -> bool {
        match topics {
            Topics::All => true,
            Topics::Some(subjects) => {
                let event = &self.recorded;
                subjects.contains(&event.subject) || event.refs.iter().any(|subject| subjects.contains(subject))
            }
        }
    }
}

/// As an `event` frame shows it.
impl Serialize for Committed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Shown::new(Some(self.workspace), &self.recorded).serialize(to)
    }
}

/// Returns an event as doors show it.
pub fn shown(event: &Recorded) -> Value {
    serde_json::to_value(Shown::new(None, event)).expect("an event has names for keys")
}

/// An event as doors show it; with its workspace where nothing else tells.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<WorkspaceId>,
    offset: u64,
    id: EventId,
    #[serde(rename = "type")]
    kind: String,
    subject: Subject,
    actor: Principal,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Principal>,
    at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
    trace: &'a str,
    data: Value,
}

impl<'a> Shown<'a> {
    fn new(workspace: Option<WorkspaceId>, event: &'a Recorded) -> Self {
        let (kind, data) = event.event.encode();
        Self {
            workspace,
            offset: event.offset,
            id: event.id,
            kind,
            subject: event.subject,
            actor: event.actor,
            on_behalf_of: event.on_behalf_of,
            at: event.at,
            cause: event.cause,
            trace: &event.trace,
            data,
        }
    }
}

/// Which events of a workspace a subscription wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// All of them.
    All,
    /// Those about these subjects.
    Some(Vec<Subject>),
}

impl Topics {
    /// Tells whether they name a subject.
    pub fn let_through(&self, subject: &Subject) -> bool {
        match self {
            Self::All => true,
            Self::Some(subjects) => subjects.contains(subject),
        }
    }
}

/// The events of one commit, in offset order.
#[derive(Debug)]
pub struct Batch {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What happened.
    pub events: Vec<Arc<Committed>>,
}

impl Batch {
    /// Returns the first and the last offset.
    pub fn span(&self) -> (u64, u64) {
        let offset = |event: Option<&Arc<Committed>>| event.map_or(0, |event| event.recorded.offset);
        (offset(self.events.first()), offset(self.events.last()))
    }
}

/// Something ephemeral: never in the log, at most once.
#[derive(Debug, Serialize)]
pub struct Signal {
    /// Whose.
    pub workspace: WorkspaceId,
    /// About what.
    pub topic: Subject,
    /// What that belongs to, as far as the sender knows.
    #[serde(skip)]
    pub refs: Vec<Subject>,
    /// What kind, as in `task:output`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What.
    pub data: Value,
    /// Who may see it; `None` means everyone who may see what it is about.
    #[serde(skip)]
    pub audience: Option<Vec<Principal>>,
    /// The bytes of its frame, for whoever sends it.
    #[serde(skip)]
    pub encoded: Encoded,
}

impl Signal {
    /// Tells whether a principal may see it, and a topic filter lets it through.
    pub fn concerns(&self, who: Principal, topics: &Topics) -> bool {
        topics.let_through(&self.topic) && self.audience.as_ref().is_none_or(|audience| audience.contains(&who))
    }
}

/// Who listens, by workspace. Cheap to share.
#[derive(Default)]
pub struct Feed {
    listeners: DashMap<WorkspaceId, Vec<ActorRef<ClientMessage>>>,
}

impl Feed {
    /// Lets a client hear everything that is committed from now on.
    pub fn listen(&self, workspace: WorkspaceId, client: ActorRef<ClientMessage>) {
        let mut listeners = self.listeners.entry(workspace).or_default();
        if !listeners.iter().any(|known| known.get_id() == client.get_id()) {
            listeners.push(client);
        }
    }

    /// Lets a client hear nothing more.
    pub fn leave(&self, workspace: WorkspaceId, client: &ActorRef<ClientMessage>) {
        if let Some(mut listeners) = self.listeners.get_mut(&workspace) {
            listeners.retain(|known| known.get_id() != client.get_id());
        }
        self.listeners.remove_if(&workspace, |_, listeners| listeners.is_empty());
    }

    /// Hands a committed batch to everyone who listens.
    pub fn publish(&self, batch: &Arc<Batch>) {
        let Some(listeners) = self.listeners.get(&batch.workspace) else { return };
        for client in listeners.iter() {
            // A client that is gone leaves by itself.
            let _ = client.cast(ClientMessage::Committed(batch.clone()));
        }
    }

    /// Tells everyone who listens how long the log is: whoever knows less reads on.
    pub fn head(&self, workspace: WorkspaceId, offset: u64) {
        let Some(listeners) = self.listeners.get(&workspace) else { return };
        for client in listeners.iter() {
            let _ = client.cast(ClientMessage::Head(workspace, offset));
        }
    }

    /// Hands a signal to everyone who listens.
    pub fn signal(&self, workspace: WorkspaceId, topic: Subject, kind: &'static str, data: Value) {
        self.send(Signal { workspace, topic, refs: vec![], kind, data, audience: None, encoded: Encoded::default() });
    }

    /// Hands a signal to those who listen and may see it.
    pub fn send(&self, signal: Signal) {
        let Some(listeners) = self.listeners.get(&signal.workspace) else { return };
        let signal = Arc::new(signal);
        for client in listeners.iter() {
            let _ = client.cast(ClientMessage::Signalled(signal.clone()));
        }
    }
}
