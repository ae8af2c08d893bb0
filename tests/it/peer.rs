//! Agents that connect to Link by themselves: work, questions, results, and who they are.

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    peer::{DOOR, Peer},
    person::{Person, id},
    socket::Socket,
};

/// A workspace with a task and an agent that connects.
pub struct Scene {
    pub node: TestNode,
    pub ada: Person,
    pub workspace: String,
    pub project: String,
    pub agent: String,
    pub key: String,
}

impl Scene {
    pub async fn start() -> Self {
        Self::on(TestNode::start().await).await
    }

    pub async fn on(node: TestNode) -> Self {
        let ada = Person::register(&node.url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let project = ada.project(&workspace, "Moon base").await;
        let (agent, key) = ada.peer(&workspace, "Helper").await;
        Self { node, ada, workspace, project, agent, key }
    }

    /// Delegates a new task to the agent, and returns the delegation's id.
    pub async fn delegate(&self, title: &str) -> String {
        let task = self.ada.task(&self.project, title).await;
        self.ada.delegate(&task, &self.agent).await
    }

    pub async fn connect(&self) -> Peer {
        Peer::connect(&self.node.url, &self.key).await
    }

    /// Waits until the agent is as it should be.
    pub async fn until_agent(&self, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        self.ada.until(&format!("/agents/{}", self.agent), what, test).await
    }

    /// Returns the data of the events of a type, oldest first.
    pub async fn events(&self, kind: &str) -> Vec<Value> {
        let log = self.ada.log(&self.workspace).await;
        log.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_connects_does_a_task_and_everyone_sees_it() {
    let scene = Scene::start().await;
    let mut watching = Socket::subscribed(&scene.ada, &scene.workspace, None).await;
    let mut peer =
        Peer::with(&scene.node.url, json!({"token": scene.key, "name": "one", "capacity": 3, "skills": ["soup"]}))
            .await;
    assert_eq!(peer.welcome["agent"], json!(scene.agent));
    assert_eq!(peer.welcome["heartbeat_ms"], 5_000);
    let agent = scene.until_agent("its instance lives", |agent| agent["instances"][0]["healthy"] == true).await;
    let instance = &agent["instances"][0];
    assert_eq!((&instance["url"], &instance["slots"]), (&json!("peer:one"), &json!(3)));
    assert_eq!((&instance["skills"], &agent["status"]), (&json!(["soup"]), &json!("idle")));

    let delegation = scene.delegate("Cook a soup").await;
    let assign = peer.assigned().await;
    let attempt = &assign["attempt"];
    assert!(assign["context"]["prompt"].as_str().is_some_and(|text| text.starts_with("Cook a soup")), "{assign:#}");
    peer.say(attempt, json!({"t": "accepted"})).await;
    peer.say(attempt, json!({"t": "progress", "percent": 10, "phase": "cooking"})).await;
    for word in ["It ", "is ", "done."] {
        peer.say(attempt, json!({"t": "output", "text": word})).await;
    }
    peer.say(attempt, json!({"t": "tool", "tool": "stove", "ok": true, "summary": "200 degrees"})).await;
    peer.say(attempt, json!({"t": "artifact", "kind": "file", "name": "soup.txt", "content": "leek"})).await;
    peer.say(attempt, json!({"t": "usage", "input_tokens": 7, "output_tokens": 5, "cost_usd": 0.25})).await;
    peer.say(attempt, json!({"t": "submitted", "text": "It is done."})).await;
    peer.acknowledged(attempt, 9).await;

    let handed_in = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(handed_in["output"], "It is done.");
    assert_eq!(handed_in["attempts"][0]["input_tokens"], 7);
    let made = scene.ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let names: Vec<&Value> = made["items"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("soup.txt"), &json!("answer")]);
    let mut text = String::new();
    while text != "It is done." {
        text += watching.until("signal").await["data"]["delta"].as_str().unwrap_or_default();
    }
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_and_hears_the_answer_and_a_question_that_it_takes_back_is_closed() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Choose a colour").await;
    let attempt = peer.assigned().await["attempt"].clone();
    let question =
        |name: &str| json!({"t": "interrupt", "interrupt": name, "kind": "question", "prompt": "Which one?"});
    peer.say(&attempt, question("colour")).await;
    let waiting = scene.ada.until_delegation(&delegation, &["awaiting"]).await;
    let answer = json!({"interrupt_id": id(&waiting["interrupts"][0]), "answer": "blue"});
    scene.ada.post(&format!("/delegations/{delegation}/answer"), answer).await;
    let answer = peer.until("answer").await;
    assert_eq!((&answer["interrupt"], &answer["answer"]), (&json!("colour"), &json!("blue")));

    peer.say(&attempt, question("size")).await;
    scene.ada.until_delegation(&delegation, &["awaiting"]).await;
    peer.say(&attempt, json!({"t": "withdrawn", "interrupt": "size"})).await;
    scene.ada.until_delegation(&delegation, &["running"]).await;
    peer.say(&attempt, json!({"t": "submitted", "text": "blue"})).await;
    scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_what_is_said_about_its_task_and_nothing_else() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let rooms = format!("/workspaces/{}/conversations", scene.workspace);
    let other = scene.ada.task(&scene.project, "Another task").await;
    let task = scene.ada.task(&scene.project, "Listen").await;
    scene.ada.delegate(&task, &scene.agent).await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    for (about, words) in [(other, "not for you"), (task, "rather in blue")] {
        let room = json!({"type": "task", "title": words, "task_id": about});
        let room = id(&scene.ada.post(&rooms, room).await);
        let message = json!({"parts": [{"type": "text", "text": words}]});
        scene.ada.post(&format!("/conversations/{room}/messages"), message).await;
    }
    let message = peer.until("message").await;
    assert_eq!((&message["attempt"], &message["parts"][0]["text"]), (&attempt, &json!("rather in blue")));
    assert_eq!(message["from"], json!(format!("user:{}", scene.ada.id)));
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_attempt_is_stopped_and_the_agent_is_free_for_the_next_one() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Dig a hole").await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    scene.ada.until_delegation(&delegation, &["running"]).await;
    scene.ada.post(&format!("/delegations/{delegation}/cancel"), json!({})).await;
    let cancel = peer.until("cancel").await;
    assert_eq!((&cancel["attempt"], &cancel["reason"]), (&attempt, &json!("cancelled")));
    peer.say(&attempt, json!({"t": "stopped"})).await;
    peer.acknowledged(&attempt, 2).await;
    scene.ada.until_delegation(&delegation, &["cancelled"]).await;
    scene.delegate("Fill the hole").await;
    assert_ne!(peer.assigned().await["attempt"], attempt);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_charged_to_whom_the_agent_says_and_tried_again_where_that_can_help() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Ask the oracle").await;
    let first = peer.assigned().await["attempt"].clone();
    peer.say(&first, json!({"t": "failed", "class": "provider_rate_limit", "message": "slow down"})).await;
    let second = peer.assigned().await["attempt"].clone();
    assert_ne!(first, second);
    peer.say(&second, json!({"t": "failed", "message": "the oracle says nothing"})).await;
    let failed = scene.ada.until_delegation(&delegation, &["escalated", "failed"]).await;
    assert_eq!(failed["attempts"][0]["failure_class"], "provider_rate_limit");
    assert_eq!(failed["attempts"][1]["failure_class"], "agent_blocked");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_pack_says_the_same_as_json() {
    let scene = Scene::start().await;
    let (mut socket, chosen) = Socket::speaking_at(&scene.node.url, DOOR, "link.agent.v1.msgpack").await;
    assert_eq!(chosen, "link.agent.v1.msgpack");
    socket.send(json!({"t": "hello", "token": scene.key})).await;
    assert_eq!(socket.next().await["t"], "welcome");
    let delegation = scene.delegate("Speak in bytes").await;
    let assign = socket.until("assign").await;
    socket
        .send(json!({"t": "submitted", "attempt": assign["attempt"], "fence": assign["fence"], "seq": 1, "text": "ok"}))
        .await;
    assert_eq!(socket.until("ack").await["seq"], 1);
    scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_agents_own_good_key_lets_its_servers_in() {
    let scene = Scene::start().await;
    let refused = async |hello: Value| {
        let mut socket = Socket::at(&scene.node.url, DOOR).await;
        socket.send(hello).await;
        let mut error = Value::Null;
        loop {
            match socket.next_or_code().await {
                Ok(frame) => error = frame,
                Err(code) => return (error["code"].as_str().unwrap_or_default().to_owned(), code.unwrap_or_default()),
            }
        }
    };
    let hello = |token: &str| json!({"t": "hello", "token": token});
    assert_eq!(refused(hello("link_ak_nonsense")).await, ("unauthenticated".into(), 4001));
    assert_eq!(refused(hello(&scene.ada.token)).await, ("forbidden".into(), 4003));
    let scripted = scene.ada.scripted(&scene.workspace, "Robot", "say hi").await;
    let keys = |agent: &str| format!("/agents/{agent}/keys");
    let other = scene.ada.post(&keys(&scripted), json!({"name": "k"})).await;
    assert_eq!(refused(hello(other["key"].as_str().unwrap())).await, ("forbidden".into(), 4003));
    let reader = scene.ada.post(&keys(&scene.agent), json!({"name": "k", "scopes": ["read"]})).await;
    assert_eq!(refused(hello(reader["key"].as_str().unwrap())).await, ("forbidden".into(), 4003));
    for (field, bad) in [("capacity", json!(0)), ("capacity", json!(65)), ("name", json!("")), ("skills", json!([1]))] {
        let mut hello = hello(&scene.key);
        hello[field] = bad.clone();
        assert_eq!(refused(hello).await, ("invalid_input".into(), 4000), "{field}: {bad}");
    }
    assert_eq!(refused(json!({"t": "heartbeat"})).await, ("invalid_input".into(), 4000));
    scene.ada.post(&format!("/agents/{}/retire", scene.agent), json!({})).await;
    assert_eq!(refused(hello(&scene.key)).await.1, 4003);
    let agent = scene.ada.get(&format!("/agents/{}", scene.agent)).await;
    assert_eq!(agent["instances"], json!([]), "nobody who was refused left something behind");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_servers_are_not_registered_by_hand() {
    let scene = Scene::start().await;
    let instances = json!([{"url": "http://127.0.0.1:1"}]);
    let body = json!({"name": "Other", "runtime": "peer", "instances": instances});
    scene.ada.try_post(&format!("/workspaces/{}/agents", scene.workspace), body).await.problem("busy");
    let path = format!("/agents/{}/instances", scene.agent);
    let answer = scene.ada.try_post(&path, json!({"url": "http://127.0.0.1:1"})).await;
    assert!(answer.status.is_client_error(), "{:#}", answer.body);
    assert_eq!(scene.ada.get(&format!("/agents/{}", scene.agent)).await["status"], "offline");
    scene.node.node.stop().await;
}
