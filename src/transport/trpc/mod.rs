//! The tRPC door: every operation at `/trpc/{router}.{verb}`, in the wire format of tRPC v11.
//!
//! ```text
//! target   what an address asks for ─┐
//! messages what a socket's frame asks ┴─▶ who ─▶ Api::call ─▶ http (single, batch) · stream (JSONL) · ws
//! tail     the events of a workspace ────────────────────────▶ sse · ws
//! errors   a problem as tRPC says it
//! ```
//!
//! In tRPC a name is one kind of procedure. `workspaces.events` is a subscription for the stock client's types, as the
//! contract wants it; the query of the same name is told apart by how it is asked: over HTTP a subscription accepts
//! `text/event-stream`, on a socket the message says so. `readEvents` of the TypeScript client asks the query.

pub mod errors;
mod http;
pub mod messages;
mod sse;
mod stream;
mod tail;
pub mod target;
mod who;
mod ws;

use std::any::Any;

use axum::{Router, body::Body, http::Response, routing::any};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::problem::{self, Problem};

use super::Doors;

pub(super) use who::bearer;

/// The most calls of one batch.
pub const BATCH_MAX: usize = 50;

/// Builds the routes below `/trpc`.
pub fn routes() -> Router<Doors> {
    let door = || any(http::door);
    Router::new()
        .route("/trpc", door())
        .route("/trpc/", door())
        .route("/trpc/{*path}", door())
        .layer(CatchPanicLayer::custom(panicked))
}

fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("the tRPC door panicked");
    http::refusal(&Problem::new(problem::INTERNAL, "the request ran into a bug"), None)
}
