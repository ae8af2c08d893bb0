//! Agents that flood, do not read, or send what makes no sense: each is bounded, and nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    peer::Scene,
    support::{
        peer::{DOOR, Peer},
        person::{Person, http, id},
        raw::{Frame, Raw},
        socket::Socket,
    },
};

/// What no agent should send; each is answered with an error, and the connection goes on.
fn senseless() -> Vec<Value> {
    vec![
        json!(null),
        json!([]),
        json!("hello"),
        json!({}),
        json!({"t": 1}),
        json!({"t": "hello", "token": "x"}),
        json!({"t": "progress"}),
        json!({"t": "progress", "attempt": "x", "fence": 1}),
        json!({"t": "progress", "attempt": "00000000-0000-0000-0000-000000000001", "fence": -1}),
        json!({"t": "progress", "attempt": "00000000-0000-0000-0000-000000000001", "fence": 1.5}),
        json!({"t": "progress", "attempt": "00000000-0000-0000-0000-000000000001", "fence": 1, "seq": 0}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_answered_with_an_error_and_its_number_is_passed_over() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    for frame in senseless() {
        peer.socket.send(frame.clone()).await;
        let error = peer.until("error").await;
        assert_eq!(error["code"], "invalid_input", "{frame}: {error:#}");
    }
    for (text, code) in [("{", "malformed"), ("{\"t\":\"\\u0000\"}", "malformed"), (&"[".repeat(100), "malformed")] {
        peer.socket.send_raw(tokio_tungstenite::tungstenite::Message::text(text)).await;
        assert_eq!(peer.until("error").await["code"], code, "{text}");
    }
    let delegation = scene.delegate("Make sense").await;
    let attempt = peer.assigned().await["attempt"].clone();
    let wrong = [
        json!({"t": "dance"}),
        json!({"t": "progress", "percent": "half"}),
        json!({"t": "output"}),
        json!({"t": "artifact", "name": 7}),
        json!({"t": "artifact", "name": "big.txt", "content": "x".repeat(256 * 1024 + 1)}),
        json!({"t": "interrupt", "interrupt": "q", "kind": "riddle", "prompt": "?"}),
        json!({"t": "usage", "input_tokens": -1}),
    ];
    for (nth, frame) in wrong.into_iter().enumerate() {
        peer.say(&attempt, frame.clone()).await;
        let error = peer.until("error").await;
        assert_eq!((&error["attempt"], error["seq"].as_u64()), (&attempt, Some(nth as u64 + 1)), "{frame:.80}");
    }
    let odd = [
        json!({"t": "progress", "percent": 1e300, "phase": ""}),
        json!({"t": "progress", "percent": -5}),
        json!({"t": "tool", "tool": "x".repeat(100_000)}),
        json!({"t": "artifact", "kind": "", "name": "", "content": "just fits".repeat(1000)}),
        json!({"t": "usage", "input_tokens": u64::MAX, "cost_usd": 1e308}),
        json!({"t": "submitted", "text": "sense"}),
    ];
    for frame in odd {
        peer.say(&attempt, frame).await;
    }
    peer.acknowledged(&attempt, 13).await;
    assert_eq!(scene.ada.until_delegation(&delegation, &["reviewing"]).await["output"], "sense");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_breaks_the_protocol_ends_the_connection_with_its_code() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    peer.socket.send_raw(tokio_tungstenite::tungstenite::Message::text(" ".repeat((1 << 20) + 1))).await;
    assert_eq!(peer.socket.close_code().await, 4000);
    let mut peer = scene.connect().await;
    peer.socket.send_raw(tokio_tungstenite::tungstenite::Message::binary(vec![0x80])).await;
    assert_eq!(peer.socket.close_code().await, 4000);
    let mut quiet = Socket::at(&scene.node.url, DOOR).await;
    assert_eq!(quiet.close_code().await, 4001, "an agent says hello in time");
    let no_handshake = http().get(format!("{}{DOOR}", scene.node.url)).send().await.expect("it answers");
    assert_eq!(no_handshake.status().as_u16(), 400);
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_knows_nothing_of_other_tenants_and_other_agents_work() {
    let scene = Scene::start().await;
    let mut victim = scene.connect().await;
    let delegation = scene.delegate("Keep a secret").await;
    let assign = victim.assigned().await;
    let eve = Person::register(&scene.node.url, "Eve").await;
    let lair = eve.workspace("Lair").await;
    let (_, foreign) = eve.peer(&lair, "Spy").await;
    let (_, colleague) = scene.ada.peer(&scene.workspace, "Colleague").await;
    for key in [foreign, colleague] {
        let running = json!([{"attempt": assign["attempt"], "fence": assign["fence"]}]);
        let mut spy = Peer::with(&scene.node.url, json!({"token": key, "running": running})).await;
        let known = spy.until("cancel").await;
        let stolen = json!({"t": "submitted", "text": "stolen", "seq": 1,
            "attempt": assign["attempt"], "fence": assign["fence"]});
        spy.socket.send(stolen).await;
        let stopped = spy.until("cancel").await;
        let mut made_up = json!({"t": "submitted", "text": "x", "seq": 1, "fence": assign["fence"]});
        made_up["attempt"] = json!("00000000-0000-4000-8000-000000000001");
        spy.socket.send(made_up).await;
        let unknown = spy.until("cancel").await;
        for answer in [known, stopped, unknown] {
            assert_eq!(answer["reason"], "not_held", "what exists looks like what does not");
        }
    }
    victim.say(&assign["attempt"], json!({"t": "submitted", "text": "kept"})).await;
    assert_eq!(scene.ada.until_delegation(&delegation, &["reviewing"]).await["output"], "kept");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_at_most_ten_times_a_second_and_never_falls() {
    let scene = Scene::start().await;
    let mut peer = scene.connect().await;
    scene.delegate("Hurry").await;
    let attempt = peer.assigned().await["attempt"].clone();
    let begun = std::time::Instant::now();
    for n in 0..400 {
        let percent = if n % 10 == 9 { 0 } else { n / 4 };
        let progress = json!({"t": "progress", "percent": percent, "phase": format!("phase {n}")});
        peer.say(&attempt, progress).await;
    }
    peer.say(&attempt, json!({"t": "submitted", "text": "hurried"})).await;
    peer.acknowledged(&attempt, 401).await;
    let seconds = begun.elapsed().as_secs_f64();
    let told = scene.events("task:progress").await;
    assert!(told.len() as f64 <= seconds * 10.0 + 2.0, "{} in {seconds} s", told.len());
    let percents: Vec<u64> = told.iter().map(|event| event["percent"].as_u64().expect("it is known")).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&99), "the last word is told");
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_taken_in_turn_and_slows_nobody_else_down() {
    let scene = Scene::start().await;
    let mut flooding = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "flooding"})).await;
    scene.delegate("Flood").await;
    let attempt = flooding.assigned().await["attempt"].clone();
    let (agent, key) = scene.ada.peer(&scene.workspace, "Calm").await;
    let mut calm = Peer::connect(&scene.node.url, &key).await;
    for n in 0..1_500 {
        let frame = flooding.note(&attempt, json!({"t": "output", "text": format!("{n} ")}));
        assert!(flooding.socket.try_send(frame).await);
    }
    let task = scene.ada.task(&scene.project, "Stay calm").await;
    let delegation = scene.ada.delegate(&task, &agent).await;
    let other = calm.assigned().await["attempt"].clone();
    calm.say(&other, json!({"t": "submitted", "text": "calm"})).await;
    scene.ada.until_delegation(&delegation, &["reviewing"]).await;
    flooding.acknowledged(&attempt, 1_500).await;
    flooding.say(&attempt, json!({"t": "submitted", "text": "flooded"})).await;
    flooding.acknowledged(&attempt, 1_501).await;
    scene.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_read_is_cut_off_and_its_work_goes_to_another() {
    let scene = Scene::start().await;
    let mut deaf = Raw::narrow(&scene.node.url, DOOR).await;
    let hello = json!({"t": "hello", "token": scene.key, "name": "deaf", "capacity": 64});
    deaf.write(&Frame::says(&hello).bytes()).await.expect("the node reads");
    scene.until_agent("it is connected", |agent| agent["instances"][0]["healthy"] == true).await;
    for n in 0..32 {
        let body = json!({"title": format!("Read {n}"), "description": "🐧".repeat(60_000)});
        let task = id(&scene.ada.post(&format!("/projects/{}/tasks", scene.project), body).await);
        scene.ada.delegate(&task, &scene.agent).await;
    }
    let alive = tokio::spawn(async move {
        while deaf.write(&Frame::says(&json!({"t": "heartbeat"})).bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    scene.until_agent("it gets no more work", |agent| agent["instances"][0]["healthy"] == false).await;
    alive.await.expect("its connection is cut");
    let mut other = Peer::with(&scene.node.url, json!({"token": scene.key, "name": "other", "capacity": 64})).await;
    for _ in 0..32 {
        let attempt = other.assigned().await["attempt"].clone();
        other.say(&attempt, json!({"t": "submitted", "text": "read"})).await;
    }
    scene.node.node.stop().await;
}
