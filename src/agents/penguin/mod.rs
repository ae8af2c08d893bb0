//! The driver of Penguin 0.9.3. It submits a run once, follows it by events, and never takes a broken connection
//! for a failure: it asks the instance what became of the work. It refuses to start the same attempt twice.
//!
//! Two ways to submit: *plain*, into a session prepared for the attempt and found again by its title; *durable*,
//! with Link's authority, where Penguin keeps a receipt. Receipts and answers are the truth; events are only news.

mod client;
mod control;
mod follow;
mod inspect;
mod outcome;
pub mod replay;
mod settle;
mod start;
mod stream;
mod tools;
mod translate;
mod wire;

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Mutex, mpsc};
use tracing::{Instrument, info_span};

use self::client::Client;
use crate::{
    agents::{AgentRuntime, Assignment, Bookmark, Control, Endpoint, Failure, Fate, Health, Outcome, Report},
    domain::{failure::FailureClass, ids::InstanceId},
};

/// How long the driver waits, and how often it looks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often it looks after a run that has no news.
    pub poll: Duration,
    /// An instance that does not answer for this long is lost.
    pub unreachable_max: Duration,
    /// An instance whose address refuses every connection is lost after this: nothing is left there that could be slow.
    pub refused_max: Duration,
    /// A request that was sent shows up within this, or it never arrived.
    pub settle: Duration,
    /// Two runs of one instance start at least this far apart: Penguin mixes up runs that start together.
    pub start_gap: Duration,
    /// A start that shows no sign of life stops holding back others after this.
    pub start_max: Duration,
    /// A run whose answer was lost and that shows no change for this long is given up.
    pub silence_max: Duration,
    /// With no event for this long, the driver asks whether the instance lives.
    pub doubt_after: Duration,
    /// How long a cancelled run may take to stop.
    pub cancel_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            unreachable_max: Duration::from_secs(15),
            refused_max: Duration::from_secs(8),
            settle: Duration::from_secs(2),
            start_gap: Duration::from_millis(400),
            start_max: Duration::from_secs(10),
            silence_max: Duration::from_secs(30 * 60),
            doubt_after: Duration::from_secs(30),
            cancel_max: Duration::from_secs(20),
        }
    }
}

/// Who may start a run at an instance, by the instance's address.
type Starts = DashMap<String, Arc<Mutex<()>>>;

/// Drives Penguin instances.
pub struct Penguin {
    http: reqwest::Client,
    pace: Pace,
    starts: Starts,
}

impl Penguin {
    /// Makes a driver that uses the node's HTTP client.
    pub fn new(http: reqwest::Client) -> Self {
        Self::with_pace(http, Pace::default())
    }

    /// Makes a driver with waits of its own.
    pub fn with_pace(http: reqwest::Client, pace: Pace) -> Self {
        Self { http, pace, starts: Starts::new() }
    }

    async fn ask_health(&self, endpoint: &Endpoint) -> Result<Health, Failure> {
        let client = Client::new(self.http.clone(), endpoint);
        let boot = client.boot().await.map_err(|error| error.failure("health", FailureClass::InstanceLost))?;
        let (version, busy) = tokio::join!(client.version(), client.busy_sessions());
        // Busy sessions are a hint that needs a key; a missing hint is no bad health.
        Ok(Health { boot, version, busy: busy.ok() })
    }
}

/// Penguin 0.9.3 has no way into a run: what is sent to its session waits behind it.
const DEAF: &str = "Penguin takes no message while a run is at work";

impl AgentRuntime for Penguin {
    fn out_of_reach(&self, _: InstanceId) -> Option<&'static str> {
        Some(DEAF)
    }

    fn probe<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Health, Failure>> {
        let span = info_span!("agents.penguin.probe", instance = %endpoint.instance);
        self.ask_health(endpoint).instrument(span).boxed()
    }

    fn run<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: Bookmark,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        let span = info_span!("agents.penguin.run", instance = %endpoint.instance, attempt = %work.attempt);
        let run = async move {
            let client = Client::new(self.http.clone(), endpoint);
            let start = start::find(&client, endpoint, work, &bookmark, &self.pace).await?;
            let turn = Arc::clone(&self.starts.entry(endpoint.url.clone()).or_default());
            follow::Run::new(client, endpoint, work, start, self.pace, turn, reports, control).drive().await
        };
        run.instrument(span).boxed()
    }

    fn inspect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: &'a Bookmark,
    ) -> BoxFuture<'a, Result<Fate, Failure>> {
        let span = info_span!("agents.penguin.inspect", instance = %endpoint.instance, attempt = %work.attempt);
        let inspect = async move {
            let client = Client::new(self.http.clone(), endpoint);
            inspect::inspect(&client, endpoint, work, bookmark, &self.pace).await
        };
        inspect.instrument(span).boxed()
    }
}
