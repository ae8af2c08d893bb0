//! The handle on a client's actor, which is awake only while it has something to do: most sockets are idle most of the
//! time, and an actor's mailboxes alone take more memory than the rest of a socket.
//!
//! ```text
//!           something is cast          it hears live, or nothing was between two sweeps
//! asleep ───────────────────────▶ awake ─────────────────────────────────────▶ asleep
//!    └────────── stop ──────────▶ gone ◀──── stop ── it failed: its state is gone, and the socket ends
//! ```
//!
//! Whatever is cast goes through here, under one lock: nothing can come between the last look into the mailbox and the
//! moment in which the state is taken back. What takes no waiting, such as a subscription of somebody whose rights are
//! known, is done under it at once: so whoever holds a room or its mailbox must not ask for this lock, and nothing is done
//! under it that asks who is here.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use ractor::{ActorRef, ActorRuntime, ActorStatus};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::domain::{access::Viewer, ids::WorkspaceId};

use super::{
    client::{Client, ClientMessage, ClientState},
    context::Context,
    ear::{Ear, OUTBOX_MAX},
    feed::Signal,
    outlet::Outlet,
    subscription::{Outgoing, Refusal, Wanted},
};

/// How long an answer is waited for: the actor may be in the middle of a page.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// Messages that may wait for the actor before signals are lost.
const WAITING_MAX: u64 = 256;

/// Which client of this node it is; no two ever are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// Returns a share of one, spread evenly over those who come after each other: by the golden ratio, as in Fibonacci
    /// hashing (Knuth, The Art of Computer Programming, vol. 3, section 6.4).
    pub fn share(self) -> f64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64
    }
}

/// The client is gone: nobody hears what is said to it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// A cheap handle on a client.
#[derive(Clone)]
pub struct ClientHandle(Arc<Inner>);

struct Inner {
    id: ClientId,
    place: Mutex<Place>,
    /// Messages that the actor has heard since it woke up.
    heard: AtomicU64,
    /// Whether the next sweep looks at it; changed under the lock of `place`.
    listed: AtomicBool,
}

/// Where the client's state is.
enum Place {
    Asleep(Box<ClientState>),
    Awake {
        actor: ActorRef<ClientMessage>,
        /// Messages that it was sent.
        sent: u64,
        /// How many there were at the last sweep.
        swept: Option<u64>,
    },
    Gone,
}

impl ClientHandle {
    /// Makes a client behind a door; what it is told comes out of the receiver.
    pub fn at_door(context: Arc<Context>, viewer: Viewer) -> (Self, mpsc::Receiver<Outgoing>) {
        let (outbox, frames) = mpsc::channel(OUTBOX_MAX);
        (Self::new(context, viewer, Ear::Door(outbox)), frames)
    }

    /// Makes a client on a socket; what it is told is written there.
    pub fn on_socket(context: Arc<Context>, viewer: Viewer, outlet: Arc<Outlet>) -> Self {
        Self::new(context, viewer, Ear::Socket(outlet))
    }

