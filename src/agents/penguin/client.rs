//! Typed calls to one Penguin. Each has a time limit, a bounded answer and a metric; secrets stay in headers and
//! never reach an error or a log.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{Instrument, debug_span};

use super::{
    outcome::clip,
    wire::{ChatAnswer, ChatRequest, HealthBody, History, HistoryEntry, Message, Receipt, SessionInfo},
};
use crate::{
    agents::{Endpoint, Failure},
    domain::failure::FailureClass,
};

/// Health answers within this, or the instance counts as away.
const HEALTH_WAIT: Duration = Duration::from_secs(3);
/// Any short call; Penguin's one event loop was seen to freeze for five seconds.
const CALL_WAIT: Duration = Duration::from_secs(10);
/// A chat request answers only when the whole run ended.
const CHAT_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of an answer; a run of 250 tool calls has about 6 MB.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most sessions looked at when searching for an attempt's.
const SEARCH_MAX: &str = "8";

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection: the request was never sent.
    #[error("no connection")]
    Refused,
    /// The request may or may not have arrived.
    #[error("connection lost: {0}")]
    Lost(String),
    /// An answer that is no success.
    #[error("answered {code}: {detail}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The beginning of what it said.
        detail: String,
    },
    /// A success that nobody can read.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

impl CallError {
    /// Tells whether the instance said that it has no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }

    /// Tells whether the instance did not answer at all.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Refused | Self::Lost(_))
    }

    /// Says what the error means for an attempt; `lost` is the class for a broken connection.
    pub fn failure(&self, doing: &str, lost: FailureClass) -> Failure {
        let class = match self {
            Self::Refused => FailureClass::ConnectRefused,
            Self::Lost(_) => lost,
            Self::Status { code: 401 | 403, .. } => FailureClass::ProviderAuth,
            Self::Status { code: 408, .. } => lost,
            Self::Status { code: 429, .. } => FailureClass::ProviderRateLimit,
            Self::Status { code: 500.., .. } => FailureClass::HttpServerError,
            Self::Status { .. } => FailureClass::Misconfigured,
            Self::Unreadable(_) => FailureClass::Unknown,
        };
        Failure::new(class, format!("{doing}: {self}"))
    }
}

/// Why several calls in a row gave no answer.
#[derive(Debug)]
pub enum Looking {
    /// A call failed.
    Call(CallError),
    /// There is nothing left to ask.
    Over(Failure),
}

impl From<CallError> for Looking {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Failure> for Looking {
    fn from(failure: Failure) -> Self {
        Self::Over(failure)
    }
}

/// Which key opens a route.
#[derive(Clone, Copy)]
enum Key {
    /// An ordinary client's.
    Ordinary,
    /// The one of Link's own service routes.
    Link,
}

/// One Penguin and the keys to it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    api_key: Option<String>,
    link_key: Option<String>,
}

impl Client {
    /// Makes a client for an endpoint.
    pub fn new(http: reqwest::Client, endpoint: &Endpoint) -> Self {
        let key = |name: &str| endpoint.credentials.get(name).filter(|key| !key.is_empty()).cloned();
        let base = format!("{}/api/v1", endpoint.url.trim_end_matches('/'));
        Self { http, base, api_key: key("api_key"), link_key: key("link_key") }
    }

    /// Returns the boot id: it changes when the instance restarts.
    pub async fn boot(&self) -> Result<Option<String>, CallError> {
        let request = self.request(Method::GET, "/health", Key::Ordinary).timeout(HEALTH_WAIT);
        Ok(call::<HealthBody>("health", request).await?.uptime.start_time)
    }

    /// Returns the version, where the instance tells.
    pub async fn version(&self) -> Option<String> {
        let request = self.request(Method::GET, "/capabilities", Key::Ordinary).timeout(HEALTH_WAIT);
        let body: Value = call("capabilities", request).await.ok()?;
        body.get("version").and_then(Value::as_str).map(str::to_owned)
    }

