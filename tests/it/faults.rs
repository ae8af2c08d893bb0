//! What can go wrong, one thing at a time: each fault ends in work that goes on or in the inbox of somebody who can
//! decide, and nothing is run twice. The table says how long that took; nothing is asserted about time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::{TestNode, TestProcess},
    person::{Person, id},
};

/// What a fault has to lead to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    /// The work is handed in.
    Finished,
    /// A person is asked.
    Person,
}

/// One row of the table.
pub struct Row {
    pub fault: &'static str,
    pub phase: &'static str,
    pub end: End,
    pub steps: Vec<String>,
    pub took: Duration,
}

/// A workspace to break things in.
pub struct Lab {
    pub ada: Person,
    pub workspace: String,
    pub project: String,
}

impl Lab {
    pub async fn open(url: &str) -> Self {
        let ada = Person::register(url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let project = ada.project(&workspace, "Moon base").await;
        Self { ada, workspace, project }
    }

    pub async fn task(&self, title: &str, description: &str) -> String {
        let body = json!({"title": title, "description": description});
        id(&self.ada.post(&format!("/projects/{}/tasks", self.project), body).await)
    }

    /// Gives a task to a new agent on these servers.
    pub async fn penguins(&self, title: &str, prompt: &str, urls: &[String]) -> String {
        let instances: Vec<_> = urls.iter().map(|url| json!({"url": url, "slots": 4})).collect();
        let body = json!({"name": title, "runtime": "penguin", "instances": instances});
        let agent = id(&self.ada.post(&format!("/workspaces/{}/agents", self.workspace), body).await);
        let task = self.task(title, prompt).await;
        self.ada.delegate(&task, &agent).await
    }

    /// Gives a task to a new agent that follows a script.
    pub async fn scripted(&self, title: &str, script: &str) -> String {
        let agent = self.ada.scripted(&self.workspace, title, script).await;
        let task = self.task(title, "as the title says").await;
        self.ada.delegate(&task, &agent).await
    }

    /// Waits for the end of what a fault began, and says how it went.
    pub async fn settled(&self, fault: &'static str, delegation: &str, since: DateTime<Utc>) -> Row {
        let seen = self.ada.until_delegation(delegation, &["reviewing", "escalated", "awaiting"]).await;
        let end = if seen["status"] == "reviewing" { End::Finished } else { End::Person };
        if end == End::Person {
            let inbox = self.ada.get(&format!("/workspaces/{}/inbox?limit=200", self.workspace)).await;
            let mine = |item: &Value| item["delegation_id"] == delegation && item["mine"] == true;
            let items = inbox["items"].as_array().expect("a list");
            assert!(items.iter().any(mine), "{fault}: nobody is asked: {seen:#}");
        }
        let attempts = seen["attempts"].as_array().expect("a list");
        let steps = attempts.iter().filter_map(|attempt| attempt["next_step"]["strategy"].as_str());
        // A fault that is over before it is seen took no time.
        let at: DateTime<Utc> = seen["updated_at"].as_str().expect("a time").parse().expect("a time");
        let took = (at - since).to_std().unwrap_or_default();
        Row { fault, phase: "", end, steps: steps.map(str::to_owned).collect(), took }
    }
}

fn now() -> DateTime<Utc> {
    link::clock::Clock::default().now()
}

/// Prints the table, with how long it took.
pub fn print(rows: &[Row]) {
    println!("{:<44} {:<11} {:<9} {:>8}  steps", "fault", "phase", "end", "ms");
    for Row { fault, phase, end, steps, took } in rows {
        let (end, took, steps) = (format!("{end:?}"), took.as_millis(), steps.join(", "));
        println!("{fault:<44} {phase:<11} {end:<9} {took:>8}  {steps}");
    }
    let mut all: Vec<u128> = rows.iter().map(|row| row.took.as_millis()).collect();
    all.sort_unstable();
    let mean = all.iter().sum::<u128>() / all.len() as u128;
    let p95 = all[(all.len() * 95).div_ceil(100) - 1];
    let most = all[all.len() - 1];
    println!(
        "{} faults: mean {mean} ms, p95 {p95} ms, longest {most} ms to work that goes on or to a person",
        all.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_agent_does_wrong_the_work_goes_on_or_somebody_is_asked() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let mut rows = vec![];
    for (fault, script, end) in [
        ("no money at the provider (402)", "fail provider_quota insufficient credits", End::Person),
        ("the key is not accepted (401)", "fail provider_auth bad key", End::Person),
        ("the provider is overloaded (529)", "fail provider_rate_limit overloaded", End::Person),
        ("the tests fail", "write a.rs x; fail tests_failed 3 of 7 tests fail", End::Person),
        ("the work does not fit the model", "fail context_overflow too many tokens", End::Person),
        ("the agent runs in circles", "fail loop_detected the same call 4 times", End::Person),
        ("an empty success", "empty", End::Person),
        ("the agent is blocked", "fail agent_blocked no access", End::Person),
        ("the agent refuses", "fail refused not my job", End::Person),
        ("a merge conflict", "fail merge_conflict src/lib.rs", End::Person),
        ("the driver panics", "say Hm; crash", End::Person),
        ("the agent's disk is full", "write a.rs x; fail unknown No space left on device", End::Person),
        ("the agent waits for an answer", "ask Which colour?", End::Person),
        (
            "the same tool again and again, also after it was told",
            "tool bash ls; tool bash ls; tool bash ls; tool bash ls; \
             tool bash ls; tool bash ls; tool bash ls; tool bash ls; silent",
            End::Person,
        ),
    ] {
        let since = now();
        let delegation = lab.scripted(fault, script).await;
        let row = lab.settled(fault, &delegation, since).await;
        assert_eq!(row.end, end, "{fault}");
        rows.push(row);
    }
    print(&rows);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_an_instance_the_work_goes_on_or_somebody_is_asked_and_none_runs_twice() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let (first, spare) = (FakePenguin::start().await, FakePenguin::start().await);
    let mut rows = vec![];

    // The instance dies under the run: another one of the same agent takes it over.
    let prompt = "Build [[words:60]] [[delay:0.05]]";
    let delegation = lab.penguins("dies", prompt, &[first.url(), spare.url()]).await;
    lab.ada.until_delegation(&delegation, &["running"]).await;
    let (since, hit) = (now(), if first.busy() { &first } else { &spare });
    hit.restart().await;
    let row = lab.settled("the instance is killed", &delegation, since).await;
    assert_eq!((row.end, row.steps.first().map(String::as_str)), (End::Finished, Some("other_instance")));
    rows.push(row);

    // Its only instance dies: the same one again, when it is back.
    let alone = FakePenguin::start().await;
    let delegation = lab.penguins("dies alone", prompt, &[alone.url()]).await;
    lab.ada.until_delegation(&delegation, &["running"]).await;
    let since = now();
    alone.restart().await;
    let row = lab.settled("the only instance is killed", &delegation, since).await;
    assert_eq!((row.end, row.steps.first().map(String::as_str)), (End::Finished, Some("same_instance")));
    rows.push(row);

    // The connection breaks and nothing else does: the run goes on, once.
    let runs = alone.runs();
    let delegation = lab.penguins("cut", prompt, &[alone.url()]).await;
    lab.ada.until_delegation(&delegation, &["running"]).await;
    let since = now();
    alone.cut_connections().await;
    let row = lab.settled("every connection is cut", &delegation, since).await;
    assert_eq!((row.end, row.steps.len(), alone.runs() - runs), (End::Finished, 0, 1));
    rows.push(row);

    // The instance does not answer for good: another one takes over, and the silent one is fenced off.
    let mute = FakePenguin::start().await;
    let delegation = lab.penguins("mute", "Build [[hang]]", &[mute.url()]).await;
    lab.ada.until_delegation(&delegation, &["running"]).await;
    let since = now();
    mute.shut();
    let agent = lab.ada.get(&format!("/delegations/{delegation}")).await["agent_id"].clone();
    let second = json!({"url": spare.url(), "slots": 4});
    lab.ada.post(&format!("/agents/{}/instances", agent.as_str().expect("it is named")), second).await;
    let path = format!("/delegations/{delegation}");
    let moved = |seen: &Value| seen["attempts"][1]["status"] == "active";
    let seen = lab.ada.until(&path, "it runs elsewhere", moved).await;
    let at: DateTime<Utc> = seen["updated_at"].as_str().expect("a time").parse().expect("a time");
    let steps = vec![seen["attempts"][0]["next_step"]["strategy"].as_str().expect("a step").to_owned()];
    assert_eq!(steps, ["other_instance"]);
    let took = (at - since).to_std().unwrap_or_default();
    rows.push(Row { fault: "the instance hangs", phase: "", end: End::Finished, steps, took });
    // When it answers again it is told to stop.
    mute.reopen().await;
    let released = |seen: &Value| seen["attempts"][0]["stopping"] == false;
    lab.ada.until(&path, "it is let go", released).await;
    assert!(!mute.busy(), "it was told to stop");

    for (fault, prompt, end) in [
        ("the provider asks to slow down (429)", "Build [[recoverable]]", End::Person),
        ("the provider fails", "Build [[provider_error]]", End::Person),
        ("an answer that nobody knows", "Build [[strange]]", End::Person),
        ("an empty answer", "Build [[empty]]", End::Person),
        (
            "the agent waits for a permission",
            r#"[[ask:permission]] [[tool:write_file {"path":"a.txt","content":"x"}]]"#,
            End::Person,
        ),
    ] {
        let since = now();
        let delegation = lab.penguins(fault, prompt, &[alone.url()]).await;
        let row = lab.settled(fault, &delegation, since).await;
        assert_eq!(row.end, end, "{fault}");
        rows.push(row);
    }
    print(&rows);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_link_is_killed_the_work_goes_on_or_somebody_is_asked_and_none_runs_twice() {
    let fake = FakePenguin::start().await;
    let mut node = TestProcess::start().await;
    let lab = Lab::open(&node.url).await;
    let mut rows = vec![];
    for (fault, prompt, phase, end) in [
        ("Link is killed as it hands the work out", "[[words:20]] [[delay:0.02]]", "", End::Finished),
        ("Link is killed while the agent works", "[[words:40]] [[delay:0.05]]", "running", End::Finished),
        ("Link is killed while a question is open", "[[ask:question]] [[say:ok]]", "awaiting", End::Person),
        ("Link is killed while a review is due", "[[say:ok]]", "reviewing", End::Finished),
        ("Link is killed while a person is asked", "[[strange]]", "escalated", End::Person),
    ] {
        let before = fake.runs();
        let delegation = lab.penguins(fault, prompt, &[fake.url()]).await;
        if !phase.is_empty() {
            lab.ada.until_delegation(&delegation, &[phase]).await;
        }
        let since = now();
        node.kill();
        node.revive().await;
        let row = lab.settled(fault, &delegation, since).await;
        assert_eq!(row.end, end, "{fault}");
        let attempts = lab.ada.get(&format!("/delegations/{delegation}")).await["attempts"].clone();
        let attempts = attempts.as_array().map_or(0, Vec::len);
        assert_eq!(fake.runs() - before, u32::try_from(attempts).expect("few"), "{fault}: a run for each attempt");
        rows.push(row);
    }
    print(&rows);
}
