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
/// With more than this waiting, signals are lost: that is what a signal is.
const SIGNALS_UP_TO: usize = 64 * 1024;
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
            // Its own task finds out why, and says so.
            self.work.notify_one();
            return Taken::Gone;
        }
        let waiting = self.lock();
        if waiting.is_over() {
            return Taken::Gone;
        }
        if waiting.bytes > 0 && waiting.bytes + frames.len() > WAITING_MAX {
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

    /// The same, in one piece with what follows: at the latest when the socket's own task gets its turn.
    pub fn gather(&self, frames: Bytes) {
        let mut waiting = self.lock();
        if !waiting.closed {
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
        // An error shows again where what waits is written.
        if !frames.is_empty() {
            self.wait(&mut waiting, frames);
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
        self.lock().bytes < WAITING_MAX
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
                if waiting.bytes <= WAITING_MAX / 4 {
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
        if waiting.bytes == 0 {
            waiting.since = None;
        }
    }

    /// Writes what waits; returns when there was something to do: written all, or the end was asked for, or the
    /// credential has to be looked at. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the socket took nothing for too long, or is broken.
    pub async fn tend(&self) -> Result<(), Ending> {
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
        let room = waiting.bytes <= WAITING_MAX / 4;
        drop(waiting);
        if room {
            self.room.notify_waiters();
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
mod tests {
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn say(encoding: Encoding, _: &Told) -> Bytes {
        encoding.frame(&"told")
    }

    /// An outlet, and who reads from it.
    async fn pair() -> (Outlet, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (_, writing) = accepted.unwrap().0.into_split();
        (Outlet::new(writing, Encoding::Json, say, || true), client.unwrap())
    }

    fn piece(nth: u8) -> Bytes {
        Bytes::from(vec![nth; 10_000])
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_comes_whole_and_in_order() {
        let (outlet, mut client) = pair().await;
        let mut taken = vec![];
        for nth in (0..=u8::MAX).cycle() {
            match outlet.write(piece(nth)) {
                Taken::Yes => taken.push(nth),
                Taken::Full => break,
                Taken::Gone => panic!("the other side is there"),
            }
        }
        assert!(outlet.is_behind() && outlet.lock().bytes <= WAITING_MAX);
        let expected: Vec<u8> = taken.iter().flat_map(|nth| piece(*nth)).collect();
        let mut heard = vec![0; expected.len()];
        let (flushed, read) = tokio::join!(outlet.flush(), client.read_exact(&mut heard));
        assert_eq!((flushed, read.unwrap()), (Ok(()), expected.len()));
        assert!(heard == expected, "what came is not what was written");
        assert_eq!(outlet.room().await, Ok(()));
        assert!(!outlet.is_behind());
    }

    #[tokio::test]
    async fn where_a_socket_ends_nobody_waits_for_room_and_no_frame_is_cut_off() {
        let (outlet, client) = pair().await;
        while outlet.write(piece(0)) == Taken::Yes {}
        let (room, ()) = tokio::join!(outlet.room(), async { outlet.end(TOO_SLOW) });
        assert_eq!(room, Err(TOO_SLOW));
        assert_eq!(outlet.write(piece(1)), Taken::Gone);
        // What was begun is not cut off, and the rest is let go.
        outlet.skip();
        assert!(outlet.lock().bytes < 10_000);
        drop(client);
    }
}
