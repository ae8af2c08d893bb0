//! A stream whose two directions are apart: what comes in is read from the connection; what a reader of the protocol
//! answers by itself, such as a pong, goes out through the outlet like everything else, between whole frames.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::tcp::OwnedReadHalf,
};

use crate::{actors::outlet::Outlet, transport::connection::Place};

/// Both directions of a socket.
pub struct Plug {
    /// What came with the handshake.
    first: Bytes,
    reading: OwnedReadHalf,
    outlet: Arc<Outlet>,
    _place: Place,
}

impl Plug {
    pub fn new(first: Bytes, reading: OwnedReadHalf, outlet: Arc<Outlet>, place: Place) -> Self {
        // What is empty may still hold the memory that it was cut from.
        let first = if first.is_empty() { Bytes::new() } else { first };
        Self { first, reading, outlet, _place: place }
    }
}

impl AsyncRead for Plug {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(into.remaining());
            into.put_slice(&self.first[..length]);
            self.first.advance(length);
            if self.first.is_empty() {
                self.first = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.reading).poll_read(cx, into)
    }
}

impl AsyncWrite for Plug {
    /// Takes everything: frames are whole when they are written here.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outlet.answer(Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
