//! What waits for one socket of a document: shared by reference, bounded in bytes. Who does not take it is cut off, and
//! gets what they lack when they come back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes that may wait for a socket, beyond the message that it is in the middle of.
const BYTES_MAX: usize = 4 << 20;
/// Messages that may wait for a socket.
const MESSAGES_MAX: usize = 1_024;

/// Why a host lets go of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It does not take what it is sent.
    TooSlow,
    /// What it said cannot be understood.
    Unreadable,
    /// Its person may not read the document any more.
    Forbidden,
    /// What it said was not kept: it has to say again what it has.
    NotKept,
}

/// What goes to a socket.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A message of y-sync.
    Message(Bytes),
    /// The end.
    Farewell(Farewell),
}

/// The host's end.
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    waiting: Arc<AtomicUsize>,
}

/// The socket's end; when it is empty and closed, the host has gone.
pub struct Inbox {
    queue: mpsc::Receiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
}

pub(super) fn outbox() -> (Outbox, Inbox) {
    // One place more than is ever used for messages, so that a farewell always gets through.
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX + 1);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Outbox { queue: sender, waiting: waiting.clone() }, Inbox { queue: receiver, waiting })
}

impl Outbox {
    /// Hands a message over; `false` when too much waits already.
    pub fn send(&self, message: &Bytes) -> bool {
        let waiting = self.waiting.fetch_add(message.len(), Ordering::Relaxed);
        let fits = (waiting == 0 || waiting + message.len() <= BYTES_MAX) && self.queue.capacity() > 1;
        fits && self.queue.try_send(Outgoing::Message(message.clone())).is_ok()
    }

    /// Says why nothing more comes.
    pub fn farewell(self, why: Farewell) {
        // A socket whose end is gone needs no farewell.
        let _ = self.queue.try_send(Outgoing::Farewell(why));
    }
}

impl Inbox {
    /// Waits for what goes out next; nothing when the host has gone.
    pub async fn next(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.recv().await;
        self.taken(outgoing.as_ref());
        outgoing
    }

    /// Returns what else waits already.
    pub fn more(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.try_recv().ok();
        self.taken(outgoing.as_ref());
        outgoing
    }

    fn taken(&self, outgoing: Option<&Outgoing>) {
        if let Some(Outgoing::Message(message)) = outgoing {
            self.waiting.fetch_sub(message.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_takes_nothing_is_full_and_still_hears_why_it_ends() {
        let (outbox, mut inbox) = outbox();
        let large = Bytes::from(vec![0; BYTES_MAX + 1]);
        assert!(outbox.send(&large), "one message of any size gets through");
        assert!(!outbox.send(&Bytes::from_static(b"x")));
        outbox.farewell(Farewell::TooSlow);
        assert!(matches!(inbox.next().await, Some(Outgoing::Message(message)) if message.len() == large.len()));
        assert!(matches!(inbox.next().await, Some(Outgoing::Farewell(Farewell::TooSlow))));
        assert!(inbox.next().await.is_none());
    }
}
