//! What people can ask about Penguin servers: which there are, whether they live, and what became of a run.

use link::{
    agents::{AgentRuntime, Bookmark, Fate},
    domain::failure::FailureClass,
};
use serde_json::{Value, json};

use crate::support::{
    driving::{Watched, driver, work},
    fake_penguin::FakePenguin,
    node::TestNode,
    person::{Person, id},
    runs::both_ways,
};

struct Scene {
    node: TestNode,
    ada: Person,
    workspace: String,
    project: String,
    agent: String,
    instance: String,
}

/// A node with a Penguin of two slots and a scripted agent beside it.
async fn scene(fake: &FakePenguin) -> Scene {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    ada.scripted(&workspace, "Sleeper", "silent").await;
    let body = json!({"name": "Penguin", "runtime": "penguin", "instances": [{"url": fake.url(), "slots": 2}]});
    let agent = ada.post(&format!("/workspaces/{workspace}/agents"), body).await;
    let instance = id(&agent["instances"][0]);
    Scene { node, ada, workspace, project, agent: id(&agent), instance }
}

impl Scene {
    async fn delegated(&self, title: &str) -> String {
        let task = self.ada.task(&self.project, title).await;
        self.ada.delegate(&task, &self.agent).await
    }

    /// Delegates, and waits until the Penguin has the work; returns the delegation and its attempt.
    async fn running(&self, title: &str) -> (String, String) {
        let delegation = self.delegated(title).await;
        let has_it = |seen: &Value| seen["attempts"][0]["status"] == "active";
        let seen = self.ada.until(&format!("/delegations/{delegation}"), "the Penguin has it", has_it).await;
        (delegation, id(&seen["attempts"][0]))
    }

    async fn instances(&self) -> Value {
        self.ada.get(&format!("/workspaces/{}/penguin/instances", self.workspace)).await["items"].clone()
    }

    async fn probe(&self) -> Value {
        self.ada.post(&format!("/penguin/instances/{}/probe", self.instance), json!({})).await
    }

