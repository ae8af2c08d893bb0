//! A repeated request with the same key is harmless, at every operation that changes something.

use futures::future::join_all;
use link::api::{Kind, Operation, table};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{
    matrix::{Hit, Shape, Shot, World},
    node::TestNode,
    person::{Person, http},
};

const AT_ONCE: usize = 16;

/// An input that changes something, where what is merely required does not.
fn acting(world: &World, operation: &Operation) -> Map<String, Value> {
    let mut input = world.input(operation);
    let mut set = |field: &str, value: Value| drop(input.insert(field.into(), value));
    match operation.name {
        "workspaces.add_member" => set("user_id", json!(world.id("someone"))),
        "workspaces.update_member" => set("role", json!("admin")),
        "projects.update" | "agents.update" => set("name", json!("A new name")),
        "tasks.update" => set("title", json!("A new title")),
        "tasks.transition" | "delegation.create" => set("task_id", json!(world.id("depends_on"))),
        _ => {}
    }
    input
}

/// Whether an operation ends something that others need.
fn spends(operation: &Operation) -> bool {
    ["archive", "retire", "drain", "cancel", "remove_member", "delete", "merge"]
        .iter()
        .any(|end| operation.name.ends_with(end))
}

/// The same request in its meaning, with one other value.
fn another(world: &World, operation: &Operation) -> Option<Map<String, Value>> {
    let mut input = acting(world, operation);
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
    let (mut acted, mut refused, mut spent, mut revealed) = (vec![], vec![], false, 0);
    let changes = table.operations().iter().filter(|it| it.kind == Kind::Mutation && !it.name.starts_with("auth."));
    for (nth, operation) in changes.enumerate() {
        if std::mem::replace(&mut spent, spends(operation)) {
            world = World::build(&node.url, "Ada").await;
        }
        let token = Some(world.person.token.as_str());
        let key = format!("key of {}", operation.name);
        let fire = async |input: &Map<String, Value>, count: usize| -> Hit {
            let traceparent = format!("00-{}-00f067aa0ba902b7-01", trace(nth, count));
            let shot = Shot::of(operation, input, token).header("traceparent", traceparent);
            shot.header("idempotency-key", key.clone()).fire(&http, &node.url).await
        };
        let input = acting(&world, operation);
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
        assert_eq!((again.status, &again.body["id"]), (once_more.status, &once_more.body["id"]), "{}", operation.name);
        if operation.reveals {
            // The thing is the same one; its secret was shown once and is kept nowhere.
            let shows = |hit: &&Hit| ["secret", "key"].iter().any(|field| hit.body[field].is_string());
            assert_eq!((hits.iter().filter(shows).count(), shows(&&again)), (1, false), "{}", operation.name);
            revealed += 1;
        } else {
            let known = hits.iter().any(|hit| hit.body == again.body);
            assert!(known, "{}: the first answer is remembered", operation.name);
        }
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
    assert!(acted.len() >= 30, "{acted:?}");
    let unkept = "SELECT count(*) FROM commands WHERE key LIKE 'user:%' AND response IS NULL";
    let unkept: i64 = sqlx::query_scalar(unkept).fetch_one(node.pool()).await.expect("the database answers");
    assert_eq!(unkept, revealed, "every first answer is kept, unless it holds a secret");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_a_review_that_are_sent_often_count_once() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Paint it").await;
    let agent = ada.scripted(&workspace, "Painter", "ask Which colour?; say Done.").await;
    let delegation = ada.delegate(&task, &agent).await;
    let steps = [
        ("awaiting", "answer", json!({"answer": "green"}), "interrupt:resolved"),
        ("reviewing", "review", json!({"verdict": "approve"}), "delegation:reviewed"),
    ];
    for (state, verb, body, event) in steps {
        ada.until_delegation(&delegation, &[state]).await;
        let path = format!("/delegations/{delegation}/{verb}");
        let send = || ada.send(Method::POST, &path, Some(&body), Some(verb));
        for answer in join_all((0..AT_ONCE).map(|_| send())).await {
            assert_eq!(answer.ok()["id"], delegation);
        }
        assert_eq!(send().await.ok(), send().await.ok());
        let log = ada.log(&workspace).await;
        assert_eq!(log.iter().filter(|it| it["type"] == event).count(), 1, "{event}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_in_two_workspaces_is_two_keys() {
    let node = TestNode::start().await;
    let one = World::build(&node.url, "Ada").await;
    let person = &one.person;
    let second = person.workspace("Second").await;
    let post = async |path: String, body: Value| {
        person.send(Method::POST, &path, Some(&body), Some("1")).await.ok()["id"].clone()
    };
    for (what, body) in
        [("teams", json!({"name": "Crew", "members": []})), ("conversations", json!({"type": "channel"}))]
    {
        // Each with a key of its own in each workspace, or the key would be used twice in one.
        let send = async |workspace: &str| {
            let (path, key) = (format!("/workspaces/{workspace}/{what}"), format!("make {what}"));
            person.send(Method::POST, &path, Some(&body), Some(&key)).await.ok()["id"].clone()
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
    world.person.send(Method::PATCH, &path, Some(&body), Some("k")).await.ok();
    let read = world.person.send(Method::GET, &path, None, Some("k")).await.ok();
    assert_eq!(read["name"], "Second name");
    node.node.stop().await;
}
