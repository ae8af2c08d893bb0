//! Keys of agents and services: each acts as its holder, in its holder's workspace, until it is ended.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, http, id},
    socket::Socket,
};

/// Somebody who shows a key instead of a login.
fn with(url: &str, made: &Value) -> Person {
    let token = made["key"].as_str().expect("the key is shown once").to_owned();
    let nothing = String::new;
    Person { url: url.into(), token, refresh_token: nothing(), email: nothing(), id: id(made), http: http() }
}

async fn everything(person: &Person, workspace: &str) -> String {
    let log = person.log(workspace).await;
    let listed = person.get("/auth/api_keys").await;
    format!("{log:?}{listed}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_key_is_the_agent_and_nobody_else() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let (workspace, elsewhere) = (ada.workspace("Lab").await, ada.workspace("Elsewhere").await);
    let project = ada.project(&workspace, "Moon").await;
    let agent = ada.scripted(&workspace, "Scribe", "say Hi.").await;
    let made = ada.post(&format!("/agents/{agent}/keys"), json!({"name": "laptop"})).await;
    assert!(made["key"].as_str().is_some_and(|key| key.starts_with("link_ak_")), "{made:#}");
    let scribe = with(&node.url, &made);

    let task = scribe.post(&format!("/projects/{project}/tasks"), json!({"title": "Found by the agent"})).await;
    assert_eq!(task["created_by"], format!("agent:{agent}"));
    let seen = scribe.get("/workspaces").await;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1), "{seen:#}");
    let get = async |path: String| scribe.send(Method::GET, &path, None, None).await;
    get(format!("/workspaces/{elsewhere}")).await.problem("not_found");
    scribe.try_post(&format!("/agents/{agent}/keys"), json!({"name": "another"})).await.problem("forbidden");
    scribe.try_post("/workspaces", json!({"name": "Mine"})).await.problem("forbidden");

    let narrow = json!({"name": "reader", "scopes": ["read"]});
    let reader = with(&node.url, &ada.post(&format!("/agents/{agent}/keys"), narrow).await);
    reader.get(&format!("/projects/{project}")).await;
    reader.try_post(&format!("/projects/{project}/tasks"), json!({"title": "No"})).await.problem("forbidden");

    let log = everything(&ada, &workspace).await;
    assert!(log.contains("key:issued") && !log.contains(&scribe.token), "the log says that there is a key, not which");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_ended_ends_its_calls_and_its_sockets() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let agent = ada.scripted(&workspace, "Scribe", "say Hi.").await;
    let keys = format!("/agents/{agent}/keys");
    let made = ada.post(&keys, json!({"name": "laptop"})).await;
    let scribe = with(&node.url, &made);
    let mut socket = Socket::hello(&scribe).await;
    ada.send(Method::DELETE, &format!("{keys}/{}", id(&made)), None, None).await.ok();
    assert_eq!(socket.close_code().await, 4001);
    scribe.send(Method::GET, "/workspaces", None, None).await.problem("unauthenticated");
    let listed = ada.get(&keys).await;
    assert!(listed["items"][0]["revoked_at"].is_string() && listed["items"][0]["key"].is_null(), "{listed:#}");
    let log = format!("{:?}", ada.log(&workspace).await);
    assert!(log.contains("key:revoked"), "{log}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_a_member_with_a_role_until_it_is_taken_out() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon").await;
    let services = format!("/workspaces/{workspace}/services");
    let service = id(&ada.post(&services, json!({"name": "ci", "role": "member"})).await);
    ada.try_post(&services, json!({"name": "ci", "role": "member"})).await.problem("name_taken");
    let keys = format!("{services}/{service}/keys");
    let ci = with(&node.url, &ada.post(&keys, json!({"name": "runner"})).await);
    let task = ci.post(&format!("/projects/{project}/tasks"), json!({"title": "Nightly build"})).await;
    assert_eq!(task["created_by"], format!("service:{service}"));
    ci.try_post(&services, json!({"name": "more", "role": "guest"})).await.problem("forbidden");

    let member = Person::register(&node.url, "Member").await;
    ada.invite(&workspace, &member, "member").await;
    member.try_post(&keys, json!({"name": "mine"})).await.problem("forbidden");
    let stranger = Person::register(&node.url, "Stranger").await;
    stranger.try_post(&keys, json!({"name": "mine"})).await.problem("not_found");

    ada.send(Method::DELETE, &format!("{services}/{service}"), None, None).await.ok();
    ci.send(Method::GET, "/workspaces", None, None).await.problem("unauthenticated");
    assert_eq!(ada.get(&services).await["items"], json!([]));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one_key_and_shows_it_once() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let agent = ada.scripted(&workspace, "Scribe", "say Hi.").await;
    let (path, body) = (format!("/agents/{agent}/keys"), json!({"name": "laptop"}));
    let first = ada.send(Method::POST, &path, Some(&body), Some("once")).await.ok();
    let again = ada.send(Method::POST, &path, Some(&body), Some("once")).await.ok();
    assert_eq!((&first["id"], &again["key"]), (&again["id"], &Value::Null));
    assert_eq!(ada.get(&path).await["items"].as_array().map(Vec::len), Some(1));
    node.node.stop().await;
}
