//! The socket of a shared document: y-sync and awareness as stock Yjs clients speak them (`y-websocket`); see
//! docs/documents.md.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{
        Extension, Path, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Response},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::time::Instant;

use crate::{
    actors::documents::{DocumentHandle, Farewell, Inbox, Outgoing, SocketId},
    api::{
        Identity,
        problem::{self, Problem},
    },
    domain::{document::UPDATE_BYTES_MAX, ids::DocumentId},
};

use super::{Doors, no_handshake, peer::Peer, refused, subprotocol, subprotocols, trpc::bearer};

/// The subprotocol; a token can come beside it, as `bearer.TOKEN`: a browser has no other way to show one.
const PROTOCOL: &str = "link.y.v1";
const BEARER: &str = "bearer.";
/// Bytes of one frame: the largest update and what goes around it.
const FRAME_MAX: usize = UPDATE_BYTES_MAX + 1_024;
const READ_BUFFER: usize = 4 * 1024;
/// How long one write may take before the client counts as too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to close, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages that are written before they are flushed.
const WRITTEN_AT_ONCE: usize = 64;
/// News of nobody's awareness: the stock client comes anew when it has heard nothing for 30 seconds.
const NOTHING_NEW: &[u8] = &[1, 1, 0];

const BAD_FRAME: u16 = 4000;
const NOT_AUTHENTICATED: u16 = 4001;
const FORBIDDEN: u16 = 4003;
const TOO_SLOW: u16 = 4008;
const GOING_AWAY: u16 = 1012;
const NORMAL: u16 = 1000;

/// Why a socket ends.
type End = (u16, &'static str);

/// Opens a socket.
pub(super) async fn upgrade(
    State(doors): State<Doors>,
    Extension(_): Extension<Peer>,
    Path(id): Path<DocumentId>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let problem = no_handshake(&rejection);
            return refused(&doors, &headers, problem);
        }
    };
    let (identity, document, seat) = match enter(&doors, &headers, id).await {
        Ok(entered) => entered,
        Err(problem) => return refused(&doors, &headers, problem),
    };
    let sockets = doors.sockets.clone();
    let upgrade = upgrade
        .protocols(subprotocol(&headers, &[PROTOCOL]))
        .max_message_size(FRAME_MAX)
        .max_frame_size(FRAME_MAX)
        .read_buffer_size(READ_BUFFER);
    upgrade.on_upgrade(move |socket| sockets.track_future(serve(doors, socket, identity, document, seat)))
}

/// Finds out who comes, and takes a seat for them.
async fn enter(
    doors: &Doors,
    headers: &HeaderMap,
    id: DocumentId,
) -> Result<(Identity, DocumentHandle, (SocketId, Inbox)), Problem> {
    let shown = bearer(headers)
        .or_else(|| subprotocols(headers).find_map(|offered| offered.strip_prefix(BEARER)).map(Into::into));
    let token = shown.ok_or_else(|| Problem::new(problem::UNAUTHENTICATED, "a valid token is needed"))?;
    let identity = doors.api.identify(&token).await?;
    let home = doors.api.document_home(&identity, id).await?.ok_or_else(|| Problem::not_found("document"))?;
    let document = doors.api.services().directory.workspace(home).await?.document(id).await?;
    let gone = |_| Problem::new(problem::UNAVAILABLE, "the document cannot be reached right now");
    let seat = document.join(identity.viewer()).await.map_err(gone)?;
    Ok((identity, document, seat.ok_or_else(|| Problem::not_found("document"))?))
}

async fn serve(
    doors: Doors,
    mut socket: WebSocket,
    identity: Identity,
    document: DocumentHandle,
    (id, inbox): (SocketId, Inbox),
) {
    let (code, reason) = talk(&doors, &mut socket, &identity, &document, (id, inbox)).await;
    document.leave(id).await;
    if code == TOO_SLOW {
        metrics::counter!("link_clients_too_slow_total").increment(1);
    }
    let frame = CloseFrame { code, reason: reason.into() };
    let end = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, end).await;
}

