//! The WebSocket door: one socket, one client actor. Frames in JSON; see docs/protocol.md.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{
        Extension, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Response},
};
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    actors::client::{ClientHandle, Outgoing, Refusal, SUBSCRIPTIONS_MAX, Wanted},
    api::{
        Caller, Identity,
        problem::{self, Problem},
    },
    domain::ids::{Subject, WorkspaceId},
};

use super::{
    Doors,
    frames::{Frame, ID_LENGTH_MAX, TOPICS_MAX, failed, is_small, parse_topics},
    json::{self, BYTES_MAX},
    peer::Peer,
    refused,
};

/// How long a new socket may stay silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pings; after two without a sign of life the socket is closed.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Calls of one socket that may be under way at once.
const CALLS_MAX: usize = 64;
/// Answers that may wait to be written; with more, no frame is read.
const ANSWERS_MAX: usize = 2 * CALLS_MAX;
/// How long calls that are under way are waited for when the node stops.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// How long one write may take before the client counts as too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

const BAD_FRAME: u16 = 4000;
const NOT_AUTHENTICATED: u16 = 4001;
const TOO_SLOW: u16 = 4008;
const GOING_AWAY: u16 = 1012;

/// Opens a socket.
pub async fn upgrade(
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
        .protocols(["link.v1.json"])
        .max_message_size(BYTES_MAX)
        .max_frame_size(BYTES_MAX)
        .read_buffer_size(4 * 1024);
    upgrade.on_upgrade(move |socket| sockets.track_future(serve(doors, socket, peer)))
}

async fn serve(doors: Doors, mut socket: WebSocket, peer: Peer) {
    let close = match greet(&doors, &mut socket, peer).await {
        Ok(session) => session.serve(&mut socket).await,
        Err(close) => close,
    };
    if close.code == TOO_SLOW {
        metrics::counter!("link_clients_too_slow_total").increment(1);
    }
    let frame = CloseFrame { code: close.code, reason: close.reason.into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await;
}

struct Close {
    code: u16,
    reason: &'static str,
}

fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason }
}

struct Session {
    doors: Doors,
    peer: Peer,
    identity: Identity,
    client: ClientHandle,
    outbox: mpsc::Receiver<Outgoing>,
    /// Calls under way, and answers that wait; some end without one.
    calls: FuturesUnordered<BoxFuture<'static, Option<Value>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.stop();
    }
}

async fn greet(doors: &Doors, socket: &mut WebSocket, peer: Peer) -> Result<Session, Close> {
    let silent = || close(NOT_AUTHENTICATED, "say hello with a token within 5 seconds");
    let first = tokio::time::timeout(HELLO_TIMEOUT, socket.recv()).await.map_err(|_| silent())?;
    let Some(Ok(Message::Text(text))) = first else { return Err(silent()) };
    let token = match json::parse(text.as_bytes()).ok().and_then(|value| serde_json::from_value(value).ok()) {
        Some(Frame::Hello { token }) => token,
        _ => return Err(silent()),
    };
    let context = doors.api.services().context().clone();
    let identity = identify(doors, &token).await?;
    let started = ClientHandle::start(context.clone(), identity.principal).await;
    let (client, outbox) = started.map_err(|_| close(GOING_AWAY, "the node is stopping"))?;
    // From here on the session ends the client, also where the welcome does not get through.
    let session = Session { doors: doors.clone(), peer, identity, client, outbox, calls: FuturesUnordered::new() };
    let connection: uuid::Uuid = context.clock.id();
    let welcome = json!({
        "t": "welcome", "connection": connection, "user": session.identity.principal.id(), "heartbeat_ms": HEARTBEAT.as_millis() as u64,
        "limits": {
            "frame_bytes": BYTES_MAX, "subscriptions": SUBSCRIPTIONS_MAX, "calls": CALLS_MAX, "topics": TOPICS_MAX,
        },
        "server": {"version": env!("CARGO_PKG_VERSION"), "node": doors.node},
    });
    write(socket, &welcome.to_string()).await?;
    Ok(session)
}

async fn identify(doors: &Doors, token: &str) -> Result<Identity, Close> {
    let identified = tokio::time::timeout(HELLO_TIMEOUT, doors.api.identify(token)).await;
    match identified {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(problem)) if problem.retryable => Err(close(GOING_AWAY, "who calls cannot be found out right now")),
        Ok(Err(_)) => Err(close(NOT_AUTHENTICATED, "the token is not, or no longer, good")),
        Err(_) => Err(close(GOING_AWAY, "who calls cannot be found out right now")),
    }
}

