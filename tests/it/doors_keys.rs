//! A repeated request with the same key is harmless, at every operation that changes something.

use futures::future::join_all;
use link::api::{Kind, Operation, table};
use serde_json::{Map, Value, json};

use crate::support::{
    matrix::{Hit, Shape, Shot, World},
    node::TestNode,
    person::http,
};

const AT_ONCE: usize = 16;

/// The same request in its meaning, with one other value.
fn another(world: &World, operation: &Operation) -> Option<Map<String, Value>> {
    let mut input = world.input(operation);
    let in_body = |field: &&str| !operation.path_fields().any(|known| known == *field);
    let fields = Shape::of(operation).fields;
    let others = [
        ("name", json!("Another name")),
        ("title", json!("Another title")),
        ("role", json!("guest")),
        ("to", json!("cancelled")),
        ("status", json!("cancelled")),
        ("type", json!("review")),
        ("answer", json!("red")),
        ("verdict", json!("reject")),
        ("reason", json!("another reason")),
        ("parts", json!([{"type": "text", "text": "other words"}])),
        ("url", json!("script:say Other.")),
        ("instructions", json!("other instructions")),
        ("depends_on", json!(world.id("task_id"))),
        ("participant", json!(format!("user:{}", world.person.id))),
    ];
    let (field, value) = others.into_iter().find(|(field, _)| fields.contains_key(*field) && in_body(field))?;
    input.insert(field.into(), value);
    Some(input)
}

fn trace(nth: usize, count: usize) -> String {
    format!("{:032x}", (nth + 1) << 32 | (count + 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_the_same_body_acts_once_and_with_another_body_not_at_all() {
    let node = TestNode::start().await;
    let (table, http) = (table(), http());
    let mut world = World::build(&node.url, "Ada").await;
    let (mut acted, mut refused) = (vec![], vec![]);
    let changes = table.operations().iter().filter(|it| it.kind == Kind::Mutation && !it.name.starts_with("auth."));
    for (nth, operation) in changes.enumerate() {
        // What ends something leaves nothing for the operations after it.
        if acted.last().is_some_and(|name: &&str| ["archive", "retire", "drain"].iter().any(|end| name.ends_with(end)))
        {
            world = World::build(&node.url, "Ada").await;
        }
        let token = Some(world.person.token.as_str());
        let key = format!("key of {}", operation.name);
        let fire = async |input: &Map<String, Value>, count: usize| -> Hit {
            let traceparent = format!("00-{}-00f067aa0ba902b7-01", trace(nth, count));
            let shot = Shot::of(operation, input, token).header("traceparent", traceparent);
            shot.header("idempotency-key", key.clone()).fire(&http, &node.url).await
        };
        let input = world.input(operation);
        let hits = join_all((0..AT_ONCE).map(|count| fire(&input, count))).await;
        hits.iter().for_each(Hit::is_no_accident);
        let workspace = match operation.name {
            "workspaces.create" => hits[0].body["id"].as_str().expect("it was made").to_owned(),
            _ => world.id("workspace_id").to_owned(),
        };
        let log = world.person.log(&workspace).await;
        let did = |count: usize| log.iter().any(|event| event["trace"] == json!(trace(nth, count)));
        let who: Vec<usize> = (0..AT_ONCE).filter(|count| did(*count)).collect();
        assert!(who.len() <= 1, "{}: {who:?} all had an effect", operation.name);
        if who.is_empty() {
            // Refused in this state, or nothing to change: all the same.
            assert!(hits.iter().all(|hit| hit.status == hits[0].status), "{}: {hits:#?}", operation.name);
            refused.push(operation.name);
            continue;
        }
        for hit in &hits {
            assert_eq!(hit.status, operation.status, "{}: {:#}", operation.name, hit.body);
            assert_eq!(hit.body["id"], hits[0].body["id"], "{}", operation.name);
        }
        let (again, once_more) = (fire(&input, AT_ONCE).await, fire(&input, AT_ONCE + 1).await);
        assert_eq!((again.status, &again.body), (once_more.status, &once_more.body), "{}", operation.name);
        assert!(hits.iter().any(|hit| hit.body == again.body), "{}: the first answer is remembered", operation.name);
        if let Some(other) = another(&world, operation) {
            fire(&other, AT_ONCE + 2).await.is("idempotency_key_reused");
        }
        let log = world.person.log(&workspace).await;
        let later =
            (AT_ONCE..AT_ONCE + 3).any(|count| log.iter().any(|event| event["trace"] == json!(trace(nth, count))));
        assert!(!later, "{}: a repetition had an effect", operation.name);
        acted.push(operation.name);
    }
    println!("{} acted once: {acted:?}\n{} had nothing to do: {refused:?}", acted.len(), refused.len());
    assert!(acted.len() >= 20, "{acted:?}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_in_two_workspaces_is_two_keys() {
    let node = TestNode::start().await;
    let one = World::build(&node.url, "Ada").await;
    let person = &one.person;
    let second = person.workspace("Second").await;
    let post = async |path: String, body: Value| {
        person.send(reqwest::Method::POST, &path, Some(&body), Some("1")).await.ok()["id"].clone()
    };
    for (what, body) in
        [("teams", json!({"name": "Crew", "members": []})), ("conversations", json!({"type": "channel"}))]
    {
        // Each with a key of its own in each workspace, or the key would be used twice in one.
        let send = async |workspace: &str| {
            let (path, key) = (format!("/workspaces/{workspace}/{what}"), format!("make {what}"));
            person.send(reqwest::Method::POST, &path, Some(&body), Some(&key)).await.ok()["id"].clone()
        };
        let (here, there) = (send(one.id("workspace_id")).await, send(&second).await);
        assert_ne!(here, there);
    }
    let room = person.post(&format!("/workspaces/{second}/conversations"), json!({"type": "channel"})).await;
    let words = json!({"parts": [{"type": "text", "text": "hello"}]});
    let here = post(format!("/conversations/{}/messages", one.id("conversation_id")), words.clone()).await;
    let there = post(format!("/conversations/{}/messages", room["id"].as_str().expect("it was made")), words).await;
    assert_ne!(here, there);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_nothing_at_a_read() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let path = format!("/projects/{}", world.id("project_id"));
    let body = json!({"name": "Second name"});
    world.person.send(reqwest::Method::PATCH, &path, Some(&body), Some("k")).await.ok();
    let read = world.person.send(reqwest::Method::GET, &path, None, Some("k")).await.ok();
    assert_eq!(read["name"], "Second name");
    node.node.stop().await;
}
