//! Subscriptions over tRPC: as server-sent events and on a socket, with the promises of the log.

use chrono::TimeDelta;
use futures::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    person::Person,
    trpc::{Lab, Socket, Sse, lab},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_replays_goes_on_live_and_resumes_after_the_last_id_without_gap_or_repetition() {
    let lab = lab().await;
    let head = lab.head().await;
    let mut events = Sse::open(&lab.ada, &lab.wanted(Some(0)), None).await;
    assert_eq!(events.to(head).await, (1..=head).collect::<Vec<_>>());
    lab.ada.task(&lab.project, "Live").await;
    let (offset, event) = events.next().await;
    assert_eq!(
        (offset, &event["type"], &event["workspace"]),
        (head + 1, &json!("task:created"), &json!(lab.workspace))
    );
    assert!(event.get("t").is_none());
    drop(events);
    lab.ada.task(&lab.project, "Missed").await;
    let end = lab.head().await;
    let last = offset.to_string();
    let mut by_header = Sse::open(&lab.ada, &lab.wanted(Some(0)), Some(&last)).await;
    assert_eq!(by_header.to(end).await, (offset + 1..=end).collect::<Vec<_>>());
    let mut input = lab.wanted(None);
    input["lastEventId"] = json!(last);
    let mut by_input = Sse::open(&lab.ada, &input, None).await;
    assert_eq!(by_input.to(end).await, (offset + 1..=end).collect::<Vec<_>>());
    // The stream of a node that stops ends without a word: come again.
    lab.node.node.stop().await;
    while let Some(event) = by_input.any().await {
        assert_eq!(event.event, "ping");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_lets_through_what_is_about_it() {
    let lab = lab().await;
    let task = lab.ada.task(&lab.project, "Mine").await;
    let input = json!({"workspace_id": lab.workspace, "topics": [format!("task:{task}")], "after": 0});
    let mut events = Sse::open(&lab.ada, &input, None).await;
    let (_, created) = events.next().await;
    assert_eq!((&created["type"], &created["subject"]), (&json!("task:created"), &json!(format!("task:{task}"))));
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_said_as_an_error_and_ends_the_stream() {
    let lab = lab().await;
    let ben = Person::register(&lab.node.url, "Ben").await;
    let nobody = Person { token: "bad".into(), ..ben.clone() };
    let good = lab.wanted(None);
    for (person, path, input, key) in [
        (&ben, "workspaces.events", good.clone(), "NOT_FOUND"),
        (&nobody, "workspaces.events", good.clone(), "UNAUTHORIZED"),
        (&lab.ada, "projects.list", json!({"workspace_id": lab.workspace}), "NOT_FOUND"),
        (&lab.ada, "workspaces.events", json!({"workspace_id": "none"}), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", json!({"workspace_id": lab.workspace, "topics": ["x"]}), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", json!({"workspace_id": lab.workspace, "lastEventId": "x"}), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", json!({"workspace_id": lab.workspace, "surprise": 1}), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", json!(7), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", lab.wanted(Some(1_000_000)), "BAD_REQUEST"),
        (&lab.ada, "workspaces.events", lab.wanted(Some(u64::MAX)), "BAD_REQUEST"),
    ] {
        let error = Sse::at(person, path, &input, None).await.error().await;
        assert_eq!(error["data"]["code"], key, "{input}: {error:#}");
        assert!(error["data"]["problem"]["next_actions"].is_array(), "{error:#}");
    }
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_was_removed_and_a_token_that_ended_hear_nothing_that_came_after() {
    let lab = lab().await;
    let ben = Person::register(&lab.node.url, "Ben").await;
    lab.ada.invite(&lab.workspace, &ben, "member").await;
    let head = lab.head().await;
    let mut of_ben = Sse::open(&ben, &lab.wanted(Some(head - 1)), None).await;
    let mut socket = Socket::open(&ben, None).await;
    assert_eq!(socket.subscribe(1, &lab.wanted(Some(head - 1)), None).await["result"]["type"], "started");
    assert_eq!((of_ben.next().await.0, socket.event(1).await), (head, head));
    let removed = format!("/workspaces/{}/members/{}", lab.workspace, ben.id);
    lab.ada.send(reqwest::Method::DELETE, &removed, None, None).await.ok();
    lab.ada.task(&lab.project, "Secret").await;
    // The removal itself is the last thing they hear.
    assert_eq!((of_ben.next().await.0, socket.event(1).await), (head + 1, head + 1));
    assert_eq!(of_ben.error().await["data"]["code"], "FORBIDDEN");
    assert_eq!(socket.next().await["error"]["data"]["code"], "FORBIDDEN");

    let head = lab.head().await;
    let mut of_ada = Sse::open(&lab.ada, &lab.wanted(Some(head - 1)), None).await;
    let mut socket = Socket::open(&lab.ada, None).await;
    assert_eq!(socket.subscribe(1, &lab.wanted(Some(head - 1)), None).await["result"]["type"], "started");
    assert_eq!((of_ada.next().await.0, socket.event(1).await), (head, head));
    lab.node.advance(TimeDelta::minutes(20));
    let fresh = Person { token: fresh(&lab), ..lab.ada.clone() };
    fresh.task(&lab.project, "Late").await;
    assert_eq!(of_ada.error().await["data"]["code"], "UNAUTHORIZED");
    assert_eq!(socket.next().await["error"]["data"]["code"], "UNAUTHORIZED");
    socket.call(2, "query", "auth.me", Value::Null).await;
    assert_eq!(socket.next().await["error"]["data"]["code"], "UNAUTHORIZED");
    lab.node.node.stop().await;
}

fn fresh(lab: &Lab) -> String {
    let services = lab.node.node.api().services();
    let user = lab.ada.id.parse().expect("it is an id");
    let clock = &services.context().clock;
    services.keys.access(user, clock.id(), clock.id(), clock.now()).expect("the key signs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_calls_subscribes_resumes_and_stops() {
    let lab = lab().await;
    let mut socket = Socket::open(&lab.ada, Some(json!({"authorization": format!("Bearer {}", lab.ada.token)}))).await;
    socket.say("PING").await;
    assert_eq!(socket.any().await.as_deref(), Ok("PONG"));
    socket.call(1, "query", "auth.me", Value::Null).await;
    let me = socket.next().await;
    assert_eq!(
        (&me["id"], &me["result"]["type"], &me["result"]["data"]["id"]),
        (&json!(1), &json!("data"), &json!(lab.ada.id))
    );
    let task = json!({"project_id": lab.project, "title": "By socket", "key": "k"});
    socket.call(2, "mutation", "tasks.create", task.clone()).await;
    socket.call(3, "mutation", "tasks.create", task).await;
    let (one, two) = (socket.next().await, socket.next().await);
    assert_eq!(one["result"]["data"]["id"], two["result"]["data"]["id"]);

    let head = lab.head().await;
    assert_eq!(socket.subscribe(4, &lab.wanted(Some(0)), None).await, json!({"id": 4, "result": {"type": "started"}}));
    for offset in 1..=head {
        assert_eq!(socket.event(4).await, offset);
    }
    let again = socket.subscribe(4, &lab.wanted(None), None).await;
    assert_eq!(again["error"]["data"]["code"], "BAD_REQUEST");
    lab.ada.task(&lab.project, "Live").await;
    assert_eq!(socket.event(4).await, head + 1);
    socket.send(json!({"id": 4, "method": "subscription.stop"})).await;
    assert_eq!(socket.next().await, json!({"id": 4, "result": {"type": "stopped"}}));
    lab.ada.task(&lab.project, "Unheard").await;
    let end = lab.head().await;
    let last = (head + 1).to_string();
    assert_eq!(socket.subscribe(5, &lab.wanted(Some(0)), Some(&last)).await["result"]["type"], "started");
    for offset in head + 2..=end {
        assert_eq!(socket.event(5).await, offset);
    }
    lab.node.node.stop().await;
    assert_eq!(socket.next().await, json!({"id": null, "method": "reconnect"}));
    assert_eq!(socket.any().await, Err(Some(1012)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_cannot_follow_is_answered_and_the_socket_lives_on() {
    let lab = lab().await;
    let mut socket = Socket::open(&lab.ada, None).await;
    for (message, id, key) in [
        (json!({"id": 1, "method": "query", "params": {"path": "no.such"}}), json!(1), "NOT_FOUND"),
        (
            json!({"id": 2, "method": "query", "params": {"path": "workspaces.create"}}),
            json!(2),
            "METHOD_NOT_SUPPORTED",
        ),
        (json!({"id": 3, "method": "subscription", "params": {"path": "auth.me"}}), json!(3), "NOT_FOUND"),
        (json!({"id": 4, "method": "dance", "params": {"path": "auth.me"}}), json!(4), "BAD_REQUEST"),
        (json!({"id": null, "method": "query", "params": {"path": "auth.me"}}), Value::Null, "BAD_REQUEST"),
        (json!({"id": "x".repeat(500), "method": "query", "params": {"path": "auth.me"}}), Value::Null, "BAD_REQUEST"),
        (
            json!({"id": 5, "method": "query", "params": {"path": "workspaces.get", "input": {"workspace_id": "x"}}}),
            json!(5),
            "BAD_REQUEST",
        ),
        (json!(vec![json!({}); 51]), Value::Null, "BAD_REQUEST"),
    ] {
        socket.send(message.clone()).await;
        let answer = socket.next().await;
        assert_eq!((&answer["id"], &answer["error"]["data"]["code"]), (&id, &json!(key)), "{message}");
        assert!(answer["error"]["data"]["problem"]["trace_id"].as_str().is_some_and(|trace| trace.len() == 32));
    }
    socket.say("{").await;
    assert_eq!(socket.next().await["error"]["data"]["code"], "PARSE_ERROR");
    let ask = |id: u64| json!({"id": id, "method": "query", "params": {"path": "auth.me"}});
    socket.send(json!([ask(6), ask(7)])).await;
    let mut ids = [socket.next().await["id"].clone(), socket.next().await["id"].clone()];
    ids.sort_by_key(Value::as_u64);
    assert_eq!(ids, [json!(6), json!(7)]);
    socket.send(json!({"id": 99, "method": "subscription.stop"})).await;
    for id in 100..132 {
        assert_eq!(socket.subscribe(id, &lab.wanted(None), None).await["result"]["type"], "started");
    }
    assert_eq!(socket.subscribe(132, &lab.wanted(None), None).await["error"]["data"]["code"], "TOO_MANY_REQUESTS");
    let _ = socket.0.send(Message::binary(vec![1u8])).await;
    assert_eq!(socket.any().await, Err(Some(4000)));
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_nobody_is_served_what_is_public_and_an_announced_hello_is_waited_for() {
    let lab = lab().await;
    let silent = Socket::bare(&lab.node.url, "?connectionParams=1").await;
    let mut wrong = Socket::bare(&lab.node.url, "?connectionParams=1").await;
    wrong.call(1, "query", "auth.me", Value::Null).await;
    assert_eq!(wrong.next().await["error"]["data"]["code"], "BAD_REQUEST");
    assert_eq!(wrong.any().await, Err(Some(4000)));
    for params in [Value::Null, json!({"token": "bad"})] {
        let mut nobody = Socket::bare(&lab.node.url, "?connectionParams=1").await;
        nobody.send(json!({"method": "connectionParams", "data": params})).await;
        nobody.call(1, "query", "auth.me", Value::Null).await;
        assert_eq!(nobody.next().await["error"]["data"]["code"], "UNAUTHORIZED");
        assert_eq!(nobody.subscribe(2, &lab.wanted(None), None).await["error"]["data"]["code"], "UNAUTHORIZED");
        nobody.call(3, "mutation", "auth.login", json!({"email": "no@example.org", "password": "wrong horse"})).await;
        assert_eq!(nobody.next().await["error"]["data"]["problem"]["code"], "bad_credentials");
    }
    let mut silent = silent;
    assert_eq!(silent.any().await, Err(Some(4001)));
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_lags_disturbs_nobody_and_misses_nothing() {
    let lab = lab().await;
    let room = json!({"type": "channel", "title": "Hall"});
    let room = lab.ada.post(&format!("/workspaces/{}/conversations", lab.workspace), room).await;
    let messages = format!("/conversations/{}/messages", room["id"].as_str().unwrap());
    let head = lab.head().await;
    let mut stuck = Socket::open(&lab.ada, None).await;
    assert_eq!(stuck.subscribe(1, &lab.wanted(Some(head)), None).await["result"]["type"], "started");
    let mut lively = Sse::open(&lab.ada, &lab.wanted(Some(head)), None).await;
    let words = json!({"parts": [{"type": "text", "text": "x".repeat(60_000)}]});
    let count = 400;
    let talk = async {
        for _ in 0..count {
            lab.ada.post(&messages, words.clone()).await;
        }
    };
    let (_, seen) = tokio::join!(talk, lively.to(head + count));
    assert_eq!(seen, (head + 1..=head + count).collect::<Vec<_>>());
    // The one that lags reads what was on its way; where it was cut for it, it goes on from there.
    let mut last = head;
    while last < head + count {
        let Ok(text) = stuck.any().await else { break };
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["result"]["id"], (last + 1).to_string());
        last += 1;
    }
    let mut again = Socket::open(&lab.ada, None).await;
    if last < head + count {
        assert_eq!(again.subscribe(1, &lab.wanted(None), Some(&last.to_string())).await["result"]["type"], "started");
        for offset in last + 1..=head + count {
            assert_eq!(again.event(1).await, offset);
        }
    }
    lab.node.node.stop().await;
}
