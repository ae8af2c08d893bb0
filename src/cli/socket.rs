//! A workspace's events over the WebSocket, for as long as they are wanted: after a break it goes on from its cursor,
//! so that nothing is left out and nothing comes twice.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::CloseFrame},
};

use crate::api::problem::{self, CODES, Problem};

use super::{
    client::{Client, REFRESHES_MAX},
    error::Error,
};

/// How long connecting, the greeting and the subscription may take together.
const GREETING_MAX: Duration = Duration::from_secs(15);
/// The server pings every 20 seconds; after three missed ones it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// The longest pause between two tries.
const PAUSE_MAX_MS: u64 = 15_000;

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Of which workspace.
    pub workspace: String,
    /// About what; empty means everything.
    pub topics: Vec<String>,
    /// From after which offset; `None` means from now on.
    pub after: Option<u64>,
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    /// A committed event, with all its fields.
    Event(Value),
    /// Something ephemeral.
    Signal(Value),
    /// Everything older has come.
    CaughtUp,
    /// The connection broke; the next call tries again.
    Broken(String),
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A subscription that outlives its connections.
pub(super) struct Socket {
    client: Client,
    wanted: Subscription,
    stream: Option<Stream>,
    /// Whether the server was reached at all: what never worked is an error, not a break.
    reached: bool,
    /// How often a new token was fetched since the last good greeting.
    refreshes: u8,
    failures: u32,
}

enum Trouble {
    /// The token is no good.
    Token,
    /// It may pass.
    Passing(String),
    /// Trying again does not help.
    Final(Error),
}

impl Socket {
    /// Prepares a subscription; it connects when something is waited for.
    pub fn new(client: Client, wanted: Subscription) -> Self {
        Self { client, wanted, stream: None, reached: false, refreshes: 0, failures: 0 }
    }

    /// Returns the offset up to which everything has come.
    pub fn cursor(&self) -> Option<u64> {
        self.wanted.after
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn heard(&mut self) -> Result<Heard, Error> {
        loop {
            let trouble = match self.step().await {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => continue,
                Err(trouble) => trouble,
            };
            self.stream = None;
            match trouble {
                Trouble::Token if self.refreshes < REFRESHES_MAX => {
                    self.refreshes += 1;
                    if !self.client.refresh().await? {
                        return Err(unauthenticated());
                    }
                }
                Trouble::Token => return Err(unauthenticated()),
                Trouble::Passing(cause) if !self.reached => {
                    return Err(Error::Unreachable { server: self.client.server().to_owned(), cause });
                }
                Trouble::Passing(cause) => {
                    self.failures += 1;
                    return Ok(Heard::Broken(cause));
                }
                Trouble::Final(error) => return Err(error),
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Heard>, Trouble> {
        let Some(stream) = &mut self.stream else {
            if self.failures > 0 {
                let pause_ms = (250_u64 << self.failures.min(7)).min(PAUSE_MAX_MS);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            let stream = timeout(GREETING_MAX, self.connect()).await;
            let stream = stream.map_err(|_| Trouble::Passing("the greeting took too long".into()))??;
            (self.stream, self.reached, self.refreshes, self.failures) = (Some(stream), true, 0, 0);
            return Ok(None);
        };
        let frame = timeout(SILENCE_MAX, frame(stream)).await;
        let frame = frame.map_err(|_| Trouble::Passing("the server is silent".into()))??;
        self.understood(frame)
    }

    fn understood(&mut self, frame: Value) -> Result<Option<Heard>, Trouble> {
        let offset = frame["offset"].as_u64();
        Ok(match frame["t"].as_str() {
            Some("event") => {
                self.wanted.after = offset;
                Some(Heard::Event(frame))
            }
            Some("caught_up") => {
                self.wanted.after = offset;
                Some(Heard::CaughtUp)
            }
            Some("cursor") => {
                self.wanted.after = offset;
                None
            }
            Some("reset") => {
                self.wanted.after = frame["head"].as_u64();
                None
            }
            Some("signal") => Some(Heard::Signal(frame)),
            Some("error") => return Err(Trouble::Final(problem_of(&frame).into())),
            _ => None,
        })
    }

    async fn connect(&mut self) -> Result<Stream, Trouble> {
        let passing = |error: tokio_tungstenite::tungstenite::Error| Trouble::Passing(error.to_string());
        let token = self.client.login().ok_or_else(|| Trouble::Final(unauthenticated()))?.access_token;
        let url = format!("{}/ws", self.client.server().replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(passing)?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("link.v1.json"));
        let (mut stream, _) = connect_async(request).await.map_err(passing)?;
        let client = concat!("link-cli/", env!("CARGO_PKG_VERSION"));
        say(&mut stream, &json!({"t": "hello", "token": token, "client": client})).await?;
        until(&mut stream, "welcome").await?;
        let Subscription { workspace, topics, after } = &self.wanted;
        let mut subscribe = json!({"t": "subscribe", "id": 1, "workspace": workspace, "topics": topics});
        if let Some(after) = after {
            subscribe["after"] = json!(after);
        }
        say(&mut stream, &subscribe).await?;
        let subscribed = until(&mut stream, "subscribed").await?;
        if self.wanted.after.is_none() {
            // From now on is a place in the log; without it a break would lose what came meanwhile.
            self.wanted.after = subscribed["head"].as_u64();
        }
        Ok(stream)
    }
}

async fn say(stream: &mut Stream, frame: &Value) -> Result<(), Trouble> {
    stream.send(Message::text(frame.to_string())).await.map_err(|error| Trouble::Passing(error.to_string()))
}

async fn until(stream: &mut Stream, kind: &str) -> Result<Value, Trouble> {
    loop {
        let frame = frame(stream).await?;
        match frame["t"].as_str() {
            Some("error") => return Err(Trouble::Final(problem_of(&frame).into())),
            Some(t) if t == kind => return Ok(frame),
            _ => {}
        }
    }
}

async fn frame(stream: &mut Stream) -> Result<Value, Trouble> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|error| Trouble::Passing(format!("a frame is no JSON: {error}")));
            }
            Some(Ok(Message::Close(close))) => return Err(closed(close)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Trouble::Passing(error.to_string())),
            None => return Err(Trouble::Passing("the connection is gone".into())),
        }
    }
}

fn closed(close: Option<CloseFrame>) -> Trouble {
    let Some(close) = close else { return Trouble::Passing("the connection was closed".into()) };
    let reason = close.reason.to_string();
    match u16::from(close.code) {
        4001 => Trouble::Token,
        4003 => Trouble::Final(Problem::new(problem::FORBIDDEN, reason).into()),
        code => Trouble::Passing(format!("closed with {code}: {reason}")),
    }
}

fn unauthenticated() -> Error {
    Problem::new(problem::UNAUTHENTICATED, "log in first: `link login --email … --password …`").into()
}

fn problem_of(frame: &Value) -> Problem {
    let code = CODES.iter().find(|code| frame["code"] == code.name).copied().unwrap_or(problem::INTERNAL);
    let mut problem = Problem::new(code, frame["message"].as_str().unwrap_or_default());
    problem.trace_id = frame["trace_id"].as_str().unwrap_or_default().to_owned();
    problem
}
