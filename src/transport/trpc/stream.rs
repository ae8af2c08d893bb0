//! A batch whose answers come as they are ready: one line of JSON each, for `httpBatchStreamLink`.
//!
//! The first line says for each call which chunk will hold its answer; each later one is a chunk.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use crate::{api::Api, transport::going_on};

use super::{errors::failure, http::Call, who::Who};

/// A chunk that holds a value which was promised and kept.
const KEPT: u8 = 0;

/// Answers a batch.
pub fn respond(api: Api, calls: Vec<Call>, who: Who, trace: String) -> Response<Body> {
    let head = line(&head(calls.len()));
    let shared = Arc::new((api, who, trace));
    let answers: stream::FuturesUnordered<_> = calls
        .into_iter()
        .enumerate()
        .map(|(nth, call)| {
            let shared = shared.clone();
            async move {
                let path = call.path.clone();
                let made = going_on(async move {
                    let (api, who, trace) = &*shared;
                    call.make(api, who, trace).await
                });
                let answer = match made.await {
                    Ok(answer) => json!({"result": {"data": answer.body}}),
                    Err(problem) => failure(&problem, Some(&path)),
                };
                line(&json!([nth, KEPT, [[answer]]]))
            }
        })
        .collect();
    let lines = stream::once(async { head }).chain(answers).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Says for each call which chunk will hold its answer.
fn head(calls: usize) -> Value {
    let promised = |nth: usize| (nth.to_string(), json!([[0], [null, 0, nth]]));
    Value::Object((0..calls).map(promised).collect::<Map<_, _>>())
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_promises_one_chunk_for_each_call() {
        assert_eq!(head(2).to_string(), r#"{"0":[[0],[null,0,0]],"1":[[0],[null,0,1]]}"#);
    }
}
