//! What breaks between Link and an agent that has connected: nothing is lost, doubled or done by two.

use std::time::Duration;

use link::config::Peers;
use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    peer::Scene,
    support::{
        node::{TestNode, TestProcess},
        peer::{DOOR, Peer},
        person::{Person, id},
        socket::Socket,
    },
};

/// A node whose patience with agents is short.
async fn hasty() -> Scene {
    let ms = Duration::from_millis;
    let peers = Peers { heartbeat: ms(200), suspect: ms(600), lost: ms(1_500) };
    Scene::on(TestNode::with(|config| config.peers = peers).await).await
}

fn artifact(n: u64) -> Value {
    json!({"t": "artifact", "kind": "file", "name": format!("{n}.txt"), "content": n.to_string()})
}

fn tool(n: u64) -> Value {
    json!({"t": "tool", "tool": "counter", "ok": true, "summary": n.to_string()})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_cut_off_goes_on_with_the_same_attempt_and_nothing_is_lost_or_doubled() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Count").await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    for n in 0..12 {
        peer.say(&attempt, tool(n)).await;
        if n % 4 == 3 {
            // Some of what was sent is on its way, some is not acknowledged, and one frame gets lost altogether.
            peer.note(&attempt, artifact(n));
            peer.reconnect().await;
            let resume = peer.until("resume").await;
            assert_eq!(resume["attempt"], attempt);
            peer.send_again(&attempt).await;
        }
    }
    peer.say(&attempt, json!({"t": "submitted", "text": "counted"})).await;
    peer.acknowledged(&attempt, 17).await;
    let handed_in = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(handed_in["attempts"].as_array().map(Vec::len), Some(1), "{handed_in:#}");
    let counted: Vec<Value> = scene.events("attempt:tool").await.iter().map(|tool| tool["summary"].clone()).collect();
    assert_eq!(counted, (0..12).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    assert_eq!(scene.events("artifact:recorded").await.len(), 4, "three files and the answer");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_goes_on_after_kill_9_of_link_and_every_report_is_there_once() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let (agent, key) = ada.peer(&workspace, "Helper").await;
    let mut peer = Peer::connect(&node.url, &key).await;
    let task = ada.task(&project, "Count").await;
    let delegation = ada.delegate(&task, &agent).await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    for life in 0..3 {
        for n in 0..6 {
            peer.say(&attempt, tool(life * 6 + n)).await;
        }
        // Half of them are acknowledged; what became of the others only the log knows.
        peer.acknowledged(&attempt, life * 6 + 4).await;
        node.kill();
        node.revive().await;
        peer.reconnect().await;
        assert_eq!(peer.until("resume").await["attempt"], attempt);
        peer.send_again(&attempt).await;
    }
    peer.say(&attempt, json!({"t": "submitted", "text": "counted"})).await;
    peer.acknowledged(&attempt, 20).await;
    let handed_in = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(handed_in["attempts"].as_array().map(Vec::len), Some(1), "{handed_in:#}");
    let log = ada.log(&workspace).await;
    let tools = log.iter().filter(|event| event["type"] == "attempt:tool");
    let counted: Vec<String> =
        tools.map(|event| event["data"]["summary"].as_str().expect("it is text").to_owned()).collect();
    assert_eq!(counted, (0..18).map(|n| n.to_string()).collect::<Vec<_>>());
    check_projections(&node.database().await, &workspace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_an_agent_that_is_gone_waits_out_its_lease_and_goes_to_another_instance() {
    let scene = hasty().await;
    let mut gone = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "one"})).await;
    let delegation = scene.delegate("Count").await;
    let first = gone.assigned().await["attempt"].clone();
    gone.say(&first, json!({"t": "accepted"})).await;
    gone.say(&first, tool(1)).await;
    gone.acknowledged(&first, 2).await;
    let mut other = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "two"})).await;
    let lost = std::mem::replace(&mut gone.socket, Socket::at(&scene.node.url, DOOR).await);
    drop(lost);
    let begun = std::time::Instant::now();
    let second = other.assigned().await["attempt"].clone();
    assert!(begun.elapsed() > Duration::from_millis(500), "the attempt waited for the agent to come back");
    assert_ne!(first, second);

    gone.reconnect().await;
    let cancel = gone.until("cancel").await;
    // It is told twice that it is not wanted any more: as it asks, and by who stops what is left of a lost attempt.
    assert_eq!(cancel["attempt"], first);
    assert!(["not_held", "cancelled"].map(Value::from).contains(&cancel["reason"]), "{cancel}");
    gone.say(&first, json!({"t": "submitted", "text": "from the dead"})).await;
    assert_eq!(gone.until("cancel").await["attempt"], first);
    other.say(&second, json!({"t": "submitted", "text": "from the living"})).await;
    let handed_in = scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(handed_in["output"], "from the living");
    let states: Vec<&Value> =
        handed_in["attempts"].as_array().expect("a list").iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(states, ["lost", "succeeded"]);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_without_the_work_has_lost_it_and_gets_it_anew() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    scene.delegate("Count").await;
    let first = peer.assigned().await["attempt"].clone();
    peer.say(&first, json!({"t": "accepted"})).await;
    peer.acknowledged(&first, 1).await;
    peer.kept.clear();
    peer.reconnect().await;
    let second = peer.assigned().await;
    assert_ne!(second["attempt"], first);
    assert!(second["fence"].as_u64() > Some(1), "{second:#}");
    assert_eq!(scene.events("attempt:lost").await[0]["class"], "session_not_found");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_never_reached_the_agent_is_given_to_it_again_under_the_same_fence() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    scene.delegate("Count").await;
    let first = peer.until("assign").await;
    peer.reconnect().await;
    let again = peer.until("assign").await;
    assert_eq!((&first["attempt"], &first["fence"]), (&again["attempt"], &again["fence"]));
    assert_eq!(scene.events("attempt:started").await.len(), 1);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_with_the_connection_is_given_again() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Choose").await;
    let attempt = peer.assigned().await["attempt"].clone();
    let question = json!({"t": "interrupt", "interrupt": "q1", "prompt": "Which?"});
    peer.say(&attempt, question).await;
    let asked = peer.kept[attempt.as_str().unwrap()].frames[0].clone();
    peer.acknowledged(&attempt, 1).await;
    let gone = std::mem::replace(&mut peer.socket, Socket::at(&scene.node.url, DOOR).await);
    drop(gone);
    let waiting = scene.ada.until_delegation(&delegation, &["awaiting"]).await;
    let answer = json!({"interrupt_id": id(&waiting["interrupts"][0]), "answer": 42});
    scene.ada.post(&format!("/delegations/{delegation}/answer"), answer).await;
    peer.reconnect().await;
    peer.until("resume").await;
    peer.socket.send(asked).await;
    assert_eq!(peer.until("answer").await["answer"], 42);
    assert_eq!(scene.events("interrupt:opened").await.len(), 1);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_with_an_old_fence_or_out_of_its_turn_changes_nothing() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Count").await;
    let assign = peer.assigned().await;
    let attempt = assign["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    let frame = |fence: u64, seq: u64| json!({"t": "submitted", "attempt": attempt, "fence": fence, "seq": seq, "text": "too early"});
    let fence = assign["fence"].as_u64().unwrap();
    peer.socket.send(frame(fence - 1, 2)).await;
    assert_eq!(peer.until("cancel").await["reason"], "not_held");
    peer.socket.send(frame(fence + 1, 2)).await;
    assert_eq!(peer.until("cancel").await["reason"], "not_held");
    peer.socket.send(frame(fence, 3)).await;
    assert_eq!(peer.until("resume").await["acked"], 1, "the second frame is missing");
    peer.say(&attempt, json!({"t": "submitted", "text": "in time"})).await;
    peer.acknowledged(&attempt, 2).await;
    assert_eq!(scene.ada.until_delegation(&delegation, &["reviewing"]).await["output"], "in time");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_takes_the_place_and_another_name_is_another_instance() {
    let scene = Scene::start().await;
    let mut first = scene.connect().await;
    scene.delegate("Count").await;
    let attempt = first.assigned().await["attempt"].clone();
    first.say(&attempt, json!({"t": "accepted"})).await;
    first.acknowledged(&attempt, 1).await;
    let other = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "other"})).await;
    assert_ne!(other.welcome["instance"], first.welcome["instance"]);
    let mut old = std::mem::replace(&mut first.socket, Socket::at(&scene.node.url, DOOR).await);
    let instance = first.welcome["instance"].clone();
    first.reconnect().await;
    assert_eq!(old.close_code().await, 4009);
    assert_eq!(first.welcome["instance"], instance);
    assert_eq!(first.until("resume").await["attempt"], attempt);
    let agent = scene.until_agent("both live", |agent| {
        let instances = agent["instances"].as_array().expect("a list");
        instances.len() == 2 && instances.iter().all(|instance| instance["healthy"] == true)
    });
    agent.await;
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_suspect_then_lost_and_one_that_says_heartbeat_is_neither() {
    let scene = hasty().await;
    let mut silent = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "silent"})).await;
    let mut lively = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "lively"})).await;
    let beating = tokio::spawn(async move {
        loop {
            lively.socket.send(json!({"t": "heartbeat"})).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let unwell = |agent: &Value, cause: &str| {
        let mut instances = agent["instances"].as_array().expect("a list").iter();
        instances.any(|one| one["url"] == "peer:silent" && one["cause"].as_str().is_some_and(|why| why.contains(cause)))
    };
    scene.until_agent("it is suspect", |agent| unwell(agent, "silent") || unwell(agent, "sign of life")).await;
    assert_eq!(silent.socket.close_code().await, 1001);
    let agent = scene.ada.get(&format!("/agents/{}", scene.agent)).await;
    let lively = agent["instances"].as_array().unwrap().iter().find(|one| one["url"] == "peer:lively").unwrap();
    assert_eq!((&lively["healthy"], &agent["status"]), (&json!(true), &json!("idle")));
    beating.abort();
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_a_removed_instance_and_a_retired_agent_end_the_connection() {
    let scene = Scene::start().await;
    let path = format!("/agents/{}", scene.agent);
    let mut removed = scene.connect().await;
    let instance = removed.welcome["instance"].as_str().unwrap().to_owned();
    let gone = scene.ada.send(reqwest::Method::DELETE, &format!("{path}/instances/{instance}"), None, None).await;
    assert!(gone.status.is_success(), "{:#}", gone.body);
    assert_eq!(removed.socket.close_code().await, 4003);

    let mut revoked = scene.connect().await;
    let keys = scene.ada.get(&format!("{path}/keys")).await;
    let key = id(&keys["items"][0]);
    let ended = scene.ada.send(reqwest::Method::DELETE, &format!("{path}/keys/{key}"), None, None).await;
    assert!(ended.status.is_success(), "{:#}", ended.body);
    assert_eq!(revoked.socket.close_code().await, 4001);

    let another = scene.ada.post(&format!("{path}/keys"), json!({"name": "another"})).await;
    let mut retired = Peer::connect(&scene.node.url, another["key"].as_str().unwrap()).await;
    scene.ada.post(&format!("{path}/retire"), json!({})).await;
    assert_eq!(retired.socket.close_code().await, 4003);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_says_so_and_the_agent_goes_on_with_the_next() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Count").await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    peer.acknowledged(&attempt, 1).await;
    let (ada, Scene { node, .. }) = (scene.ada.clone(), scene);
    let stopped = tokio::spawn(async move { node.restart().await });
    assert_eq!(peer.until("goodbye").await["code"], 1012);
    assert_eq!(peer.socket.close_code().await, 1012);
    let node = stopped.await.expect("it starts again");
    let ada = Person { url: node.url.clone(), ..ada };
    peer.url.clone_from(&node.url);
    peer.reconnect().await;
    assert_eq!(peer.until("resume").await["attempt"], attempt);
    peer.say(&attempt, json!({"t": "submitted", "text": "done"})).await;
    ada.until_delegation(&delegation, &["reviewing"]).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lives_and_does_not_move_is_told_so_and_is_stopped_when_that_does_not_help() {
    let scene = Scene::start().await;
    let mut peer = Peer::with(&scene.node.url, json!({"token": scene.key, "capacity": 2})).await;
    let [woken, lost] = [scene.delegate("Wake up").await, scene.delegate("Sleep on").await];
    let mut attempts = std::collections::BTreeMap::new();
    for _ in 0..2 {
        let assign = peer.assigned().await;
        peer.say(&assign["attempt"], json!({"t": "accepted"})).await;
        let delegation = assign["context"]["delegation"].as_str().expect("it is an id").to_owned();
        attempts.insert(delegation, assign["attempt"].clone());
    }
    for delegation in [&woken, &lost] {
        scene.ada.until_delegation(delegation, &["running"]).await;
    }
    scene.node.advance(chrono::TimeDelta::minutes(6));
    let mut told = vec![];
    for _ in 0..2 {
        let message = peer.until("message").await;
        assert_eq!(message["from"], "service:conductor", "{message:#}");
        assert!(message["parts"][0]["text"].as_str().is_some_and(|text| text.contains("no activity")), "{message:#}");
        told.push(message["attempt"].clone());
    }
    told.sort_by_key(Value::to_string);
    let mut both: Vec<Value> = attempts.values().cloned().collect();
    both.sort_by_key(Value::to_string);
    assert_eq!(told, both);
    peer.say(&attempts[&woken], json!({"t": "submitted", "text": "I am awake."})).await;
    scene.ada.until_delegation(&woken, &["reviewing"]).await;
    scene.node.advance(chrono::TimeDelta::minutes(10));
    let cancel = peer.until("cancel").await;
    assert_eq!(cancel["attempt"], attempts[&lost]);
    let ada = scene.ada.login().await;
    let seen = ada.until_delegation(&lost, &["escalated"]).await;
    assert_eq!(seen["attempts"][0]["failure_class"], "silent", "{seen:#}");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_noticed_after_a_question_that_was_asked_again_is_answered() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    let delegation = scene.delegate("Choose a colour").await;
    let attempt = peer.assigned().await["attempt"].clone();
    peer.say(&attempt, json!({"t": "accepted"})).await;
    let question = json!({"t": "interrupt", "interrupt": "colour", "kind": "question", "prompt": "Which one?"});
    peer.say(&attempt, question.clone()).await;
    let waiting = scene.ada.until_delegation(&delegation, &["awaiting"]).await;
    peer.reconnect().await;
    peer.until("resume").await;
    peer.say(&attempt, question).await;
    peer.acknowledged(&attempt, 3).await;
    let answer = json!({"interrupt_id": id(&waiting["interrupts"][0]), "answer": "blue"});
    scene.ada.post(&format!("/delegations/{delegation}/answer"), answer).await;
    peer.until("answer").await;
    scene.ada.until_delegation(&delegation, &["running"]).await;
    scene.node.advance(chrono::TimeDelta::minutes(6));
    let message = peer.until("message").await;
    assert!(message["parts"][0]["text"].as_str().is_some_and(|text| text.contains("no activity")), "{message:#}");
    scene.node.node.stop().await;
}
