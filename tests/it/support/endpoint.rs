//! An endpoint outside that hears of events: a real HTTP server that keeps what it gets and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::person::PATIENCE;

/// One message that came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub timestamp: String,
    pub signatures: Vec<String>,
    pub text: String,
    pub body: Value,
}

impl Received {
    /// Tells whether a secret signed it, checked as a receiver would.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("it begins so")).expect("it is base64");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.text);
        self.signatures.iter().any(|signature| {
            let tag = STANDARD.decode(signature.strip_prefix("v1,").expect("version 1")).expect("it is base64");
            aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
        })
    }

    /// The event's type.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a message has a type")
    }
}

/// How the next message is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With a status and headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// Not at all.
    Never,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// What is said next; when empty, 204.
    replies: Mutex<VecDeque<Reply>>,
    /// What is said when nothing else is.
    always: Mutex<Reply>,
    news: watch::Sender<usize>,
}

/// A running endpoint.
pub struct Endpoint {
    shared: Arc<Shared>,
    port: u16,
    _server: JoinSet<()>,
}

impl Endpoint {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            replies: Mutex::default(),
            always: Mutex::new(Reply::Status(204, &[])),
            news: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let routes = Router::new().route("/{*path}", post(take)).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.expect("the endpoint serves") });
        Self { shared, port, _server: server }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?token=psst", self.port)
    }

    /// Answers the next messages so.
    pub fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.replies.lock().expect("not poisoned").extend(replies);
    }

    /// Answers all messages so from now on.
    pub fn always(&self, reply: Reply) {
        *self.shared.always.lock().expect("not poisoned") = reply;
    }

    /// Everything that came in so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("not poisoned").clone()
    }

    /// Waits until so many messages came in, and returns them all.
    pub async fn until(&self, count: usize) -> Vec<Received> {
        let mut news = self.shared.news.subscribe();
        let enough = tokio::time::timeout(PATIENCE, news.wait_for(|came| *came >= count)).await;
        assert!(enough.is_ok(), "{count} messages did not come: {:#?}", self.received());
        self.received()
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, text: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().expect("it is text").to_owned();
    let text = String::from_utf8(text.to_vec()).expect("a message is text");
    let received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature").split(' ').map(str::to_owned).collect(),
        body: serde_json::from_str(&text).expect("a message is JSON"),
        text,
    };
    assert_eq!(header("content-type"), "application/json");
    let next = shared.replies.lock().expect("not poisoned").pop_front();
    let reply = next.unwrap_or_else(|| shared.always.lock().expect("not poisoned").clone());
    let came = {
        let mut all = shared.received.lock().expect("not poisoned");
        all.push(received);
        all.len()
    };
    shared.news.send_replace(came);
    match reply {
        Reply::Status(code, headers) => {
            let mut response = StatusCode::from_u16(code).expect("a status").into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().expect("a header"));
            }
            response
        }
        Reply::Never => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
