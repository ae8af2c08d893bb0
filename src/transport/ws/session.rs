//! A socket after its greeting: frames in, answers and events out, until one side ends it.

use std::time::Duration;

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

use crate::{
    actors::{
        client::{ClientHandle, Outgoing},
        encoding::Encoding,
    },
    api::Identity,
    transport::{Doors, peer::Peer, pulse::Pulse},
};

use super::{
    calls::ANSWERS_MAX,
    client_frame::ClientFrame,
    server_frame::ServerFrame,
    wire::{Close, GOING_AWAY, NOT_AUTHENTICATED, Received, TOO_SLOW, Wire, close},
};

/// How long calls that are under way are waited for when the node stops.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// When a client of a node that stops shall come back.
const RETRY_AFTER_MS: u64 = 500;
/// Frames that are written at a time.
const WRITTEN_AT_ONCE: usize = 64;

/// A greeted socket.
pub(super) struct Session {
    pub(super) doors: Doors,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
    pub(super) client: ClientHandle,
    outbox: mpsc::Receiver<Outgoing>,
    /// Calls under way, and answers that wait; some end without one.
    pub(super) calls: FuturesUnordered<BoxFuture<'static, Option<ServerFrame>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.stop();
    }
}

impl Session {
    pub(super) fn new(
        doors: Doors,
        peer: Peer,
        identity: Identity,
        client: ClientHandle,
        outbox: mpsc::Receiver<Outgoing>,
    ) -> Self {
        Self { doors, peer, identity, client, outbox, calls: FuturesUnordered::new() }
    }

    /// Serves the socket to its end.
    pub(super) async fn serve(mut self, wire: &mut Wire) -> Close {
        let mut pulse = Pulse::new(self.doors.heartbeat);
        let stopping = self.doors.stopping.clone();
        let mut revocations = self.doors.api.revocations();
        loop {
            let step = tokio::select! {
                received = wire.receive(), if self.calls.len() < ANSWERS_MAX => {
                    pulse.heard();
                    self.received(wire.encoding(), received).await
                }
                outgoing = self.outbox.recv() => self.deliver(wire, outgoing).await,
                Some(answer) = self.calls.next() => write_answer(wire, answer).await,
                alive = pulse.next() => self.beat(wire, alive).await,
                Ok(()) = revocations.changed() => self.must_be_good(),
                () = stopping.cancelled() => Err(self.say_goodbye(wire).await),
            };
            if let Err(why) = step {
                return why;
            }
        }
    }

    async fn received(&mut self, encoding: Encoding, received: Result<Received, Close>) -> Result<(), Close> {
        let bytes = match received? {
            Received::Frame(bytes) => bytes,
            Received::Life => return Ok(()),
        };
        match ClientFrame::read(encoding, &bytes) {
            Ok(frame) => self.handle(frame).await,
            Err(unreadable) => {
                self.answer(ServerFrame::failed(unreadable.id, unreadable.problem));
                Ok(())
            }
        }
    }

    /// Checks that the credential that was shown is still good.
    pub(super) fn must_be_good(&self) -> Result<(), Close> {
        if self.doors.api.still_good(&self.identity) {
            return Ok(());
        }
        Err(close(NOT_AUTHENTICATED, "the token has ended or was revoked: send `auth` with a fresh one in time"))
    }

    /// Writes what is ready, then flushes once.
    async fn deliver(&mut self, wire: &mut Wire, first: Option<Outgoing>) -> Result<(), Close> {
        self.must_be_good()?;
        let too_slow = || close(TOO_SLOW, "too slow: subscribe again after your cursor");
        let mut next = Some(first.ok_or_else(too_slow)?);
        let mut fed = 0;
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Told(told) => wire.feed(&told.into()).await?,
                Outgoing::Close { code, reason } => {
                    let _ = wire.flush().await;
                    return Err(close(code, reason));
                }
            }
            fed += 1;
            next = if fed < WRITTEN_AT_ONCE { self.outbox.try_recv().ok() } else { None };
        }
        wire.flush().await
    }

    async fn beat(&mut self, wire: &mut Wire, alive: bool) -> Result<(), Close> {
        if !alive {
            return Err(close(1001, "no sign of life"));
        }
        self.must_be_good()?;
        wire.ping().await
    }

    /// Answers the calls that are under way, and says that the node stops.
    async fn say_goodbye(&mut self, wire: &mut Wire) -> Close {
        let last = async {
            while let Some(answer) = self.calls.next().await {
                write_answer(wire, answer).await?;
            }
            Ok::<_, Close>(())
        };
        let _ = tokio::time::timeout(LAST_CALLS, last).await;
        let reason = "the node is stopping";
        let goodbye = ServerFrame::Goodbye { code: GOING_AWAY, reason, retry_after_ms: RETRY_AFTER_MS };
        let _ = wire.write(&goodbye).await;
        close(GOING_AWAY, "the node is stopping: reconnect")
    }
}

async fn write_answer(wire: &mut Wire, answer: Option<ServerFrame>) -> Result<(), Close> {
    match answer {
        Some(answer) => wire.write(&answer).await,
        None => Ok(()),
    }
}
