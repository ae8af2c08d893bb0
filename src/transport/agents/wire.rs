//! One agent's socket: frames in and out in the encoding of its subprotocol. It knows no frame's meaning.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, WebSocket},
};
use futures::StreamExt;

use crate::actors::{encoding::Encoding, peers::Told};

/// How long one write may take before the client counts as too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to close, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How the names of binary subprotocols end.
const MESSAGE_PACK: &str = ".msgpack";

pub const BAD_FRAME: u16 = 4000;
pub const NOT_AUTHENTICATED: u16 = 4001;
pub const TOO_SLOW: u16 = 4008;
pub const GOING_AWAY: u16 = 1012;
const NORMAL: u16 = 1000;

/// Why a socket is closed.
#[derive(Debug)]
pub struct Close {
    pub code: u16,
    reason: &'static str,
}

/// Returns the end of a socket.
pub fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason }
}

fn gone<E>(_: E) -> Close {
    close(NORMAL, "gone")
}

fn too_slow<E>(_: E) -> Close {
    close(TOO_SLOW, "too slow: reconnect, and read what is sent")
}

/// What came in.
pub enum Received {
    /// A frame.
    Frame(Bytes),
    /// A ping or a pong, which the socket deals with by itself.
    Life,
}

/// A socket and its encoding.
pub struct Wire {
    socket: WebSocket,
    encoding: Encoding,
}

impl Wire {
    /// Takes a socket as its handshake left it.
    pub fn new(socket: WebSocket) -> Self {
        let binary = socket
            .protocol()
            .and_then(|protocol| protocol.to_str().ok())
            .is_some_and(|name| name.ends_with(MESSAGE_PACK));
        Self { socket, encoding: if binary { Encoding::MessagePack } else { Encoding::Json } }
    }

    /// Returns how frames are written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Result<Received, Close> {
        // A flood is read from one buffer without ever waiting: the other sockets get their turn all the same.
        tokio::task::consume_budget().await;
        match (self.socket.recv().await, self.encoding) {
            (Some(Ok(Message::Text(text))), Encoding::Json) => Ok(Received::Frame(text.into())),
            (Some(Ok(Message::Binary(bytes))), Encoding::MessagePack) => Ok(Received::Frame(bytes)),
            (Some(Ok(Message::Ping(_) | Message::Pong(_))), _) => Ok(Received::Life),
            (Some(Ok(Message::Binary(_))), _) => Err(close(BAD_FRAME, "this subprotocol has text frames")),
            (Some(Ok(Message::Text(_))), _) => Err(close(BAD_FRAME, "this subprotocol has binary frames")),
            (Some(Ok(Message::Close(_))) | None, _) => Err(close(NORMAL, "bye")),
            (Some(Err(_)), _) => Err(close(BAD_FRAME, "the frame cannot be read, or is larger than 1 MiB")),
        }
    }

    /// Writes a frame.
    pub async fn write(&mut self, frame: &Told) -> Result<(), Close> {
        let message = self.message(self.encoding.encode(frame));
        let written = tokio::time::timeout(WRITE_TIMEOUT, self.socket.send(message)).await;
        written.map_err(too_slow)?.map_err(gone)
    }

    /// Asks the other side for a sign of life.
    pub async fn ping(&mut self) -> Result<(), Close> {
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        tokio::time::timeout(WRITE_TIMEOUT, ping).await.map_err(too_slow)?.map_err(gone)
    }

    /// Ends the socket and waits a moment for the other side: whoever is still writing hears why.
    pub async fn close(mut self, why: Close) {
        let frame = CloseFrame { code: why.code, reason: why.reason.into() };
        let end = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, end).await;
    }

    fn message(&self, bytes: Bytes) -> Message {
        match self.encoding {
            Encoding::Json => Message::Text(bytes.try_into().expect("JSON is text")),
            Encoding::MessagePack => Message::Binary(bytes),
        }
    }
}
