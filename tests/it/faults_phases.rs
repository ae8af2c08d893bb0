//! The same faults at every phase of the work: as it is handed out, while the agent works, while a question is open, as the
//! work is handed in, while a review is due. Each time it goes on and ends in a finished task, and nothing is run twice.
//! The table says how long it took until the first thing happened again, or a person could act; nothing is asserted about
//! time.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use link::{
    actors::Hurt,
    domain::ids::{AttemptId, InstanceId, TaskId, WorkspaceId},
    persistence::embedded::{Durability, Server, Settings},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use crate::{
    faults::{End, Lab, Row, print},
    peer::Scene,
    support::{
        data_dir::{Root, kill_all_in},
        fake_penguin::FakePenguin,
        node::{TestNode, scratch},
        person::{PATIENCE, id},
    },
};

const PHASES: [&str; 5] = ["dispatch", "running", "awaiting", "submitting", "reviewing"];
/// How long a database that restarts lets nobody in.
const RESTART: Duration = Duration::from_millis(700);

/// What shows that work goes on, or that a person has acted.
const MOVES: [&str; 9] = [
    "attempt:accepted",
    "task:progress",
    "attempt:tool",
    "artifact:recorded",
    "interrupt:opened",
    "interrupt:resolved",
    "delegation:submitted",
    "delegation:reviewed",
    "delegation:escalated",
];

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The agent server starts anew, and its sessions are gone.
    SessionLost,
    /// The actor that drives the run panics.
    RunPanics,
    /// The actor that asks whether the instance lives panics.
    ProbePanics,
    /// Link's clock jumps so many minutes.
    Clock(i64),
    /// Every connection to the database is cut, and none is let in for a while.
    Database,
    /// All of Postgres is killed, and started again on what it left behind.
    Postgres,
}

impl Fault {
    const ALL: [Self; 6] =
        [Self::SessionLost, Self::RunPanics, Self::ProbePanics, Self::Clock(5), Self::Clock(-5), Self::Database];

    fn name(self) -> &'static str {
        match self {
            Self::SessionLost => "the agent restarts and its session is lost",
            Self::RunPanics => "the actor of the run panics",
            Self::ProbePanics => "the actor that probes panics",
            Self::Clock(0..) => "the clock jumps five minutes ahead",
            Self::Clock(_) => "the clock jumps five minutes back",
            Self::Database => "Postgres cuts everybody off for a while",
            Self::Postgres => "Postgres is killed and starts again",
        }
    }
}

struct Bench {
    node: TestNode,
    lab: Lab,
    fake: FakePenguin,
    /// A database of its own, where that is what breaks.
    own: Option<Own>,
}

/// A Postgres that nobody else uses.
struct Own {
    server: Mutex<Option<Server>>,
    /// Goes last: it waits for the server to be gone.
    root: Root,
}

impl Own {
    async fn start() -> Self {
        let root = Root::new();
        let server = Server::start(Self::settings(&root)).await.expect("it starts");
        Self { server: Mutex::new(Some(server)), root }
    }

    /// Nothing that was committed may be lost.
    fn settings(root: &Root) -> Settings {
        Settings { durability: Durability::Full, ..root.settings() }
    }

    /// Kills every process of it with SIGKILL, and starts it on what they left behind.
    async fn crash(&self) {
        let mut server = self.server.lock().await;
        kill_all_in(&self.root.data());
        drop(server.take());
        *server = Some(Server::start(Self::settings(&self.root)).await.expect("it starts after a crash"));
    }
}

impl Bench {
    async fn get(&self, delegation: &str) -> Option<Value> {
        let path = format!("/delegations/{delegation}");
        let answer = self.lab.ada.try_send(reqwest::Method::GET, &path, None, None).await.ok()?;
        answer.status.is_success().then_some(answer.body)
    }

    /// Brings a new delegation to a phase.
    async fn at(&self, fault: Fault, phase: &'static str) -> String {
        let prompt = match phase {
            "awaiting" => "Build [[ask:question]] [[say:ok]]",
            "submitting" => "Build [[words:8]] [[delay:0.02]]",
            _ => "Build [[words:30]] [[delay:0.04]]",
        };
        let title = format!("{phase} {fault:?} {}", self.fake.runs());
        let delegation = self.lab.penguins(&title, prompt, &[self.fake.url()]).await;
        let states: &[&str] = match phase {
            "dispatch" => return delegation,
            "running" | "submitting" => &["running", "reviewing"],
            other => &[other],
        };
        self.lab.ada.until_delegation(&delegation, states).await;
        delegation
    }

