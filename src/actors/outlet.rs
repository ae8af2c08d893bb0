//! What goes out over one socket, as whole frames: written at once while the socket takes it. What it does not take
//! waits, bounded in bytes and in time; who writes never waits.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{net::tcp::OwnedWriteHalf, sync::Notify, time::Instant};

use super::{encoding::Encoding, subscription::Told};

/// Bytes that may wait for a socket. A single frame that is larger may wait alone.
pub const WAITING_MAX: usize = 512 * 1024;
/// Frames that may wait for a socket before it is asked for more; each takes memory beside its bytes.
const FRAMES_MAX: usize = 4_096;
/// With more than this waiting, signals are lost: that is what a signal is.
const SIGNALS_UP_TO: usize = 64 * 1024;
/// With no more than this waiting, there is room for whoever waited for it.
const ROOM: usize = SIGNALS_UP_TO;
/// How long a socket may take nothing while something waits for it.
pub const PATIENCE: Duration = Duration::from_secs(7);
/// Pieces that are handed to the system at a time.
const PIECES: usize = 32;

/// Why a socket has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The code of the close.
    pub code: u16,
    /// Why.
    pub reason: &'static str,
}

/// The socket took nothing for too long.
pub const TOO_SLOW: Ending = Ending { code: 4008, reason: "too slow: subscribe again after your cursor" };

/// The credential that was shown is no longer good.
pub const NOT_GOOD: Ending =
    Ending { code: 4001, reason: "the token has ended or was revoked: send `auth` with a fresh one in time" };

/// What became of something to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is written, or waits.
    Yes,
    /// Too much waits already; nothing of it was taken.
    Full,
    /// The socket ends.
    Gone,
}

/// The writing side of a socket.
pub struct Outlet {
    stream: OwnedWriteHalf,
    encoding: Encoding,
    /// How the door says what a client is told.
    say: fn(Encoding, &Told) -> Bytes,
    /// Whether the credential that was shown is still good.
    good: Box<dyn Fn() -> bool + Send + Sync>,
    waiting: Mutex<Waiting>,
    /// Something waits, or the end was asked for.
    work: Notify,
    /// There is room again, or there never will be.
    room: Notify,
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// How many of them were written in part: the first, or none.
    begun: usize,
    /// All that waits was gathered: it leaves with what comes next.
    gathered: bool,
    /// When the socket last took something, while something waits.
    since: Option<Instant>,
    ending: Option<Ending>,
    /// Nobody writes what waits any more.
    closed: bool,
}

impl Outlet {
    /// Takes the writing half of a stream, and who knows whether its client may still hear anything.
    pub fn new(
        stream: OwnedWriteHalf,
        encoding: Encoding,
        say: fn(Encoding, &Told) -> Bytes,
        good: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let (work, room) = (Notify::new(), Notify::new());
        Self { stream, encoding, say, good: Box::new(good), waiting: Mutex::default(), work, room }
    }

    /// Returns how frames are written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns the whole frame that says something.
    pub fn frame(&self, told: &Told) -> Bytes {
        (self.say)(self.encoding, told)
    }

    /// Writes whole frames of the feed.
    pub fn write(&self, frames: Bytes) -> Taken {
        if !(self.good)() {
            // For good: a fresh one that is shown in this moment would bring nobody back who was let go for it.
            self.end(NOT_GOOD);
            return Taken::Gone;
        }
        let waiting = self.lock();
        if waiting.is_over() {
            return Taken::Gone;
        }
        // Who has waited for room may write one frame, however large it is.
        if waiting.bytes > ROOM && waiting.bytes + frames.len() > WAITING_MAX {
            return Taken::Full;
        }
        self.put(waiting, frames);
        Taken::Yes
    }

    /// Writes what was asked for by the client itself: it takes part in its own bound, see [`Self::has_room`].
    pub fn answer(&self, frames: Bytes) {
        let waiting = self.lock();
        if !waiting.closed {
            self.put(waiting, frames);
        }
    }

    /// Writes something small that has to arrive, unless the socket ends.
    pub fn mention(&self, frames: Bytes) {
        let waiting = self.lock();
        if !waiting.is_over() {
            self.put(waiting, frames);
        }
    }

    /// The same, in one piece with what follows: at the latest when the socket's own task gets its turn.
    pub fn gather(&self, frames: Bytes) {
        let mut waiting = self.lock();
        if !waiting.is_over() {
            waiting.gathered |= waiting.pieces.is_empty();
            self.wait(&mut waiting, frames);
        }
    }

