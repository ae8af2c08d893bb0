//! A client on the WebSocket.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::person::{PATIENCE, Person};

/// An open socket.
pub struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects without saying hello.
    pub async fn open(url: &str) -> Self {
        let url = format!("{}/ws", url.replacen("http", "ws", 1));
        let (inner, _) = connect_async(url).await.expect("the door is open");
        Self { inner }
    }

    /// Connects and says hello.
    pub async fn hello(person: &Person) -> Self {
        let mut socket = Self::open(&person.url).await;
        socket.send(json!({"t": "hello", "token": person.token})).await;
        assert_eq!(socket.next().await["t"], "welcome");
        socket
    }

    /// Connects, says hello and subscribes to everything after an offset.
    pub async fn subscribed(person: &Person, workspace: &str, after: Option<u64>) -> Self {
        let mut socket = Self::hello(person).await;
        let mut frame = json!({"t": "subscribe", "id": 1, "workspace": workspace, "topics": ["*"]});
        if let Some(after) = after {
            frame["after"] = json!(after);
        }
        socket.send(frame).await;
        assert_eq!(socket.next().await["t"], "subscribed");
        socket
    }

    /// Subscribes to some topics, and returns the answer.
    pub async fn subscribe(&mut self, workspace: &str, topics: Value, after: Option<u64>) -> Value {
        let frame = json!({"t": "subscribe", "id": "s", "workspace": workspace, "topics": topics, "after": after});
        self.send(frame).await;
        self.next().await
    }

    /// Calls an operation, and returns the answer.
    pub async fn call(&mut self, op: &str, input: Value) -> Value {
        self.send(json!({"t": "call", "id": op, "op": op, "input": input})).await;
        loop {
            let frame = self.next().await;
            if frame["id"] == op {
                return frame;
            }
        }
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.inner.send(message).await.expect("the socket is open");
    }

    /// Returns the next frame.
    pub async fn next(&mut self) -> Value {
        self.try_next().await.expect("another frame comes")
    }

    /// Returns the next frame, or nothing when the socket is closed.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inner.next()).await.expect("something happens in time");
            match message? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("frames are JSON")),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a frame to a socket that may be closed already.
    pub async fn try_send(&mut self, frame: Value) -> bool {
        self.inner.send(Message::text(frame.to_string())).await.is_ok()
    }

    /// Returns the next frame, or the code of the end, if it had one.
    pub async fn next_or_code(&mut self) -> Result<Value, Option<u16>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inner.next()).await.expect("something happens in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("frames are JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Returns the code that the socket is closed with.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inner.next()).await.expect("something happens in time");
            match message {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("the socket ended without a code: {other:?}"),
            }
        }
    }

    /// Returns the next frame of a kind, passing over others.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["t"] == kind {
                return frame;
            }
        }
    }

    /// Returns the next event of a type, passing over others.
    pub async fn until_event(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.until("event").await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}
