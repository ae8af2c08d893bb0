//! Calls and subscriptions over one WebSocket, for `wsLink`.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use axum::{
    body::Body,
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade},
    },
    http::{Response, header, request::Parts},
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::BoxFuture,
    stream::{self, AbortHandle, BoxStream, FuturesUnordered, SelectAll},
};
use serde_json::Value;

use crate::{
    api::{
        Kind,
        problem::{self, Problem},
    },
    transport::{Doors, going_on, no_handshake, peer, pulse::Pulse, rest, values::BYTES_MAX},
};

use super::{
    http,
    messages::{self, Message, Refused},
    tail::{News, Tail},
    who::{Who, bearer, kind_of},
};

/// How long a socket that announced its connection parameters may stay silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls of one socket that may be under way at once.
const CALLS_MAX: usize = 64;
/// Answers that may wait to be written; with more, no frame is read.
const ANSWERS_MAX: usize = 2 * CALLS_MAX;
/// Subscriptions of one socket.
const SUBSCRIPTIONS_MAX: usize = 32;
/// Messages that are written before they are flushed.
const FLUSH_AFTER: usize = 64;
/// How long calls that are under way are waited for when the node stops.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// How long one write may take before the client counts as too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

const BAD_FRAME: u16 = 4000;
const NOT_AUTHENTICATED: u16 = 4001;
const TOO_SLOW: u16 = 4008;
const GOING_AWAY: u16 = 1012;

/// Tells whether a request wants to become a socket.
pub fn is_handshake(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// Opens a socket.
pub async fn upgrade(doors: Doors, mut parts: Parts) -> Response<Body> {
    let announced = parts.uri.query().unwrap_or_default().split('&').any(|pair| pair == "connectionParams=1");
    let (token, address) = (bearer(&parts.headers), peer::of(&parts.extensions).address);
    let trace = rest::trace_of(&parts.headers, &doors.api);
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let mut problem = no_handshake(&rejection);
            problem.trace_id = trace;
            return http::refusal(&problem, None);
        }
    };
    let sockets = doors.sockets.clone();
    let upgrade = upgrade.max_message_size(BYTES_MAX).max_frame_size(BYTES_MAX).read_buffer_size(4 * 1024);
    upgrade.on_upgrade(move |socket| sockets.track_future(serve(doors, socket, announced, token, address)))
}

async fn serve(doors: Doors, mut socket: WebSocket, announced: bool, token: Option<String>, address: Option<IpAddr>) {
    let close = match greet(&doors, &mut socket, announced, token, address).await {
        Ok(session) => session.serve(&mut socket).await,
        Err(close) => close,
    };
    if close.code == TOO_SLOW {
        metrics::counter!("link_clients_too_slow_total").increment(1);
    }
    let frame = CloseFrame { code: close.code, reason: close.reason.into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Frame::Close(Some(frame)))).await;
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
    who: Who,
    /// Calls under way, and answers that wait.
    calls: FuturesUnordered<BoxFuture<'static, Value>>,
    subscriptions: HashMap<String, AbortHandle>,
    news: SelectAll<BoxStream<'static, Told>>,
}

/// What a subscription has to say.
enum Told {
    /// A message.
    Message(String),
    /// Its last message.
    Last {
        /// The client's name for it, as text.
        id: String,
        /// What is wrong.
        message: String,
    },
    /// It was too slow.
    Cut,
}

/// Finds out who it is. A socket with a bad token stays: its calls are refused one by one, and public ones are not.
async fn greet(
    doors: &Doors,
    socket: &mut WebSocket,
    announced: bool,
    token: Option<String>,
    address: Option<IpAddr>,
) -> Result<Session, Close> {
    let given = match announced {
        true => tokio::time::timeout(HELLO_TIMEOUT, params(socket)).await.map_err(|_| silent())??,
        false => None,
    };
    let asked = tokio::time::timeout(HELLO_TIMEOUT, Who::of(&doors.api, given.or(token), address)).await;
    let who = asked.map_err(|_| close(GOING_AWAY, "who calls cannot be found out right now"))?;
    let (doors, calls, news) = (doors.clone(), FuturesUnordered::new(), SelectAll::new());
    Ok(Session { doors, who, calls, subscriptions: HashMap::new(), news })
}

