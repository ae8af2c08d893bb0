//! Runs a driver as Link would: collects reports in the background and lets a test wait for one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use link::{
    agents::{
        Activity, AgentRuntime, Assignment, Bookmark, Control, Endpoint, Failure, Outcome, Report,
        penguin::{Pace, Penguin},
    },
    domain::ids::{AttemptId, DelegationId, InstanceId, TaskId, UserId, WorkspaceId},
};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use uuid::Uuid;

/// Longest wait for anything in a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A new id; nothing in these tests depends on its order.
pub fn new_id() -> Uuid {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Work with this prompt, as a new attempt.
pub fn work(prompt: &str) -> Assignment {
    Assignment {
        attempt: AttemptId(new_id()),
        fence: 1,
        delegation: DelegationId(new_id()),
        task: TaskId(new_id()),
        workspace: WorkspaceId(new_id()),
        on_behalf_of: UserId(new_id()),
        prompt: prompt.to_owned(),
    }
}

/// An endpoint with these credentials; a model makes it durable if there is a Link key.
pub fn endpoint(url: &str, credentials: &[(&str, &str)], model: Option<&str>) -> Endpoint {
    Endpoint {
        instance: InstanceId(new_id()),
        url: url.to_owned(),
        credentials: credentials.iter().map(|(name, secret)| ((*name).into(), (*secret).into())).collect(),
        model: model.map(str::to_owned),
        turns_max: 20,
    }
}

/// Waits that suit tests.
pub fn quick() -> Pace {
    let ms = Duration::from_millis;
    Pace {
        poll: ms(50),
        unreachable_max: ms(1000),
        refused_max: ms(1000),
        settle: ms(300),
        start_gap: ms(50),
        start_max: ms(2000),
        silence_max: ms(3000),
        doubt_after: ms(1000),
        cancel_max: ms(3000),
    }
}

/// An HTTP client as the node makes it.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client without special wishes")
}

/// A driver that waits as tests do.
pub fn driver() -> Arc<Penguin> {
    Arc::new(Penguin::with_pace(http(), quick()))
}

/// A run being watched; dropping it stops watching, as a crash of Link would.
pub struct Watched {
    seen: Arc<Mutex<Vec<Report>>>,
    control: mpsc::Sender<Control>,
    run: JoinHandle<Result<Outcome, Failure>>,
}

impl Watched {
    /// Starts to watch.
    pub fn start(driver: &Arc<Penguin>, endpoint: &Endpoint, work: &Assignment, bookmark: Bookmark) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (report_to, mut reports) = mpsc::channel(16);
        let (control, controls) = mpsc::channel(4);
        let collected = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Some(report) = reports.recv().await {
                collected.lock().expect("no test panics while it holds this").push(report);
            }
        });
        let (driver, endpoint, work) = (Arc::clone(driver), endpoint.clone(), work.clone());
        let run = tokio::spawn(async move { driver.run(&endpoint, &work, bookmark, report_to, controls).await });
        Self { seen, control, run }
    }

    /// Everything reported so far.
    pub fn reports(&self) -> Vec<Report> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// Waits for an activity that fits.
    pub async fn until(&self, fits: impl Fn(&Activity) -> bool) -> Activity {
        let found = async {
            loop {
                if let Some(report) = self.reports().into_iter().find(|report| fits(&report.activity)) {
                    return report.activity;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not reported; got {:#?}", self.reports()))
    }

    /// Waits until the instance is known to have the work, and returns how to find it again.
    pub async fn accepted(&self) -> Bookmark {
        match self.until(|activity| matches!(activity, Activity::Accepted { .. })).await {
            Activity::Accepted { remote } => Bookmark { remote: Some(remote), cursor: self.cursor() },
            other => panic!("{other:?}"),
        }
    }

    /// The last cursor.
    pub fn cursor(&self) -> Option<Value> {
        self.reports().into_iter().rev().find_map(|report| match report.activity {
            Activity::Cursor(cursor) => Some(cursor),
            _ => None,
        })
    }

    /// Tells the run something.
    pub async fn tell(&self, control: Control) {
        self.control.send(control).await.expect("the run listens");
    }

    /// Waits for the end; returns it with all reports.
    pub async fn end(mut self) -> (Result<Outcome, Failure>, Vec<Report>) {
        let end = timeout(PATIENCE, &mut self.run).await.expect("the run ends").expect("the driver does not panic");
        // The collector reads what is still in the channel.
        tokio::time::sleep(Duration::from_millis(20)).await;
        (end, self.reports())
    }

    /// Stops watching without a word, as a crash would.
    pub fn crash(self) {
        self.run.abort();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// The names of the reports that become facts, sorted; each once.
pub fn fact_ids(reports: &[Report]) -> Vec<String> {
    let mut ids: Vec<_> = reports.iter().filter_map(|report| report.id.clone()).collect();
    ids.sort();
    ids
}

/// The text streamed as deltas.
pub fn streamed(reports: &[Report]) -> String {
    let deltas = reports.iter().filter_map(|report| match &report.activity {
        Activity::Delta { text } => Some(text.as_str()),
        _ => None,
    });
    deltas.collect()
}