    async fn hit(&self, fault: Fault, seen: &Value) {
        let workspace: WorkspaceId = self.lab.workspace.parse().expect("an id");
        let hurt = async |which| {
            let directory = &self.node.node.api().services().directory;
            directory.workspace(workspace).await.expect("it is there").hurt(which);
        };
        let attempt = &seen["attempts"][0];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match fault {
            Fault::SessionLost => self.fake.restart().await,
            Fault::RunPanics => {
                if let (Some(task), Some(attempt)) = (text(&seen["task_id"]), text(&attempt["id"])) {
                    let (task, attempt): (TaskId, AttemptId) =
                        (task.parse().expect("an id"), attempt.parse().expect("an id"));
                    hurt(Hurt::Run(task, attempt)).await;
                }
            }
            Fault::ProbePanics => {
                let agent = text(&seen["agent_id"]).expect("it is named");
                let known = self.lab.ada.get(&format!("/agents/{agent}")).await;
                let instance: InstanceId = id(&known["instances"][0]).parse().expect("an id");
                hurt(Hurt::Probe(instance)).await;
            }
            Fault::Clock(minutes) => self.node.advance(TimeDelta::minutes(minutes)),
            Fault::Database => restart(&self.node.database).await,
            Fault::Postgres => self.own.as_ref().expect("it has one").crash().await,
        }
    }

    /// Does what people have to do until the work is accepted.
    async fn carry_on(&self, fault: Fault, phase: &'static str, delegation: &str) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(15)).await;
            let Some(seen) = self.get(delegation).await else { continue };
            let (verb, body) = match seen["status"].as_str().unwrap_or_default() {
                "completed" => return seen,
                "awaiting" => ("answer", json!({"answer": "green"})),
                "reviewing" => ("review", json!({"verdict": "approve"})),
                "escalated" => ("resume", json!({})),
                _ => continue,
            };
            // What is refused, or not answered, is tried again.
            let path = format!("/delegations/{delegation}/{verb}");
            let _ = self.lab.ada.try_send(reqwest::Method::POST, &path, Some(&body), None).await;
        }
        panic!("{} at {phase}: it was not finished", fault.name());
    }

    async fn events(&self, task: &str, after: u64) -> Vec<Value> {
        let page = self.lab.ada.get(&format!("/tasks/{task}/timeline?limit=200&after={after}")).await;
        page["events"].as_array().expect("a page has events").clone()
    }

    /// Breaks something at a phase and says when the work went on: with the first thing that happened after the fault, or
    /// after the last attempt that it cost.
    async fn row(&self, fault: Fault, phase: &'static str) -> Row {
        let before = self.fake.runs();
        let delegation = self.at(fault, phase).await;
        let path = format!("/delegations/{delegation}");
        let seen = self.lab.ada.until(&path, "it is handed out", |seen| seen["attempts"][0].is_object()).await;
        let task = seen["task_id"].as_str().expect("an id").to_owned();
        let head = self.events(&task, 0).await.last().and_then(|event| event["offset"].as_u64()).expect("it was made");
        let since = link::clock::Clock::default().now();
        self.hit(fault, &seen).await;
        let seen = self.carry_on(fault, phase, &delegation).await;
        let mut jump = TimeDelta::zero();
        if let Fault::Clock(minutes) = fault {
            jump = TimeDelta::minutes(minutes);
            self.node.advance(-jump);
        }
        let attempts = seen["attempts"].as_array().expect("a list");
        let runs = self.fake.runs() - before;
        assert!(runs <= u32::try_from(attempts.len()).expect("few"), "{fault:?} at {phase}: {runs} runs, {seen:#}");
        let events = self.events(&task, head).await;
        let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
        let lost = events.iter().rposition(|event| ["attempt:lost", "attempt:failed"].contains(&&*kind(event)));
        let moved = events[lost.map_or(0, |nth| nth + 1)..].iter().find(|event| MOVES.contains(&&*kind(event)));
        let at: DateTime<Utc> =
            moved.expect("it was finished")["at"].as_str().expect("a time").parse().expect("a time");
        let steps = attempts.iter().filter_map(|attempt| attempt["next_step"]["strategy"].as_str());
        let (steps, took) = (steps.map(str::to_owned).collect(), (at - jump - since).to_std().unwrap_or_default());
        Row { fault: fault.name(), phase, end: End::Finished, steps, took }
    }
}

