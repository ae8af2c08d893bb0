//! How subscriptions over tRPC end before their readers want it: a login that is ended, and a reader that does not read.

use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestProcess,
    person::{PATIENCE, Person, http, id},
    raw::Raw,
    trpc::{Lab, Socket, Sse, escaped, lab},
};

/// A stream and a socket of the same person, both live.
async fn both(lab: &Lab, person: &Person) -> (Sse, Socket) {
    let head = lab.head().await;
    let mut events = Sse::open(person, &lab.wanted(Some(head - 1)), None).await;
    let mut socket = Socket::open(person, None).await;
    assert_eq!(socket.subscribe(1, &lab.wanted(Some(head - 1)), None).await["result"]["type"], "started");
    assert_eq!((events.next().await.0, socket.event(1).await), (head, head));
    (events, socket)
}

/// Checks that both end without an event.
async fn end_unheard(lab: &Lab, (mut events, mut socket): (Sse, Socket)) {
    lab.ada.task(&lab.project, "Secret").await;
    assert_eq!(events.error().await["data"]["code"], "UNAUTHORIZED");
    // The subscription is told, or the socket is closed at once: whichever hears of it first.
    let end = match socket.any().await {
        Ok(said) => {
            let said: Value = serde_json::from_str(&said).expect("messages are JSON");
            assert_eq!(said["error"]["data"]["code"], "UNAUTHORIZED", "{said:#}");
            socket.any().await
        }
        Err(code) => Err(code),
    };
    assert_eq!(end, Err(Some(4001)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_ended_hears_nothing_that_was_committed_afterwards() {
    let lab = lab().await;
    let ben = Person::register(&lab.node.url, "Ben").await;
    lab.ada.invite(&lab.workspace, &ben, "member").await;
    let other = ben.login().await;
    let (mut kept, _socket) = both(&lab, &other).await;

    let ended = both(&lab, &ben).await;
    ben.post("/auth/logout", json!({"refresh_token": ben.refresh_token})).await;
    end_unheard(&lab, ended).await;
    // The other login is another one.
    let head = lab.head().await;
    assert_eq!(kept.next().await.0, head);

    let ended = both(&lab, &other).await;
    other.post("/auth/logout_everywhere", json!({})).await;
    end_unheard(&lab, ended).await;
    assert_eq!(kept.error().await["data"]["code"], "UNAUTHORIZED");
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_was_revoked_hears_nothing_that_was_committed_afterwards() {
    let lab = lab().await;
    let made = lab.ada.post("/auth/api_keys", json!({"name": "Watcher", "scopes": ["read"]})).await;
    let token = made["key"].as_str().expect("it is shown once").to_owned();
    let ended = both(&lab, &Person { token, ..lab.ada.clone() }).await;
    lab.ada.send(Method::DELETE, &format!("/auth/api_keys/{}", id(&made)), None, None).await.ok();
    end_unheard(&lab, ended).await;
    lab.node.node.stop().await;
}

async fn metric(url: &str, name: &str) -> f64 {
    let page = http().get(format!("{url}/metrics")).send().await.expect("it answers").text().await.expect("it is text");
    let line = page.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// A stream that is asked for and not read.
async fn unread(ada: &Person, input: &Value) -> Raw {
    let mut raw = Raw::connect(&ada.url).await;
    let (input, token) = (escaped(&input.to_string()), &ada.token);
    let head = format!(
        "GET /trpc/workspaces.events?input={input} HTTP/1.1\r\nhost: link\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
    );
    raw.write(head.as_bytes()).await.expect("the node reads");
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_hardly_read_is_cut_and_costs_others_nothing() {
    // A process of its own: its clients are those of this test.
    let process = TestProcess::start().await;
    let ada = Person::register(&process.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let room = json!({"type": "channel", "title": "Hall"});
    let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), room).await);
    let head = ada.log(&workspace).await.len() as u64;
    let wanted = json!({"workspace_id": workspace, "after": head});
    let mut idle = unread(&ada, &wanted).await;
    let mut lively = Sse::open(&ada, &wanted, None).await;
    // More than a connection's buffers and the places of an outbox take.
    let words = json!({"parts": [{"type": "text", "text": "x".repeat(20_000)}]});
    let (count, messages) = (2_000, format!("/conversations/{room}/messages"));
    let talk = stream::iter(0..count).map(async |_| drop(ada.post(&messages, words.clone()).await));
    let (_, seen) = tokio::join!(talk.buffer_unordered(8).count(), lively.to(head + count));
    assert_eq!(seen, (head + 1..=head + count).collect::<Vec<_>>());

    // The lively one stays, and nobody else.
    let begun = tokio::time::Instant::now();
    while metric(&process.url, "link_clients_connected").await > 1.0 {
        assert!(begun.elapsed() < PATIENCE, "it was never cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
        // It lives, and reads far too slowly.
        idle.sip().await;
    }
    ada.post(&messages, json!({"parts": [{"type": "text", "text": "too late"}]})).await;
    assert_eq!(lively.next().await.0, head + count + 1);
    let heard = idle.rest().await;
    assert!(!String::from_utf8_lossy(&heard).contains("too late"), "it was not cut");
    // Whoever was cut goes on from where they were.
    let mut again = Sse::open(&ada, &wanted, None).await;
    assert_eq!(again.to(head + count + 1).await, (head + 1..=head + count + 1).collect::<Vec<_>>());
}
