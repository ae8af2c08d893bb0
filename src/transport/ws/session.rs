//! A socket after its greeting: frames in, answers and events out, until one side ends it.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};

use crate::{
    actors::{
        client_handle::ClientHandle,
        encoding::Encoding,
        outlet::{NOT_GOOD, Outlet},
    },
    api::Identity,
    transport::{Doors, peer::Peer, pulse::Pulse},
};

use super::{
    calls::ANSWERS_MAX,
    client_frame::ClientFrame,
    server_frame::ServerFrame,
    wire::{Close, GOING_AWAY, Received, Shown, Wire, close},
};

/// How long calls that are under way are waited for when the node stops.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// When a client of a node that stops shall come back.
const RETRY_AFTER_MS: u64 = 500;

/// A greeted socket. Events and signals do not come through here: they are written to the outlet by whoever has them.
pub(super) struct Session {
    pub(super) doors: Doors,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
    pub(super) client: ClientHandle,
    pub(super) shown: Shown,
    /// Calls under way, and answers that wait; some end without one.
    pub(super) calls: FuturesUnordered<BoxFuture<'static, Option<ServerFrame>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.stop();
    }
}

impl Session {
    pub(super) fn new(doors: Doors, peer: Peer, identity: Identity, client: ClientHandle, shown: Shown) -> Self {
        Self { doors, peer, identity, client, shown, calls: FuturesUnordered::new() }
    }

    /// Serves the socket to its end.
    pub(super) async fn serve(mut self: Box<Self>, wire: &mut Wire) -> Close {
        let outlet = wire.outlet();
        let mut pulse = self.pulse();
        let stopping = self.doors.stopping.clone();
        let mut revocations = self.doors.api.revocations();
        loop {
            // Whoever does not read what was answered is not asked for more.
            let room = outlet.has_room();
            let reads = room && self.calls.len() < ANSWERS_MAX;
            let step = tokio::select! {
                received = wire.receive(), if reads => {
                    pulse.heard();
                    self.received(wire.encoding(), received).await
                }
                Some(answer) = self.calls.next(), if room => {
                    answer.iter().for_each(|answer| wire.write(answer));
                    Ok(())
                }
                tended = outlet.tend() => tended.and_then(|()| self.look(&outlet)),
                alive = pulse.next() => self.beat(wire, alive || !reads),
                Ok(()) = revocations.changed() => self.must_be_good(),
                () = stopping.cancelled() => Err(Box::pin(self.say_goodbye(wire)).await),
            };
            if let Err(why) = step {
                return why;
            }
        }
    }

    /// Two pings without an answer, and a third one due, take two heartbeats.
    fn pulse(&self) -> Pulse {
        let period = self.doors.heartbeat * 2 / 3;
        Pulse::after(period.mul_f64(self.client.id().share()), period)
    }

    async fn received(&mut self, encoding: Encoding, received: Result<Received, Close>) -> Result<(), Close> {
        let bytes = match received? {
            Received::Frame(bytes) => bytes,
            Received::Life => return Ok(()),
        };
        match ClientFrame::read(encoding, &bytes) {
            // In a box: a socket that only listens needs no room for it.
            Ok(frame) => Box::pin(self.handle(frame)).await,
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
        Err(NOT_GOOD)
    }

    /// Looks whether the socket has to end.
    fn look(&self, outlet: &Arc<Outlet>) -> Result<(), Close> {
        self.must_be_good()?;
        outlet.ending().map_or(Ok(()), Err)
    }

    /// Asks for a sign of life; who gave none for too long is gone. Who is not read from has given none that was seen.
    fn beat(&self, wire: &Wire, alive: bool) -> Result<(), Close> {
        if !alive {
            return Err(close(1001, "no sign of life"));
        }
        self.must_be_good()?;
        wire.ping();
        Ok(())
    }

    /// Answers the calls that are under way, and says that the node stops.
    async fn say_goodbye(&mut self, wire: &mut Wire) -> Close {
        let last = async {
            while let Some(answer) = self.calls.next().await {
                answer.iter().for_each(|answer| wire.write(answer));
            }
        };
        let _ = tokio::time::timeout(LAST_CALLS, last).await;
        let reason = "the node is stopping";
        wire.write(&ServerFrame::Goodbye { code: GOING_AWAY, reason, retry_after_ms: RETRY_AFTER_MS });
        close(GOING_AWAY, "the node is stopping: reconnect")
    }
}
