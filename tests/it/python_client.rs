//! The Python package for agents, as it is installed, against a running Link. Needs Python 3.9 with venv, and
//! `LINK_PYTHON_CLIENT=1`; otherwise the tests say that they were skipped.

use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        node::TestProcess,
        person::{Person, id},
        python::{Program, wanted},
    },
};

/// Where the agent is that the tests start.
const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/worker.py");

struct Scene {
    node: TestProcess,
    ada: Person,
    workspace: String,
    project: String,
    agent: String,
    key: String,
}

impl Scene {
    async fn start() -> Self {
        tokio::task::spawn_blocking(crate::support::python::python).await.expect("it is installed");
        let node = TestProcess::start().await;
        let ada = Person::register(&node.url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let project = ada.project(&workspace, "Moon base").await;
        let (agent, key) = ada.peer(&workspace, "Snake").await;
        Self { node, ada, workspace, project, agent, key }
    }

    fn worker(&self, name: &str) -> Program {
        Program::start(&[WORKER, &self.node.url, name], &[("LINK_AGENT_KEY", &self.key)])
    }

    async fn delegate(&self, title: &str) -> String {
        let task = self.ada.task(&self.project, title).await;
        self.ada.delegate(&task, &self.agent).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_python_works_asks_fails_and_stops_as_it_should() {
    if !wanted() {
        return;
    }
    let scene = Scene::start().await;
    let mut worker = scene.worker("one");
    let asking = scene.delegate("ask me").await;
    let waiting = scene.ada.until_delegation(&asking, &["awaiting"]).await;
    let answer = json!({"interrupt_id": id(&waiting["interrupts"][0]), "answer": 42});
    scene.ada.post(&format!("/delegations/{asking}/answer"), answer).await;
    assert_eq!(scene.ada.until_delegation(&asking, &["reviewing"]).await["output"], "the answer is 42");

    let failing = scene.delegate("fail now").await;
    let failed = scene.ada.until_delegation(&failing, &["escalated", "failed"]).await;
    assert_eq!(failed["attempts"][0]["failure_class"], "permission_denied");

    let endless = scene.delegate("wait for ever").await;
    scene.ada.until_delegation(&endless, &["running"]).await;
    scene.ada.post(&format!("/delegations/{endless}/cancel"), json!({})).await;
    scene.ada.until_delegation(&endless, &["cancelled"]).await;

    let key = scene.ada.get(&format!("/agents/{}/keys", scene.agent)).await;
    let path = format!("/agents/{}/keys/{}", scene.agent, id(&key["items"][0]));
    scene.ada.send(reqwest::Method::DELETE, &path, None, None).await.ok();
    assert_eq!(worker.ended().await, Some(4001 % 256), "a revoked key ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_python_goes_on_after_kill_9_of_link_and_nothing_is_lost_or_doubled() {
    if !wanted() {
        return;
    }
    let mut scene = Scene::start().await;
    let _worker = scene.worker("one");
    let delegation = scene.delegate("count to forty").await;
    for kills in 1..=2 {
        let seen = |log: &[Value]| log.iter().filter(|event| event["type"] == "attempt:tool").count();
        while seen(&scene.ada.log(&scene.workspace).await) < kills * 10 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        scene.node.kill();
        scene.node.revive().await;
    }
    let handed_in = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!((&handed_in["output"], handed_in["attempts"].as_array().map(Vec::len)), (&json!("counted"), Some(1)));
    let log = scene.ada.log(&scene.workspace).await;
    let counted: Vec<String> = log
        .iter()
        .filter(|event| event["type"] == "attempt:tool")
        .map(|event| event["data"]["summary"].as_str().expect("it is text").to_owned())
        .collect();
    assert_eq!(counted, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    check_projections(&scene.node.database().await, &scene.workspace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_an_agent_in_python_that_was_killed_is_finished_by_another() {
    if !wanted() {
        return;
    }
    let scene = Scene::start().await;
    let mut first = scene.worker("one");
    let delegation = scene.delegate("count to forty").await;
    scene.ada.until_delegation(&delegation, &["running"]).await;
    let _second = scene.worker("two");
    first.kill();
    let handed_in = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    let states: Vec<&Value> =
        handed_in["attempts"].as_array().expect("a list").iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(states, ["lost", "succeeded"]);
}
