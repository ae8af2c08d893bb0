//! One connection: it holds its place until its last byte, also as a WebSocket, ends when its client reads nothing, and
//! never says no without a reason.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

use super::bare;

/// How long a client may read nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection and its place among those that may be open.
pub(super) struct Connection {
    stream: TcpStream,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    /// What is being said instead of an empty refusal.
    instead: Option<Instead>,
    place: Place,
}

/// A place among the connections that may be open.
pub(super) struct Place(#[expect(dead_code, reason = "it is held, not used")] OwnedSemaphorePermit);

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("link_connections_open").decrement(1.0);
    }
}

/// An answer in the place of another one.
struct Instead {
    text: String,
    written: usize,
    /// How many bytes it stands for.
    length: usize,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        // Frames are small and somebody waits for each. Where it cannot be had, they only come later.
        let _ = stream.set_nodelay(true);
        metrics::gauge!("link_connections_open").increment(1.0);
        Self { stream, stuck: None, instead: None, place: Place(place) }
    }

    /// Takes it apart: what reads, what writes, and the place that it holds.
    pub(super) fn into_parts(self) -> (OwnedReadHalf, OwnedWriteHalf, Place) {
        let (read, write) = self.stream.into_split();
        (read, write, self.place)
    }

    /// Writes what stands for these bytes, if something does.
    fn write_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() {
            let text = bare::instead_of(bytes)?;
            self.instead = Some(Instead { text, written: 0, length: bytes.len() });
        }
        while let Some(Instead { text, written, length }) = &mut self.instead {
            let Some(rest) = text.as_bytes().get(*written..).filter(|rest| !rest.is_empty()) else {
                let length = *length;
                self.instead = None;
                return Some(Poll::Ready(Ok(length)));
            };
            let wrote = Pin::new(&mut self.stream).poll_write(cx, rest);
            if let Poll::Ready(Ok(bytes)) = &wrote {
                *written += bytes;
            }
            match self.in_time(cx, wrote) {
                Poll::Ready(Ok(1..)) => {}
                ended => return Some(ended),
            }
        }
        None
    }

    /// Lets no write wait for ever.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stuck = None;
            return wrote;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_instead(cx, bytes) {
            return written;
        }
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty());
        if let Some(written) = first.and_then(|first| self.write_instead(cx, first)) {
            return written;
        }
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.in_time(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
