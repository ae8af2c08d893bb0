//! Bad input at every door: each operation of the table, called in every wrong way.

use futures::{StreamExt, stream};
use link::{
    api::{Method, Operation, Table, problem::CODES, table},
    domain::permission::Permission,
};
use serde_json::{Map, Value, json};

use crate::support::{
    matrix::{Hit, Shape, Shot, World},
    node::{TestNode, TestProcess},
    person::{Person, http},
};

const NOBODY: &str = "0190f3c2-7b1e-7000-8000-00000000dead";

/// Checks that the description of the operation knows the answer.
fn is_declared(table: &Table, hit: &Hit) {
    let Some(operation) = table.find(hit.what.split(' ').next().unwrap_or_default()) else { return };
    let code = hit.body["code"].as_str().unwrap_or_default();
    // Another method or another path is another operation.
    let elsewhere = ["method_not_allowed", "no_such_operation"].contains(&code);
    let declared = elsewhere || operation.refusals().iter().any(|known| known.name == code);
    assert!(hit.status == operation.status || declared, "{}: {} {code} is not declared", hit.what, hit.status);
}

/// Fires all, some at a time, and hands each answer on.
async fn fire(url: &str, shots: Vec<Shot>, check: impl Fn(&Hit)) -> usize {
    let (http, count, table) = (http(), shots.len(), table());
    let mut hits = stream::iter(shots).map(|shot| shot_at(http.clone(), url, shot)).buffer_unordered(12);
    while let Some(hit) = hits.next().await {
        is_declared(&table, &hit);
        check(&hit);
    }
    count
}

async fn shot_at(http: reqwest::Client, url: &str, shot: Shot) -> Hit {
    shot.fire(&http, url).await
}

fn with(input: &Map<String, Value>, field: &str, value: Value) -> Map<String, Value> {
    let mut input = input.clone();
    input.insert(field.into(), value);
    input
}

fn in_body(operation: &Operation, field: &str) -> bool {
    operation.method != Method::Get && !operation.path_fields().any(|known| known == field)
}

