//! What waits for the relay of one workspace, and the relay's life: one that falls is started anew, and one that nobody
//! needs for a while ends.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
    time::Instant,
};

use crate::domain::ids::WorkspaceId;

use super::{
    client_handle::ClientId,
    feed::{Batch, Signal},
    greeting::{Greeter, Time},
    member::Joining,
    relay::Relay,
    supervision::Intensity,
    tail::Tail,
    texts::{Texts, Writing},
};

/// Batches that may wait; with more, all who listen read the log.
const BATCHES_MAX: usize = 4_096;
/// Signals that may wait; with more they are lost.
const SIGNALS_MAX: usize = 4_096;
/// A relay without members is kept for so long: whoever was cut off comes again soon, and finds what it remembers.
const IDLE: Duration = Duration::from_secs(60);

/// Something for the relay.
pub(super) enum Item {
    /// A batch was committed.
    Batch(Arc<Batch>),
    /// The log is this long; said when batches may have been committed without being handed out.
    Head(u64),
    /// Something ephemeral happened.
    Signal(Arc<Signal>),
    /// Signals came faster than the relay, and some that say how somebody is are lost.
    Lost,
    /// Some members are told who is here; one for each time that somebody asks for it.
    Greet(Vec<ClientId>, Time, Arc<Signal>),
    /// Somebody begins to listen, who knows that the log is, or was, this long.
    Join(Joining, u64),
    /// Somebody hears nothing more.
    Leave(ClientId, Option<oneshot::Sender<()>>),
    /// More of a running text is to be told.
    Text(Writing),
}

/// Where it waits.
pub(super) struct Room {
    pub texts: Arc<Texts>,
    pub greeter: Arc<Greeter>,
    pub tail: Tail,
    mailbox: Mutex<Mailbox>,
    more: Notify,
}

struct Mailbox {
    items: VecDeque<Item>,
    batches: usize,
    signals: usize,
    /// Presence was lost since the relay last looked.
    lost: bool,
    members: usize,
    used: Instant,
    /// Nobody takes from it any more.
    closed: bool,
    relay: Option<AbortHandle>,
}

/// Opens a room, with a relay that serves it until it is closed.
pub(super) fn open(workspace: WorkspaceId, texts: Arc<Texts>, greeter: Arc<Greeter>) -> Arc<Room> {
    let mailbox = Mailbox {
        items: VecDeque::new(),
        batches: 0,
        signals: 0,
        lost: false,
        members: 0,
        used: Instant::now(),
        closed: false,
        relay: None,
    };
    let (tail, mailbox, more) = (Tail::default(), Mutex::new(mailbox), Notify::new());
    let room = Arc::new(Room { texts, greeter, tail, mailbox, more });
    let served = room.clone();
    let relay = tokio::spawn(keep(workspace, move || Relay::new(workspace, served.clone()).run()));
    room.lock().relay = Some(relay.abort_handle());
    room
}

/// Keeps a relay going. The members of one that falls end with it; see [`Joining`].
async fn keep<F: Future<Output = ()>>(workspace: WorkspaceId, begin: impl Fn() -> F) {
    let mut intensity = Intensity::default();
    loop {
        if AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
            metrics::counter!("link_relays_fallen_total").increment(1);
            let pause = intensity.failed(Instant::now());
            tracing::error!(%workspace, ?pause, "a relay fell; its clients are closed, and a new one begins");
            tokio::time::sleep(pause).await;
        }
    }
}

impl Room {
    /// Leaves something for the relay; gives it back when the room is closed.
    pub fn post(&self, item: Item) -> Result<(), Item> {
        let mut mailbox = self.lock();
        if mailbox.closed {
            return Err(item);
        }
        match &item {
            Item::Batch(batch) if mailbox.batches >= BATCHES_MAX => {
                let end = batch.span().1;
                if let Some(Item::Head(head)) = mailbox.items.back_mut() {
                    *head = end.max(*head);
                } else {
                    mailbox.items.push_back(Item::Head(end));
                }
            }
            Item::Signal(signal) if mailbox.signals >= SIGNALS_MAX => {
                if signal.is_presence() && !std::mem::replace(&mut mailbox.lost, true) {
                    mailbox.items.push_back(Item::Lost);
                }
            }
            _ => {
                mailbox.batches += usize::from(matches!(item, Item::Batch(_)));
                mailbox.signals += usize::from(matches!(item, Item::Signal(_)));
                mailbox.items.push_back(item);
            }
        }
        drop(mailbox);
        self.more.notify_one();
        Ok(())
    }

    /// Somebody is about to listen: the room stays open for a while.
    pub fn touch(&self) {
        self.lock().used = Instant::now();
    }

    /// Waits for what comes next, and takes all of it.
    pub async fn next(&self) -> VecDeque<Item> {
        loop {
            {
                let mut mailbox = self.lock();
                if !mailbox.items.is_empty() {
                    (mailbox.batches, mailbox.signals, mailbox.lost) = (0, 0, false);
                    return std::mem::take(&mut mailbox.items);
                }
            }
            self.more.notified().await;
        }
    }

    /// Notes how many listen.
    pub fn count(&self, members: usize) {
        let mut mailbox = self.lock();
        if members > 0 || mailbox.members > 0 {
            mailbox.used = Instant::now();
        }
        mailbox.members = members;
    }

    /// Closes the room when nobody has listened for a while; returns whether it is closed.
    pub fn end_if_idle(&self) -> bool {
        let mut mailbox = self.lock();
        let idle = mailbox.members == 0 && mailbox.items.is_empty() && mailbox.used.elapsed() > IDLE;
        if idle {
            drop(mailbox.close());
        }
        idle
    }

    /// Closes the room.
    pub fn close(&self) {
        // Whoever is among them is told so, which is not for under this lock.
        let left = self.lock().close();
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// Takes nothing more; returns what the relay will not come to.
    fn close(&mut self) -> VecDeque<Item> {
        self.closed = true;
        self.relay.take().iter().for_each(AbortHandle::abort);
        std::mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_relay_that_falls_is_followed_by_a_new_one() {
        let (begun, stands) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, told) = (begun.clone(), stands.clone());
        let kept = tokio::spawn(keep(WorkspaceId(uuid::Uuid::nil()), move || {
            let (nth, told) = (counted.fetch_add(1, Ordering::Relaxed), told.clone());
            async move {
                assert!(nth >= 2, "it falls");
                told.notify_one();
                std::future::pending::<()>().await;
            }
        }));
        stands.notified().await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
        kept.abort();
    }
}
