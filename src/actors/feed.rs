//! The feed: committed batches, signals and running texts, to the relay of the workspace, which hands them on to all who
//! listen. Whoever publishes leaves a message and never waits.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use dashmap::{DashMap, mapref::one::RefMut};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    clock::Clock,
    domain::{
        event::{ConversationEvent, Event, Recorded},
        ids::{EventId, Subject, WorkspaceId},
        principal::Principal,
    },
};

use super::{
    client_handle::ClientId,
    encoding::Encoded,
    greeting::Greeter,
    knowledge::Knowledge,
    member::{Joining, Member},
    presence::{self, Presence},
    room::{self, Item, Room},
    texts::{Texts, Writing},
};

/// How long it is waited for a relay to let a client go.
const LEAVING: Duration = Duration::from_secs(5);

/// One committed event of a workspace, and its frame.
#[derive(Debug)]
pub struct Committed {
    /// The event.
    pub recorded: Recorded,
    /// The bytes of its frame, for whoever sends it.
    pub encoded: Encoded,
    weight: OnceLock<usize>,
    workspace: WorkspaceId,
}

/// Counts what is written to it.
struct Scale(usize);

impl io::Write for Scale {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Committed {
    /// Wraps an event of a workspace.
    pub fn new(workspace: WorkspaceId, recorded: Recorded) -> Self {
        Self { recorded, encoded: Encoded::default(), weight: OnceLock::new(), workspace }
    }

