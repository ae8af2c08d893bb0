//! The event stream of one session: reconnects where it left off, and says when it could not. Penguin's replay is
//! best effort, so nobody may depend on seeing every event.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    client::{CallError, Client},
    wire::Event,
};

/// After this long without an event the stream is opened anew: a dead connection looks just like a quiet run.
const SILENCE_MAX: Duration = Duration::from_secs(330);
/// First pause before connecting again; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause before connecting again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Most bytes of one event: text parts repeat the whole text so far.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events waiting to be read; a slow reader slows the socket down.
const QUEUE_MAX: usize = 256;

/// What the stream says.
#[derive(Debug)]
pub enum Signal {
    /// An event.
    Event(Event),
    /// The connection broke; another follows.
    Lost,
    /// The instance does not let Link read events.
    Denied,
}

/// A stream that is read until it is dropped.
pub struct Feed {
    signals: mpsc::Receiver<Signal>,
    _task: AbortOnDropHandle<()>,
}

impl Feed {
    /// Opens the stream of a session, after the event `after` if it is given.
    pub fn open(client: Client, session: String, after: Option<String>) -> Self {
        let (to, signals) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(async move { pump(client, session, after, to).await });
        Self { signals, _task: AbortOnDropHandle::new(task) }
    }

    /// Waits for the next signal; `None` after [`Signal::Denied`].
    pub async fn next(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }
}

/// Reads until nobody listens.
async fn pump(client: Client, session: String, mut after: Option<String>, to: mpsc::Sender<Signal>) {
    let mut pause = RETRY_FIRST;
    loop {
        match client.events(&session, after.as_deref()).await {
            Ok(response) => {
                let unread = Arc::new(AtomicUsize::new(0));
                let mut events = Box::pin(parse(response.bytes_stream(), Arc::clone(&unread)));
                while let Ok(Some(event)) = timeout(SILENCE_MAX, events.next()).await {
                    pause = RETRY_FIRST;
                    // Ids of the server's own events collide with the session's: they are no place to resume from.
                    if !event.id.is_empty() && !event.kind.starts_with("server.") {
                        after = Some(event.id.clone());
                    }
                    if to.send(Signal::Event(event)).await.is_err() {
                        return;
                    }
                }
            }
            Err(CallError::Status { code: 400..=499, .. }) => {
                _ = to.send(Signal::Denied).await;
                return;
            }
            Err(_) => {}
        }
        if to.send(Signal::Lost).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Turns bytes into events; ends when an event is too long or the bytes end.
fn parse<B, E>(bytes: impl Stream<Item = Result<B, E>>, unread: Arc<AtomicUsize>) -> impl Stream<Item = Event>
where
    B: AsRef<[u8]>,
{
    let counter = Arc::clone(&unread);
    let limited = bytes.take_while(move |chunk| {
        let length = chunk.as_ref().map_or(0, |chunk| chunk.as_ref().len());
        let fits = counter.fetch_add(length, Ordering::Relaxed) + length <= EVENT_BYTES_MAX;
        async move { fits }
    });
    limited.eventsource().take_while(|event| std::future::ready(event.is_ok())).filter_map(move |event| {
        unread.store(0, Ordering::Relaxed);
        let parsed = event.ok().and_then(|event| {
            let mut parsed: Event = serde_json::from_str(&event.data).ok()?;
            parsed.id = event.id;
            Some(parsed)
        });
        async move { parsed }
    })
}