    /// Returns how many sessions are marked busy.
    pub async fn busy_sessions(&self) -> Result<u32, CallError> {
        let all: Value = self.get("session_status", "/session/status").await?;
        let busy = all.as_object().map_or(0, |all| all.values().filter(|s| s["type"] == "busy").count());
        Ok(u32::try_from(busy).unwrap_or(u32::MAX))
    }

    /// Tells whether the session is marked busy; the mark outlives some runs and every restart.
    pub async fn is_busy(&self, session: &str) -> Result<bool, CallError> {
        let all: Value = self.get("session_status", "/session/status").await?;
        Ok(all[session]["type"] == "busy")
    }

    /// Finds the sessions with this text in their title.
    pub async fn sessions_titled(&self, title: &str) -> Result<Vec<SessionInfo>, CallError> {
        let path = with_query("/session", &[("search", title), ("limit", SEARCH_MAX)]);
        let found: Vec<SessionInfo> = self.get("session_search", &path).await?;
        Ok(found.into_iter().filter(|session| session.title.contains(title)).collect())
    }

    /// Opens an empty session with a title and returns its id.
    pub async fn create_session(&self, title: &str) -> Result<String, CallError> {
        let request = self.request(Method::POST, "/session", Key::Ordinary).timeout(CALL_WAIT);
        let made: SessionInfo = call("session_create", request.json(&json!({ "title": title }))).await?;
        if made.id.is_empty() { Err(CallError::Unreadable("a session without an id".into())) } else { Ok(made.id) }
    }

    /// Returns the messages of a session.
    pub async fn messages(&self, session: &str) -> Result<Vec<Message>, CallError> {
        self.get("session_messages", &format!("/session/{session}/message")).await
    }

    /// Returns the conversation with its tool calls.
    pub async fn history(&self, session: &str) -> Result<Vec<HistoryEntry>, CallError> {
        let path = format!("/conversations/{session}/history?include_system=false");
        Ok(self.get::<History>("history", &path).await?.messages)
    }

    /// Submits a run and waits for its end, however long that takes.
    pub async fn chat(&self, body: &ChatRequest<'_>) -> Result<ChatAnswer, CallError> {
        let key = if body.durable_request { Key::Link } else { Key::Ordinary };
        call("chat", self.request(Method::POST, "/chat/message", key).timeout(CHAT_WAIT).json(body)).await
    }

    /// Looks a durable request up.
    pub async fn receipt(&self, session: &str, request: &str) -> Result<Receipt, CallError> {
        let path = with_query("/link/chat-request", &[("session_id", session), ("client_message_id", request)]);
        call("receipt", self.request(Method::GET, &path, Key::Link).timeout(CALL_WAIT)).await
    }

    /// Asks for a durable request to be stopped.
    pub async fn cancel(&self, session: &str, request: &str) -> Result<Receipt, CallError> {
        let path = with_query("/link/chat-request/cancel", &[("session_id", session), ("client_message_id", request)]);
        call("cancel", self.request(Method::POST, &path, Key::Link).timeout(CALL_WAIT)).await
    }

    /// Asks for a session's run to be stopped.
    pub async fn abort(&self, session: &str) -> Result<(), CallError> {
        let _: Value = self.post("abort", &format!("/session/{session}/abort"), &json!({})).await?;
        Ok(())
    }

    /// Returns the permissions that a session waits for.
    pub async fn permissions(&self, session: &str) -> Result<Vec<Value>, CallError> {
        self.get("permissions", &with_query("/permission", &[("session_id", session)])).await
    }

    /// Returns the questions that a session waits for.
    pub async fn questions(&self, session: &str) -> Result<Vec<Value>, CallError> {
        self.get("questions", &with_query("/question", &[("session_id", session)])).await
    }

    /// Grants a permission once.
    pub async fn approve(&self, id: &str) -> Result<(), CallError> {
        let _: Value = self.post("approve", &format!("/approvals/{id}/approve"), &json!({"scope": "once"})).await?;
        Ok(())
    }

