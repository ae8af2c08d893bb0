//! What is known of a workspace while its writer is open on this node: the end of its log, who may see what, how its
//! agents are. It is asked for once, and forgotten with the event that changes it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashMap;

use crate::domain::{
    access::{self, Rights, Viewer},
    event::{ConversationEvent, Event, TaskEvent},
    ids::{Subject, WorkspaceId},
    principal::Principal,
};

use super::{feed::Batch, greeting::ReadAgents, presence::Seen};

/// Whose rights are remembered, per workspace; with more, all are asked for anew.
const RIGHTS_MAX: usize = 20_000;
/// Things whose place is remembered, per workspace; with more, all are asked for anew.
const PLACES_MAX: usize = 2_000;

/// One workspace.
struct Known {
    /// The end of the log.
    head: u64,
    /// Another number whenever somebody's rights may have changed; no two workspaces or writers share one.
    changes: u64,
    rights: HashMap<Principal, (Viewer, Arc<Rights>)>,
    /// Another number with every event of an agent.
    of_agents: u64,
    agents: Option<Arc<Vec<Seen>>>,
    /// Another number whenever something may have moved, or who takes part in it may have changed.
    moves: u64,
    places: HashMap<Subject, Arc<Place>>,
}

/// Where something is, and who may know of it at all.
pub struct Place {
    /// The thing and what it belongs to.
    pub chain: Vec<Subject>,
    /// Those who are in it, where nobody else may know.
    pub audience: Option<Vec<Principal>>,
}

/// Tells whether an event leaves everything where it is, and everyone who takes part.
fn leaves_places(event: &Event) -> bool {
    match event {
        Event::Conversation(event) => {
            matches!(event, ConversationEvent::Message { .. } | ConversationEvent::MessageEdited { .. })
        }
        Event::Task(event) => matches!(event, TaskEvent::Progress { .. } | TaskEvent::Moved { .. }),
        Event::Session(_) | Event::Agent(_) => true,
        _ => false,
    }
}

/// What somebody may see, and the end of the log as it was then at the earliest.
pub(super) struct Standing {
    pub rights: Arc<Rights>,
    pub head: u64,
    /// How the agents are, where that had to be read.
    pub agents: Option<ReadAgents>,
}

/// All workspaces that are written on this node.
#[derive(Default)]
pub struct Knowledge {
    known: DashMap<WorkspaceId, Known>,
    /// Numbers given out so far.
    numbers: AtomicU64,
}

impl Knowledge {
    /// The writer has read the log.
    pub(super) fn opened(&self, workspace: WorkspaceId, head: u64) {
        self.known.insert(workspace, self.fresh(head));
    }

    /// The writer is gone: the database knows better from here on.
    pub(super) fn closed(&self, workspace: WorkspaceId) {
        self.known.remove(&workspace);
    }

    /// Notes what was committed, before anybody hears of it: whoever asks for the head from here on is told the new one.
    pub(super) fn committed(&self, batch: &Batch) {
        let mut known = self.known.entry(batch.workspace).or_insert_with(|| self.fresh(0));
        known.head = known.head.max(batch.span().1);
        for event in batch.events.iter().map(|event| &event.recorded.event) {
            if access::may_change(event) {
                known.changes = self.number();
                known.rights.retain(|who, _| !access::changes(event, *who));
            }
            if matches!(event, Event::Agent(_)) {
                known.of_agents = self.number();
                known.agents = None;
            }
            if !leaves_places(event) {
                known.moves = self.number();
                known.places.clear();
            }
        }
    }

    /// Returns the end of the log, where this node writes it.
    pub(super) fn head(&self, workspace: WorkspaceId) -> Option<u64> {
        self.known.get(&workspace).map(|known| known.head)
    }

    /// Returns what somebody may see, where that was asked before and nothing has changed it since.
    pub(super) fn standing(&self, workspace: WorkspaceId, viewer: Viewer) -> Option<Standing> {
        let known = self.known.get(&workspace)?;
        let (of, rights) = known.rights.get(&viewer.principal)?;
        (*of == viewer).then(|| Standing { rights: rights.clone(), head: known.head, agents: None })
    }

    /// Returns what has to be shown to `remember`; asked before the database is.
    pub fn changes(&self, workspace: WorkspaceId) -> Option<u64> {
        self.known.get(&workspace).map(|known| known.changes)
    }

    /// Remembers what somebody may see, unless somebody's rights have changed since `changes`.
    pub(super) fn remember(&self, workspace: WorkspaceId, viewer: Viewer, rights: &Arc<Rights>, changes: Option<u64>) {
        if let Some(mut known) = self.known.get_mut(&workspace)
            && Some(known.changes) == changes
        {
            if known.rights.len() >= RIGHTS_MAX {
                known.rights.clear();
            }
            known.rights.insert(viewer.principal, (viewer, rights.clone()));
        }
    }

    /// Returns how the agents are, where that was asked before and nothing happened to one since.
    pub(super) fn agents(&self, workspace: WorkspaceId) -> Option<ReadAgents> {
        let known = self.known.get(&workspace)?;
        Some(ReadAgents { agents: known.agents.clone()?, changes: Some(known.of_agents) })
    }

    /// Returns what has to be shown to [`Self::remember_agents`]; asked before the database is.
    pub(super) fn changes_of_agents(&self, workspace: WorkspaceId) -> Option<u64> {
        self.known.get(&workspace).map(|known| known.of_agents)
    }

    /// Remembers how the agents are, unless something happened to one since `changes`.
    pub(super) fn remember_agents(&self, workspace: WorkspaceId, agents: &Arc<Vec<Seen>>, changes: Option<u64>) {
        if let Some(mut known) = self.known.get_mut(&workspace)
            && Some(known.of_agents) == changes
        {
            known.agents = Some(agents.clone());
        }
    }

    /// Returns where something is and what somebody may see, where both were asked before and nothing has changed since.
    pub fn place(&self, workspace: WorkspaceId, viewer: Viewer, topic: Subject) -> Option<(Arc<Rights>, Arc<Place>)> {
        let known = self.known.get(&workspace)?;
        let (of, rights) = known.rights.get(&viewer.principal)?;
        let place = known.places.get(&topic)?;
        (*of == viewer).then(|| (rights.clone(), place.clone()))
    }

    /// Returns what has to be shown to [`Self::remember_place`]; asked before the database is.
    pub fn moves(&self, workspace: WorkspaceId) -> Option<u64> {
        self.known.get(&workspace).map(|known| known.moves)
    }

    /// Remembers where something is, unless anything has moved since `moves`.
    pub fn remember_place(&self, workspace: WorkspaceId, topic: Subject, place: Place, moves: Option<u64>) {
        if let Some(mut known) = self.known.get_mut(&workspace)
            && Some(known.moves) == moves
        {
            if known.places.len() >= PLACES_MAX {
                known.places.clear();
            }
            known.places.insert(topic, Arc::new(place));
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn fresh(&self, head: u64) -> Known {
        let (changes, of_agents, moves) = (self.number(), self.number(), self.number());
        Known { head, changes, rights: HashMap::new(), of_agents, agents: None, moves, places: HashMap::new() }
    }
}