async fn write(socket: &mut WebSocket, text: &str) -> Result<(), Close> {
    let sent = tokio::time::timeout(WRITE_TIMEOUT, socket.send(Message::text(text))).await;
    match sent {
        Err(_) => Err(close(TOO_SLOW, "the socket takes nothing")),
        Ok(sent) => sent.map_err(|_| close(1000, "gone")),
    }
}

async fn write_answer(socket: &mut WebSocket, answer: Option<Value>) -> Result<(), Close> {
    match answer {
        Some(answer) => write(socket, &answer.to_string()).await,
        None => Ok(()),
    }
}

impl Session {
    async fn serve(mut self, socket: &mut WebSocket) -> Close {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut heard = Instant::now();
        let stopping = self.doors.stopping.clone();
        loop {
            let step = tokio::select! {
                message = socket.recv(), if self.calls.len() < ANSWERS_MAX => {
                    heard = Instant::now();
                    self.received(message).await
                }
                outgoing = self.outbox.recv() => self.deliver(socket, outgoing).await,
                Some(answer) = self.calls.next() => write_answer(socket, answer).await,
                _ = heartbeat.tick() => self.beat(socket, heard).await,
                () = stopping.cancelled() => {
                    let _ = tokio::time::timeout(LAST_CALLS, self.finish(socket)).await;
                    let goodbye = json!({"t": "goodbye", "code": GOING_AWAY, "reason": "the node is stopping", "retry_after_ms": 500});
                    let _ = write(socket, &goodbye.to_string()).await;
                    Err(close(GOING_AWAY, "the node is stopping: reconnect"))
                }
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    /// Answers the calls that are under way.
    async fn finish(&mut self, socket: &mut WebSocket) -> Result<(), Close> {
        while let Some(answer) = self.calls.next().await {
            write_answer(socket, answer).await?;
        }
        Ok(())
    }

    fn must_be_good(&self) -> Result<(), Close> {
        if self.identity.lasts(self.doors.api.services().context().clock.now()) {
            return Ok(());
        }
        Err(close(NOT_AUTHENTICATED, "the token has ended: send `auth` with a fresh one in time"))
    }

    /// Writes what is ready, then flushes once.
    async fn deliver(&mut self, socket: &mut WebSocket, first: Option<Outgoing>) -> Result<(), Close> {
        self.must_be_good()?;
        let mut next = Some(first.ok_or_else(|| close(TOO_SLOW, "too slow: subscribe again after your cursor"))?);
        let mut fed = 0;
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Frame(text) => {
                    let feed = tokio::time::timeout(WRITE_TIMEOUT, socket.feed(Message::text(&*text))).await;
                    feed.map_err(|_| close(TOO_SLOW, "too slow: subscribe again after your cursor"))?
                        .map_err(|_| close(1000, "gone"))?;
                }
                Outgoing::Close { code, reason } => {
                    let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.flush()).await;
                    return Err(close(code, reason));
                }
            }
            fed += 1;
            next = if fed < 64 { self.outbox.try_recv().ok() } else { None };
        }
        let flush = tokio::time::timeout(WRITE_TIMEOUT, socket.flush()).await;
        flush
            .map_err(|_| close(TOO_SLOW, "too slow: subscribe again after your cursor"))?
            .map_err(|_| close(1000, "gone"))
    }

    async fn beat(&mut self, socket: &mut WebSocket, heard: Instant) -> Result<(), Close> {
        if heard.elapsed() > HEARTBEAT * 2 {
            return Err(close(1001, "no sign of life"));
        }
        self.must_be_good()?;
        let ping = tokio::time::timeout(WRITE_TIMEOUT, socket.send(Message::Ping(Default::default()))).await;
        ping.map_err(|_| close(TOO_SLOW, "the socket takes nothing"))?.map_err(|_| close(1000, "gone"))
    }

