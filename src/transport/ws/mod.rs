//! The WebSocket door: one socket, one client actor; see docs/protocol.md.
//!
//! ```text
//! upgrade ─▶ greet ─▶ Session::serve ─┬─ wire           what goes over the socket, in its encoding
//!                                     ├─ client_frame   what the client may say  ─▶ calls
//!                                     ├─ server_frame   what the server says     ◀─ calls, the client's actor
//!                                     └─ heartbeat, the end of the token, the end of the node
//! ```

mod calls;
pub mod client_frame;
pub mod server_frame;
mod session;
mod wire;

use std::time::Duration;

use axum::{
    body::Body,
    extract::{
        Extension, State,
        ws::{WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Response},
};

use crate::{
    actors::client::ClientHandle,
    api::{
        Identity,
        problem::{self, Problem},
    },
};

use super::{Doors, peer::Peer, refused, values::BYTES_MAX};

use client_frame::ClientFrame;
use server_frame::ServerFrame;
use session::Session;
use wire::{Close, GOING_AWAY, NOT_AUTHENTICATED, Received, TOO_SLOW, Wire, close, subprotocol};

/// How long a new socket may stay silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// What a socket's reading buffer holds: frames larger than that take what they need.
const READ_BUFFER: usize = 4 * 1024;

/// Opens a socket.
pub(super) async fn upgrade(
    State(doors): State<Doors>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let problem = Problem::new(problem::MALFORMED, format!("this is no WebSocket handshake: {rejection}"));
            return refused(&doors, &headers, problem);
        }
    };
    let sockets = doors.sockets.clone();
    let upgrade = upgrade
        .protocols(subprotocol(&headers))
        .max_message_size(BYTES_MAX)
        .max_frame_size(BYTES_MAX)
        .read_buffer_size(READ_BUFFER);
    upgrade.on_upgrade(move |socket| sockets.track_future(serve(doors, socket, peer)))
}

async fn serve(doors: Doors, socket: WebSocket, peer: Peer) {
    let mut wire = Wire::new(socket);
    let why = match greet(&doors, &mut wire, peer).await {
        Ok(session) => session.serve(&mut wire).await,
        Err(why) => why,
    };
    if why.code == TOO_SLOW {
        metrics::counter!("link_clients_too_slow_total").increment(1);
    }
    wire.close(why).await;
}

async fn greet(doors: &Doors, wire: &mut Wire, peer: Peer) -> Result<Session, Close> {
    let silent = || close(NOT_AUTHENTICATED, "say hello with a token within 5 seconds");
    let first = tokio::time::timeout(HELLO_TIMEOUT, first_frame(wire)).await.map_err(|_| silent())??;
    let Some(ClientFrame::Hello { token }) = first else { return Err(silent()) };
    let context = doors.api.services().context().clone();
    let identity = identify(doors, &token).await?;
    let user = identity.principal.id();
    let started = ClientHandle::start(context.clone(), identity.viewer()).await;
    let (client, outbox) = started.map_err(|_| close(GOING_AWAY, "the node is stopping"))?;
    // From here on the session ends the client, also where the welcome does not get through.
    let session = Session::new(doors.clone(), peer, identity, client, outbox);
    wire.write(&ServerFrame::welcome(context.clock.id(), user, doors.heartbeat, doors.node.clone())).await?;
    Ok(session)
}

/// Reads the first frame, if it can be understood.
async fn first_frame(wire: &mut Wire) -> Result<Option<ClientFrame>, Close> {
    loop {
        if let Received::Frame(bytes) = wire.receive().await? {
            return Ok(ClientFrame::read(wire.encoding(), &bytes).ok());
        }
    }
}

/// Finds out whose token it is.
async fn identify(doors: &Doors, token: &str) -> Result<Identity, Close> {
    let identified = tokio::time::timeout(HELLO_TIMEOUT, doors.api.identify(token)).await;
    match identified {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(problem)) if problem.retryable => Err(close(GOING_AWAY, "who calls cannot be found out right now")),
        Ok(Err(_)) => Err(close(NOT_AUTHENTICATED, "the token is not, or no longer, good")),
        Err(_) => Err(close(GOING_AWAY, "who calls cannot be found out right now")),
    }
}
