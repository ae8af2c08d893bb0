//! One call of the provider: bounded in time and size, with a span and a metric. What it says is never repeated.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tracing::{Instrument, debug_span};

use super::Error;

/// How long a call may take in all.
const CALL_WAIT: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Reads a document of the provider's.
pub(super) async fn document<T: DeserializeOwned>(name: &'static str, request: RequestBuilder) -> Result<T, Error> {
    let (status, body) = answer(name, request).await?;
    let found = status.is_success().then(|| serde_json::from_slice(&body).ok()).flatten();
    found.ok_or(Error::Unavailable("does not answer as it should"))
}

/// Sends a request and returns the answer, whatever it is.
pub(super) async fn answer(name: &'static str, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Error> {
    let begun = Instant::now();
    let request = request.timeout(CALL_WAIT).header(reqwest::header::ACCEPT, "application/json");
    let result = async { read(request.send().await.map_err(lost)?).await };
    let result = result.instrument(debug_span!("oidc.provider.call", call = name)).await;
    let outcome = match &result {
        Ok((status, _)) if status.is_success() => "ok",
        Ok(_) => "refused",
        Err(_) => "lost",
    };
    counter!("link_oidc_calls_total", "call" => name, "outcome" => outcome).increment(1);
    histogram!("link_oidc_call_seconds", "call" => name).record(begun.elapsed());
    result
}

async fn read(mut response: Response) -> Result<(StatusCode, Vec<u8>), Error> {
    let (status, mut body) = (response.status(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unavailable("says too much"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}

/// Names no address: it may hold a secret.
fn lost(error: reqwest::Error) -> Error {
    Error::Unavailable(match () {
        () if error.is_timeout() => "does not answer in time",
        () if error.is_connect() => "cannot be reached",
        () => "broke off its answer",
    })
}