    async fn reconcile(&self, what: Value) -> Value {
        self.ada.post(&format!("/workspaces/{}/penguin/reconcile", self.workspace), what).await["items"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_penguins_of_a_workspace_are_listed_with_their_health_and_slots() {
    let fake = FakePenguin::start().await;
    let scene = scene(&fake).await;
    scene.running("[[hang]]").await;
    let path = format!("/workspaces/{}/penguin/instances", scene.workspace);
    let asked = |seen: &Value| seen["items"][0]["healthy"] == true && seen["items"][0]["asked_at"].is_string();
    let seen = scene.ada.until(&path, "the probe has asked", asked).await;
    let items = seen["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "the scripted agent's is none: {seen:#}");
    assert_eq!((&items[0]["id"], &items[0]["agent_name"]), (&json!(scene.instance), &json!("Penguin")));
    assert_eq!((&items[0]["slots"], &items[0]["slots_used"]), (&json!(2), &json!(1)), "{seen:#}");
    assert!(items[0]["boot"].is_string(), "{seen:#}");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_it_found_and_writes_it_down() {
    let fake = FakePenguin::start().await;
    let scene = scene(&fake).await;
    let alive = scene.probe().await;
    assert_eq!(alive["healthy"], true, "{alive:#}");
    assert!(alive["boot"].is_string(), "{alive:#}");
    fake.shut();
    let dead = scene.probe().await;
    assert_eq!((&dead["healthy"], &dead["boot"]), (&json!(false), &Value::Null), "{dead:#}");
    assert!(dead["cause"].as_str().is_some_and(|cause| cause.contains("no connection")), "{dead:#}");
    let listed = scene.instances().await;
    assert_eq!((&listed[0]["healthy"], &listed[0]["cause"]), (&json!(false), &dead["cause"]));
    fake.reopen().await;
    assert_eq!(scene.probe().await["healthy"], true);
    assert_eq!(scene.instances().await[0]["healthy"], true);
    let agent = scene.ada.get(&format!("/workspaces/{}/agents", scene.workspace)).await;
    let other = id(
        &agent["items"].as_array().expect("a list").iter().find(|a| a["runtime"] == "scripted").unwrap()["instances"]
            [0],
    );
    let refused = scene.ada.try_post(&format!("/penguin/instances/{other}/probe"), json!({})).await;
    refused.problem("not_found");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_is_found_running_and_left_alone() {
    let fake = FakePenguin::start().await;
    let scene = scene(&fake).await;
    let (delegation, attempt) = scene.running("[[hang]]").await;
    for what in
        [json!({"attempt_id": attempt}), json!({"delegation_id": delegation}), json!({"instance_id": scene.instance})]
    {
        let items = scene.reconcile(what.clone()).await;
        assert_eq!(items.as_array().map(Vec::len), Some(1), "{what}: {items:#}");
        assert_eq!((&items[0]["attempt_id"], &items[0]["found"]), (&json!(attempt), &json!("running")), "{items:#}");
        assert_eq!((&items[0]["before"], &items[0]["status"]), (&json!("active"), &json!("active")), "{items:#}");
    }
    assert_eq!(fake.runs(), 1);
    fake.shut();
    let items = scene.reconcile(json!({"attempt_id": attempt})).await;
    assert_eq!((&items[0]["found"], &items[0]["status"]), (&json!("unreachable"), &json!("active")), "{items:#}");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_its_instance_dropped_has_ended_when_the_answer_comes() {
    let fake = FakePenguin::start().await;
    let scene = scene(&fake).await;
    let (_, attempt) = scene.running("[[hang]]").await;
    fake.restart().await;
    let items = scene.reconcile(json!({"instance_id": scene.instance})).await;
    // Link may have found out by itself before.
    if let Some(item) = items.get(0) {
        assert!(item["found"] == "missing" || item["found"] == "over", "{item:#}");
        assert_eq!(item["status"], "lost", "{item:#}");
    }
    let again = scene.reconcile(json!({"attempt_id": attempt})).await;
    assert_eq!((&again[0]["found"], &again[0]["status"]), (&json!("over"), &json!("lost")), "{again:#}");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_names_one_thing_that_exists() {
    let fake = FakePenguin::start().await;
    let scene = scene(&fake).await;
    let path = format!("/workspaces/{}/penguin/reconcile", scene.workspace);
    scene.ada.try_post(&path, json!({})).await.problem("invalid_input");
    let both = json!({"instance_id": scene.instance, "attempt_id": scene.instance});
    scene.ada.try_post(&path, both).await.problem("invalid_input");
    for field in ["attempt_id", "delegation_id", "instance_id"] {
        scene.ada.try_post(&path, json!({field: scene.workspace})).await.problem("not_found");
    }
    assert_eq!(scene.reconcile(json!({"instance_id": scene.instance})).await, json!([]));
    scene.node.node.stop().await;
}

#[tokio::test]
async fn an_instance_that_is_asked_says_what_became_of_a_run_and_runs_nothing() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let (driver, done) = (driver(), work("[[words:3]]"));
        let asked = driver.inspect(&at, &done, &Bookmark::default()).await;
        assert_eq!(asked, Ok(Fate::NotStarted));
        let before = fake.runs();
        let watched = Watched::start(&driver, &at, &done, Bookmark::default());
        let bookmark = watched.accepted().await;
        let (end, _) = watched.end().await;
        for known in [&bookmark, &Bookmark::default()] {
            assert_eq!(driver.inspect(&at, &done, known).await, Ok(Fate::Ended(end.clone())));
        }
        let endless = work("[[hang]]");
        let watched = Watched::start(&driver, &at, &endless, Bookmark::default());
        let bookmark = watched.accepted().await;
        assert_eq!(driver.inspect(&at, &endless, &bookmark).await, Ok(Fate::Running));
        watched.crash();
        fake.restart().await;
        let asked = driver.inspect(&at, &endless, &bookmark).await;
        assert!(
            matches!(&asked, Ok(Fate::Missing(failure)) if failure.class == FailureClass::InstanceLost),
            "{asked:?}"
        );
        assert_eq!(fake.runs(), before + 2, "asking started nothing");
        fake.shut();
        assert!(driver.inspect(&at, &endless, &bookmark).await.is_err(), "silence says nothing about the run");
        fake.reopen().await;
    }
}
