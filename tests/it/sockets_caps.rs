//! What one socket may ask for at most: the caps that `welcome` names, each reached and then passed by one.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{node::TestNode, person::Person, socket::Socket};

const NOBODY: &str = "0190f3c2-7b1e-7000-8000-00000000dead";

/// Greets, and returns the caps.
async fn greeted(person: &Person) -> (Socket, Value) {
    let mut socket = Socket::open(&person.url).await;
    socket.send(json!({"t": "hello", "token": person.token})).await;
    let limits = socket.next().await["limits"].clone();
    (socket, limits)
}

fn cap(limits: &Value, name: &str) -> usize {
    limits[name].as_u64().unwrap_or_else(|| panic!("{limits} says nothing about {name}")) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cap_is_documented() {
    let node = TestNode::start().await;
    let (_, limits) = greeted(&Person::register(&node.url, "Ada").await).await;
    let page = include_str!("../../docs/protocol.md");
    for (name, most) in limits.as_object().expect("they have names") {
        assert!(
            page.contains(&format!("| `{name}` | {most} |")),
            "docs/protocol.md does not say that {name} is {most}"
        );
    }
    node.node.stop().await;
}

/// A ping with something more in it.
fn ping(more: Value) -> Value {
    json!({"t": "ping", "id": 1, "more": more})
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_be_as_long_deep_and_full_as_the_caps_say_and_no_more() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let (mut socket, limits) = greeted(&ada).await;
    let padded = |bytes: usize| ping(json!("x".repeat(bytes - ping(json!("")).to_string().len())));
    let (bytes, depth, values) = (cap(&limits, "frame_bytes"), cap(&limits, "depth"), cap(&limits, "values"));
    // The map around it is a level, and it and its other two values count.
    let fits = [padded(bytes), ping(nested(depth - 1)), ping(json!(vec![0; values - 4]))];
    for frame in fits {
        socket.send(frame).await;
        assert_eq!(socket.next().await, json!({"t": "pong", "id": 1}));
    }
    for frame in [ping(nested(depth)), ping(json!(vec![0; values - 3]))] {
        socket.send(frame).await;
        let answer = socket.next().await;
        assert_eq!((&answer["t"], &answer["code"]), (&json!("error"), &json!("malformed")), "{answer}");
    }
    socket.send(padded(bytes + 1)).await;
    assert_eq!(socket.close_code().await, 4000);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_has_as_many_topics_and_subscriptions_as_the_caps_say_and_no_more() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let (mut socket, limits) = greeted(&ada).await;
    let (topics, subscriptions) = (cap(&limits, "topics"), cap(&limits, "subscriptions"));
    let workspace = ada.workspace("Lab").await;
    for topic in [format!("task:{NOBODY}"), "*".into()] {
        let many = socket.subscribe(&workspace, json!(vec![&topic; topics + 1]), None).await;
        assert_eq!((&many["t"], &many["code"]), (&json!("error"), &json!("invalid_input")), "{many}");
        assert_eq!(socket.subscribe(&workspace, json!(vec![&topic; topics]), None).await["t"], "subscribed");
        socket.until("caught_up").await;
    }
    let mut others = vec![];
    for n in 0..subscriptions {
        others.push(ada.workspace(&format!("Lab {n}")).await);
    }
    let last = others.pop().expect("there are some");
    for other in &others {
        assert_eq!(socket.subscribe(other, json!(["*"]), None).await["t"], "subscribed");
        socket.until("caught_up").await;
    }
    let refused = socket.subscribe(&last, json!(["*"]), None).await;
    assert_eq!((&refused["t"], &refused["code"]), (&json!("error"), &json!("too_many_requests")), "{refused}");
    // One that there is may be asked for again, and one that is given back makes room.
    assert_eq!(socket.subscribe(&workspace, json!(["*"]), None).await["t"], "subscribed");
    socket.until("caught_up").await;
    socket.send(json!({"t": "unsubscribe", "id": 2, "workspace": workspace})).await;
    assert_eq!(socket.until("ok").await["id"], 2);
    assert_eq!(socket.subscribe(&last, json!(["*"]), None).await["t"], "subscribed");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_has_as_many_calls_under_way_as_the_cap_says_and_no_more() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let (mut socket, limits) = greeted(&ada).await;
    let calls = cap(&limits, "calls");
    // While the table is locked no call gets past the question whether the caller is a member.
    let mut database = PgConnection::connect(&node.database).await.expect("the database runs");
    let mut lock = database.begin().await.expect("it takes a transaction");
    sqlx::query("LOCK TABLE workspace_members").execute(&mut *lock).await.expect("nobody else locks it");
    for id in 0..=calls {
        socket.send(json!({"t": "call", "id": id, "op": "workspaces.get", "input": {"workspace_id": workspace}})).await;
    }
    let refused = socket.next().await;
    assert_eq!((&refused["id"], &refused["code"]), (&json!(calls), &json!("too_many_requests")), "{refused}");
    lock.rollback().await.expect("the lock is given back");
    let mut answered = vec![];
    for _ in 0..calls {
        let answer = socket.next().await;
        assert_eq!(answer["t"], "ok", "{answer}");
        answered.extend(answer["id"].as_u64());
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..calls as u64).collect::<Vec<_>>());
    node.node.stop().await;
}