    /// Returns about how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        *self.weight.get_or_init(|| {
            let mut scale = Scale(0);
            let _ = serde_json::to_writer(&mut scale, self);
            scale.0
        })
    }

    /// Tells whether a topic filter lets the event through.
    pub fn matches(&self, topics: &Topics) -> bool {
        match topics {
            Topics::All => true,
            Topics::Some(subjects) => {
                let event = &self.recorded;
                // A branch speaks for itself; that it began concerns who follows what it is a branch of, too.
                let begins = matches!(event.event, Event::Conversation(ConversationEvent::Branched { .. }));
                let concerned = |subject: &&Subject| begins || !matches!(subject, Subject::Conversation(_));
                let mut refs = event.refs.iter().filter(concerned);
                subjects.contains(&event.subject) || refs.any(|subject| subjects.contains(subject))
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Makes one for everyone who may see its topic.
    pub fn new(workspace: WorkspaceId, topic: Subject, kind: &'static str, data: Value) -> Self {
        Self { workspace, topic, refs: vec![], kind, data, audience: None, encoded: Encoded::default() }
    }

    /// Tells whether it is known what its topic belongs to, so that rights alone say who may see it.
    pub fn is_placed(&self) -> bool {
        !self.refs.is_empty() || matches!(self.topic, Subject::Workspace(_) | Subject::Agent(_))
    }

    /// Tells whether it says how somebody is: what that was is told anew to whoever has lost it.
    pub fn is_presence(&self) -> bool {
        self.kind == presence::SIGNAL
    }

    /// Tells whether a principal may see it, and a topic filter lets it through.
    pub fn concerns(&self, who: Principal, topics: &Topics) -> bool {
        topics.let_through(&self.topic) && self.audience.as_ref().is_none_or(|audience| audience.contains(&who))
    }
}

/// Who listens to what. Cheap to share.
pub struct Feed {
    rooms: DashMap<WorkspaceId, Arc<Room>>,
    /// What is known without asking the database.
    pub known: Arc<Knowledge>,
    pub(super) greeter: Arc<Greeter>,
    texts: Arc<Texts>,
}

/// No relay outlives the feed.
impl Drop for Feed {
    fn drop(&mut self) {
        self.rooms.iter().for_each(|room| room.close());
    }
}

impl Feed {
    /// Nobody listens yet.
    pub fn new(presence: Arc<Presence>, clock: Clock) -> Self {
        let known = Arc::new(Knowledge::default());
        let greeter = Arc::new(Greeter::new(presence, known.clone(), clock));
        Self { rooms: DashMap::new(), known, greeter, texts: Arc::default() }
    }

    /// Lets a client hear everything that is published from now on.
    pub(super) fn join(&self, workspace: WorkspaceId, member: Member, known: u64) {
        self.post(workspace, Item::Join(Joining::new(member), known));
    }

    /// Makes sure that everything that is published from now on is relayed.
    pub(super) fn listen(&self, workspace: WorkspaceId) -> Arc<Room> {
        let room = self.room(workspace);
        // Before anybody may sweep it away.
        room.touch();
        room.clone()
    }

    /// Lets a client hear nothing more.
    pub(super) fn leave(&self, workspace: WorkspaceId, client: ClientId) {
        if let Some(room) = self.rooms.get(&workspace) {
            let _ = room.post(Item::Leave(client, None));
        }
    }

    /// The same; returns when nothing more comes.
    pub(super) async fn left(&self, workspace: WorkspaceId, client: ClientId) {
        let (done, left) = oneshot::channel();
        let posted = self.rooms.get(&workspace).is_some_and(|room| room.post(Item::Leave(client, Some(done))).is_ok());
        if posted {
            let _ = tokio::time::timeout(LEAVING, left).await;
        }
    }

    /// Hands a committed batch to everyone who listens.
    pub fn publish(&self, batch: &Arc<Batch>) {
        if let Some(room) = self.rooms.get(&batch.workspace) {
            let _ = room.post(Item::Batch(batch.clone()));
        }
    }

    /// Tells everyone who listens how long the log is: whoever knows less reads on. The writer has just read it.
    pub(super) fn opened(&self, workspace: WorkspaceId, head: u64) {
        self.known.opened(workspace, head);
        if let Some(room) = self.rooms.get(&workspace) {
            let _ = room.post(Item::Head(head));
        }
    }

    /// Hands a signal to everyone who listens.
    pub fn signal(&self, workspace: WorkspaceId, topic: Subject, kind: &'static str, data: Value) {
        self.send(Signal::new(workspace, topic, kind, data));
    }

    /// Hands a signal to those who listen and may see it.
    pub fn send(&self, signal: Signal) {
        if let Some(room) = self.rooms.get(&signal.workspace) {
            let _ = room.post(Item::Signal(Arc::new(signal)));
        }
    }

    /// Adds to a running text; `audience` as of a signal.
    pub(super) fn write(&self, at: WorkspaceId, writing: Writing, added: &str, audience: Option<&[Principal]>) {
        if self.texts.add(at, writing, added, audience)
            && let Some(room) = self.rooms.get(&at)
        {
            let _ = room.post(Item::Text(writing));
        }
    }

    /// Ends a running text: whoever heard all of it hears the rest, now.
    pub(super) fn written(&self, workspace: WorkspaceId, writing: Writing) {
        self.texts.end(workspace, writing).into_iter().for_each(|rest| self.send(rest));
    }

    /// Ends a running text of which nobody shall hear more.
    pub(super) fn unwritten(&self, workspace: WorkspaceId, writing: Writing) {
        drop(self.texts.end(workspace, writing));
    }

    /// Ends the relays that nobody has listened to for a while.
    pub(super) fn sweep(&self) {
        self.rooms.retain(|_, room| !room.end_if_idle());
    }

    fn room(&self, workspace: WorkspaceId) -> RefMut<'_, WorkspaceId, Arc<Room>> {
        let fresh = || room::open(workspace, self.texts.clone(), self.greeter.clone());
        self.rooms.entry(workspace).or_insert_with(fresh)
    }

    fn post(&self, workspace: WorkspaceId, mut item: Item) {
        loop {
            let room = self.room(workspace).clone();
            match room.post(item) {
                Ok(()) => return,
                // It was swept away in this moment.
                Err(back) => item = back,
            }
            self.rooms.remove_if(&workspace, |_, known| Arc::ptr_eq(known, &room));
        }
    }
}
