//! Killed at any moment, Link keeps what it acknowledged, once.
//!
//! `LINK_KILL_POINTS` says how often (200 in CI), `LINK_SEED` repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use link::persistence::{self, audit, projections};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::support::{
    node::TestProcess,
    person::{Person, id},
    socket::Socket,
};

const WRITERS: u32 = 8;

/// A small generator of numbers: the same seed gives the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A command as it was sent: key, path, body.
type Sent = (String, String, Value);

/// What the writers know.
#[derive(Default)]
struct Book {
    /// What each key was answered.
    acknowledged: BTreeMap<String, String>,
    /// What was sent and not answered.
    unknown: Vec<Sent>,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_command_survives_kill_9_once_and_every_projection_equals_the_fold() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("LINK_SEED").unwrap_or(u64::from(std::process::id()));
    let points = number("LINK_KILL_POINTS").unwrap_or(25);
    println!("LINK_SEED={seed} LINK_KILL_POINTS={points}");
    let mut dice = Dice(seed);
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let mut rooms = vec![];
    for n in 0..3 {
        let body = json!({"type": "channel", "title": format!("room {n}")});
        rooms.push(id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await));
    }
    let targets: Arc<Vec<String>> = Arc::new(
        rooms
            .iter()
            .map(|room| format!("/conversations/{room}/messages"))
            .chain([format!("/projects/{project}/tasks")])
            .collect(),
    );
    let (book, serial) = (Arc::new(Mutex::new(Book::default())), Arc::new(AtomicU32::new(0)));
    for _ in 0..points {
        let alive = Arc::new(AtomicBool::new(true));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| tokio::spawn(write(ada.clone(), targets.clone(), book.clone(), serial.clone(), alive.clone())))
            .collect();
        tokio::time::sleep(Duration::from_micros(1_000 + dice.roll(120_000))).await;
        node.kill();
        alive.store(false, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("a writer ends");
        }
        node.revive().await;
        // Whoever got no answer asks again with the same key.
        let unknown = std::mem::take(&mut book.lock().expect("nobody panicked").unknown);
        for sent in unknown {
            let answer = ada.send(Method::POST, &sent.1, Some(&sent.2), Some(&sent.0)).await.ok();
            book.lock().expect("nobody panicked").acknowledged.insert(sent.0, id(&answer));
        }
    }
    let acknowledged = std::mem::take(&mut book.lock().expect("nobody panicked").acknowledged);
    println!("{} commands acknowledged over {points} kills", acknowledged.len());
    assert!(acknowledged.len() as u64 > points, "the writers had no time to write");
    check_log(&ada.log(&workspace).await, &acknowledged);
    check_projections(&node.database().await, &workspace).await;
}

/// Sends commands until the server is gone, and books what became of each.
async fn write(
    ada: Person,
    targets: Arc<Vec<String>>,
    book: Arc<Mutex<Book>>,
    serial: Arc<AtomicU32>,
    alive: Arc<AtomicBool>,
) {
    while alive.load(Ordering::Relaxed) {
        let n = serial.fetch_add(1, Ordering::Relaxed);
        let (key, path) = (format!("key-{n}"), targets[n as usize % targets.len()].clone());
        let body = match path.ends_with("tasks") {
            true => json!({"title": format!("task {n}"), "description": "survive"}),
            false => json!({"parts": [{"type": "text", "text": format!("message {n}")}]}),
        };
        let answer = ada.try_send(Method::POST, &path, Some(&body), Some(&key)).await;
        let mut book = book.lock().expect("nobody panicked");
        match answer {
            Ok(answer) if answer.status.is_success() => {
                book.acknowledged.insert(key, id(&answer.body));
            }
            // Not answered, or answered that it is not known.
            _ => {
                book.unknown.push((key, path, body));
                return;
            }
        }
    }
}