    async fn received(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Close> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => return Err(close(BAD_FRAME, "this subprotocol has text frames")),
            Some(Ok(Message::Close(_))) | None => return Err(close(1000, "bye")),
            Some(Err(_)) => return Err(close(BAD_FRAME, "the frame cannot be read, or is larger than 1 MiB")),
        };
        let value = match json::parse(text.as_bytes()) {
            Ok(value) => value,
            Err(problem) => {
                self.answer(failed(Value::Null, &problem));
                return Ok(());
            }
        };
        let id = value.get("id").cloned().unwrap_or_default();
        if !is_small(&id) {
            let detail = format!("must be a number or at most {ID_LENGTH_MAX} bytes of text");
            self.answer(failed(Value::Null, &Problem::field("id", detail)));
            return Ok(());
        }
        match serde_json::from_value::<Frame>(value) {
            Ok(frame) => self.handle(frame).await?,
            Err(error) => {
                let detail = format!("no frame looks like this: {error}");
                self.answer(failed(id, &Problem::new(problem::INVALID_INPUT, detail)));
            }
        }
        Ok(())
    }

    fn answer(&self, value: Value) {
        self.calls.push(std::future::ready(Some(value)).boxed());
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), Close> {
        if !matches!(frame, Frame::Auth { .. }) {
            self.must_be_good()?;
        }
        match frame {
            Frame::Hello { .. } => return Err(close(BAD_FRAME, "hello was said already")),
            Frame::Ping { id } => self.answer(json!({"t": "pong", "id": id})),
            Frame::Call { id, op, input, key } => self.call(id, op, input, key),
            Frame::Subscribe { id, workspace, topics, after } => self.subscribe(id, workspace, &topics, after),
            Frame::Unsubscribe { id, workspace } => {
                self.client.unsubscribe(workspace);
                self.answer(json!({"t": "ok", "id": id, "data": null}));
            }
            Frame::Auth { id, token } => {
                let identity = identify(&self.doors, &token).await?;
                if identity.principal != self.identity.principal {
                    return Err(close(NOT_AUTHENTICATED, "the token is another one's"));
                }
                self.identity = identity;
                self.answer(json!({"t": "ok", "id": id, "data": null}));
            }
            Frame::Presence { workspace, status } => {
                let (topic, data) = (Subject::Workspace(workspace), json!({"status": status}));
                self.doors.api.signal(self.identity.principal, workspace, topic, "user:presence", data).await;
            }
            Frame::Typing { workspace, topic, on } => {
                self.doors
                    .api
                    .signal(self.identity.principal, workspace, topic, "user:typing", json!({"on": on}))
                    .await;
            }
        }
        Ok(())
    }

    fn call(&mut self, id: Value, op: String, input: Value, key: Option<String>) {
        if self.calls.len() >= CALLS_MAX {
            let problem = Problem::new(problem::TOO_MANY, format!("at most {CALLS_MAX} calls at once"));
            return self.answer(failed(id, &problem));
        }
        let api = self.doors.api.clone();
        let trace = api.services().context().clock.id::<uuid::Uuid>().simple().to_string();
        let caller = Caller { identity: Some(self.identity.clone()), key, trace, address: self.peer.address };
        let call = async move {
            match api.call(&op, caller, input).await {
                Ok(answer) => {
                    let mut frame = json!({"t": "ok", "id": id, "data": answer.body});
                    if let Some(offset) = answer.offset {
                        frame["offset"] = json!(offset);
                    }
                    frame
                }
                Err(problem) => failed(id, &problem),
            }
        };
        self.calls.push(call.map(Some).boxed());
    }

    fn subscribe(&mut self, id: Value, workspace: WorkspaceId, topics: &[String], after: Option<u64>) {
        let topics = match parse_topics(topics) {
            Ok(topics) => topics,
            Err(problem) => return self.answer(failed(id, &problem)),
        };
        let wanted = Wanted { id: id.clone(), workspace, topics, after };
        // Not waited for here: the replay of another subscription may wait until this session writes its frames.
        let answer = self.client.subscribe(wanted);
        let refusal = async move {
            let problem = match answer.await {
                Ok(_) => return None,
                Err(Refusal::NotFound) => Problem::not_found("workspace"),
                Err(Refusal::TooMany) => {
                    Problem::new(problem::TOO_MANY, format!("at most {SUBSCRIPTIONS_MAX} subscriptions"))
                }
                Err(Refusal::Unavailable) => Problem::new(problem::UNAVAILABLE, "the log could not be read"),
            };
            Some(failed(id, &problem))
        };
        self.calls.push(refusal.boxed());
    }
}
