//! One socket: frames in and out in the encoding of its subprotocol. It knows no frame's meaning.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;
use bytes::Bytes;
use futures::StreamExt;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use crate::{
    actors::{
        encoding::Encoding,
        outlet::{Ending, Outlet, TOO_SLOW},
    },
    api::{Api, Identity},
    transport::{self, connection::Connection, values::BYTES_MAX},
};

use super::{plug::Plug, server_frame::ServerFrame};

/// How long the other side may take to close, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a socket's reading buffer holds: frames larger than that take what they need. Most sockets are idle.
const READ_BUFFER: usize = 1024;
/// A ping without a word.
const PING: &[u8] = &[0x89, 0];
/// The text subprotocol; also what is spoken where none was asked for.
const JSON: &str = "link.v1.json";
/// The binary subprotocol.
const MESSAGE_PACK: &str = "link.v1.msgpack";

pub const BAD_FRAME: u16 = 4000;
pub const NOT_AUTHENTICATED: u16 = 4001;
pub const GOING_AWAY: u16 = 1012;
const NORMAL: u16 = 1000;

/// Why a socket is closed.
pub type Close = Ending;

/// Returns the end of a socket.
pub fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason }
}

/// Returns the first subprotocol that was asked for and is spoken.
pub fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    transport::subprotocol(headers, &[JSON, MESSAGE_PACK])
}

/// The credential that was shown on a socket: without a good one nothing of the feed is written there.
#[derive(Clone)]
pub struct Shown {
    api: Api,
    identity: Arc<Mutex<Option<Identity>>>,
}

impl Shown {
    /// Nothing was shown yet.
    pub fn new(api: Api) -> Self {
        Self { api, identity: Arc::default() }
    }

    /// Takes the place of what was shown before.
    pub fn is(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    fn is_good(&self) -> bool {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        identity.as_ref().is_some_and(|identity| self.api.still_good(identity))
    }
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
    socket: WebSocketStream<Plug>,
    outlet: Arc<Outlet>,
    encoding: Encoding,
    shown: Shown,
}

/// Whoever waits for room on it waits no more.
impl Drop for Wire {
    fn drop(&mut self) {
        self.outlet.close();
    }
}

impl Wire {
    /// Takes a connection as its handshake left it, with what came after.
    pub async fn new(connection: Connection, first: Bytes, subprotocol: Option<&str>, shown: Shown) -> Self {
        let encoding = if subprotocol == Some(MESSAGE_PACK) { Encoding::MessagePack } else { Encoding::Json };
        let (reading, writing, place) = connection.into_parts();
        let good = shown.clone();
        let outlet = Arc::new(Outlet::new(writing, encoding, ServerFrame::of, move || good.is_good()));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(BYTES_MAX))
            .max_frame_size(Some(BYTES_MAX));
        let plug = Plug::new(first, reading, outlet.clone(), place);
        let socket = WebSocketStream::from_raw_socket(plug, Role::Server, Some(config)).await;
        Self { socket, outlet, encoding, shown }
    }

    /// Returns how frames are written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns what writes to the socket.
    pub fn outlet(&self) -> Arc<Outlet> {
        self.outlet.clone()
    }

    /// Returns the credential that is shown on it.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Result<Received, Close> {
        // A flood is read from one buffer without ever waiting: the other sockets get their turn all the same.
        tokio::task::consume_budget().await;
        match (self.socket.next().await, self.encoding) {
            (Some(Ok(Message::Text(text))), Encoding::Json) => Ok(Received::Frame(text.into())),
            (Some(Ok(Message::Binary(bytes))), Encoding::MessagePack) => Ok(Received::Frame(bytes)),
            (Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))), _) => Ok(Received::Life),
            (Some(Ok(Message::Binary(_))), _) => Err(close(BAD_FRAME, "this subprotocol has text frames")),
            (Some(Ok(Message::Text(_))), _) => Err(close(BAD_FRAME, "this subprotocol has binary frames")),
            (Some(Ok(Message::Close(_))) | None, _) => Err(close(NORMAL, "bye")),
            (Some(Err(_)), _) => Err(close(BAD_FRAME, "the frame cannot be read, or is larger than 1 MiB")),
        }
    }

    /// Writes a frame.
    pub fn write(&self, frame: &ServerFrame) {
        self.outlet.answer(frame.encode(self.encoding));
    }

    /// Asks the other side for a sign of life.
    pub fn ping(&self) {
        self.outlet.answer(Bytes::from_static(PING));
    }

    /// Ends the socket and waits a moment for the other side: whoever is still writing hears why.
    pub async fn close(mut self: Box<Self>, why: Close) {
        // From here on nothing of the feed is written.
        self.outlet.end(why);
        let frame = CloseFrame { code: why.code.into(), reason: why.reason.into() };
        let end = async {
            if why == TOO_SLOW {
                // What waits is in the log; the client will ask for it.
                self.outlet.skip();
            }
            self.outlet.flush().await.ok()?;
            self.socket.close(Some(frame)).await.ok()?;
            self.outlet.flush().await.ok()?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Some(())
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, end).await;
    }
}
