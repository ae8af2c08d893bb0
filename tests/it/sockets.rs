//! The WebSocket: who is let in, what may be said, and how it ends.

use std::time::Duration;

use chrono::TimeDelta;
use link::domain::ids::UserId;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{matrix::World, node::TestNode, person::Person, socket::Socket};

/// A token for a person, by the node's own clock.
fn fresh(node: &TestNode, person: &Person) -> String {
    let services = node.node.api().services();
    let user: UserId = person.id.parse().expect("it is an id");
    let clock = &services.context().clock;
    services.keys.access(user, clock.id(), clock.id(), clock.now()).expect("the key signs")
}

/// Checks that a socket still works.
async fn lives(socket: &mut Socket) {
    socket.send(json!({"t": "ping", "id": "alive?"})).await;
    assert_eq!(socket.until("pong").await["id"], "alive?");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_good_hello_first_is_sent_away() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let mut silent = Socket::open(&node.url).await;
    let firsts = [
        Message::text("hello"),
        Message::text("{"),
        Message::text("[]"),
        Message::text(r#"{"t":"hello"}"#),
        Message::text(r#"{"t":"hello","token":7}"#),
        Message::text(r#"{"t":"hello","token":""}"#),
        Message::text(r#"{"t":"hello","token":"a.b.c"}"#),
        Message::text(r#"{"t":"ping","id":1}"#),
        Message::text(format!(r#"{{"t":"call","id":1,"op":"auth.me","token":"{}"}}"#, ada.token)),
        Message::text("[".repeat(10_000)),
    ];
    for first in firsts {
        let mut socket = Socket::open(&node.url).await;
        socket.send_raw(first.clone()).await;
        assert_eq!(socket.close_code().await, 4001, "{first:.60}");
    }
    assert_eq!(silent.close_code().await, 4001);
    let mut socket = Socket::open(&node.url).await;
    socket.send(json!({"t": "hello", "token": ada.token, "client": {"any": "thing"}})).await;
    let welcome = socket.next().await;
    assert_eq!((&welcome["t"], &welcome["user"]), (&json!("welcome"), &json!(ada.id)));
    for known in ["connection", "heartbeat_ms", "limits", "server"] {
        assert!(!welcome[known].is_null(), "{known} is missing in {welcome}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_ends_the_socket() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let mut wrong = Socket::open(&node.url).await;
    wrong.send_raw(Message::binary(Bytes::from_static(b"\xff"))).await;
    assert_eq!(wrong.close_code().await, 4000);
    let mut twice = Socket::hello(&ada).await;
    twice.send(json!({"t": "hello", "token": ada.token})).await;
    assert_eq!(twice.close_code().await, 4000);
    let mut binary = Socket::hello(&ada).await;
    binary.send_raw(Message::binary(Bytes::from_static(b"\x81\xa1t\xa4ping"))).await;
    assert_eq!(binary.close_code().await, 4000);
    let mut large = Socket::hello(&ada).await;
    let frame = json!({"t": "ping", "id": 1, "more": "x".repeat(1 << 20)});
    // It may be cut before all of it is written.
    let _ = large.try_send(frame).await;
    assert_eq!(large.try_next().await, None);
    let mut fits = Socket::hello(&ada).await;
    fits.send(json!({"t": "ping", "id": 1, "more": "x".repeat((1 << 20) - 100)})).await;
    assert_eq!(fits.next().await["t"], "pong");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_frame_is_answered_and_the_socket_lives() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let mut socket = Socket::hello(&ada).await;
    let wrong = [
        json!({"t": "dance", "id": "x"}),
        json!({"id": "x"}),
        json!({"t": 7, "id": "x"}),
        json!({"t": "call", "id": "x"}),
        json!({"t": "call", "id": "x", "op": 7}),
        json!({"t": "call", "id": "x", "op": "no.such", "input": {}}),
        json!({"t": "call", "id": "x", "op": "auth.me", "input": []}),
        json!({"t": "call", "id": "x", "op": "auth.me", "input": "x"}),
        json!({"t": "call", "id": "x", "op": "auth.me", "input": {"more": 1}}),
        json!({"t": "call", "id": "x", "op": "workspaces.create", "input": {"name": "x"}, "key": ""}),
        json!({"t": "call", "id": "x", "op": "workspaces.create", "input": {"name": "x"}, "key": 7}),
        json!({"t": "call", "id": "x", "op": "workspaces.create", "input": {"name": "x"}, "key": "k".repeat(201)}),
        json!({"t": "call", "id": "x", "op": "x".repeat(100_000), "input": {}}),
        json!({"t": "subscribe", "id": "x"}),
        json!({"t": "subscribe", "id": "x", "workspace": "lab"}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "topics": "*"}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "topics": ["task"]}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "topics": ["task:7"]}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "topics": ["dance:0190f3c2-7b1e-7000-8000-00000000dead"]}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "topics": vec!["task:0190f3c2-7b1e-7000-8000-00000000dead"; 257]}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "after": -1}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "after": 1.5}),
        json!({"t": "subscribe", "id": "x", "workspace": workspace, "after": "1"}),
        json!({"t": "presence", "id": "x", "workspace": workspace, "status": "asleep"}),
        json!({"t": "typing", "id": "x", "workspace": workspace, "topic": "room", "on": true}),
        json!({"t": "auth", "id": "x"}),
    ];
    for frame in wrong {
        socket.send(frame.clone()).await;
        let answer = socket.next().await;
        assert_eq!((&answer["t"], &answer["id"]), (&json!("error"), &json!("x")), "{frame:.200} {answer}");
        assert!(answer["code"].is_string() && answer["message"].is_string() && answer["retryable"].is_boolean());
        assert!(answer["next_actions"].as_array().is_some_and(|next| !next.is_empty()), "{answer}");
        assert!(answer.to_string().len() < 8_192, "the answer repeats its frame");
    }
    let raw = [
        "{",
        "",
        "null",
        "7",
        "\"x\"",
        "[1]",
        "{\"t\":\"ping\",\"id\":1",
        "{\"t\":\"ping\",\"id\":\"\\u0000\"}",
        "{\"t\":\"ping\",\"id\":\"\\ud800\"}",
        "{\"t\":\"ping\",\"id\":{\"a\":1}}",
        "{\"t\":\"ping\",\"id\":[1]}",
    ];
    for text in raw.map(str::to_owned).into_iter().chain([
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{{\"t\":\"ping\",\"id\":\"{}\"}}", "x".repeat(10_000)),
    ]) {
        socket.send_raw(Message::text(text.clone())).await;
        let answer = socket.next().await;
        assert_eq!((&answer["t"], &answer["id"]), (&json!("error"), &Value::Null), "{text:.80}");
    }
    lives(&mut socket).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_works_like_rest() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (ada, workspace, project) = (&world.person, world.id("workspace_id"), world.id("project_id"));
    let mut socket = Socket::hello(ada).await;
    let input = json!({"project_id": project, "title": "By socket"});
    let frame = json!({"t": "call", "id": 7, "op": "tasks.create", "input": input, "key": "k1"});
    socket.send(frame.clone()).await;
    let made = socket.until("ok").await;
    let task = made["data"]["id"].as_str().expect("it was made");
    assert_eq!(ada.get(&format!("/tasks/{task}")).await, made["data"]);
    let offset = made["offset"].as_u64().expect("a change says where it is");
    let page = ada.get(&format!("/workspaces/{workspace}/events?after={}", offset - 1)).await;
    assert_eq!(
        (&page["events"][0]["offset"], &page["events"][0]["subject"]),
        (&json!(offset), &json!(format!("task:{task}")))
    );
    // The same key through both doors is the same request.
    socket.send(frame).await;
    assert_eq!(socket.until("ok").await["data"], made["data"]);
    let (path, body) = (format!("/projects/{project}/tasks"), json!({"title": "By socket"}));
    let rest = ada.send(reqwest::Method::POST, &path, Some(&body), Some("k1")).await.ok();
    assert_eq!(rest, made["data"]);
    let other = ada.send(reqwest::Method::POST, &path, Some(&json!({"title": "Other"})), Some("k1")).await;
    other.problem("idempotency_key_reused");

    let refused = socket.call("tasks.create", json!({"project_id": project})).await;
    let rest = ada.try_post(&path, json!({})).await.problem("invalid_input");
    assert_eq!(
        (&refused["code"], &refused["message"], &refused["errors"]),
        (&rest["code"], &rest["detail"], &rest["errors"])
    );
    assert!(refused["trace_id"].as_str().is_some_and(|trace| trace.len() == 32));
    let nothing = json!({"task_id": "0190f3c2-7b1e-7000-8000-00000000dead"});
    assert_eq!(socket.call("tasks.get", nothing).await["code"], "not_found");
    assert_eq!(socket.call("auth.me", Value::Null).await["data"]["id"], json!(ada.id));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_at_once_than_allowed_are_refused_and_the_others_answered() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let mut socket = Socket::hello(&ada).await;
    // Passwords are checked a few at a time, so these wait for each other.
    for id in 0..80 {
        let input = json!({"email": format!("nobody{id}@example.org"), "password": "wrong"});
        socket.send(json!({"t": "call", "id": id, "op": "auth.login", "input": input})).await;
    }
    let (mut refused, mut answered) = (0, 0);
    for _ in 0..80 {
        let answer = socket.next().await;
        match answer["code"].as_str() {
            Some("too_many_requests") => refused += 1,
            Some("bad_credentials") => answered += 1,
            _ => panic!("{answer}"),
        }
    }
    assert!(refused > 0 && answered >= 64, "{refused} refused, {answered} answered");
    lives(&mut socket).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_nobody_reads_costs_a_bounded_queue_and_loses_no_answer() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let mut socket = Socket::hello(&ada).await;
    for id in 0..5_000 {
        socket.send(json!({"t": "ping", "id": id})).await;
    }
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 5_000 {
        let pong = socket.next().await;
        assert!(pong["t"] == "pong" && answered.insert(pong["id"].as_u64()), "{pong}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_ends_its_socket_unless_a_fresh_one_is_shown() {
    let node = TestNode::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    let (mut calling, mut watching) = (Socket::hello(&ada).await, Socket::subscribed(&ada, &workspace, Some(0)).await);
    let (mut late, mut renewed) = (Socket::hello(&ada).await, Socket::hello(&ada).await);
    let mut foreign = Socket::hello(&ada).await;
    watching.until("caught_up").await;

    node.advance(TimeDelta::minutes(10));
    renewed.send(json!({"t": "auth", "id": "a", "token": fresh(&node, &ada)})).await;
    assert_eq!(renewed.next().await, json!({"t": "ok", "id": "a", "data": null}));
    foreign.send(json!({"t": "auth", "id": "a", "token": fresh(&node, &ben)})).await;
    assert_eq!(foreign.close_code().await, 4001);

    node.advance(TimeDelta::minutes(10));
    let renamed = renewed.call("workspaces.update", json!({"workspace_id": workspace, "name": "Late"})).await;
    assert_eq!(renamed["t"], "ok");
    assert_eq!(watching.try_next().await, None, "an event after the end of the token");
    calling.send(json!({"t": "call", "id": 1, "op": "auth.me", "input": {}})).await;
    assert_eq!(calling.close_code().await, 4001);
    // Late, but nothing was asked for in between.
    late.send(json!({"t": "auth", "id": "a", "token": fresh(&node, &ada)})).await;
    assert_eq!(late.next().await["t"], "ok");
    lives(&mut late).await;
    let mut old = Socket::open(&node.url).await;
    old.send(json!({"t": "hello", "token": ada.token})).await;
    assert_eq!(old.close_code().await, 4001);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_says_goodbye_and_has_nobody_wait() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let mut watching = Socket::subscribed(&ada, &workspace, None).await;
    watching.until("caught_up").await;
    let mut idle = Socket::hello(&ada).await;
    let _unread = Socket::hello(&ada).await;
    let begun = std::time::Instant::now();
    node.node.stop().await;
    for socket in [&mut watching, &mut idle] {
        let goodbye = socket.next().await;
        assert_eq!((&goodbye["t"], &goodbye["code"]), (&json!("goodbye"), &json!(1012)));
        assert!(goodbye["retry_after_ms"].is_u64() && goodbye["reason"].is_string());
        assert_eq!(socket.close_code().await, 1012);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_actor_that_ends_takes_its_own_socket_along_and_no_other() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let mut doomed = Socket::subscribed(&ada, &workspace, Some(0)).await;
    let watch = node.node.api().services().context().clients.supervisor().expect("the node runs").clone();
    // Who hears live falls asleep at once; who was asked for something else stays awake for a while.
    doomed.until("caught_up").await;
    while !watch.get_children().is_empty() {
        tokio::task::yield_now().await;
    }
    doomed.send(json!({"t": "unsubscribe", "id": 9, "workspace": uuid::Uuid::nil()})).await;
    doomed.until("ok").await;
    let [client] = &watch.get_children()[..] else { panic!("it is awake") };
    let mut other = Socket::subscribed(&ada, &workspace, Some(0)).await;
    client.kill();
    assert_eq!(doomed.close_code().await, 1011);
    ada.project(&workspace, "Moon base").await;
    while other.until("event").await["type"] != "project:created" {}
    lives(&mut other).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_nothing_to_do_sleeps_and_still_hears_and_answers() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let mut socket = Socket::subscribed(&ada, &workspace, Some(0)).await;
    socket.until("caught_up").await;
    let clients = &node.node.api().services().context().clients;
    while !clients.supervisor().expect("the node runs").get_children().is_empty() {
        tokio::task::yield_now().await;
    }
    ada.project(&workspace, "Moon base").await;
    while socket.until("event").await["type"] != "project:created" {}
    socket.send(json!({"t": "unsubscribe", "id": 7, "workspace": workspace})).await;
    assert_eq!(socket.until("ok").await["id"], 7);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_a_client_that_falls_asleep_in_that_moment_is_answered() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let context = node.node.api().services().context().clone();
    let sweeping = tokio::spawn(async move {
        loop {
            context.clients.sweep();
            tokio::task::yield_now().await;
        }
    });
    let mut socket = Socket::hello(&ada).await;
    for round in 0..500 {
        socket.send(json!({"t": "subscribe", "id": round, "workspace": workspace, "after": 0})).await;
        assert_eq!(socket.until("subscribed").await["id"], round);
        socket.until("caught_up").await;
        socket.send(json!({"t": "unsubscribe", "id": round, "workspace": workspace})).await;
        assert_eq!(socket.until("ok").await["id"], round);
    }
    sweeping.abort();
    node.node.stop().await;
}
