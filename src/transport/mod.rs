//! Doors: they decode, find out who calls, and hand over. No rule of the domain is here.

mod agents;
mod bare;
mod connection;
mod docs;
mod documents;
mod headers;
pub mod listener;
mod oidc;
mod peer;
mod pulse;
pub mod query;
mod rest;
#[cfg(test)]
mod tests;
pub mod trpc;
pub mod values;
pub mod ws;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{State, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    middleware,
    response::IntoResponse,
    routing::get,
};
use ipnet::IpNet;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{
    Api,
    problem::{self, Problem},
};

/// Lets a call go on whatever its connection does meanwhile: half-way it holds a connection of the database. It ends
/// with whoever waits for it.
async fn going_on<T: Send + 'static>(
    call: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = AbortOnDropHandle::new(tokio::spawn(call)).await;
    done.unwrap_or_else(|_| Err(Problem::new(problem::INTERNAL, "the call has failed")))
}

/// What the doors need besides the operations.
#[derive(Clone)]
pub struct Doors {
    /// The operations.
    pub api: Api,
    /// Renders the metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Ends the open sockets.
    pub stopping: CancellationToken,
    /// The sockets that are open.
    pub sockets: TaskTracker,
    /// Between two pings to a socket.
    pub heartbeat: Duration,
    /// The name of this node.
    pub node: String,
    /// Proxies whose word is taken for where a request comes from.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Web origins, other than Link's own, whose pages may call Link.
    pub cors_origins: Arc<[HeaderValue]>,
}

/// Builds every route.
pub fn router(doors: Doors) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/ws", get(ws::upgrade))
        .route("/agents/connect", get(agents::upgrade))
        .route("/documents/{document_id}/sync", get(documents::upgrade))
        .route("/.well-known/jwks.json", get(public_keys))
        .nest("/auth/oidc", oidc::routes())
        .merge(docs::routes())
        .nest("/api/v1", rest::routes(&doors.api))
        .merge(trpc::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(option_layer(headers::cors(&doors.cors_origins)))
        .layer(middleware::from_fn(headers::harden))
        .layer(middleware::from_fn_with_state(doors.clone(), peer::note))
        .with_state(doors)
}

async fn ready(State(doors): State<Doors>) -> Response<Body> {
    let answer = tokio::time::timeout(Duration::from_secs(2), doors.api.database_answers()).await;
    if doors.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match answer {
        Ok(true) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

async fn metrics(State(doors): State<Doors>) -> Response<Body> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (doors.metrics)()).into_response()
}

/// The keys that access tokens can be checked with, by whoever wants to.
async fn public_keys(State(doors): State<Doors>) -> Response<Body> {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, doors.api.services().keys.public().to_string()).into_response()
}

async fn no_such_path(State(doors): State<Doors>, headers: HeaderMap) -> Response<Body> {
    refused(&doors, &headers, Problem::new(problem::NO_SUCH_OPERATION, "nothing is at this path"))
}

async fn no_such_method(State(doors): State<Doors>, headers: HeaderMap) -> Response<Body> {
    refused(&doors, &headers, Problem::new(problem::METHOD_NOT_ALLOWED, "see /docs"))
}

/// What a request is told that wanted to become a socket and cannot.
fn no_handshake(rejection: &WebSocketUpgradeRejection) -> Problem {
    Problem::new(problem::MALFORMED, format!("this is no WebSocket handshake: {rejection}"))
}

/// Returns the subprotocols that a socket asks for.
fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let asked = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    asked.flat_map(|value| value.split(',')).map(str::trim)
}

/// Returns the first of them that is spoken.
fn subprotocol(headers: &HeaderMap, spoken: &[&'static str]) -> Option<&'static str> {
    subprotocols(headers).find_map(|asked| spoken.iter().copied().find(|spoken| *spoken == asked))
}

/// Returns a problem that no operation had part in.
fn refused(doors: &Doors, headers: &HeaderMap, mut problem: Problem) -> Response<Body> {
    problem.trace_id = rest::trace_of(headers, &doors.api);
    problem_response(problem)
}

fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a door panicked");
    problem_response(Problem::new(problem::INTERNAL, "the request ran into a bug"))
}

/// Returns a problem as RFC 9457 wants it.
fn problem_response(problem: Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
    hint(&problem, response.headers_mut());
    response
}

/// Says in headers what a problem means for HTTP.
fn hint(problem: &Problem, headers: &mut HeaderMap) {
    if problem.retryable {
        let seconds = problem.retry_after_ms.map_or(1, |ms| ms.div_ceil(1_000));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}
