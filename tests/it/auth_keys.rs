//! API keys: what they are good for, and how they end.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    node::TestNode,
    person::{PATIENCE, Person, id},
    socket::Socket,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_in_its_workspace_and_no_more() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let (lab, other) = (ada.workspace("Lab").await, ada.workspace("Other").await);
    let made = ada.post("/auth/api_keys", json!({"name": "CI", "scopes": ["read"], "workspace_id": lab})).await;
    let key = Person { token: made["key"].as_str().unwrap().to_owned(), ..ada.clone() };
    assert!(key.token.starts_with("link_pk_") && key.token.starts_with(made["prefix"].as_str().unwrap()));
    key.get(&format!("/workspaces/{lab}")).await;
    let seen = key.get("/workspaces").await;
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    key.send(Method::GET, &format!("/workspaces/{other}"), None, None).await.problem("not_found");
    key.try_post(&format!("/workspaces/{lab}/projects"), json!({"name": "Moon"})).await.problem("forbidden");
    key.try_post("/workspaces", json!({"name": "Mine"})).await.problem("forbidden");
    for path in ["/auth/api_keys", "/auth/logout_everywhere"] {
        key.try_post(path, json!({"name": "Another"})).await.problem("forbidden");
    }
    let mut socket = Socket::hello(&key).await;
    assert_eq!(socket.subscribe(&lab, json!(["*"]), None).await["t"], "subscribed");
    let mut elsewhere = Socket::hello(&key).await;
    assert_eq!(elsewhere.subscribe(&other, json!(["*"]), None).await["code"], "not_found");
    ada.until("/auth/api_keys", "its use is noted", |keys| keys["items"][0]["last_used_at"].is_string()).await;
    let stored: String =
        sqlx::query_scalar("SELECT string_agg(k::text, ' ') FROM api_keys k").fetch_one(node.pool()).await.unwrap();
    assert!(!stored.contains(&key.token), "only a hash is kept");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_nobody_more_than_it_is_good_for() {
    let node = TestNode::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let lab = ada.workspace("Lab").await;
    let project = ada.project(&lab, "Moon").await;
    let at = |path: &str| format!("/workspaces/{lab}{path}");
    let role = json!({"name": "Runner", "permissions": ["read", "work", "manage_agents"]});
    let role = id(&ada.post(&at("/roles"), role).await);
    let scopes = json!(["read", "converse", "manage_members", "manage_access", "manage_integrations"]);
    let made = ada.post("/auth/api_keys", json!({"name": "Doorman", "scopes": scopes, "workspace_id": lab})).await;
    let key = Person { token: made["key"].as_str().unwrap().to_owned(), ..ada.clone() };

    for too_much in ["owner", "admin", "member", role.as_str()] {
        let member = json!({"user_id": ben.id, "role": too_much});
        key.try_post(&at("/members"), member).await.problem("forbidden");
        key.try_post(&at("/services"), json!({"name": "Program", "role": too_much})).await.problem("forbidden");
    }
    key.post(&at("/members"), json!({"user_id": ben.id, "role": "guest"})).await;
    let change = async |path: String, body| key.send(Method::PATCH, &path, Some(&body), None).await;
    change(at(&format!("/members/{}", ben.id)), json!({"role": "member"})).await.problem("forbidden");
    change(at(&format!("/roles/{role}")), json!({"name": "Walker"})).await.problem("forbidden");
    key.try_post(&at("/roles"), json!({"name": "Mine", "permissions": ["work"]})).await.problem("forbidden");
    key.post(&at("/roles"), json!({"name": "Reader", "permissions": ["read"]})).await;
    let grant = |what: &str| {
        json!({"subject": format!("project:{project}"), "principal": format!("user:{}", ben.id), "effect": "allow",
            "permissions": [what]})
    };
    key.try_post(&at("/grants"), grant("work")).await.problem("forbidden");
    key.post(&at("/grants"), grant("converse")).await;

    // What was granted to a team is given and taken with who is in it.
    let team = json!({"name": "Cooks", "members": []});
    let team = id(&ada.post(&at("/teams"), team).await);
    let path = at(&format!("/teams/{team}"));
    let of = |members: &[&Person]| {
        let members: Vec<String> = members.iter().map(|who| format!("user:{}", who.id)).collect();
        json!({"members": members})
    };
    change(path.clone(), of(&[&ben])).await.ok();
    let granted = json!({"subject": format!("project:{project}"), "principal": format!("team:{team}"),
        "effect": "allow", "permissions": ["work"]});
    ada.post(&at("/grants"), granted).await;
    change(path.clone(), of(&[])).await.problem("forbidden");
    change(path.clone(), json!({"name": "Bakers"})).await.ok();
    key.send(Method::DELETE, &path, None, None).await.problem("forbidden");
    ada.send(Method::DELETE, &path, None, None).await.ok();

    // Neither does it take from those who may more.
    ada.send(Method::PATCH, &at(&format!("/members/{}", ben.id)), Some(&json!({"role": "admin"})), None).await.ok();
    change(at(&format!("/members/{}", ben.id)), json!({"role": "guest"})).await.problem("forbidden");
    key.send(Method::DELETE, &at(&format!("/members/{}", ben.id)), None, None).await.problem("forbidden");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_revoked_or_has_ended_is_good_for_nothing_and_its_sockets_close() {
    let node = TestNode::start().await;
    let (ada, eve) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Eve").await);
    let made = ada.post("/auth/api_keys", json!({"name": "Robot"})).await;
    let key = Person { token: made["key"].as_str().unwrap().to_owned(), ..ada.clone() };
    key.get("/auth/me").await;
    let mut socket = Socket::hello(&key).await;
    let path = format!("/auth/api_keys/{}", id(&made));
    eve.send(Method::DELETE, &path, None, None).await.problem("not_found");
    ada.send(Method::DELETE, &path, None, None).await.ok();
    assert_eq!(tokio::time::timeout(PATIENCE, socket.close_code()).await.unwrap(), 4001);
    key.send(Method::GET, "/auth/me", None, None).await.problem("unauthenticated");

    let made = ada.post("/auth/api_keys", json!({"name": "Short"})).await;
    let short = Person { token: made["key"].as_str().unwrap().to_owned(), ..ada.clone() };
    short.get("/auth/me").await;
    node.advance(TimeDelta::days(90));
    short.send(Method::GET, "/auth/me", None, None).await.problem("unauthenticated");
    let mut wrong = short.clone();
    wrong.token.replace_range(8..9, if wrong.token.as_bytes()[8] == b'0' { "1" } else { "0" });
    wrong.send(Method::GET, "/auth/me", None, None).await.problem("unauthenticated");
    let ada = ada.login().await;
    let input = |days| json!({"name": "K", "expires_at": node.node.api().services().context().clock.now() + TimeDelta::days(days)});
    for days in [-1, 366] {
        ada.try_post("/auth/api_keys", input(days)).await.problem("invalid_input");
    }
    ada.try_post("/auth/api_keys", json!({"name": "K", "scopes": ["signed"]})).await.problem("invalid_input");
    node.node.stop().await;
}
