//! Shared documents: one host per document that is in use. It alone puts updates in order, has each committed before
//! anybody hears of it, and tells everybody who is connected.
//!
//! ```text
//! sockets (y-sync) ─┐
//!                   ├─▶ host: merge ─▶ commit (document:edited) ─▶ to every other socket
//! operations ───────┘
//! ```
//!
//! The log has every update; the host's memory is what they come to, made anew from a snapshot and the updates since. An
//! update that could not be committed takes that memory with it: nobody ever sees what is not in the log.

mod awareness;
mod bounded;
mod host;
mod outbox;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::domain::{access::Viewer, document::Change, ids::SuggestionId, text::Prose};

use super::request::{CommandError, Meta, Receipt};

pub(super) use host::spawn;
pub use outbox::{Farewell, Inbox, Outgoing};
pub use text::{Splice, Text, TextError};

/// Requests that may wait for a host; whoever has more to say waits.
const REQUESTS_MAX: usize = 256;

/// A socket, as its document's host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(u64);

/// What an operation asks of a text.
#[derive(Clone, Debug)]
pub enum Work {
    /// Change it.
    Edit(Vec<Splice>),
    /// Propose changes.
    Suggest {
        /// Names them.
        suggestion: SuggestionId,
        /// Why.
        note: Prose,
        /// What.
        splices: Vec<Splice>,
    },
    /// Accept a proposed change.
    Accept {
        /// Of which suggestion.
        suggestion: SuggestionId,
        /// Which of its changes.
        number: u32,
        /// The change.
        change: Change,
    },
}

/// Why an operation did not change a text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkError {
    /// It does not fit the text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It was not committed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// What a host is asked.
pub(super) enum Request {
    /// Somebody connected; nothing when they may not read the document.
    Join(Viewer, oneshot::Sender<Option<(SocketId, Inbox)>>),
    /// They left.
    Leave(SocketId),
    /// They said something.
    Said(SocketId, Bytes),
    /// An operation.
    Work(Box<Meta>, Work, oneshot::Sender<Result<Receipt, WorkError>>),
    /// What does it say, and up to which update?
    Read(oneshot::Sender<(String, u64)>),
}

/// A cheap handle on a document's host.
#[derive(Clone)]
pub struct DocumentHandle {
    requests: Arc<mpsc::Sender<Request>>,
}

/// The host has gone; asked for again, there is another one.
#[derive(Debug, thiserror::Error)]
#[error("the document's host has gone")]
pub struct Gone;

impl DocumentHandle {
    /// Tells whether the host is still there.
    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Connects somebody; nothing when they may not read the document.
    pub async fn join(&self, viewer: Viewer) -> Result<Option<(SocketId, Inbox)>, Gone> {
        self.ask(|reply| Request::Join(viewer, reply)).await
    }

    /// Forgets somebody who left.
    pub async fn leave(&self, socket: SocketId) {
        // A host that has gone knows nobody any more.
        let _ = self.requests.send(Request::Leave(socket)).await;
    }

    /// Hands over what somebody said; waits while too much waits already.
    pub async fn say(&self, socket: SocketId, message: Bytes) -> Result<(), Gone> {
        self.requests.send(Request::Said(socket, message)).await.map_err(|_| Gone)
    }

    /// Has an operation carried out.
    pub async fn work(&self, meta: Meta, work: Work) -> Result<Result<Receipt, WorkError>, Gone> {
        self.ask(|reply| Request::Work(Box::new(meta), work, reply)).await
    }

    /// Returns the words, and the number of the last update that is in them.
    pub async fn read(&self) -> Result<(String, u64), Gone> {
        self.ask(Request::Read).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}
