//! One call through each door, by clients as any program would have them.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use link::api::{self, Api, Identity};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::{
    place::{Place, What},
    server::Machine,
};

/// A way to call.
pub trait Caller: Clone + Send + Sync + 'static {
    /// Calls that travel together.
    fn calls_each(&self) -> usize {
        1
    }

    fn call(&self, place: &Place, caller: usize, what: What) -> impl Future<Output = ()> + Send;
}

/// No door: the operation is called where it is.
#[derive(Clone)]
pub struct Direct {
    api: Api,
    identity: Identity,
}

impl Direct {
    pub async fn over(machine: &Machine, place: &Place) -> Self {
        let api = machine.api().clone();
        let identity = api.identify(place.token(0)).await.expect("the token is fresh");
        Self { api, identity }
    }
}

impl Caller for Direct {
    async fn call(&self, place: &Place, caller: usize, what: What) {
        let identity = Some(self.identity.clone());
        let who = api::Caller { identity, trace: "0".repeat(32), ..api::Caller::default() };
        let answer = self.api.call(what.operation(), who, place.input(caller, what)).await;
        answer.expect("the call is right");
    }
}

#[derive(Clone)]
pub struct Rest;

impl Caller for Rest {
    async fn call(&self, place: &Place, caller: usize, what: What) {
        let mut input = place.input(caller, what);
        let project = input["project_id"].take();
        let project = project.as_str().unwrap_or_default();
        let request = match what {
            What::Create => {
                input.as_object_mut().expect("it is one").remove("project_id");
                place.http.post(format!("{}/api/v1/projects/{project}/tasks", place.url)).json(&input)
            }
            What::Board => place.http.get(format!("{}/api/v1/projects/{project}/board", place.url)),
        };
        answered(request.bearer_auth(place.token(caller))).await;
    }
}

#[derive(Clone)]
pub struct Trpc {
    calls_each: usize,
}

impl Trpc {
    pub fn new(calls_each: usize) -> Self {
        Self { calls_each }
    }
}

impl Caller for Trpc {
    fn calls_each(&self) -> usize {
        self.calls_each
    }

    async fn call(&self, place: &Place, caller: usize, what: What) {
        let input = place.input(caller, what);
        let (names, input, query) = match self.calls_each {
            1 => (what.operation().to_owned(), input, ""),
            n => {
                let inputs = (0..n).map(|nth| (nth.to_string(), input.clone())).collect();
                (vec![what.operation(); n].join(","), Value::Object(inputs), "batch=1&")
            }
        };
        let url = format!("{}/trpc/{names}?{query}", place.url);
        let request = match what {
            What::Create => place.http.post(url).json(&input),
            What::Board => {
                let escaped: String = input.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
                place.http.get(format!("{url}input={escaped}"))
            }
        };
        answered(request.bearer_auth(place.token(caller))).await;
    }
}

async fn answered(request: reqwest::RequestBuilder) {
    let answer = request.send().await.expect("it answers");
    let status = answer.status();
    let body = answer.bytes().await.expect("the answer is whole");
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One socket per caller.
#[derive(Clone)]
pub struct Ws {
    sockets: Arc<Vec<Mutex<Socket>>>,
}

impl Ws {
    pub async fn open(place: &Place, callers: usize) -> Self {
        let mut sockets = vec![];
        for caller in 0..callers {
            let url = place.url.replacen("http", "ws", 1);
            let (mut socket, _) = connect_async(format!("{url}/ws")).await.expect("it takes sockets");
            let hello = json!({"t": "hello", "token": place.token(caller)}).to_string();
            socket.send(Message::text(hello)).await.expect("it listens");
            frame(&mut socket, "\"welcome\"").await;
            sockets.push(Mutex::new(socket));
        }
        Self { sockets: Arc::new(sockets) }
    }
}

impl Caller for Ws {
    async fn call(&self, place: &Place, caller: usize, what: What) {
        let mut socket = self.sockets[caller].lock().await;
        let call = json!({"t": "call", "id": 1, "op": what.operation(), "input": place.input(caller, what)});
        socket.send(Message::text(call.to_string())).await.expect("it listens");
        frame(&mut socket, "\"ok\"").await;
    }
}

/// Waits for the next frame with text in it, which shall be of this kind.
async fn frame(socket: &mut Socket, kind: &str) {
    loop {
        match socket.next().await.expect("it stays open").expect("it stays open") {
            Message::Text(text) => return assert!(text.contains(kind), "{text}"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