/// Values that no field or hardly a field takes.
fn odd_values() -> Vec<Value> {
    let huge = "x".repeat(300_000);
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("  "),
        json!("x"),
        json!(NOBODY),
        json!(format!("user:{NOBODY}")),
        json!("\u{202e}\u{feff}𝕏"),
        json!("'; DROP TABLE events; --"),
        json!(huge),
        json!([]),
        json!([[]]),
        json!([null]),
        json!({}),
        json!({"a": {"b": [1]}}),
        json!([huge]),
        json!([{"type": "text"}]),
        json!([{"type": "data", "data": {"deep": [[[[1e308]]]]}}]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_no_operation_answers() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let table = table();
    let closed = table.operations().iter().filter(|operation| operation.permission != Permission::Public);
    let mut shots = vec![];
    for operation in closed {
        let shot = Shot::of(operation, &world.input(operation), None);
        shots.push(shot.clone().called("no token"));
        shots.push(shot.clone().called("no token and a broken body").json("{"));
        shots.push(shot.clone().called("no token and 2 MiB").json("x".repeat(2 << 20)));
        let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIwMTkwZjNjMi03YjFlLTcwMDAtODAwMC0wMDAwMDAwMGRlYWQifQ.";
        let tokens: [&[u8]; 7] =
            [b"", b"Bearer", b"Bearer x", b"Bearer a.b.c", b"Basic YTpi", b"Bearer \xff\xfe", b"x"];
        for token in tokens {
            shots.push(shot.clone().called(&format!("{token:?}")).header("authorization", token));
        }
        shots.push(shot.clone().called("an unsigned token").header("authorization", format!("Bearer {forged}")));
        shots.push(shot.called("a long token").header("authorization", format!("Bearer {}", "x".repeat(20_000))));
    }
    fire(&node.url, shots, |hit| hit.is("unauthenticated")).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_input_however_odd_breaks_anything_and_what_is_wrong_is_named() {
    // A process of its own: its counters count nothing but this.
    let node = TestProcess::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let (mut wrong, mut odd) = (vec![], vec![]);
    for operation in table.operations() {
        let (input, shape) = (world.input(operation), Shape::of(operation));
        for field in shape.fields.keys() {
            for value in odd_values() {
                let in_body = in_body(operation, field);
                if !in_body && value.to_string().len() > 10_000 {
                    continue;
                }
                let what = format!("{field} = {:.60}", value.to_string());
                let mismatched = in_body && !shape.admits(field, &value);
                let shot = Shot::of(operation, &with(&input, field, value), token).called(&what);
                if mismatched { wrong.push(shot) } else { odd.push(shot) }
            }
        }
        for field in shape.required.iter().filter(|field| in_body(operation, field)) {
            let mut input = input.clone();
            input.remove(field);
            wrong.push(Shot::of(operation, &input, token).called(&format!("no {field}")));
        }
        wrong.push(Shot::of(operation, &with(&input, "no_such_field", json!(1)), token).called("an unknown field"));
        let long = "x".repeat(3_000);
        wrong.push(Shot::of(operation, &with(&input, &long, json!(1)), token).called("a long unknown field"));
    }
    let wrong = fire(&node.url, wrong, |hit| drop(hit.refused().to_owned())).await;
    let odd = fire(&node.url, odd, Hit::is_no_accident).await;
    println!("{wrong} wrong and {odd} odd inputs");

    let task = world.person.task(world.id("project_id"), "Still here").await;
    assert_eq!(world.person.get(&format!("/tasks/{task}")).await["title"], "Still here");
    let metrics = world.person.http.get(format!("{}/metrics", node.url)).send().await.unwrap().text().await.unwrap();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let accident = line.starts_with("link_entity_panics_total")
            || line.starts_with("link_actor_failures_total")
            || line.contains("outcome=\"internal\"")
            || line.contains("outcome=\"bug\"");
        assert!(!accident, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_small_json_object_is_refused() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let bodies: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an array", b"[]".into(), "invalid_input"),
        ("a string", b"\"x\"".into(), "invalid_input"),
        ("null", b"null".into(), "invalid_input"),
        ("half an object", b"{\"name\": \"x".into(), "malformed"),
        ("two objects", b"{} {}".into(), "malformed"),
        ("deep arrays", deep("[", "]").into(), "malformed"),
        ("deep objects", deep("{\"a\":", "}").into(), "malformed"),
        ("a deep field", format!("{{\"name\":{}}}", deep("[", "]")).into(), "malformed"),
        ("70 levels", format!("{{\"name\":{}1{}}}", "[".repeat(70), "]".repeat(70)).into(), "malformed"),
        ("invalid UTF-8", b"{\"name\": \"\xff\xfe\"}".into(), "malformed"),
        ("half a surrogate", b"{\"name\": \"\\ud800\"}".into(), "malformed"),
        ("U+0000", b"{\"name\": \"a\\u0000b\"}".into(), "malformed"),
        ("U+0000 in a name", b"{\"a\\u0000b\": 1}".into(), "malformed"),
        ("NaN", b"{\"name\": NaN}".into(), "malformed"),
        ("a number without end", format!("{{\"name\": {}}}", "9".repeat(5_000)).into(), "malformed"),
        ("a field twice", b"{\"name\": 1, \"name\": 2, \"no_such\": 3}".into(), "malformed"),
        ("UTF-16", b"\xff\xfe{\0}\0".into(), "malformed"),
    ];
    let (mut shots, mut large) = (vec![], vec![]);
    for operation in table.operations().iter().filter(|operation| operation.method != Method::Get) {
        let good = Shot::of(operation, &world.input(operation), token);
        for (what, body, code) in &bodies {
            shots.push(good.clone().called(&format!("{what}, which is {code}")).json(body.clone()));
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "application/jsonx"] {
            let shot = good.clone().called(&format!("type {kind:?}, which is unsupported_media_type"));
            shots.push(shot.header("content-type", kind).body("{\"a\": 1}"));
        }
        let body = format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20));
        large.push(good.called("2 MiB").json(body));
    }
    let expected = |hit: &Hit| hit.is(hit.what.rsplit(' ').next().unwrap_or_default());
    fire(&node.url, shots, expected).await;
    fire(&node.url, large, |hit| hit.is("too_large")).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_says_which_methods_it_has_and_unknown_paths_say_so() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let mut shots = vec![];
    for operation in table.operations() {
        let at_path = || table.operations().iter().filter(|other| other.path == operation.path);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if at_path().all(|other| other.method.name() != method) {
                let mut shot = Shot::of(operation, &world.input(operation), token).called(method);
                shot.method = method.parse().unwrap();
                shots.push(shot);
            }
        }
    }
    fire(&node.url, shots, |hit| {
        hit.is("method_not_allowed");
        assert!(hit.allow.as_ref().is_some_and(|allow| !allow.is_empty()), "{}: no allow header", hit.what);
    })
    .await;

    let unknown = [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/workspaces",
        "/api/v1/workspaces/",
        "/api/v1/nothing",
        "/api/v1/auth",
        "/api/v1/%ff",
        "/api/v1/tasks/a/b/c/d",
        "/..%2f..%2fetc/passwd",
        "/docs/x",
        "//",
        "/%00",
    ];
    let shot =
        Shot { what: String::new(), method: "GET".parse().unwrap(), path: String::new(), body: None, headers: vec![] };
    let shots = unknown.map(|path| Shot { what: path.into(), path: path.into(), ..shot.clone() });
    fire(&node.url, shots.into(), |hit| hit.is("no_such_operation")).await;
    let shots = ["/healthz", "/readyz", "/metrics", "/docs", "/ws", "/api/v1/openapi.json"].map(|path| Shot {
        what: path.into(),
        path: path.into(),
        method: "POST".parse().unwrap(),
        ..shot.clone()
    });
    fire(&node.url, shots.into(), |hit| hit.is("method_not_allowed")).await;
    let upgrade = Shot { what: "no handshake".into(), path: "/ws".into(), ..shot };
    fire(&node.url, vec![upgrade], |hit| hit.is("malformed")).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_none_are_refused_and_ids_of_nothing_are_not_found() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let (mut none, mut unknown, mut mismatched) = (vec![], vec![], vec![]);
    for operation in table.operations() {
        let input = world.input(operation);
        for field in operation.path_fields() {
            for bad in ["1", "x", "-1", "null", "%", "\u{ff}", "0190f3c2-7b1e-7000-8000", "' OR 1=1", "a\0b", "..%2f"] {
                // Any word may name a reaction.
                if field == "emoji" {
                    continue;
                }
                let shot = Shot::of(operation, &with(&input, field, json!(bad)), token);
                none.push(shot.called(&format!("{field} {bad:?}")));
            }
            let shot = Shot::of(operation, &with(&input, field, json!("MARK")), token);
            for raw in ["%ff%fe", "%zz", "%00", "%C3%28"] {
                // Half an escape is text, and so is a reaction.
                if field == "emoji" && raw == "%zz" {
                    continue;
                }
                let path = shot.path.replace("MARK", raw);
                none.push(Shot { path, ..shot.clone() }.called(&format!("{field} {raw}")));
            }
            if operation.method != Method::Get {
                let shot = Shot::of(operation, &input, token).called(&format!("another {field} in the body"));
                let mut body = input.clone();
                operation.path_fields().for_each(|field| drop(body.remove(field)));
                mismatched.push(shot.json(Value::Object(with(&body, field, json!(NOBODY))).to_string()));
            }
        }
        if let Some((_, field)) = operation.scope {
            let shot = Shot::of(operation, &with(&input, field, json!(NOBODY)), token);
            unknown.push(shot.called("an unknown id"));
        }
    }
    fire(&node.url, none, |hit| assert!(["invalid_input", "malformed"].contains(&hit.refused()), "{hit:?}")).await;
    fire(&node.url, unknown, |hit| hit.is("not_found")).await;
    fire(&node.url, mismatched, |hit| hit.is("invalid_input")).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_a_wrong_number_a_field_twice_or_a_broken_escape_is_refused() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let (mut wrong, mut far) = (vec![], vec![]);
    for operation in table.operations().iter().filter(|operation| operation.method == Method::Get) {
        let good = Shot::of(operation, &world.input(operation), token);
        let (begin, shape) = (good.path.split_once('?').map(|(_, query)| query.to_owned()), Shape::of(operation));
        let begin = begin.unwrap_or_default();
        let mut add = |extra: &str| wrong.push(good.clone().called(extra).query(&format!("{begin}&{extra}")));
        for broken in
            ["%", "a=%", "a=%4", "%zz=1", "a=%ff", "a=%C3%28", "a=%00", "%00=a", "no_such_field=1", "=", "a=1&a=2"]
        {
            add(broken);
        }
        if shape.fields.contains_key("limit") {
            for bad in [
                "0",
                "201",
                "1000000000",
                "-1",
                "1.5",
                "x",
                "1e1",
                "%22%22",
                "[]",
                "{}",
                "true",
                "",
                "99999999999999999999",
            ] {
                add(&format!("limit={bad}"));
            }
            add("limit=1&limit=1");
            add(&format!("limit={}", escaped_deep()));
        }
        if shape.fields.contains_key("after") && operation.name != "conversations.search" {
            for bad in ["-1", "1.5", "x", "18446744073709551616", "1e3", "null", ""] {
                add(&format!("after={bad}"));
            }
            let most = if operation.name == "conversations.messages" { u64::from(u32::MAX) } else { u64::MAX };
            far.push(good.clone().query(&format!("{begin}&after={most}")));
        }
        if shape.fields.contains_key("cursor") {
            for bad in ["x", "1", "%27", ""] {
                add(&format!("cursor={bad}"));
            }
            // Beyond the last row, wherever the list begins.
            let newest_first = operation.name == "webhooks.deliveries";
            let most = if newest_first { uuid::Uuid::nil() } else { uuid::Uuid::max() };
            far.push(good.clone().query(&format!("{begin}&cursor={most}")));
        }
    }
    fire(&node.url, wrong, |hit| drop(hit.refused().to_owned())).await;
    fire(&node.url, far, |hit| {
        let rows = hit.body.get("events").or(hit.body.get("items")).and_then(Value::as_array);
        assert!(hit.status == 200 && rows.is_some_and(Vec::is_empty), "{hit:?}");
    })
    .await;
    node.node.stop().await;
}

