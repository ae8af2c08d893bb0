//! The feed: committed batches and signals, to every client actor of this node that listens to the workspace.
//!
//! Each event is encoded once and shared; a slow listener costs the publisher nothing but a message.

use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use ractor::ActorRef;
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{
    event::Recorded,
    ids::{Subject, WorkspaceId},
    principal::Principal,
};

use super::client::ClientMessage;

/// One committed event and its frame.
#[derive(Debug)]
pub struct Committed {
    /// The event.
    pub recorded: Recorded,
    workspace: WorkspaceId,
    json: OnceLock<Arc<str>>,
}

impl Committed {
    /// Wraps an event of a workspace.
    pub fn new(workspace: WorkspaceId, recorded: Recorded) -> Self {
        Self { recorded, workspace, json: OnceLock::new() }
    }

    /// Returns the `event` frame in JSON, encoded at the first call.
    pub fn json(&self) -> Arc<str> {
        self.json.get_or_init(|| frame(self.workspace, &self.recorded).to_string().into()).clone()
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

    /// Tells whether a principal may see the event at all.
    pub fn visible_to(&self, who: Principal) -> bool {
        self.recorded.audience.as_ref().is_none_or(|audience| audience.contains(&who))
    }
}

/// Returns an event as doors show it.
pub fn shown(event: &Recorded) -> Value {
    let (kind, data) = event.event.encode();
    let mut value = json!({
        "offset": event.offset, "id": event.id, "type": kind, "subject": event.subject, "actor": event.actor,
        "at": event.at, "trace": event.trace, "data": data,
    });
    if let Some(who) = &event.on_behalf_of {
        value["on_behalf_of"] = json!(who);
    }
    if let Some(cause) = event.cause {
        value["cause"] = json!(cause);
    }
    value
}

fn frame(workspace: WorkspaceId, event: &Recorded) -> Value {
    let mut value = shown(event);
    value["t"] = json!("event");
    value["workspace"] = json!(workspace);
    value
}

/// Which events of a workspace a subscription wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// All of them.
    All,
    /// Those about these subjects.
    Some(Vec<Subject>),
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
#[derive(Clone, Debug, Serialize)]
pub struct Signal {
    /// Always `signal`.
    pub t: &'static str,
    /// Whose.
    pub workspace: WorkspaceId,
    /// About what.
    pub topic: Subject,
    /// What kind, as in `task:output`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What.
    pub data: Value,
    /// Who may see it; `None` means every member.
    #[serde(skip)]
    pub audience: Option<Vec<Principal>>,
}

impl Signal {
    /// Tells whether a principal may see it, and a topic filter lets it through.
    pub fn concerns(&self, who: Principal, topics: &Topics) -> bool {
        let wanted = match topics {
            Topics::All => true,
            Topics::Some(subjects) => subjects.contains(&self.topic),
        };
        wanted && self.audience.as_ref().is_none_or(|audience| audience.contains(&who))
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

    /// Hands a signal to everyone who listens.
    pub fn signal(&self, workspace: WorkspaceId, topic: Subject, kind: &'static str, data: Value) {
        self.send(Signal { t: "signal", workspace, topic, kind, data, audience: None });
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
