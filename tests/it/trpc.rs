//! The tRPC door over HTTP, on the raw wire: what the stock client relies on, byte by byte where it matters.

use futures::{StreamExt, future::join_all};
use link::api::{Kind, Operation, table};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{
    matrix::World,
    node::TestNode,
    person::{PATIENCE, Person, http},
};

/// An answer of the door.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Told {
    /// Returns what a call brought.
    #[track_caller]
    fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{:#}", self.body);
        &self.body["result"]["data"]
    }

    /// Checks that it is an error of tRPC's with Link's problem inside, and returns the problem's code.
    #[track_caller]
    fn failed(&self, key: &str) -> &str {
        failed(&self.body, self.status.as_u16(), key)
    }
}

#[track_caller]
fn failed<'a>(answer: &'a Value, status: u16, key: &str) -> &'a str {
    let error = &answer["error"];
    assert!(error["message"].is_string() && error["code"].as_i64().is_some_and(|code| code < 0), "{answer:#}");
    let data = &error["data"];
    assert_eq!((data["code"].as_str(), data["httpStatus"].as_u64()), (Some(key), Some(status.into())), "{answer:#}");
    assert!(data["problem"]["trace_id"].as_str().is_some_and(|trace| trace.len() == 32), "{answer:#}");
    assert!(data["problem"]["next_actions"].is_array(), "{answer:#}");
    data["problem"]["code"].as_str().expect("a problem has a code")
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn told(request: reqwest::RequestBuilder) -> Told {
    let answer = request.timeout(PATIENCE).send().await.expect("the door answers");
    let (status, headers) = (answer.status(), answer.headers().clone());
    assert_eq!(headers["vary"], "trpc-accept, accept");
    let bytes = answer.bytes().await.expect("the answer is whole");
    Told { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

fn asked(person: &Person, kind: Kind, path: &str, input: &Value) -> reqwest::RequestBuilder {
    let url = format!("{}/trpc/{path}", person.url);
    let request = match kind {
        Kind::Query => person.http.get(format!("{url}?input={}", escaped(&input.to_string()))),
        Kind::Mutation => person.http.post(url).json(input),
    };
    request.bearer_auth(&person.token)
}

async fn call(person: &Person, kind: Kind, path: &str, input: Value) -> Told {
    told(asked(person, kind, path, &input)).await
}

fn batch(person: &Person, kind: Kind, paths: &str, inputs: &Value) -> reqwest::RequestBuilder {
    let url = format!("{}/trpc/{paths}?batch=1", person.url);
    let request = match kind {
        Kind::Query => person.http.get(format!("{url}&input={}", escaped(&inputs.to_string()))),
        Kind::Mutation => person.http.post(url).json(inputs),
    };
    request.bearer_auth(&person.token)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_under_its_name_and_only_to_its_method() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let stranger = Person { token: "bad".into(), ..world.person.clone() };
    let check = async |operation: &Operation| {
        let (name, input) = (operation.name, Value::Object(world.input(operation)));
        let answer = call(&world.person, operation.kind, name, input.clone()).await;
        match answer.status.is_success() {
            true => assert!(answer.body["result"].get("data").is_some(), "{name}: {:#}", answer.body),
            // Some cannot succeed in this world; they say so as tRPC does.
            false => assert!(answer.body["error"]["code"].is_i64(), "{name}: {:#}", answer.body),
        }
        let (other, allow) = match operation.kind {
            Kind::Query => (Kind::Mutation, "GET"),
            Kind::Mutation => (Kind::Query, "POST"),
        };
        let answer = call(&world.person, other, name, input.clone()).await;
        assert_eq!(answer.failed("METHOD_NOT_SUPPORTED"), "method_not_allowed", "{name}");
        assert_eq!(answer.headers["allow"], allow, "{name}");
        if !name.starts_with("auth.") || name == "auth.me" {
            let answer = call(&stranger, operation.kind, name, input).await;
            assert_eq!(answer.failed("UNAUTHORIZED"), "unauthenticated", "{name}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    };
    let table = table();
    for operation in table.operations() {
        check(operation).await;
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_in_order_with_one_status_or_207() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let lab = ada.workspace("Lab").await;
    let inputs = json!({"1": {"workspace_id": lab}, "2": {"workspace_id": "no id"}});
    let mixed = told(batch(&ada, Kind::Query, "auth.me,workspaces.get,workspaces.get,no.such", &inputs)).await;
    assert_eq!(mixed.status, StatusCode::MULTI_STATUS);
    let answers = mixed.body.as_array().expect("a batch has a list of answers");
    assert_eq!(answers[0]["result"]["data"]["id"], ada.id.as_str());
    assert_eq!(answers[1]["result"]["data"]["name"], "Lab");
    assert_eq!(failed(&answers[2], 400, "BAD_REQUEST"), "invalid_input");
    assert_eq!(answers[2]["error"]["data"]["path"], "workspaces.get");
    assert_eq!(failed(&answers[3], 404, "NOT_FOUND"), "no_such_operation");

    let names = json!({"0": {"name": "One"}, "1": {"name": "Two"}});
    let made = told(batch(&ada, Kind::Mutation, "workspaces.create,workspaces.create", &names)).await;
    assert_eq!((made.status, made.body.as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    let none = told(batch(&ada, Kind::Query, "no.such,nor.this", &json!({}))).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let single = told(batch(&ada, Kind::Query, "auth.me", &json!({}))).await;
    assert_eq!(single.body[0]["result"]["data"]["id"], ada.id.as_str());
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_none_fails_as_a_whole() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let many = vec!["auth.me"; 51].join(",");
    for (kind, paths, inputs) in [
        (Kind::Query, many.as_str(), json!({})),
        (Kind::Query, "auth.me,workspaces.create", json!({})),
        (Kind::Query, "auth.me,auth.me", json!([])),
        (Kind::Mutation, "workspaces.create,workspaces.create", json!("x")),
    ] {
        let whole = told(batch(&ada, kind, paths, &inputs)).await;
        assert_eq!(whole.failed("BAD_REQUEST"), "invalid_input", "{paths}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_batch_promises_every_answer_and_then_gives_each_on_a_line() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let lab = ada.workspace("Lab").await;
    let inputs = json!({"1": {"workspace_id": lab}});
    let request = batch(&ada, Kind::Query, "auth.me,workspaces.get,no.such", &inputs);
    for accept in ["trpc-accept", "accept"] {
        let request = request.try_clone().expect("it has no body").header(accept, "application/jsonl");
        let answer = request.timeout(PATIENCE).send().await.expect("the door answers");
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        let text = answer.text().await.expect("the answer is whole");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
        let head = json!({"0": [[0], [null, 0, 0]], "1": [[0], [null, 0, 1]], "2": [[0], [null, 0, 2]]});
        assert_eq!(lines.next(), Some(head));
        let mut answers: Vec<Value> = lines.collect();
        answers.sort_by_key(|line| line[0].as_u64());
        assert_eq!(answers.len(), 3);
        assert!(answers.iter().all(|line| line[1] == 0), "{answers:?}");
        assert_eq!(answers[0][2][0][0]["result"]["data"]["id"], ada.id.as_str());
        assert_eq!(answers[1][2][0][0]["result"]["data"]["name"], "Lab");
        assert_eq!(failed(&answers[2][2][0][0], 404, "NOT_FOUND"), "no_such_operation");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_mutation_with_its_key_happens_once() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let lab = ada.workspace("Lab").await;
    let project = ada.project(&lab, "Moon").await;
    let input = json!({"project_id": project, "title": "Once"});
    let header = || asked(&ada, Kind::Mutation, "tasks.create", &input).header("idempotency-key", "a");
    let first = told(header()).await;
    assert!(first.headers["link-offset"].to_str().unwrap().parse::<u64>().is_ok_and(|offset| offset > 0));
    for again in join_all((0..8).map(|_| told(header()))).await {
        assert_eq!(again.data()["id"], first.data()["id"]);
    }
    let keyed = json!({"project_id": project, "title": "Twice", "key": "b"});
    let (one, two) = (
        call(&ada, Kind::Mutation, "tasks.create", keyed.clone()).await,
        call(&ada, Kind::Mutation, "tasks.create", keyed).await,
    );
    assert_eq!(one.data()["id"], two.data()["id"]);
    let other = json!({"project_id": project, "title": "Other", "key": "b"});
    assert_eq!(call(&ada, Kind::Mutation, "tasks.create", other).await.failed("CONFLICT"), "idempotency_key_reused");

    let both = batch(&ada, Kind::Mutation, "tasks.create,tasks.create", &json!({})).header("idempotency-key", "c");
    assert_eq!(told(both).await.failed("BAD_REQUEST"), "invalid_input");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_under_trpc_is_shaped_as_trpc_shapes_it() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let url = format!("{}/trpc", node.url);
    let post =
        |body: &str| ada.http.post(format!("{url}/workspaces.create")).bearer_auth(&ada.token).body(body.to_owned());
    let json = "application/json";
    for (request, key, code) in [
        (ada.http.get(&url), "NOT_FOUND", "no_such_operation"),
        (ada.http.get(format!("{url}/")), "NOT_FOUND", "no_such_operation"),
        (ada.http.get(format!("{url}/no.such")), "NOT_FOUND", "no_such_operation"),
        (ada.http.get(format!("{url}/a/b/c")), "NOT_FOUND", "no_such_operation"),
        (ada.http.get(format!("{url}/auth.me?input=%7B")).bearer_auth(&ada.token), "PARSE_ERROR", "malformed"),
        (ada.http.get(format!("{url}/auth.me?input=%zz")), "PARSE_ERROR", "malformed"),
        (ada.http.get(format!("{url}/auth.me?input=1&input=2")), "BAD_REQUEST", "invalid_input"),
        (ada.http.get(format!("{url}/%ff")), "PARSE_ERROR", "malformed"),
        (ada.http.get(format!("{url}/auth.me")), "UNAUTHORIZED", "unauthenticated"),
        (ada.http.get(format!("{url}/auth.me")).header("authorization", "Basic x"), "UNAUTHORIZED", "unauthenticated"),
        (
            ada.http.request(Method::PUT, format!("{url}/auth.me")).bearer_auth(&ada.token),
            "METHOD_NOT_SUPPORTED",
            "method_not_allowed",
        ),
        (post("{").header("content-type", json), "PARSE_ERROR", "malformed"),
        (post("7").header("content-type", json), "BAD_REQUEST", "invalid_input"),
        (post(&"[".repeat(100)).header("content-type", json), "PARSE_ERROR", "malformed"),
        (post("{}").header("content-type", "text/plain"), "UNSUPPORTED_MEDIA_TYPE", "unsupported_media_type"),
        (post(&format!("{:?}", "x".repeat(1 << 20))).header("content-type", json), "PAYLOAD_TOO_LARGE", "too_large"),
        (
            post(r#"{"name":"x"}"#).header("content-type", json).header("idempotency-key", vec![0xff]),
            "BAD_REQUEST",
            "invalid_input",
        ),
        (ada.http.get(&url).header("upgrade", "websocket"), "PARSE_ERROR", "malformed"),
    ] {
        let what = format!("{request:?}");
        assert_eq!(told(request).await.failed(key), code, "{what:.200}");
    }
    let head = told(ada.http.head(format!("{url}/auth.me"))).await;
    assert_eq!(head.status, StatusCode::NO_CONTENT);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_may_be_said_in_the_connection_parameters_and_public_calls_need_nobody() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let url = format!("{}/trpc", node.url);
    for params in [json!({"token": ada.token}), json!({"authorization": format!("Bearer {}", ada.token)})] {
        let me = told(http().get(format!("{url}/auth.me?connectionParams={}", escaped(&params.to_string())))).await;
        assert_eq!(me.data()["id"], ada.id.as_str());
    }
    let email = json!({"email": "eve@example.org", "name": "Eve", "password": "correct horse"});
    let made = told(http().post(format!("{url}/auth.register")).json(&email).bearer_auth("bad")).await;
    assert_eq!(made.data()["user"]["name"], "Eve");
    // A stranger's input is not even read.
    let large = http().post(format!("{url}/workspaces.create")).json(&json!({"name": "x".repeat(1 << 21)}));
    assert_eq!(told(large).await.failed("UNAUTHORIZED"), "unauthenticated");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_streamed_batch_harms_nothing() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let names: Value = (0..50)
        .map(|nth| (nth.to_string(), json!({"name": format!("W{nth}")})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let request = batch(&ada, Kind::Mutation, &vec!["workspaces.create"; 50].join(","), &names);
    let answer = request.header("trpc-accept", "application/jsonl").send().await.expect("the door answers");
    let mut chunks = answer.bytes_stream();
    assert!(chunks.next().await.is_some_and(|chunk| chunk.is_ok()));
    drop(chunks);
    assert_eq!(call(&ada, Kind::Query, "auth.me", Value::Null).await.data()["id"], ada.id.as_str());
    node.node.stop().await;
}
