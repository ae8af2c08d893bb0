//! A client of tRPC's subscriptions: as server-sent events and on a socket.

use std::pin::Pin;

use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{
    node::TestNode,
    person::{PATIENCE, Person},
};

/// A node with somebody who has a workspace and a project.
pub struct Lab {
    pub node: TestNode,
    pub ada: Person,
    pub workspace: String,
    pub project: String,
}

/// Starts one.
pub async fn lab() -> Lab {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon").await;
    Lab { node, ada, workspace, project }
}

impl Lab {
    pub async fn head(&self) -> u64 {
        self.ada.log(&self.workspace).await.len() as u64
    }

    pub fn wanted(&self, after: Option<u64>) -> Value {
        match after {
            Some(after) => json!({"workspace_id": self.workspace, "after": after}),
            None => json!({"workspace_id": self.workspace}),
        }
    }
}

/// Escapes every byte for an address.
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<reqwest::Error>>> + Send>>;

/// An open stream of server-sent events.
pub struct Sse(Events);

impl Sse {
    pub async fn open(person: &Person, input: &Value, last: Option<&str>) -> Self {
        Self::at(person, "workspaces.events", input, last).await
    }

    pub async fn at(person: &Person, path: &str, input: &Value, last: Option<&str>) -> Self {
        let url = format!("{}/trpc/{path}?input={}", person.url, escaped(&input.to_string()));
        let mut request = person.http.get(url).bearer_auth(&person.token).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.expect("the door answers");
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-cache, no-transform");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let mut events = Self(Box::pin(answer.bytes_stream().eventsource()));
        let connected = events.any().await.expect("it is connected");
        assert_eq!(connected.event, "connected");
        let options: Value = serde_json::from_str(&connected.data).expect("options are JSON");
        assert!(options["reconnectAfterInactivityMs"].is_u64());
        events
    }

    /// Returns whatever comes, or nothing at the end.
    pub async fn any(&mut self) -> Option<Event> {
        let event = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something happens in time");
        event.and_then(Result::ok)
    }

    /// Returns the next event of the log as its offset and itself.
    pub async fn next(&mut self) -> (u64, Value) {
        loop {
            let event = self.any().await.expect("another event comes");
            if event.event == "message" {
                let data: Value = serde_json::from_str(&event.data).expect("an event is JSON");
                let offset = event.id.parse().expect("it is tracked by its offset");
                assert_eq!(data["offset"], offset);
                return (offset, data);
            }
            assert_eq!(event.event, "ping", "{event:?}");
        }
    }

    /// Returns the error that ends it; no event may come before.
    pub async fn error(&mut self) -> Value {
        loop {
            let event = self.any().await.expect("it says why it ends");
            match event.event.as_str() {
                "ping" => {}
                "serialized-error" => {
                    assert!(self.any().await.is_none(), "something after the end");
                    return serde_json::from_str(&event.data).expect("an error is JSON");
                }
                _ => panic!("{event:?}"),
            }
        }
    }

    /// Reads up to an offset, and returns the offsets that came.
    pub async fn to(&mut self, last: u64) -> Vec<u64> {
        let mut seen = vec![];
        while seen.last().is_none_or(|seen| *seen < last) {
            seen.push(self.next().await.0);
        }
        seen
    }
}

/// A socket of tRPC's.
pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn bare(url: &str, query: &str) -> Self {
        let url = format!("{}/trpc{query}", url.replacen("http", "ws", 1));
        Self(connect_async(url).await.expect("the door is open").0)
    }

    pub async fn open(person: &Person, params: Option<Value>) -> Self {
        let mut socket = Self::bare(&person.url, "?connectionParams=1").await;
        let data = params.unwrap_or_else(|| json!({"token": person.token}));
        socket.send(json!({"method": "connectionParams", "data": data})).await;
        socket
    }

    pub async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the socket is open");
    }

    pub async fn call(&mut self, id: u64, method: &str, path: &str, input: Value) {
        self.send(json!({"id": id, "method": method, "params": {"path": path, "input": input}})).await;
    }

    pub async fn subscribe(&mut self, id: u64, input: &Value, last: Option<&str>) -> Value {
        let mut params = json!({"path": "workspaces.events", "input": input});
        if let Some(last) = last {
            params["lastEventId"] = json!(last);
        }
        self.send(json!({"id": id, "method": "subscription", "params": params})).await;
        self.next().await
    }

    /// Returns the next message, or the code of the end.
    pub async fn any(&mut self) -> Result<String, Option<u16>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something happens in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.any().await.expect("another message comes")).expect("messages are JSON")
    }

    /// Returns the offset of the next event of a subscription.
    pub async fn event(&mut self, id: u64) -> u64 {
        let message = self.next().await;
        let result = &message["result"];
        assert_eq!((&message["id"], &result["type"]), (&json!(id), &json!("data")), "{message:#}");
        assert_eq!(result["id"], result["data"]["id"]);
        let offset = result["data"]["data"]["offset"].as_u64().expect("an event has an offset");
        assert_eq!(result["id"], offset.to_string());
        offset
    }
}
