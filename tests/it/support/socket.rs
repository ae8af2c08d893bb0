//! A client on the WebSocket, in either encoding.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::person::{PATIENCE, Person};

/// An open socket.
pub struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Whether frames are MessagePack.
    binary: bool,
}

impl Socket {
    /// Connects without saying hello.
    pub async fn open(url: &str) -> Self {
        Self::at(url, "/ws").await
    }

    /// Connects to another door that speaks WebSocket.
    pub async fn at(url: &str, path: &str) -> Self {
        let url = format!("{}{path}", url.replacen("http", "ws", 1));
        let (inner, _) = connect_async(url).await.expect("the door is open");
        Self { inner, binary: false }
    }

    /// Connects and asks for subprotocols; what the server chose decides how frames are written.
    pub async fn speaking(url: &str, subprotocols: &str) -> (Self, String) {
        Self::speaking_at(url, "/ws", subprotocols).await
    }

    /// The same, at another door that speaks WebSocket.
    pub async fn speaking_at(url: &str, path: &str, subprotocols: &str) -> (Self, String) {
        let url = format!("{}{path}", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("the address is good");
        request.headers_mut().insert("sec-websocket-protocol", subprotocols.parse().expect("it fits a header"));
        let (inner, response) = connect_async(request).await.expect("the door is open");
        let chosen = response.headers()["sec-websocket-protocol"].to_str().expect("it is ASCII").to_owned();
        (Self { inner, binary: chosen.ends_with("msgpack") }, chosen)
    }

    /// Connects, says hello, and subscribes from now on; the system keeps next to nothing of what is not read.
    pub async fn narrow(person: &Person, workspace: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(1_024).expect("the system allows it");
        let address = person.url.trim_start_matches("http://").parse().expect("it is an address");
        let stream = socket.connect(address).await.expect("the door is open");
        let url = format!("{}/ws", person.url.replacen("http", "ws", 1));
        let (inner, _) = client_async(url, MaybeTlsStream::Plain(stream)).await.expect("the door is open");
        let mut socket = Self { inner, binary: false };
        socket.send(json!({"t": "hello", "token": person.token})).await;
        assert_eq!(socket.next().await["t"], "welcome");
        socket.subscribe(workspace, json!(["*"]), None).await;
        socket
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
        self.send_raw(self.written(&frame)).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.inner.send(message).await.expect("the socket is open");
    }

    /// Returns the next frame.
    pub async fn next(&mut self) -> Value {
        self.next_or_code().await.unwrap_or_else(|code| panic!("the socket ended with {code:?}"))
    }

    /// Waits for what comes next; nothing when the socket ends without saying so. Pings do not count.
    async fn heard(&mut self) -> Option<Message> {
        let heard = async {
            loop {
                match self.inner.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("something happens in time")
    }

    /// Returns the next frame, or nothing when the socket is closed.
    pub async fn try_next(&mut self) -> Option<Value> {
        self.next_or_code().await.ok()
    }

    /// Sends a frame to a socket that may be closed already.
    pub async fn try_send(&mut self, frame: Value) -> bool {
        self.inner.send(self.written(&frame)).await.is_ok()
    }

    fn written(&self, frame: &Value) -> Message {
        match self.binary {
            true => Message::binary(rmp_serde::to_vec(frame).expect("it is written")),
            false => Message::text(frame.to_string()),
        }
    }

    fn read(&self, message: Message) -> Value {
        match message {
            Message::Text(text) if !self.binary => serde_json::from_str(&text).expect("frames are JSON"),
            Message::Binary(bytes) if self.binary => rmp_serde::from_slice(&bytes).expect("frames are MessagePack"),
            other => panic!("this is no frame of the subprotocol: {other:?}"),
        }
    }

    /// Returns the next frame, or the code of the end, if it had one.
    pub async fn next_or_code(&mut self) -> Result<Value, Option<u16>> {
        match self.heard().await {
            Some(Message::Close(frame)) => Err(frame.map(|frame| frame.code.into())),
            Some(message) => Ok(self.read(message)),
            None => Err(None),
        }
    }

    /// Returns the code that the socket is closed with.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.heard().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(Message::Close(None)) | None => panic!("the socket ended without a code"),
                Some(_) => {}
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