    fn new(context: Arc<Context>, viewer: Viewer, ear: Ear) -> Self {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let id = ClientId(CLIENTS.fetch_add(1, Ordering::Relaxed));
        let state = Box::new(ClientState::new(id, context, viewer, ear));
        let (heard, listed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Inner { id, place: Mutex::new(Place::Asleep(state)), heard, listed }))
    }

    /// Names the client.
    pub fn id(&self) -> ClientId {
        self.0.id
    }

    /// Tells whether somebody is there to hear.
    pub fn is_open(&self) -> bool {
        match &*self.lock() {
            Place::Asleep(_) => true,
            Place::Awake { actor, .. } => is_alive(actor),
            Place::Gone => false,
        }
    }

    /// Subscribes; the answer is the head of the log, and events follow by themselves. The request is on its way when
    /// this returns. Who waits for the answer has to read the frames meanwhile: a replay may be waiting for that.
    pub fn subscribe(&self, wanted: Wanted) -> impl Future<Output = Result<u64, Refusal>> + Send + 'static {
        let (reply, answer) = ractor::concurrency::oneshot();
        let sent = self.cast(ClientMessage::Subscribe(wanted, reply.into()));
        async move {
            sent.map_err(|_| Refusal::Unavailable)?;
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
            answer.map_err(|_| Refusal::Unavailable)?.map_err(|_| Refusal::Unavailable)?
        }
    }

    /// Ends a subscription; the future ends when that is among the frames. The request is on its way when this returns.
    pub fn unsubscribe(&self, workspace: WorkspaceId, id: Value) -> impl Future<Output = ()> + Send + 'static {
        let (reply, answer) = ractor::concurrency::oneshot();
        // A client that is gone has no frames either.
        let _ = self.cast(ClientMessage::Unsubscribe(workspace, id, reply.into()));
        tokio::time::timeout(ANSWER_TIMEOUT, answer).map(drop)
    }

    /// Ends the client.
    pub fn stop(&self) {
        let before = std::mem::replace(&mut *self.lock(), Place::Gone);
        match before {
            Place::Awake { actor, .. } => actor.stop(None),
            Place::Asleep(_) | Place::Gone => {}
        }
    }

    /// Hands over a signal; with too many that it has not come to yet, it is lost: that is what a signal is.
    pub(super) fn signal(&self, signal: Arc<Signal>) {
        let waiting = match &*self.lock() {
            Place::Awake { sent, .. } => sent.saturating_sub(self.0.heard.load(Ordering::Relaxed)),
            Place::Asleep(_) | Place::Gone => 0,
        };
        if waiting < WAITING_MAX {
            let _ = self.cast(ClientMessage::Signalled(signal));
        }
    }

    /// Notes that the actor has come to a message.
    pub(super) fn heard(&self) {
        self.0.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Says something to the client, which wakes up for it if it has to.
    pub(super) fn cast(&self, message: ClientMessage) -> Result<(), Gone> {
        let mut place = self.lock();
        let message = match &mut *place {
            Place::Asleep(state) => match state.at_once(self, message) {
                Some(message) => message,
                None => return Ok(()),
            },
            Place::Awake { .. } | Place::Gone => message,
        };
        if matches!(*place, Place::Asleep(_))
            && let Place::Asleep(state) = std::mem::replace(&mut *place, Place::Gone)
        {
            *place = self.wake(state);
        }
        let Place::Awake { actor, sent, .. } = &mut *place else { return Err(Gone) };
        *sent += 1;
        actor.cast(message).map_err(|_| Gone)
    }

    /// The same after a while, if the client is still there.
    pub(super) fn cast_after(&self, pause: Duration, message: ClientMessage) {
        let client = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(client) = client.upgrade() {
                let _ = Self(client).cast(message);
            }
        });
    }

    fn wake(&self, state: Box<ClientState>) -> Place {
        let context = state.context.clone();
        // There is none before the node has begun.
        let Some(supervisor) = context.clients.supervisor().cloned() else { return Place::Gone };
        self.0.heard.store(0, Ordering::Relaxed);
        match ActorRuntime::spawn_linked_instant(None, Client, (self.clone(), state), supervisor) {
            Ok((actor, _)) => {
                if !self.0.listed.swap(true, Ordering::Relaxed) {
                    context.clients.woke(self);
                }
                Place::Awake { actor, sent: 0, swept: None }
            }
            Err(error) => {
                tracing::error!(%error, "a client's actor did not start; its socket is closed");
                Place::Gone
            }
        }
    }

    /// Asks the actor to fall asleep when nothing was cast since the last time; returns whether there is one.
    pub(super) fn sweep(&self) -> bool {
        let mut place = self.lock();
        let Place::Awake { actor, sent, swept } = &mut *place else {
            self.0.listed.store(false, Ordering::Relaxed);
            return false;
        };
        if !is_alive(actor) {
            *place = Place::Gone;
            return false;
        }
        if *swept == Some(*sent) {
            // One that is just ending is found by the next sweep.
            let _ = actor.cast(ClientMessage::Sleep);
        }
        *swept = Some(*sent);
        true
    }

    /// Takes the state back from the actor, unless something was cast that it has not heard yet.
    pub(super) fn fall_asleep(&self, state: &mut Option<Box<ClientState>>) -> bool {
        let mut place = self.lock();
        let heard = self.0.heard.load(Ordering::Relaxed);
        let quiet = matches!(&*place, Place::Awake { sent, .. } if *sent == heard);
        match state.take_if(|_| quiet) {
            Some(state) => {
                *place = Place::Asleep(state);
                true
            }
            None => false,
        }
    }

    /// Remembers the client as long as somebody else does.
    pub(super) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle that keeps nobody.
pub(super) struct WeakClient(Weak<Inner>);

impl WeakClient {
    /// Returns the client, if it is still there.
    pub fn upgrade(&self) -> Option<ClientHandle> {
        self.0.upgrade().map(ClientHandle)
    }
}

fn is_alive(actor: &ActorRef<ClientMessage>) -> bool {
    !matches!(actor.get_status(), ActorStatus::Stopping | ActorStatus::Stopped)
}