fn silent() -> Close {
    close(NOT_AUTHENTICATED, "send connectionParams within 5 seconds, as announced")
}

async fn params(socket: &mut WebSocket) -> Result<Option<String>, Close> {
    loop {
        match socket.recv().await {
            Some(Ok(Frame::Text(text))) if text.as_str() == "PING" => write(socket, "PONG").await?,
            Some(Ok(Frame::Text(text))) => match messages::connection_params(&text) {
                Ok(token) => return Ok(token),
                Err(problem) => {
                    write(socket, &messages::failed(&Value::Null, &problem, None).to_string()).await?;
                    return Err(close(BAD_FRAME, "the first message must be connectionParams"));
                }
            },
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            _ => return Err(silent()),
        }
    }
}

async fn write(socket: &mut WebSocket, text: &str) -> Result<(), Close> {
    in_time(socket.send(Frame::text(text))).await
}

async fn in_time(written: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Close> {
    match tokio::time::timeout(WRITE_TIMEOUT, written).await {
        Err(_) => Err(close(TOO_SLOW, "the socket takes nothing")),
        Ok(written) => written.map_err(|_| close(1000, "gone")),
    }
}

impl Session {
    async fn serve(mut self, socket: &mut WebSocket) -> Close {
        let mut pulse = Pulse::new(self.doors.heartbeat);
        let stopping = self.doors.stopping.clone();
        let mut revocations = self.doors.api.revocations();
        loop {
            let step = tokio::select! {
                frame = socket.recv(), if self.calls.len() < ANSWERS_MAX => {
                    pulse.heard();
                    self.received(socket, frame).await
                }
                Some(told) = self.news.next() => self.tell(socket, told).await,
                Some(answer) = self.calls.next() => write(socket, &answer.to_string()).await,
                alive = pulse.next() => self.beat(socket, alive).await,
                Ok(()) = revocations.changed() => self.must_be_good(),
                () = stopping.cancelled() => {
                    let _ = write(socket, &messages::reconnect().to_string()).await;
                    let _ = tokio::time::timeout(LAST_CALLS, self.finish(socket)).await;
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
            write(socket, &answer.to_string()).await?;
        }
        Ok(())
    }

    fn must_be_good(&self) -> Result<(), Close> {
        let ended = |_| close(NOT_AUTHENTICATED, "the token has ended or was revoked: connect again with a fresh one");
        self.who.still_good(&self.doors.api).map_err(ended)
    }

    async fn beat(&mut self, socket: &mut WebSocket, alive: bool) -> Result<(), Close> {
        if !alive {
            return Err(close(1001, "no sign of life"));
        }
        self.must_be_good()?;
        in_time(socket.send(Frame::Ping(Default::default()))).await
    }

    /// Writes what is ready, then flushes once.
    async fn tell(&mut self, socket: &mut WebSocket, first: Told) -> Result<(), Close> {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(told) = next {
            let message = match told {
                Told::Message(message) => message,
                Told::Last { id, message } => {
                    self.subscriptions.remove(&id);
                    message
                }
                Told::Cut => return Err(close(TOO_SLOW, "too slow: connect again")),
            };
            in_time(socket.feed(Frame::text(message))).await?;
            written += 1;
            next = if written < FLUSH_AFTER { self.news.next().now_or_never().flatten() } else { None };
        }
        in_time(socket.flush()).await
    }

    async fn received(
        &mut self,
        socket: &mut WebSocket,
        frame: Option<Result<Frame, axum::Error>>,
    ) -> Result<(), Close> {
        let text = match frame {
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => return Ok(()),
            Some(Ok(Frame::Binary(_))) => return Err(close(BAD_FRAME, "messages are text")),
            Some(Ok(Frame::Close(_))) | None => return Err(close(1000, "bye")),
            Some(Err(_)) => return Err(close(BAD_FRAME, "the frame cannot be read, or is larger than 1 MiB")),
        };
        match text.as_str() {
            "PING" => return write(socket, "PONG").await,
            "PONG" => return Ok(()),
            _ => {}
        }
        for message in messages::read(&text) {
            match message {
                Ok(message) => self.handle(message),
                Err(Refused { id, problem }) => self.refuse(&id, problem, None),
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Call { id, kind, path, input } => self.call(id, kind, path, input),
            Message::Subscribe { id, path, input } => self.subscribe(id, path, input),
            Message::Stop { id } => {
                if let Some(subscription) = self.subscriptions.remove(&id.to_string()) {
                    subscription.abort();
                    self.answer(messages::stopped(&id));
                }
            }
        }
    }

    fn answer(&self, value: Value) {
        self.calls.push(std::future::ready(value).boxed());
    }

    fn refuse(&self, id: &Value, mut problem: Problem, path: Option<&str>) {
        problem.trace_id = self.trace();
        self.answer(messages::failed(id, &problem, path));
    }

    fn trace(&self) -> String {
        self.doors.api.services().context().clock.id::<uuid::Uuid>().simple().to_string()
    }

    fn call(&mut self, id: Value, kind: Kind, path: String, input: Value) {
        if self.calls.len() >= CALLS_MAX {
            let problem = Problem::new(problem::TOO_MANY, format!("at most {CALLS_MAX} calls at once"));
            return self.refuse(&id, problem, Some(&path));
        }
        let (api, trace) = (self.doors.api.clone(), self.trace());
        let caller = kind_of(&api, &path).and_then(|known| match known == kind {
            true => self.who.caller(&api, &path, None, &trace),
            false => Err(Problem::new(problem::METHOD_NOT_ALLOWED, format!("\"{path}\" is another kind of procedure"))),
        });
        let caller = match caller {
            Ok(caller) => caller,
            Err(problem) => return self.refuse(&id, problem, Some(&path)),
        };
        let name = path.clone();
        let call = going_on(async move { api.call(&name, caller, input).await });
        let call = async move {
            match call.await {
                Ok(answer) => messages::done(&id, &answer.body),
                Err(problem) => messages::failed(&id, &problem, Some(&path)),
            }
        };
        self.calls.push(call.boxed());
    }

    fn subscribe(&mut self, id: Value, path: String, input: Value) {
        let key = id.to_string();
        if self.subscriptions.contains_key(&key) {
            return self.refuse(&id, Problem::field("id", "a subscription with this id goes on"), Some(&path));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let problem = Problem::new(problem::TOO_MANY, format!("at most {SUBSCRIPTIONS_MAX} subscriptions"));
            return self.refuse(&id, problem, Some(&path));
        }
        let (doors, who, trace) = (self.doors.clone(), self.who.clone(), self.trace());
        let news = async move {
            let opened = Tail::open(doors, who, &path, input, &trace).await;
            stream::unfold(Stage { id, path, trace, tail: Some(opened) }, Stage::next)
        };
        let (news, handle) = stream::abortable(news.flatten_stream().boxed());
        self.subscriptions.insert(key, handle);
        self.news.push(news.boxed());
    }
}

/// A subscription on its way.
struct Stage {
    id: Value,
    path: String,
    trace: String,
    tail: Option<Result<Tail, Problem>>,
}

impl Stage {
    async fn next(mut self) -> Option<(Told, Self)> {
        let told = match self.tail.take()? {
            Err(problem) => self.last(problem),
            Ok(mut tail) => loop {
                let told = match tail.next().await {
                    News::Begun => Told::Message(messages::started(&self.id).to_string()),
                    News::Event { offset, data } => Told::Message(messages::tracked(&self.id, offset, &data)),
                    // The protocol has no words for it.
                    News::Quiet(_) => continue,
                    News::Failed(problem) => break self.last(problem),
                    News::Cut if tail.is_stopping() => return None,
                    News::Cut => break Told::Cut,
                };
                self.tail = Some(Ok(tail));
                break told;
            },
        };
        Some((told, self))
    }

    fn last(&self, mut problem: Problem) -> Told {
        problem.trace_id.clone_from(&self.trace);
        let message = messages::failed(&self.id, &problem, Some(&self.path)).to_string();
        Told::Last { id: self.id.to_string(), message }
    }
}