/// What a restart of Postgres is to those who are connected: all are cut off, and nobody is let in for a while.
async fn restart(database: &str) {
    let options: PgConnectOptions = database.parse().expect("it is an address");
    let name = options.get_database().expect("it names a database").to_owned();
    let mut door = options.database("postgres").connect().await.expect("the server runs");
    let close = async |door: &mut sqlx::PgConnection, open: bool| {
        let sql = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {open}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(door).await.expect("the owner may");
    };
    close(&mut door, false).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(cut).bind(&name).execute(&mut door).await.expect("the owner may");
    tokio::time::sleep(RESTART).await;
    close(&mut door, true).await;
    door.close().await.expect("nothing is open");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_at_whichever_phase_the_work_is_finished_and_none_runs_twice() {
    let node = TestNode::start().await;
    let bench = Bench { lab: Lab::open(&node.url).await, fake: FakePenguin::start().await, node, own: None };
    let mut rows = vec![];
    for fault in Fault::ALL {
        for phase in PHASES {
            // Nobody drives a run whose work was handed in.
            if matches!(fault, Fault::RunPanics) && phase == "reviewing" {
                continue;
            }
            rows.push(bench.row(fault, phase).await);
        }
    }
    print(&rows);
    bench.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_postgres_is_killed_and_starts_again_the_work_is_finished_and_none_runs_twice() {
    let own = Own::start().await;
    let database = own.server.lock().await.as_ref().expect("it runs").url("link");
    let node = TestNode::on(database, scratch("node")).await;
    let bench = Bench { lab: Lab::open(&node.url).await, fake: FakePenguin::start().await, node, own: Some(own) };
    let mut rows = vec![];
    for phase in PHASES {
        rows.push(bench.row(Fault::Postgres, phase).await);
    }
    print(&rows);
    let workspace: WorkspaceId = bench.lab.workspace.parse().expect("an id");
    let found = link::persistence::doctor::examine(bench.node.pool(), workspace).await.expect("it can be read");
    assert_eq!(found, vec![], "nothing that was said to be there is lost");
    let Bench { node, own, .. } = bench;
    node.node.stop().await;
    let Own { server, root } = own.expect("it has one");
    server.into_inner().expect("it runs").stop().await.expect("it stops");
    drop(root);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_disk_is_full_leaves_the_work_to_a_person_with_all_that_it_made() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let mut rows = vec![];
    // While a review is due, nobody asks the agent for anything.
    for (phase, script) in [
        ("dispatch", "fail unknown No space left on device"),
        ("running", "write a.rs x; tool bash ls; fail unknown No space left on device"),
        ("awaiting", "write a.rs x; ask Which?; fail unknown No space left on device"),
        ("submitting", "write a.rs x; say Done; fail unknown No space left on device"),
    ] {
        let since = link::clock::Clock::default().now();
        let delegation = lab.scripted(&format!("full at {phase}"), script).await;
        while lab.ada.until_delegation(&delegation, &["awaiting", "escalated"]).await["status"] == "awaiting" {
            // What was answered meanwhile is refused.
            let (path, body) = (format!("/delegations/{delegation}/answer"), json!({"answer": "green"}));
            let _ = lab.ada.try_send(reqwest::Method::POST, &path, Some(&body), None).await;
        }
        let row = lab.settled("the agent's disk is full", &delegation, since).await;
        assert_eq!(row.end, End::Person, "{phase}");
        let made = lab.ada.get(&format!("/delegations/{delegation}/artifacts")).await;
        let kept = made["items"].as_array().expect("a list").iter().any(|made| made["name"] == "a.rs");
        assert_eq!(kept, phase != "dispatch", "{phase}: {made:#}");
        rows.push(Row { phase, ..row });
    }
    print(&rows);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_come_twice_and_out_of_order_count_once_and_in_order() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Count").await;
    let attempt = peer.assigned().await["attempt"].clone();
    let begun = Instant::now();
    let tool = |n: u32| json!({"t": "tool", "tool": "counter", "ok": true, "summary": n.to_string()});
    let mut frames = vec![peer.note(&attempt, json!({"t": "accepted"}))];
    for n in 0..6 {
        frames.push(peer.note(&attempt, tool(n)));
    }
    frames.push(peer.note(&attempt, json!({"t": "submitted", "text": "counted"})));
    for frame in frames.iter().rev().chain(&frames).chain(&frames) {
        peer.socket.send(frame.clone()).await;
    }
    let seen = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "{seen:#}");
    let counted: Vec<Value> = scene.events("attempt:tool").await.iter().map(|tool| tool["summary"].clone()).collect();
    assert_eq!(counted, (0..6).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    let (fault, took) = ("reports come twice and in any order", begun.elapsed());
    print(&[Row { fault, phase: "running", end: End::Finished, steps: vec![], took }]);
    scene.node.node.stop().await;
}
