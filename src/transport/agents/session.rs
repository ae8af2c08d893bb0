//! The socket of an agent after its greeting: frames in and out, until one side ends it.

use std::{future::pending, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    actors::peers::{self, Connected, End, Heard, Told},
    api::{Identity, problem},
    transport::{Doors, values},
};

use super::{
    FORBIDDEN, REPLACED,
    pace::Pace,
    wire::{BAD_FRAME, Close, GOING_AWAY, NOT_AUTHENTICATED, Received, TOO_SLOW, Wire, close},
};

/// When an agent of a node that stops shall come back.
const RETRY_AFTER_MS: u64 = 500;
/// Frames of one connection that may be of no use: with more, it is no mistake of a single frame.
const ERRORS_MAX: u32 = 1_000;

/// A greeted socket.
pub(super) struct Session {
    doors: Doors,
    identity: Identity,
    connected: Arc<Connected>,
    frames: mpsc::Receiver<Told>,
    heartbeat: Duration,
    pace: Pace,
    /// The next frame is not read before.
    read_at: Instant,
    /// A frame whose attempt has too much to do; meanwhile none is read.
    handing: Option<BoxFuture<'static, ()>>,
    errors: u32,
}

impl Session {
    pub(super) fn new(doors: Doors, identity: Identity, connected: Connected, frames: mpsc::Receiver<Told>) -> Self {
        let (now, [heartbeat, ..]) = (Instant::now(), connected.pace());
        let (connected, pace) = (Arc::new(connected), Pace::new(now));
        Self { doors, identity, connected, frames, heartbeat, pace, read_at: now, handing: None, errors: 0 }
    }

    /// Serves the socket to its end.
    pub(super) async fn serve(mut self, wire: &mut Wire) -> Close {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        let stopping = self.doors.stopping.clone();
        let mut revocations = self.doors.api.revocations();
        let connected = self.connected.clone();
        loop {
            let step = tokio::select! {
                biased;
                why = connected.connection.ended() => Err(ended(why)),
                () = stopping.cancelled() => Err(say_goodbye(wire).await),
                Ok(()) = revocations.changed() => self.must_be_good(),
                Some(frame) = self.frames.recv() => wire.write(&frame).await,
                _ = heartbeat.tick() => self.beat(wire).await,
                () = handed(&mut self.handing) => {
                    self.handing = None;
                    Ok(())
                }
                received = receive(wire, self.read_at), if self.handing.is_none() => self.received(wire, received).await,
            };
            if let Err(why) = step {
                return why;
            }
        }
    }

    async fn received(&mut self, wire: &mut Wire, received: Result<Received, Close>) -> Result<(), Close> {
        // A library's own pings show that the library lives. An agent shows by frames that it does.
        let Received::Frame(bytes) = received? else { return Ok(()) };
        let now = Instant::now();
        self.connected.connection.hear();
        self.read_at = self.pace.count(bytes.len(), now);
        let parsed = values::parse(wire.encoding(), &bytes).map_err(|problem| (problem.code, problem.detail));
        let invalid = |peers::Unusable(why)| (problem::INVALID_INPUT.name.to_owned(), why);
        let outcome = match parsed.and_then(|frame| peers::read(frame).map_err(invalid)) {
            Ok(Heard::Heartbeat) => "heartbeat",
            Ok(Heard::About(said)) => {
                let connected = self.connected.clone();
                self.handing = Some(async move { connected.hear(said).await }.boxed());
                "taken"
            }
            Err((code, message)) => {
                self.complain(wire, code, message).await?;
                "unreadable"
            }
        };
        metrics::counter!("link_peer_frames_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    async fn complain(&mut self, wire: &mut Wire, code: String, message: String) -> Result<(), Close> {
        self.errors += 1;
        if self.errors > ERRORS_MAX {
            return Err(close(BAD_FRAME, "too many frames that are of no use"));
        }
        let error = Told::Error { attempt: None, seq: None, code, message };
        wire.write(&error).await
    }

    /// Checks that the key is still good.
    fn must_be_good(&self) -> Result<(), Close> {
        match self.doors.api.still_good(&self.identity) {
            true => Ok(()),
            false => Err(close(NOT_AUTHENTICATED, "the key has ended or was revoked")),
        }
    }

    async fn beat(&mut self, wire: &mut Wire) -> Result<(), Close> {
        self.must_be_good()?;
        // An agent that is not listened to cannot be blamed for saying nothing.
        if self.handing.is_some() || self.read_at > Instant::now() {
            self.connected.connection.hear();
        }
        wire.ping().await
    }
}

/// Waits until the frame that is being handed over is; for ever where there is none.
async fn handed(handing: &mut Option<BoxFuture<'static, ()>>) {
    match handing {
        Some(handing) => handing.await,
        None => pending().await,
    }
}

async fn receive(wire: &mut Wire, at: Instant) -> Result<Received, Close> {
    if at > Instant::now() {
        sleep_until(at).await;
    }
    wire.receive().await
}

fn ended(why: End) -> Close {
    match why {
        End::Replaced => close(REPLACED, "another connection of this name has taken the place"),
        End::TooSlow => close(TOO_SLOW, "too slow: reconnect, and read what is sent"),
        End::Silent => close(1001, "no sign of life"),
        End::Removed => close(FORBIDDEN, "the instance was removed, or the agent retired"),
        End::Going => close(GOING_AWAY, "the workspace starts anew: reconnect"),
    }
}

async fn say_goodbye(wire: &mut Wire) -> Close {
    let reason = "the node is stopping";
    let goodbye = Told::Goodbye { code: GOING_AWAY, reason, retry_after_ms: RETRY_AFTER_MS };
    let _ = wire.write(&goodbye).await;
    close(GOING_AWAY, "the node is stopping: reconnect")
}