fn escaped_deep() -> String {
    "%5B".repeat(5_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_that_is_none_is_refused() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (table, token) = (table(), Some(world.person.token.as_str()));
    let mut shots = vec![];
    for operation in table.operations().iter().filter(|operation| operation.method != Method::Get) {
        let input = world.input(operation);
        let good = Shot::of(operation, &input, token);
        let keys: [Vec<u8>; 4] = [vec![], b"x".repeat(10_000), b"x".repeat(201), "schlüssel".into()];
        for key in keys {
            let what = format!("key {:.20?}", String::from_utf8_lossy(&key));
            shots.push(good.clone().called(&what).header("idempotency-key", key));
        }
        if operation.name != "projects.create" {
            for key in [json!(1), json!(""), json!(["x"]), json!({}), json!("x".repeat(201))] {
                let what = format!("key {:.20} in the body", key.to_string());
                shots.push(Shot::of(operation, &with(&input, "key", key), token).called(&what));
            }
        }
    }
    fire(&node.url, shots, |hit| hit.is("invalid_input")).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_leads_to_its_words_in_the_docs() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let problem = ada.try_post("/workspaces", json!({})).await.problem("invalid_input");
    let page = ada.http.get(format!("{}{}", node.url, problem["type"].as_str().unwrap())).send().await.unwrap();
    assert!(page.status().is_success());
    let page = page.text().await.unwrap();
    for code in CODES {
        assert!(page.contains(&format!("id=\"errors-{}\"", code.name)), "/docs says nothing about {}", code.name);
        assert!(page.contains(&code.title.replace('&', "&amp;")));
    }
    assert!(CODES.iter().all(|code| code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    node.node.stop().await;
}
