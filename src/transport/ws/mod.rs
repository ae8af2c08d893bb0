//! The WebSocket door: one socket, one client actor; see docs/protocol.md.
//!
//! ```text
//! upgrade ─▶ greet ─▶ Session::serve ─┬─ wire, plug     what goes over the socket, in its encoding
//!                                     ├─ client_frame   what the client may say  ─▶ calls
//!                                     ├─ server_frame   what the server says     ◀─ calls, the client's actor
//!                                     └─ heartbeat, the end of the token, the end of the node
//! ```

mod calls;
pub mod client_frame;
mod plug;
pub mod server_frame;
mod session;
mod wire;

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Extension, FromRequestParts, Request, State, ws::WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    actors::{client_handle::ClientHandle, outlet::TOO_SLOW},
    api::{
        Identity,
        problem::{self, Problem},
    },
};

use super::{Doors, connection::Connection, no_handshake, peer::Peer, refused};

use client_frame::ClientFrame;
use server_frame::ServerFrame;
use session::Session;
use wire::{Close, GOING_AWAY, NOT_AUTHENTICATED, Received, Shown, Wire, close, subprotocol};

/// How long a new socket may stay silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a socket. The handshake is checked by axum; the connection itself is taken over, so that whoever has something
/// to say writes to it directly.
pub(super) async fn upgrade(
    State(doors): State<Doors>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let upgraded = parts.extensions.get::<OnUpgrade>().cloned();
    let checked = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    let (upgraded, key) = match (checked, upgraded, key) {
        (Ok(_), Some(upgraded), Some(key)) => (upgraded, key),
        (Ok(_), ..) => {
            let problem = Problem::new(problem::MALFORMED, "this connection cannot become a WebSocket");
            return refused(&doors, &parts.headers, problem);
        }
        (Err(rejection), ..) => {
            let problem = no_handshake(&rejection);
            return refused(&doors, &parts.headers, problem);
        }
    };
    let answer = switching(&parts.headers, key.as_bytes());
    let (sockets, headers) = (doors.sockets.clone(), parts.headers);
    tokio::spawn(sockets.track_future(async move {
        let taken = async {
            let upgraded = tokio::time::timeout(HELLO_TIMEOUT, upgraded).await.ok()?.ok()?;
            take_over(&doors, upgraded, &headers).await
        };
        let taken = Box::pin(taken).await;
        drop(headers);
        if let Some(wire) = taken {
            serve(doors, wire, peer).await;
        }
    }));
    answer
}

/// Says that the connection is a socket from here on.
fn switching(headers: &HeaderMap, key: &[u8]) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let said = answer.headers_mut();
    said.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    said.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        said.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = subprotocol(headers) {
        said.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    answer
}

/// Takes the connection from below HTTP.
async fn take_over(doors: &Doors, upgraded: Upgraded, headers: &HeaderMap) -> Option<Box<Wire>> {
    let parts = upgraded.downcast::<TokioIo<Connection>>().ok()?;
    let shown = Shown::new(doors.api.clone());
    Some(Box::new(Wire::new(parts.io.into_inner(), parts.read_buf, subprotocol(headers), shown).await))
}

async fn serve(doors: Doors, mut wire: Box<Wire>, peer: Peer) {
    // What happens once takes no room while the socket is open: most sockets are idle most of the time.
    let why = match Box::pin(greet(&doors, &mut wire, peer)).await {
        Ok(session) => session.serve(&mut wire).await,
        Err(why) => why,
    };
    if why.code == TOO_SLOW.code {
        metrics::counter!("link_clients_too_slow_total").increment(1);
    }
    Box::pin(wire.close(why)).await;
}

async fn greet(doors: &Doors, wire: &mut Wire, peer: Peer) -> Result<Box<Session>, Close> {
    let silent = || close(NOT_AUTHENTICATED, "say hello with a token within 5 seconds");
    let first = tokio::time::timeout(HELLO_TIMEOUT, first_frame(wire)).await.map_err(|_| silent())??;
    let Some(ClientFrame::Hello { token }) = first else { return Err(silent()) };
    let context = doors.api.services().context().clone();
    let identity = identify(doors, &token).await?;
    let user = identity.principal.id();
    wire.shown().is(identity.clone());
    let client = ClientHandle::on_socket(context.clone(), identity.viewer(), wire.outlet());
    wire.write(&ServerFrame::welcome(context.clock.id(), user, doors.heartbeat, doors.node.clone()));
    Ok(Box::new(Session::new(doors.clone(), peer, identity, client, wire.shown())))
}

/// Reads the first frame, if it can be understood.
async fn first_frame(wire: &mut Wire) -> Result<Option<ClientFrame>, Close> {
    while wire.outlet().has_room() {
        if let Received::Frame(bytes) = wire.receive().await? {
            return Ok(ClientFrame::read(wire.encoding(), &bytes).ok());
        }
    }
    // It does nothing but ping, and reads none of the answers.
    Ok(None)
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
