//! The events of one workspace as they happen, for one subscription: the same client actor as a WebSocket has, so the
//! same promises. A subscription is the operation `workspaces.events` that goes on, and needs the same permission.

use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    actors::{
        client_handle::ClientHandle,
        subscription::{Outgoing, Refusal, Told, Wanted},
    },
    api::{
        events::Subscribe,
        problem::{self, Problem},
        typescript::EVENTS,
    },
    transport::{Doors, ws::client_frame::parse_topics},
};

use super::who::Who;

/// What comes out of a subscription.
#[derive(Debug)]
pub enum News {
    /// It has begun.
    Begun,
    /// Something happened.
    Event {
        /// Where in the log.
        offset: u64,
        /// What, as JSON.
        data: String,
    },
    /// Nothing for this subscription up to here.
    Quiet(u64),
    /// It is over, and going on after the last event would not help.
    Failed(Problem),
    /// It is over: whoever comes again goes on after the last event.
    Cut,
}

/// A subscription.
pub struct Tail {
    doors: Doors,
    who: Who,
    client: ClientHandle,
    outbox: mpsc::Receiver<Outgoing>,
    answer: Option<BoxFuture<'static, Result<u64, Refusal>>>,
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.client.stop();
    }
}

impl Tail {
    /// Subscribes.
    ///
    /// # Errors
    /// When the input is wrong, or who asks may not.
    pub async fn open(doors: Doors, who: Who, path: &str, input: Value, trace: &str) -> Result<Self, Problem> {
        if path != EVENTS {
            let detail = format!("no subscription is called \"{path}\", only {EVENTS}");
            return Err(Problem::new(problem::NO_SUCH_OPERATION, detail));
        }
        let wanted = read(input)?;
        let after = wanted.after.unwrap_or_default();
        let asked = json!({"workspace_id": wanted.workspace, "after": after, "limit": 1});
        let caller = who.caller(&doors.api, EVENTS, None, trace)?;
        doors.api.call(EVENTS, caller, asked).await?;
        let viewer = who.known(&doors.api)?.viewer();
        let (client, outbox) = ClientHandle::at_door(doors.api.services().context().clone(), viewer);
        let answer = Some(client.subscribe(wanted).boxed());
        Ok(Self { doors, who, client, outbox, answer })
    }

    /// Returns what happens next.
    pub async fn next(&mut self) -> News {
        let stopping = self.doors.stopping.clone();
        let mut revocations = self.doors.api.revocations();
        loop {
            // Looked at anew each time: what was revoked between two waits is not missed.
            if let Err(problem) = self.who.known(&self.doors.api) {
                return News::Failed(problem);
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return News::Cut,
                Ok(()) = revocations.changed() => {}
                answer = answered(&mut self.answer) => {
                    self.answer = None;
                    if let Err(refusal) = answer {
                        return News::Failed(refused(refusal));
                    }
                }
                outgoing = self.outbox.recv() => {
                    if let Some(news) = self.news(outgoing) {
                        return news;
                    }
                }
            }
        }
    }

    /// Tells whether the node is going away.
    pub fn is_stopping(&self) -> bool {
        self.doors.stopping.is_cancelled()
    }

    fn news(&self, outgoing: Option<Outgoing>) -> Option<News> {
        let told = match outgoing {
            Some(Outgoing::Told(told)) => told,
            Some(Outgoing::Close { code: 4003, reason }) => {
                return Some(News::Failed(Problem::new(problem::FORBIDDEN, reason)));
            }
            // The subscription was too slow; the log has what it missed.
            Some(Outgoing::Close { .. }) | None => {
                metrics::counter!("link_clients_too_slow_total").increment(1);
                return Some(News::Cut);
            }
        };
        if let Err(problem) = self.who.known(&self.doors.api) {
            return Some(News::Failed(problem));
        }
        match told {
            Told::Subscribed { .. } => Some(News::Begun),
            Told::Event(event) => {
                let data = serde_json::to_string(&*event).expect("an event has names for keys");
                Some(News::Event { offset: event.recorded.offset, data })
            }
            Told::CaughtUp { offset, .. } | Told::Cursor { offset, .. } => Some(News::Quiet(offset)),
            Told::Reset { head, .. } => {
                let detail =
                    format!("is beyond the log, which ends at {head}: read the state anew and subscribe after it");
                Some(News::Failed(Problem::field("after", detail)))
            }
            // They are on the other socket; here they would look like something that can be resumed.
            Told::Unsubscribed { .. } | Told::Signal(_) => None,
        }
    }
}

async fn answered(answer: &mut Option<BoxFuture<'static, Result<u64, Refusal>>>) -> Result<u64, Refusal> {
    match answer {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// Reads what is wanted.
fn read(input: Value) -> Result<Wanted, Problem> {
    let input: Subscribe = serde_path_to_error::deserialize(input)
        .map_err(|error| Problem::field(error.path().to_string(), error.inner().to_string()))?;
    let topics = parse_topics(&input.topics)?;
    let last = input.last_event_id.filter(|id| !id.is_empty());
    let last = last.map(|id| id.parse().map_err(|_| Problem::field("lastEventId", "must be the offset of an event")));
    let after = last.transpose()?.or(input.after);
    Ok(Wanted { id: Value::Null, workspace: input.workspace_id, topics, after })
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::not_found("workspace"),
        Refusal::TooMany => Problem::new(problem::TOO_MANY, "too many subscriptions"),
        Refusal::Unavailable => Problem::new(problem::UNAVAILABLE, "the log could not be read"),
    }
}