    /// Denies a permission.
    pub async fn deny(&self, id: &str) -> Result<(), CallError> {
        let _: Value = self.post("deny", &format!("/approvals/{id}/deny"), &json!({})).await?;
        Ok(())
    }

    /// Answers a question.
    pub async fn reply(&self, id: &str, answers: &Value) -> Result<(), CallError> {
        let _: Value = self.post("reply", &format!("/question/{id}/reply"), &json!({ "answers": answers })).await?;
        Ok(())
    }

    /// Opens the event stream of a session, from an event on if one is named.
    pub async fn events(&self, session: &str, after: Option<&str>) -> Result<Response, CallError> {
        let path = with_query("/events/sse", &[("session_id", session)]);
        let mut request = self.request(Method::GET, &path, Key::Ordinary).timeout(CHAT_WAIT);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        // The head of the answer comes at once; only the body is endless.
        observed("events", async {
            let sent = tokio::time::timeout(CALL_WAIT, request.send()).await;
            let response = sent.map_err(|_| CallError::Lost("no answer in time".into()))?.map_err(lost)?;
            refuse_errors(response).await
        })
        .await
    }

    async fn get<T: DeserializeOwned>(&self, name: &'static str, path: &str) -> Result<T, CallError> {
        call(name, self.request(Method::GET, path, Key::Ordinary).timeout(CALL_WAIT)).await
    }

    async fn post<T: DeserializeOwned>(&self, name: &'static str, path: &str, body: &Value) -> Result<T, CallError> {
        call(name, self.request(Method::POST, path, Key::Ordinary).timeout(CALL_WAIT).json(body)).await
    }

    fn request(&self, method: Method, path: &str, key: Key) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let secret = match key {
            Key::Ordinary => &self.api_key,
            Key::Link => &self.link_key,
        };
        match secret {
            Some(secret) => request.header("X-API-Key", secret),
            None => request,
        }
    }
}

/// Appends a query to a path.
fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    // Any base does: only the query's encoding is wanted.
    let encoded = reqwest::Url::parse_with_params("http://penguin", query);
    format!("{path}?{}", encoded.as_ref().ok().and_then(|url| url.query()).unwrap_or_default())
}

/// Sends a request and reads its JSON answer.
async fn call<T: DeserializeOwned>(name: &'static str, request: RequestBuilder) -> Result<T, CallError> {
    observed(name, async {
        let response = refuse_errors(request.send().await.map_err(lost)?).await?;
        let body = bounded(response, BODY_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|error| CallError::Unreadable(clip(&error.to_string())))
    })
    .await
}

/// Counts and times a call.
async fn observed<T>(name: &'static str, work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let begun = Instant::now();
    let result = work.instrument(debug_span!("agents.penguin.call", call = name)).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(CallError::Refused) => "refused",
        Err(CallError::Lost(_)) => "lost",
        Err(CallError::Status { .. }) => "status",
        Err(CallError::Unreadable(_)) => "unreadable",
    };
    counter!("link_agent_calls_total", "runtime" => "penguin", "call" => name, "outcome" => outcome).increment(1);
    histogram!("link_agent_call_seconds", "runtime" => "penguin", "call" => name).record(begun.elapsed());
    result
}

async fn refuse_errors(response: Response) -> Result<Response, CallError> {
    /// Most bytes of an error's body that are read.
    const DETAIL_BYTES_MAX: usize = 8 * 1024;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let body = bounded(response, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let detail = serde_json::from_slice::<Value>(&body).ok().and_then(|body| {
        let detail = body.get("detail")?;
        let said = detail.as_str().or_else(|| detail.pointer("/error/message").and_then(Value::as_str));
        said.map(clip)
    });
    // Other bodies may repeat the request, so they are left out.
    Err(CallError::Status { code, detail: detail.unwrap_or_default() })
}

async fn bounded(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(CallError::Unreadable(format!("more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn lost(error: reqwest::Error) -> CallError {
    if error.is_connect() {
        return CallError::Refused;
    }
    let what = if error.is_timeout() { "no answer in time" } else { "broken off" };
    CallError::Lost(what.into())
}
