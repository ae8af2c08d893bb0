//! Where drivers and connections meet: a line per instance has the connection that is open now, if there is one, and a
//! seat for each attempt that is driven. Either may come first, and either may come back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use dashmap::DashMap;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::domain::ids::{AttemptId, InstanceId};

use super::{
    frame::{Held, Said},
    told::Told,
};

/// Frames that may wait for an agent to read them; with more it is cut.
pub const OUTBOX_MAX: usize = 256;
/// Frames of an agent that may wait for the driver of one attempt; then its socket is not read.
pub const INBOX_MAX: usize = 8;

/// Why a connection ends before the agent wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Another one of the same name is there.
    Replaced,
    /// The agent does not read what it is sent.
    TooSlow,
    /// The agent shows no sign of life.
    Silent,
    /// The instance was removed, or its agent retired.
    Removed,
    /// What looks after it here has ended.
    Going,
}

/// One connection of an agent.
pub struct Connection {
    /// Its name.
    pub id: Uuid,
    outbox: mpsc::Sender<Told>,
    /// The attempts that the agent has, as far as this connection tells, and the first frame that it kept of each.
    has: Mutex<HashMap<AttemptId, u64>>,
    heard: Mutex<Instant>,
    suspect: AtomicBool,
    end: watch::Sender<Option<End>>,
}

impl Connection {
    /// Sends a frame; an agent that does not read is cut.
    pub fn tell(&self, frame: Told) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outbox.try_send(frame) {
            self.end(End::TooSlow);
        }
    }

    /// Ends it; the first reason counts.
    pub fn end(&self, why: End) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(why);
            first
        });
    }

    /// Returns when it has to end, and why.
    pub async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        let why = end.wait_for(Option::is_some).await;
        why.ok().and_then(|why| *why).unwrap_or(End::Going)
    }

    /// Notes a sign of life.
    pub fn hear(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Returns when the agent was last heard.
    pub fn heard(&self) -> Instant {
        *lock(&self.heard)
    }

    /// Notes whether the agent has been silent for too long to be given work; returns whether that is new.
    pub fn suspect(&self, is: bool) -> bool {
        self.suspect.swap(is, Ordering::Relaxed) != is
    }

    /// Tells whether the agent has been silent for too long to be given work.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// Returns the first frame that the agent has kept of an attempt, if it has the attempt.
    pub(super) fn first_kept(&self, attempt: AttemptId) -> Option<u64> {
        lock(&self.has).get(&attempt).copied()
    }

    /// Notes that the agent was given an attempt.
    pub(super) fn given(&self, attempt: AttemptId) {
        lock(&self.has).entry(attempt).or_insert(1);
    }

    pub(super) fn let_go(&self, attempt: AttemptId) {
        lock(&self.has).remove(&attempt);
    }

    /// Tells whether the agent has an attempt.
    pub fn has(&self, attempt: AttemptId) -> bool {
        self.first_kept(attempt).is_some()
    }
}

/// Where a driver hears of its attempt: from which connection, and what.
pub(super) type Inbox = mpsc::Sender<(Uuid, Said)>;

/// What a driver has while it drives.
pub(super) struct Seat {
    /// The connection of its instance, whenever that changes.
    pub connections: watch::Receiver<Option<Arc<Connection>>>,
    /// Its own place: by this it is known.
    pub inbox: Inbox,
    /// What is said about its attempt.
    pub said: mpsc::Receiver<(Uuid, Said)>,
}

/// One instance.
struct Line {
    current: watch::Sender<Option<Arc<Connection>>>,
    seats: HashMap<AttemptId, Inbox>,
    /// Attempts whose driver has ended with the agent's last word, until that is in the log: its number.
    last_words: HashMap<AttemptId, Option<u64>>,
}

impl Default for Line {
    fn default() -> Self {
        Self { current: watch::Sender::new(None), seats: HashMap::new(), last_words: HashMap::new() }
    }
}

