//! A subscription as server-sent events, for `httpSubscriptionLink`. The id of each is its offset, so a client that
//! comes again goes on after it. A stream that ends without a word is one to come again to.

use std::{convert::Infallible, fmt::Write as _};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, Interval};

use crate::{
    api::{problem::Problem, typescript::EVENTS},
    transport::Doors,
};

use super::{
    errors::shape,
    tail::{News, Tail},
    target::{Target, resumed},
    who::Who,
};

/// A client that does not hear so many heartbeats in a row connects anew.
const SILENT_BEATS: u32 = 3;
/// How soon a client comes again at the earliest; a share of the same is added, so that not all come at once.
const RETRY_MS: u64 = 500;

struct Opening {
    doors: Doors,
    who: Who,
    path: String,
    input: Result<serde_json::Value, Problem>,
    trace: String,
}

enum Stage {
    Greet(Opening),
    Open(Opening),
    Run(Box<Tail>, Interval),
    Over,
}

/// Answers with a stream of events.
pub fn open(doors: &Doors, target: &Target, headers: &HeaderMap, who: Who, trace: &str) -> Response<Body> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let last = last.or_else(|| target.last_event_id.clone());
    let input = target.inputs(None).map(|mut inputs| resumed(inputs.pop().unwrap_or_default(), last));
    let path = target.paths.first().cloned().unwrap_or_default();
    let opening = Opening { doors: doors.clone(), who, path, input, trace: trace.to_owned() };
    let chunks = stream::unfold(Stage::Greet(opening), Stage::go_on).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Stage {
    /// Returns the next piece of the stream, and what comes after it.
    async fn go_on(self) -> Option<(String, Self)> {
        match self {
            Self::Greet(opening) => Some((greeting(&opening), Self::Open(opening))),
            Self::Open(opening) => {
                let Opening { doors, who, path, input, trace } = opening;
                let period = doors.heartbeat;
                let opened = match input {
                    Ok(input) => Tail::open(doors, who, &path, input, &trace).await,
                    Err(problem) => Err(problem),
                };
                match opened {
                    Ok(tail) => {
                        Self::run(Box::new(tail), tokio::time::interval_at(Instant::now() + period, period)).await
                    }
                    Err(mut problem) => {
                        problem.trace_id = trace;
                        Some((failed(&problem, &path), Self::Over))
                    }
                }
            }
            Self::Run(tail, ping) => Self::run(tail, ping).await,
            Self::Over => None,
        }
    }

    async fn run(mut tail: Box<Tail>, mut ping: Interval) -> Option<(String, Self)> {
        loop {
            let news = tokio::select! {
                news = tail.next() => news,
                _ = ping.tick() => return Some((sign_of_life(None), Self::Run(tail, ping))),
            };
            let chunk = match news {
                News::Begun => continue,
                News::Event { offset, data } => format!("data: {data}\nid: {offset}\n\n"),
                News::Quiet(offset) => sign_of_life(Some(offset)),
                News::Failed(problem) => return Some((failed(&problem, EVENTS), Self::Over)),
                News::Cut => return None,
            };
            return Some((chunk, Self::Run(tail, ping)));
        }
    }
}

fn greeting(opening: &Opening) -> String {
    let random: uuid::Uuid = opening.doors.api.services().context().clock.id();
    let inactivity = opening.doors.heartbeat * SILENT_BEATS;
    let retry = RETRY_MS + u64::from(random.as_bytes()[15]) * RETRY_MS / 255;
    let options = json!({"reconnectAfterInactivityMs": inactivity.as_millis() as u64});
    format!("retry: {retry}\nevent: connected\ndata: {options}\n\n")
}

/// A ping may carry an id: a client that comes again need not read up to there.
fn sign_of_life(offset: Option<u64>) -> String {
    let mut text = "event: ping\ndata: \n".to_owned();
    if let Some(offset) = offset {
        let _ = writeln!(text, "id: {offset}");
    }
    text + "\n"
}

fn failed(problem: &Problem, path: &str) -> String {
    format!("event: serialized-error\ndata: {}\n\n", shape(problem, Some(path)))
}
