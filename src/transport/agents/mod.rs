//! The door for agents that connect by themselves; see docs/peers.md. It decodes, finds out whose key it is, and lets no
//! agent send faster, or read slower, than the others can bear.

mod pace;
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
use tokio::sync::mpsc;

use crate::{
    actors::peers::{self, CONTENT_MAX, Connected, Hello, Limits, Server, Told, Welcome},
    api::{
        Identity,
        problem::{self, Problem},
    },
    domain::ids::AgentId,
};

use super::{
    Doors, no_handshake,
    peer::Peer,
    refused, subprotocol,
    values::{self, BYTES_MAX, DEPTH_MAX, VALUES_MAX},
};

use session::Session;
use wire::{BAD_FRAME, Close, GOING_AWAY, NOT_AUTHENTICATED, Received, Wire, close};

/// The subprotocols: text frames, also where none was asked for, and binary ones.
const SUBPROTOCOLS: [&str; 2] = ["link.agent.v1.json", "link.agent.v1.msgpack"];
/// How long a new socket may stay silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to let an agent in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a socket's reading buffer holds: frames larger than that take what they need.
const READ_BUFFER: usize = 4 * 1024;

const FORBIDDEN: u16 = 4003;
const REPLACED: u16 = 4009;
const TOO_MANY: u16 = 4013;

/// Opens a socket.
pub(super) async fn upgrade(
    State(doors): State<Doors>,
    Extension(_): Extension<Peer>,
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
    let sockets = doors.sockets.clone();
    let upgrade = upgrade
        .protocols(subprotocol(&headers, &SUBPROTOCOLS))
        .max_message_size(BYTES_MAX)
        .max_frame_size(BYTES_MAX)
        .read_buffer_size(READ_BUFFER);
    upgrade.on_upgrade(move |socket| sockets.track_future(serve(doors, socket)))
}

async fn serve(doors: Doors, socket: WebSocket) {
    let mut wire = Wire::new(socket);
    let why = match greet(&doors, &mut wire).await {
        Ok(session) => session.serve(&mut wire).await,
        Err(why) => why,
    };
    metrics::counter!("link_peer_ends_total", "code" => why.code.to_string()).increment(1);
    wire.close(why).await;
}

async fn greet(doors: &Doors, wire: &mut Wire) -> Result<Session, Close> {
    let silent = || close(NOT_AUTHENTICATED, "say hello with a key within 5 seconds");
    let hello = tokio::time::timeout(HELLO_TIMEOUT, first_frame(wire)).await.map_err(|_| silent())??;
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connect(doors, hello)).await;
    let connecting = connecting.unwrap_or_else(|_| Err(Problem::new(problem::UNAVAILABLE, "it takes too long")));
    let (identity, agent, connected, frames) = match connecting {
        Ok(connected) => connected,
        Err(problem) => return Err(refuse(wire, problem).await),
    };
    let welcome = welcome(doors, agent, &connected);
    let session = Session::new(doors.clone(), identity, connected, frames);
    wire.write(&Told::Welcome(Box::new(welcome))).await?;
    Ok(session)
}

fn welcome(doors: &Doors, agent: AgentId, connected: &Connected) -> Welcome {
    let [heartbeat_ms, suspect_ms, lost_ms] =
        connected.pace().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Welcome {
        connection: connected.connection.id,
        agent,
        instance: connected.instance,
        workspace: connected.workspace,
        heartbeat_ms,
        suspect_ms,
        lost_ms,
        limits: Limits {
            frame_bytes: BYTES_MAX,
            depth: DEPTH_MAX,
            values: VALUES_MAX,
            content_bytes: CONTENT_MAX,
            frames_per_second: pace::FRAMES,
            bytes_per_second: pace::BYTES,
        },
        server: Server { version: env!("CARGO_PKG_VERSION"), node: doors.node.clone() },
    }
}

type Let = (Identity, AgentId, Connected, mpsc::Receiver<Told>);

async fn connect(doors: &Doors, hello: Hello) -> Result<Let, Problem> {
    let identity = doors.api.identify(&hello.token).await?;
    let (agent, connected, frames) = doors.api.connect_peer(&identity, hello).await?;
    Ok((identity, agent, connected, frames))
}

/// Reads the first frame.
async fn first_frame(wire: &mut Wire) -> Result<Hello, Close> {
    loop {
        if let Received::Frame(bytes) = wire.receive().await? {
            let hello = match values::parse(wire.encoding(), &bytes) {
                Ok(frame) => peers::hello(frame).map_err(|why| Problem::new(problem::INVALID_INPUT, why)),
                Err(problem) => Err(problem),
            };
            return match hello {
                Ok(hello) => Ok(hello),
                Err(problem) => Err(refuse(wire, problem).await),
            };
        }
    }
}

/// Says why an agent is not let in, and returns how the socket ends.
async fn refuse(wire: &mut Wire, problem: Problem) -> Close {
    let why = match problem.code.as_str() {
        code if code == problem::UNAUTHENTICATED.name => close(NOT_AUTHENTICATED, "the key is not, or no longer, good"),
        code if code == problem::MALFORMED.name || code == problem::INVALID_INPUT.name => {
            close(BAD_FRAME, "this is no `hello`: see the error before")
        }
        code if code == problem::TOO_MANY.name => close(TOO_MANY, "too many: see the error before"),
        _ if problem.retryable => close(GOING_AWAY, "this cannot be done right now: reconnect"),
        _ => close(FORBIDDEN, "not let in: see the error before"),
    };
    let error = Told::Error { attempt: None, seq: None, code: problem.code, message: problem.detail };
    let _ = wire.write(&error).await;
    why
}