impl Line {
    fn is_idle(&self) -> bool {
        self.current.borrow().is_none() && self.seats.is_empty() && self.last_words.is_empty()
    }
}

/// All lines of this node.
#[derive(Default)]
pub struct Lines(DashMap<InstanceId, Line>);

impl Lines {
    /// Lets a connection in; the one before it ends. Frames for the agent come out of the receiver.
    pub fn connect(&self, instance: InstanceId, id: Uuid, running: &[Held]) -> (Arc<Connection>, mpsc::Receiver<Told>) {
        let (outbox, frames) = mpsc::channel(OUTBOX_MAX);
        let connection = Arc::new(Connection {
            id,
            outbox,
            has: Mutex::new(running.iter().map(|held| (held.attempt, held.seq)).collect()),
            heard: Mutex::new(Instant::now()),
            suspect: AtomicBool::new(false),
            end: watch::Sender::new(None),
        });
        let before = self.0.entry(instance).or_default().current.send_replace(Some(connection.clone()));
        if let Some(before) = before {
            before.end(End::Replaced);
        }
        (connection, frames)
    }

    /// Takes a connection away; returns whether it was the one of its instance.
    pub fn disconnect(&self, instance: InstanceId, connection: &Connection) -> bool {
        let Some(mut line) = self.0.get_mut(&instance) else { return false };
        let was = line.current.send_if_modified(|current| {
            let is = current.as_ref().is_some_and(|current| current.id == connection.id);
            if is {
                *current = None;
            }
            is
        });
        if was {
            // An agent that comes back hears anew what became of them.
            line.last_words.clear();
        }
        drop(line);
        self.tidy(instance);
        was
    }

    /// Returns the connection of an instance.
    pub fn current(&self, instance: InstanceId) -> Option<Arc<Connection>> {
        self.0.get(&instance)?.current.borrow().clone()
    }

    /// Returns where the driver of an attempt hears.
    pub(super) fn inbox(&self, instance: InstanceId, attempt: AttemptId) -> Option<Inbox> {
        self.0.get(&instance)?.seats.get(&attempt).cloned()
    }

    /// Takes the seat of an attempt; a driver that sat there before hears nothing more.
    pub(super) fn sit(&self, instance: InstanceId, attempt: AttemptId) -> Seat {
        let (inbox, said) = mpsc::channel(INBOX_MAX);
        let mut line = self.0.entry(instance).or_default();
        line.seats.insert(attempt, inbox.clone());
        line.last_words.remove(&attempt);
        Seat { connections: line.current.subscribe(), inbox, said }
    }

    /// Leaves a seat, if nobody else has taken it.
    pub(super) fn leave(&self, instance: InstanceId, attempt: AttemptId, mine: &Inbox) {
        if let Some(mut line) = self.0.get_mut(&instance)
            && line.seats.get(&attempt).is_some_and(|inbox| inbox.same_channel(mine))
        {
            line.seats.remove(&attempt);
        }
        self.tidy(instance);
    }

    /// Notes the number of an attempt's last frame, until it is in the log.
    pub(super) fn note_last_word(&self, instance: InstanceId, attempt: AttemptId, seq: Option<u64>) {
        self.0.entry(instance).or_default().last_words.insert(attempt, seq);
    }

    /// Returns the number of an attempt's last frame, if its driver ended with one, and the connection to say it to.
    pub(super) fn forget(
        &self,
        instance: InstanceId,
        attempt: AttemptId,
    ) -> (Option<Option<u64>>, Option<Arc<Connection>>) {
        let Some(mut line) = self.0.get_mut(&instance) else { return (None, None) };
        let word = line.last_words.remove(&attempt);
        let connection = line.current.borrow().clone();
        drop(line);
        self.tidy(instance);
        (word, connection)
    }

    fn tidy(&self, instance: InstanceId) {
        self.0.remove_if(&instance, |_, line| line.is_idle());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
