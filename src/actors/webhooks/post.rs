//! One POST to an endpoint outside: guarded, bounded in time and size, without redirects, many at once and not too many.

use std::{error::Error as _, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Response, Url, header, redirect};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::domain::text::storable;

use super::guard::{Guarded, Refused, may_be_public};

/// Requests of this node that may be under way at once.
const REQUESTS_MAX: usize = 64;
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a request may take in all.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer that are kept.
const EXCERPT_MAX: usize = 1_024;

/// Sends messages to endpoints outside.
pub struct Postman {
    http: Client,
    allow_private: bool,
    places: Semaphore,
}

/// A message, ready to be sent.
pub(super) struct Letter {
    pub id: Uuid,
    pub timestamp: i64,
    pub signature: String,
    pub body: String,
}

/// What an endpoint said; `error` says why that is no success.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub code: Option<u16>,
    pub response: Option<String>,
    pub error: Option<String>,
    pub retry_after: Option<TimeDelta>,
}

impl Postman {
    /// Makes one that reaches public addresses only, unless told otherwise.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .user_agent(concat!("link/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .redirect(redirect::Policy::none())
            // A proxy would look the name up itself, behind the guard's back.
            .no_proxy()
            .dns_resolver(Guarded { allow_private })
            .build()?;
        Ok(Self { http, allow_private, places: Semaphore::new(REQUESTS_MAX) })
    }

    /// Tells whether private addresses are reached too.
    pub fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Sends a message and returns what came of it.
    #[tracing::instrument(name = "actors.webhooks.post", skip_all, fields(delivery = %letter.id))]
    pub(super) async fn send(&self, address: &str, letter: Letter, now: DateTime<Utc>) -> Answer {
        let Ok(_place) = self.places.acquire().await else { return failed("the node is stopping") };
        let begun = std::time::Instant::now();
        let answer = self.post(address, letter, now).await;
        let outcome = if answer.error.is_none() { "ok" } else { "failed" };
        metrics::counter!("link_webhook_requests_total", "outcome" => outcome).increment(1);
        metrics::histogram!("link_webhook_request_seconds").record(begun.elapsed());
        answer
    }

    async fn post(&self, address: &str, letter: Letter, now: DateTime<Utc>) -> Answer {
        let Ok(url) = Url::parse(address) else { return failed(&Refused::NoAddress.to_string()) };
        if !self.allow_private && !may_be_public(&url) {
            return failed(&Refused::Private.to_string());
        }
        let request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", letter.id.to_string())
            .header("webhook-timestamp", letter.timestamp)
            .header("webhook-signature", letter.signature)
            .body(letter.body);
        match request.send().await {
            Ok(response) => read(response, now).await,
            Err(error) => failed(&words(&error)),
        }
    }
}

fn failed(why: &str) -> Answer {
    Answer { code: None, response: None, error: Some(why.to_owned()), retry_after: None }
}

/// Names no address: it may hold a secret.
fn words(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return refused.to_string();
        }
        cause = inner.source();
    }
    let words = match () {
        () if error.is_timeout() => "no answer in time",
        () if error.is_connect() => "no connection",
        () => "the connection broke off",
    };
    words.to_owned()
}

async fn read(mut response: Response, now: DateTime<Utc>) -> Answer {
    let status = response.status();
    let wish = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = wish.and_then(|text| pause(text, now));
    let mut excerpt = Vec::new();
    // What else it says is left unread; so is an answer that breaks off: the status counts.
    while excerpt.len() < EXCERPT_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        excerpt.extend_from_slice(&chunk[..chunk.len().min(EXCERPT_MAX - excerpt.len())]);
    }
    let error = match status {
        _ if status.is_success() => None,
        _ if status.is_redirection() => Some("redirects are not followed".to_owned()),
        _ => Some(format!("answered {}", status.as_u16())),
    };
    let text = storable(&String::from_utf8_lossy(&excerpt), EXCERPT_MAX);
    Answer { code: Some(status.as_u16()), response: Some(text).filter(|text| !text.is_empty()), error, retry_after }
}

/// Reads `Retry-After`: seconds, or a date.
fn pause(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = text.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(TimeDelta::seconds(i64::from(seconds))),
        Err(_) => {
            Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).filter(|pause| *pause > TimeDelta::zero())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_wait_is_read_in_both_forms() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        assert_eq!(pause(" 120 ", now), Some(TimeDelta::seconds(120)));
        assert_eq!(pause("Thu, 01 Jan 2026 00:01:00 GMT", now), Some(TimeDelta::seconds(60)));
        for none in ["", "-1", "soon", "Wed, 31 Dec 2025 00:00:00 GMT", "99999999999"] {
            assert_eq!(pause(none, now), None, "{none}");
        }
    }
}
