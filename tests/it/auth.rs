//! Logins: how long they last, what ends them, and who signs for them.

use chrono::TimeDelta;
use link::{api::signing::Keys, node::keys::KeyFile};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Answer, Person, http},
    socket::Socket,
};

async fn post(url: &str, path: &str, body: Value) -> Answer {
    let answer = http().post(format!("{url}/api/v1{path}")).json(&body).send().await.expect("the server answers");
    Answer { status: answer.status(), body: answer.json().await.expect("it answers in JSON") }
}

async fn refresh(url: &str, token: &str) -> Answer {
    post(url, "/auth/refresh", json!({"refresh_token": token})).await
}

async fn knock(person: &Person) -> Answer {
    person.send(Method::GET, "/auth/me", None, None).await
}

/// A second node on the first one's database, with the same key.
async fn pair() -> (TestNode, TestNode) {
    let key = Keys::generate().expect("there are random numbers");
    let one = TestNode::with(|config| config.jwt_key = Some(key.clone())).await;
    let two = TestNode::with(|config| {
        config.jwt_key = Some(key.clone());
        config.database_url = Some(one.database.clone());
    })
    .await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_refresh_at_once_both_stay_logged_in() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let both = tokio::join!(refresh(&node.url, &ada.refresh_token), refresh(&node.url, &ada.refresh_token));
    node.advance(TimeDelta::seconds(5));
    let third = refresh(&node.url, &ada.refresh_token).await;
    let mut tokens = vec![ada.refresh_token];
    for answer in [both.0, both.1, third] {
        let tab = Person::logged_in(&node.url, &answer.ok());
        knock(&tab).await.ok();
        let next = Person::logged_in(&node.url, &refresh(&node.url, &tab.refresh_token).await.ok());
        knock(&next).await.ok();
        tokens.extend([tab.refresh_token, next.refresh_token]);
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 7, "no refresh token comes twice");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_ends_the_login_for_thief_and_owner_and_no_other_login() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let elsewhere = ada.login().await;
    let owner = Person::logged_in(&node.url, &refresh(&node.url, &ada.refresh_token).await.ok());
    let mut socket = Socket::hello(&owner).await;
    node.advance(TimeDelta::milliseconds(10_001));
    refresh(&node.url, &ada.refresh_token).await.problem("unauthenticated");
    assert_eq!(socket.close_code().await, 4001);
    for token in [&ada.refresh_token, &owner.refresh_token] {
        refresh(&node.url, token).await.problem("unauthenticated");
    }
    for tab in [&ada, &owner] {
        knock(tab).await.problem("unauthenticated");
    }
    knock(&elsewhere).await.ok();
    refresh(&node.url, &elsewhere.refresh_token).await.ok();
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_ends_by_itself_and_is_forgotten_to_be_unknown() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    node.advance(TimeDelta::days(30) - TimeDelta::minutes(1));
    let later = Person::logged_in(&node.url, &refresh(&node.url, &ada.refresh_token).await.ok());
    node.advance(TimeDelta::days(30));
    refresh(&node.url, &later.refresh_token).await.problem("unauthenticated");
    refresh(&node.url, "link_rt_none").await.problem("unauthenticated");
    knock(&later).await.problem("unauthenticated");
    let now = node.node.api().services().context().clock.now();
    link::persistence::logins::forget(node.pool(), now).await.expect("the database answers");
    let left: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM logins) + (SELECT count(*) FROM refresh_tokens)")
        .fetch_one(node.pool())
        .await
        .expect("the database answers");
    assert_eq!(left, 0);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_its_access_tokens_and_sockets_on_every_node_and_nothing_else() {
    let (one, two) = pair().await;
    let ada = Person::register(&one.url, "Ada").await;
    let other = ada.login().await;
    let there = |person: &Person| Person { url: two.url.clone(), ..person.clone() };
    let (mut here, mut far) = (Socket::hello(&ada).await, Socket::hello(&there(&ada)).await);
    let mut stays = Socket::hello(&there(&other)).await;
    post(&one.url, "/auth/logout", json!({"refresh_token": ada.refresh_token})).await.ok();
    knock(&ada).await.problem("unauthenticated");
    assert_eq!((here.close_code().await, far.close_code().await), (4001, 4001));
    knock(&there(&ada)).await.problem("unauthenticated");
    refresh(&two.url, &ada.refresh_token).await.problem("unauthenticated");
    stays.send(json!({"t": "ping", "id": 1})).await;
    assert_eq!(stays.until("pong").await["id"], 1);
    knock(&there(&other)).await.ok();
    two.node.stop().await;
    one.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_everywhere_ends_every_login_also_for_a_node_that_starts_later() {
    let key = Keys::generate().expect("there are random numbers");
    let one = TestNode::with(|config| config.jwt_key = Some(key.clone())).await;
    let ada = Person::register(&one.url, "Ada").await;
    let (second, eve) = (ada.login().await, Person::register(&one.url, "Eve").await);
    second.post("/auth/logout_everywhere", json!({})).await;
    for tab in [&ada, &second] {
        knock(tab).await.problem("unauthenticated");
        refresh(&one.url, &tab.refresh_token).await.problem("unauthenticated");
    }
    let two = TestNode::with(|config| {
        config.jwt_key = Some(key);
        config.database_url = Some(one.database.clone());
    })
    .await;
    knock(&Person { url: two.url.clone(), ..ada.clone() }).await.problem("unauthenticated");
    knock(&Person { url: two.url.clone(), ..eve }).await.ok();
    knock(&Person::logged_in(
        &two.url,
        &post(&two.url, "/auth/login", json!({"email": ada.email, "password": "correct horse"})).await.ok(),
    ))
    .await
    .ok();
    two.node.stop().await;
    one.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_refreshes_while_everything_is_logged_out_is_logged_out_too() {
    let node = TestNode::start().await;
    for _ in 0..20 {
        let ada = Person::register(&node.url, "Ada").await;
        let (refreshed, ended) =
            tokio::join!(refresh(&node.url, &ada.refresh_token), ada.try_post("/auth/logout_everywhere", json!({})));
        ended.ok();
        if refreshed.status.is_success() {
            let late = Person::logged_in(&node.url, &refreshed.body);
            knock(&late).await.problem("unauthenticated");
            refresh(&node.url, &late.refresh_token).await.problem("unauthenticated");
        }
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_logins_and_the_old_password() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let other = ada.login().await;
    let change = |old: &str| json!({"password": old, "new_password": "battery staple"});
    ada.try_post("/auth/change_password", change("wrong horse")).await.problem("bad_credentials");
    knock(&other).await.ok();
    ada.post("/auth/change_password", change("correct horse")).await;
    knock(&ada).await.ok();
    refresh(&node.url, &ada.refresh_token).await.ok();
    knock(&other).await.problem("unauthenticated");
    refresh(&node.url, &other.refresh_token).await.problem("unauthenticated");
    let login = |password: &str| post(&node.url, "/auth/login", json!({"email": ada.email, "password": password}));
    login("correct horse").await.problem("bad_credentials");
    login("battery staple").await.ok();
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_is_taken_up_while_the_node_runs_and_the_old_one_counts_until_it_is_retired() {
    let node = TestNode::start().await;
    let file = KeyFile::of(&node.config).expect("the key is in a file");
    let kids = async || {
        let answer = http().get(format!("{}/.well-known/jwks.json", node.url)).send().await.unwrap();
        let keys: Value = answer.json().await.unwrap();
        let keys = keys["keys"].as_array().unwrap().clone();
        assert!(keys.iter().all(|key| key["kty"] == "OKP" && key["x"].is_string() && key.get("d").is_none()));
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let until = async |wanted: &[String]| {
        for _ in 0..1_000 {
            if kids().await == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the node never had the keys {wanted:?}");
    };
    let first = kids().await.pop().unwrap();
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let secret = json!({"name": "Sealed", "runtime": "penguin", "instances": [
        {"url": "http://127.0.0.1:1", "credentials": {"api_key": "sealed with the first"}}]});
    let agent = ada.post(&format!("/workspaces/{workspace}/agents"), secret).await;
    let instance = agent["instances"][0]["id"].as_str().unwrap().parse().unwrap();
    let context = node.node.api().services().context().clone();

    let second = file.rotate().unwrap();
    until(&[second.clone(), first.clone()]).await;
    knock(&ada).await.ok();
    let later = ada.login().await;
    assert_eq!(jsonwebtoken::decode_header(&later.token).unwrap().kid, Some(second.clone()));
    let opened = context.vault.open(&context.pool, instance).await.unwrap();
    assert_eq!(opened["api_key"], "sealed with the first");
    context.vault.keep(&context.pool, workspace.parse().unwrap(), instance, &opened).await.unwrap();

    assert!(file.retire(&second).is_err() && file.retire("nobody").is_err());
    file.retire(&first).unwrap();
    until(&[second]).await;
    knock(&ada).await.problem("unauthenticated");
    knock(&later).await.ok();
    let opened = context.vault.open(&context.pool, instance).await.unwrap();
    assert_eq!(opened["api_key"], "sealed with the first", "what was sealed anew needs the old key no more");
    node.node.stop().await;
}