    fn put(&self, mut waiting: MutexGuard<'_, Waiting>, mut frames: Bytes) {
        if waiting.pieces.is_empty()
            && let Ok(written) = self.stream.try_write(&frames)
        {
            frames.advance(written);
            waiting.begun = usize::from(written > 0 && !frames.is_empty());
        }
        if frames.is_empty() {
            return;
        }
        self.wait(&mut waiting, frames);
        if waiting.gathered {
            // An error shows again where what waits is written.
            let _ = self.push(&mut waiting);
        }
    }

    fn wait(&self, waiting: &mut Waiting, frames: Bytes) {
        if waiting.pieces.is_empty() {
            waiting.since = Some(Instant::now());
            self.work.notify_one();
        }
        waiting.bytes += frames.len();
        waiting.pieces.push_back(frames);
    }

    /// Tells whether the socket is so far behind that signals are lost.
    pub fn is_behind(&self) -> bool {
        self.lock().bytes > SIGNALS_UP_TO
    }

    /// Tells whether there is room for answers.
    pub fn has_room(&self) -> bool {
        let waiting = self.lock();
        waiting.bytes < WAITING_MAX && waiting.pieces.len() < FRAMES_MAX
    }

    /// Waits until most of what waited is written.
    ///
    /// # Errors
    /// When the socket ends.
    pub async fn room(&self) -> Result<(), Ending> {
        loop {
            let room = self.room.notified();
            {
                let waiting = self.lock();
                if waiting.is_over() {
                    return Err(waiting.ending.unwrap_or(TOO_SLOW));
                }
                if waiting.bytes <= ROOM {
                    return Ok(());
                }
            }
            room.await;
        }
    }

    /// Ends the socket after what waits; the first reason counts.
    pub fn end(&self, ending: Ending) {
        self.lock().ending.get_or_insert(ending);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Returns why the socket has to end, when it has to.
    pub fn ending(&self) -> Option<Ending> {
        self.lock().ending
    }

    /// Nobody writes any more: whoever waits for room is told.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        (waiting.pieces, waiting.bytes) = (VecDeque::new(), 0);
        drop(waiting);
        self.room.notify_waiters();
    }

    /// Forgets what waits, but for what was begun: a frame is never cut off.
    pub fn skip(&self) {
        let mut waiting = self.lock();
        let begun = waiting.begun.min(waiting.pieces.len());
        waiting.pieces.truncate(begun);
        waiting.bytes = waiting.pieces.iter().map(Bytes::len).sum();
        // What was begun gets its time to be written.
        waiting.since = (waiting.bytes > 0).then(Instant::now);
    }

    /// Writes what waits; returns when there was something to do: written all, or the end was asked for, or the
    /// credential has to be looked at. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the socket took nothing for too long, or is broken.
    pub async fn tend(&self) -> Result<(), Ending> {
        if self.lock().gathered {
            // Who has something to add is about to.
            tokio::task::yield_now().await;
        }
        let Some(since) = self.lock().since else {
            self.work.notified().await;
            return Ok(());
        };
        tokio::time::timeout_at(since + PATIENCE, self.stream.writable())
            .await
            .map_err(|_| TOO_SLOW)?
            .map_err(|_| gone())?;
        self.drain()
    }

    /// Writes all that waits, however long that takes while the socket takes something.
    ///
    /// # Errors
    /// When the socket took nothing for too long, or is broken.
    pub async fn flush(&self) -> Result<(), Ending> {
        while self.lock().since.is_some() {
            self.tend().await?;
        }
        Ok(())
    }

    fn drain(&self) -> Result<(), Ending> {
        let mut waiting = self.lock();
        self.push(&mut waiting)?;
        let room = waiting.bytes <= ROOM;
        drop(waiting);
        if room {
            self.room.notify_waiters();
        }
        Ok(())
    }

    /// Writes of what waits as much as the socket takes.
    fn push(&self, waiting: &mut Waiting) -> Result<(), Ending> {
        waiting.gathered = false;
        while !waiting.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&waiting.pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(gone()),
                Ok(written) => waiting.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(gone()),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.closed || self.ending.is_some()
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.since = (self.bytes > 0).then(Instant::now);
        while written > 0 {
            let Some(first) = self.pieces.front_mut() else { break };
            if first.len() > written {
                first.advance(written);
                self.begun = 1;
                return;
            }
            written -= first.len();
            self.begun = 0;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}

fn gone() -> Ending {
    Ending { code: 1000, reason: "gone" }
}

#[cfg(test)]
mod tests;