async fn talk(
    doors: &Doors,
    socket: &mut WebSocket,
    identity: &Identity,
    document: &DocumentHandle,
    (id, mut inbox): (SocketId, Inbox),
) -> End {
    let period = doors.heartbeat;
    let mut heartbeat = tokio::time::interval_at(Instant::now() + period, period);
    let mut heard = Instant::now();
    let mut revocations = doors.api.revocations();
    loop {
        let step = tokio::select! {
            received = socket.recv() => {
                heard = Instant::now();
                // A flood is read without ever waiting: the other sockets get their turn all the same.
                tokio::task::consume_budget().await;
                take(document, id, received).await
            }
            outgoing = inbox.next() => give(socket, &mut inbox, outgoing).await,
            _ = heartbeat.tick() => match heard.elapsed() > period * 2 {
                true => Err((1001, "no sign of life")),
                false => beat(doors, socket, identity).await,
            },
            Ok(()) = revocations.changed() => must_be_good(doors, identity),
            () = doors.stopping.cancelled() => Err((GOING_AWAY, "the node is stopping: reconnect")),
        };
        if let Err(end) = step {
            return end;
        }
    }
}

async fn take(
    document: &DocumentHandle,
    id: SocketId,
    received: Option<Result<Message, axum::Error>>,
) -> Result<(), End> {
    match received {
        Some(Ok(Message::Binary(bytes))) => document.say(id, bytes).await.map_err(|_| moved()),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        Some(Ok(Message::Text(_))) => Err((BAD_FRAME, "this protocol has binary frames")),
        Some(Ok(Message::Close(_))) | None => Err((NORMAL, "bye")),
        Some(Err(_)) => Err((BAD_FRAME, "the frame cannot be read, or is larger than 1 MiB")),
    }
}

fn moved() -> End {
    (GOING_AWAY, "the document is served anew: reconnect")
}

/// Writes what is ready, then flushes once.
async fn give(socket: &mut WebSocket, inbox: &mut Inbox, first: Option<Outgoing>) -> Result<(), End> {
    let mut next = Some(first.ok_or_else(moved)?);
    let mut fed = 0;
    while let Some(outgoing) = next {
        match outgoing {
            Outgoing::Message(message) => within(socket.feed(Message::Binary(message))).await?,
            Outgoing::Farewell(why) => {
                let _ = within(socket.flush()).await;
                return Err(farewell(why));
            }
        }
        fed += 1;
        next = if fed < WRITTEN_AT_ONCE { inbox.more() } else { None };
    }
    within(socket.flush()).await
}

async fn within(write: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    let written = tokio::time::timeout(WRITE_TIMEOUT, write).await;
    written.map_err(|_| farewell(Farewell::TooSlow))?.map_err(|_| (NORMAL, "gone"))
}

fn farewell(why: Farewell) -> End {
    match why {
        Farewell::TooSlow => (TOO_SLOW, "too slow: reconnect, and what is missing comes"),
        Farewell::Unreadable => (BAD_FRAME, "this is no message of y-sync, or its update cannot be merged"),
        Farewell::Forbidden => (FORBIDDEN, "the document may not be read, or not be changed, any more"),
        Farewell::NotKept => (GOING_AWAY, "what was said last was not kept: reconnect, and say it again"),
    }
}

async fn beat(doors: &Doors, socket: &mut WebSocket, identity: &Identity) -> Result<(), End> {
    must_be_good(doors, identity)?;
    within(socket.send(Message::Ping(Bytes::new()))).await?;
    within(socket.send(Message::Binary(Bytes::from_static(NOTHING_NEW)))).await
}

fn must_be_good(doors: &Doors, identity: &Identity) -> Result<(), End> {
    match doors.api.still_good(identity) {
        true => Ok(()),
        false => Err((NOT_AUTHENTICATED, "the token has ended or was revoked: reconnect with a fresh one")),
    }
}
