//! What one socket may take of a node, and what everybody else notices of it: nothing.

use futures::{SinkExt, StreamExt};
use link::{domain::ids::WorkspaceId, persistence::log};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::{
    node::{TestNode, TestProcess},
    person::{PATIENCE, Person, id},
    socket::Socket,
    talk::{head, offset, people, read_to, say_many},
};

/// Posts so many messages of so many characters.
async fn fill(ada: &Person, workspace: &str, messages: usize, length: usize) {
    let make = json!({"type": "channel", "title": "Hall"});
    let hall = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), make).await);
    for nth in 0..messages {
        let words = format!("{nth} {}", "x".repeat(length));
        let body = json!({"parts": [{"type": "text", "text": words}]});
        ada.post(&format!("/conversations/{hall}/messages"), body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_client_that_reads_no_answer_keep_nobody_from_the_database() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    fill(&ada, &workspace, 30, 60_000).await;
    let mut greedy = Socket::hello(&ada).await;
    for nth in 0..64 {
        let input = json!({"workspace_id": workspace, "limit": 200});
        greedy.send(json!({"t": "call", "id": nth, "op": "workspaces.events", "input": input})).await;
    }
    // More than there are connections, one after the other while the answers wait.
    for _ in 0..40 {
        ada.get(&format!("/workspaces/{workspace}")).await;
    }
    let mut answered = vec![];
    while answered.len() < 64 {
        let answer = greedy.until("ok").await;
        answered.push(answer["id"].as_u64().expect("it is the call's"));
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..64).collect::<Vec<_>>(), "who reads gets every answer, once");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_only_pings_and_reads_nothing_is_shown_out() {
    let node = TestNode::start().await;
    let (mut socket, _) = connect_async(format!("{}/ws", node.url.replacen("http", "ws", 1))).await.expect("it opens");
    let mut sent = 0;
    while sent < 3_000_000 && socket.feed(Message::Ping(Default::default())).await.is_ok() {
        sent += 1;
    }
    let _ = socket.flush().await;
    let mut code = None;
    while let Some(Ok(frame)) = socket.next().await {
        if let Message::Close(Some(close)) = frame {
            code = Some(u16::from(close.code));
        }
    }
    assert!(code.is_none_or(|code| code == 4001), "{code:?}");
    assert!(sent < 3_000_000, "it was let go on");
    // Whoever has something to say is heard.
    let ada = Person::register(&node.url, "Ada").await;
    Socket::hello(&ada).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_absence_is_read_in_pieces_of_bounded_weight_and_misses_nothing() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    fill(&ada, &workspace, 40, 60_000).await;
    let of: WorkspaceId = workspace.parse().expect("it is an id");
    let whole = log::page(node.pool(), of, 0, 500).await.expect("it can be read");
    let piece = log::piece(node.pool(), of, 0, 500, 200_000).await.expect("it can be read");
    assert!((1..10).contains(&(whole.len() / piece.len())) && piece.len() < whole.len() / 4, "{} events", piece.len());
    assert_eq!(piece, whole[..piece.len()]);
    let one = log::piece(node.pool(), of, piece.len() as u64, 500, 1).await.expect("it can be read");
    assert_eq!(one, whole[piece.len()..=piece.len()], "one at least");

    let node = node.restart().await;
    let ada = Person { url: node.url.clone(), ..ada };
    let mut sockets = vec![];
    for _ in 0..5 {
        sockets.push(Socket::subscribed(&ada, &workspace, Some(0)).await);
    }
    for mut socket in sockets {
        let mut offsets: Vec<u64> = vec![];
        loop {
            let frame: Value = socket.next().await;
            match frame["t"].as_str() {
                Some("event") => offsets.push(frame["offset"].as_u64().expect("it has one")),
                Some("caught_up") => break,
                _ => {}
            }
        }
        assert_eq!(offsets, (1..=whole.len() as u64).collect::<Vec<_>>());
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_cut_disturbs_nobody_and_resumes_exactly() {
    // Another process, whose count is of this test's sockets only.
    let node = TestProcess::with(&[("LINK_RATE_READS", "0"), ("LINK_RATE_WRITES", "0")]).await;
    let (ada, ben, workspace, room) = people(&node.url).await;
    let too_slow = async || {
        let metrics = ada.http.get(format!("{}/metrics", node.url)).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with("link_clients_too_slow_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let mut slow = Socket::subscribed(&ben, &workspace, Some(0)).await;
    let mut quick = Socket::subscribed(&ada, &workspace, Some(0)).await;
    let reading = tokio::spawn(async move {
        let mut seen = vec![];
        while seen.len() < 405 {
            seen.push(offset(&quick.until("event").await));
        }
        seen
    });
    // More than the buffers between the two take.
    let (count, words) = (402, "x".repeat(60_000));
    say_many(&ada, &room, count, &words).await;
    let last = head(&ada, &workspace).await;
    assert_eq!(last, 405);
    let seen = tokio::time::timeout(PATIENCE, reading).await.expect("the quick one is not held up").unwrap();
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
    let begun = tokio::time::Instant::now();
    while too_slow().await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the slow one was never cut");
        ada.get("/auth/me").await;
    }
    let mut seen = vec![];
    let code = loop {
        match slow.next_or_code().await {
            Ok(frame) if frame["t"] == "event" => seen.push(offset(&frame)),
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert!(code.is_none_or(|code| code == 4008), "{code:?}");
    assert!(seen.len() < 405, "it was cut");
    let mut again = Socket::subscribed(&ben, &workspace, Some(seen.last().copied().unwrap_or(0))).await;
    seen.extend(read_to(&mut again, last).await);
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}
