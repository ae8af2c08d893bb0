//! An agent that connects to Link by itself, as the protocol in docs/peers.md wants it, and other ways too.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    person::{Person, id},
    socket::Socket,
};

/// Where agents connect.
pub const DOOR: &str = "/agents/connect";

impl Person {
    /// Registers an agent that connects by itself, and makes a key for it; returns both.
    pub async fn peer(&self, workspace: &str, name: &str) -> (String, String) {
        let body = json!({"name": name, "runtime": "peer"});
        let agent = id(&self.post(&format!("/workspaces/{workspace}/agents"), body).await);
        let key = self.post(&format!("/agents/{agent}/keys"), json!({"name": "its own"})).await;
        (agent, key["key"].as_str().expect("a key is shown once").to_owned())
    }
}

/// How often it says that it lives.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// What an agent keeps of one attempt: the fence, and what was not acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub fence: u64,
    pub next: u64,
    pub frames: Vec<Value>,
}

/// An agent, connected or not.
pub struct Peer {
    pub url: String,
    pub hello: Value,
    pub socket: Socket,
    pub welcome: Value,
    /// What it would still have after a cut.
    pub kept: BTreeMap<String, Kept>,
}

impl Peer {
    /// Connects under the name `default`, for one attempt at a time.
    pub async fn connect(url: &str, key: &str) -> Self {
        Self::with(url, json!({"token": key})).await
    }

    /// Connects with a `hello` of its own.
    pub async fn with(url: &str, mut hello: Value) -> Self {
        hello["t"] = json!("hello");
        let (socket, welcome) = greeted(url, hello.clone()).await;
        Self { url: url.to_owned(), hello, socket, welcome, kept: BTreeMap::new() }
    }

    /// Connects anew, whatever became of the connection before, and says what it still has.
    pub async fn reconnect(&mut self) {
        let running = self.kept.iter().map(|(attempt, kept)| {
            let seq = kept.frames.first().map_or(kept.next, |frame| frame["seq"].as_u64().expect("it is numbered"));
            json!({"attempt": attempt, "fence": kept.fence, "seq": seq})
        });
        self.hello["running"] = running.collect();
        (self.socket, self.welcome) = greeted(&self.url, self.hello.clone()).await;
    }

    /// Returns the next frame of a kind, passing over others but for `ack`, which is taken to heart.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["t"] == kind {
                return frame;
            }
        }
    }

    /// Returns the next frame; what it acknowledges is forgotten. Meanwhile it says that it lives.
    pub async fn next(&mut self) -> Value {
        let frame = loop {
            match tokio::time::timeout(HEARTBEAT, self.socket.next()).await {
                Ok(frame) => break frame,
                Err(_) => self.socket.send(json!({"t": "heartbeat"})).await,
            }
        };
        if let (Some(acked), Some(attempt)) = (frame["seq"].as_u64(), frame["attempt"].as_str())
            && frame["t"] == "ack"
            && let Some(kept) = self.kept.get_mut(attempt)
        {
            kept.frames.retain(|frame| frame["seq"].as_u64() > Some(acked));
        }
        frame
    }

    /// Waits for work, and remembers it.
    pub async fn assigned(&mut self) -> Value {
        let assign = self.until("assign").await;
        let attempt = assign["attempt"].as_str().expect("it is an id").to_owned();
        let fence = assign["fence"].as_u64().expect("it is a number");
        self.kept.insert(attempt, Kept { fence, next: 1, frames: vec![] });
        assign
    }

    /// Says something about an attempt, under the next number.
    pub async fn say(&mut self, attempt: &Value, what: Value) {
        let frame = self.note(attempt, what);
        self.socket.send(frame).await;
    }

    /// Prepares a frame as [`Peer::say`] does, and does not send it.
    pub fn note(&mut self, attempt: &Value, mut what: Value) -> Value {
        let attempt = attempt.as_str().expect("it is an id");
        let kept = self.kept.get_mut(attempt).expect("it was assigned");
        (what["attempt"], what["fence"], what["seq"]) = (json!(attempt), json!(kept.fence), json!(kept.next));
        kept.next += 1;
        kept.frames.push(what.clone());
        what
    }

    /// Sends again what was not acknowledged.
    pub async fn send_again(&mut self, attempt: &Value) {
        for frame in self.kept[attempt.as_str().expect("it is an id")].frames.clone() {
            self.socket.send(frame).await;
        }
    }

    /// Waits until everything up to a number is durable.
    pub async fn acknowledged(&mut self, attempt: &Value, seq: u64) {
        loop {
            let ack = self.until("ack").await;
            if ack["attempt"] == *attempt && ack["seq"].as_u64() >= Some(seq) {
                return;
            }
        }
    }
}

async fn greeted(url: &str, hello: Value) -> (Socket, Value) {
    let mut socket = Socket::at(url, DOOR).await;
    socket.send(hello).await;
    let welcome = socket.next().await;
    assert_eq!(welcome["t"], "welcome", "{welcome:#}");
    (socket, welcome)
}
