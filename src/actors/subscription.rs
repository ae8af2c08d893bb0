//! What a client asks for when it subscribes, why it may be refused, and what it is told.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::{
    domain::{
        access::Rights,
        event::{Event, WorkspaceEvent},
        ids::{Subject, WorkspaceId},
        principal::Principal,
    },
    persistence::queries::{self, Scope},
};

use super::{
    context::Context,
    feed::{Committed, Signal, Topics},
    greeting::ReadAgents,
};

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The client's name for it.
    pub id: Value,
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which events.
    pub topics: Topics,
    /// From after which offset; `None` means from now on.
    pub after: Option<u64>,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The workspace is not known to this client.
    NotFound,
    /// Too many subscriptions.
    TooMany,
    /// The database did not answer.
    Unavailable,
}

/// What goes out to a client.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Something to tell it.
    Told(Told),
    /// The end.
    Close {
        /// The close code.
        code: u16,
        /// Why.
        reason: &'static str,
    },
}

/// What a client is told, for its door to say in its own way.
#[derive(Clone, Debug)]
pub enum Told {
    /// The subscription stands, and this is how long the log is.
    Subscribed {
        /// The client's name for it.
        id: Value,
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The last offset of the log.
        head: u64,
    },
    /// The subscription has ended: nothing of the workspace follows.
    Unsubscribed {
        /// The client's name for the request.
        id: Value,
    },
    /// The offset that was asked for is beyond the log.
    Reset {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The last offset of the log.
        head: u64,
        /// What to do.
        reason: &'static str,
    },
    /// Something happened.
    Event(Arc<Committed>),
    /// The replay is over.
    CaughtUp {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// Up to here.
        offset: u64,
    },
    /// Nothing up to here was meant for this client.
    Cursor {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// Up to here.
        offset: u64,
    },
    /// Something ephemeral happened.
    Signal(Arc<Signal>),
}

/// Topics of signals whose place is remembered; with more, all are forgotten and looked up again.
const CHAINS_MAX: usize = 1_000;

/// One workspace, as one client hears of it.
pub(super) struct Subscription {
    pub topics: Arc<Topics>,
    /// What the client may see.
    pub rights: Arc<Rights>,
    /// The rights know of every event up to here.
    pub rights_at: u64,
    /// Which of the client's subscriptions it is.
    pub generation: u64,
    /// What belongs to what, for signals that do not say.
    pub chains: HashMap<Subject, Vec<Subject>>,
    /// How the agents were when it began, where only this client knows, until it is told.
    pub agents: Option<ReadAgents>,
    /// The last offset that was sent or passed over, while the log is read; else the relay has it.
    pub cursor: u64,
    /// How many events are read at a time.
    pub page: usize,
    /// Whether the end of the replay was announced; it is once, even if the log has to be read again.
    pub caught_up: bool,
}

impl Subscription {
    /// Tells whether a signal may be seen. What its topic belongs to is looked up only where that matters.
    pub async fn sees(&mut self, context: &Context, signal: &Signal) -> bool {
        if self.rights.are_plain() {
            return true;
        }
        if signal.is_placed() {
            return self.rights.see_thing(signal.topic, &signal.refs);
        }
        if !self.chains.contains_key(&signal.topic) {
            let (tenant, Some(scope)) = (context.tenant(signal.workspace), Scope::of(signal.topic)) else {
                return false;
            };
            let found = queries::chain(&tenant, scope, signal.topic.id(), self.rights.who).await;
            let Ok(chain) = found else { return false };
            if self.chains.len() >= CHAINS_MAX {
                self.chains.clear();
            }
            self.chains.insert(signal.topic, chain);
        }
        let refs = self.chains.get(&signal.topic).map_or(&[][..], Vec::as_slice);
        self.rights.see_thing(signal.topic, refs)
    }
}

pub(super) fn removes(event: &Event, who: Principal) -> bool {
    matches!(event, Event::Workspace(WorkspaceEvent::MemberRemoved { user: removed }) if Principal::User(*removed) == who)
}