fn check_log(log: &[Value], acknowledged: &BTreeMap<String, String>) {
    for (nth, event) in log.iter().enumerate() {
        assert_eq!(event["offset"].as_u64(), Some(nth as u64 + 1), "offsets have no gap");
    }
    let mut made = BTreeSet::new();
    for event in log {
        let what = match event["type"].as_str() {
            Some("conversation:message") => event["data"]["message"].as_str().map(str::to_owned),
            Some("task:created") => {
                event["subject"].as_str().and_then(|subject| Some(subject.split_once(':')?.1.to_owned()))
            }
            _ => None,
        };
        if let Some(id) = what {
            assert!(made.insert(id.clone()), "{id} was made twice");
        }
    }
    let promised: BTreeSet<String> = acknowledged.values().cloned().collect();
    assert_eq!(promised.len(), acknowledged.len(), "two keys were answered with the same thing");
    // Everything unknown was asked for again, so what was made is exactly what was promised.
    assert_eq!(made, promised, "what is in the log is what was acknowledged");
    let mut numbers: Vec<u64> = log.iter().filter_map(|event| event["data"]["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().enumerate().all(|(nth, number)| *number == nth as u64 + 1), "KEY-n has no gap");
}

/// Makes the projections again from the log and compares them with what was there.
pub async fn check_projections(pool: &PgPool, workspace: &str) {
    let workspace = workspace.parse().expect("it is an id");
    let before = dump(pool).await;
    projections::rebuild(pool, workspace).await.expect("the log can be read");
    let after = dump(pool).await;
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table} is not the fold of the log");
    }
    let verdict = audit::verify(pool, workspace).await.expect("the log can be read");
    assert!(matches!(verdict, audit::Verdict::Whole { head } if head > 0), "{verdict:?}");
}

async fn dump(pool: &PgPool) -> BTreeMap<&'static str, Vec<Value>> {
    let mut tables = BTreeMap::new();
    for table in projections::TABLES {
        let sql = format!("SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)::text", table.name);
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.expect("the table is there");
        tables.insert(table.name, rows);
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_picked_up_after_kill_9_and_no_watcher_misses_or_sees_twice() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Count slowly").await;
    let script =
        (1..=12).map(|n| format!("progress {} counting; write {n}.txt {n}; wait 100ms", n * 8)).collect::<Vec<_>>();
    let agent = ada.scripted(&workspace, "Counter", &format!("{}; say Counted.", script.join("; "))).await;
    let delegation = ada.delegate(&task, &agent).await;
    let mut seen: Vec<u64> = vec![];
    for kill in 0..4u64 {
        let mut watching = Socket::subscribed(&ada, &workspace, Some(seen.last().copied().unwrap_or(0))).await;
        for _ in 0..6 + kill {
            let event = watching.until("event").await;
            seen.push(event["offset"].as_u64().expect("an event has an offset"));
        }
        node.kill();
        node.revive().await;
    }
    let done = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(done["attempts"].as_array().map(Vec::len), Some(1), "the same attempt went on: {done:#}");
    let mut watching = Socket::subscribed(&ada, &workspace, seen.last().copied()).await;
    loop {
        let frame = watching.next().await;
        match frame["t"].as_str() {
            Some("event") => seen.push(frame["offset"].as_u64().expect("an event has an offset")),
            Some("caught_up") => break,
            _ => {}
        }
    }
    assert!(seen.iter().enumerate().all(|(nth, offset)| *offset == nth as u64 + 1), "{seen:?}");
    let artifacts = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    assert_eq!(artifacts["items"].as_array().map(Vec::len), Some(13), "each file once, and the answer");
    let log = ada.log(&workspace).await;
    let written = log.iter().filter(|event| event["type"] == "artifact:recorded").count();
    assert_eq!(written, 13, "nothing was recorded twice");
    check_projections(&node.database().await, &workspace).await;
}

impl TestProcess {
    /// Opens its database beside it.
    pub async fn database(&self) -> PgPool {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.root().join("postgres/sock"))
            .port(5432)
            .username("link")
            .database("link");
        persistence::connect(options, 2).await.expect("its database runs")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_dies_ends_and_its_next_start_has_everything() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    ada.task(&project, "Survive").await;
    let file = std::fs::read_to_string(node.root().join("postgres/data/postmaster.pid")).expect("it runs");
    let postmaster = file.lines().next().expect("its first line is the pid");
    let killed = std::process::Command::new("kill").args(["-9", postmaster]).status().expect("kill is there");
    assert!(killed.success());
    assert!(!node.ended().await.success(), "it says that it failed");
    node.revive().await;
    let tasks = ada.get(&format!("/projects/{project}/tasks")).await;
    assert_eq!(tasks["items"][0]["title"], "Survive");
}
