//! Logins by another provider: a browser goes there and comes back, and everything that may be wrong on the way.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use link::{clock::Clock, config::Oidc};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    browser::{REDIRECT, Trip, browser, land},
    node::TestNode,
    person::{Answer, Person, http},
    provider::{CLIENT, Provider, SECRET, Signer},
};

fn settings(provider: &Provider) -> Oidc {
    Oidc {
        issuer: provider.url.clone(),
        client_id: CLIENT.into(),
        client_secret: Some(SECRET.into()),
        redirect_url: REDIRECT.parse().expect("it is well formed"),
        allowed_domains: vec![],
        return_url: None,
    }
}

async fn node(provider: &Provider) -> TestNode {
    changed(provider, |_| ()).await
}

async fn changed(provider: &Provider, change: impl FnOnce(&mut Oidc)) -> TestNode {
    let mut settings = settings(provider);
    change(&mut settings);
    TestNode::with(|config| config.oidc = Some(settings)).await
}

async fn back(node: &TestNode, query: &str, cookie: &str) -> Answer {
    let answer = land(&node.url, query, cookie).await;
    Answer { status: answer.status(), body: answer.json().await.expect("it answers in JSON") }
}

/// The whole way.
async fn login(node: &TestNode) -> Answer {
    let trip = Trip::begin(&node.url).await;
    back(node, &trip.agree().await, trip.shown()).await
}

async fn post(node: &TestNode, path: &str, body: Value) -> Answer {
    let answer = http().post(format!("{}/api/v1{path}", node.url)).json(&body).send().await.expect("it answers");
    Answer { status: answer.status(), body: answer.json().await.expect("it answers in JSON") }
}

async fn accounts(node: &TestNode) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(node.pool()).await.expect("it is well formed")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_twice_by_the_provider_has_one_account_whatever_signs_for_it() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let provider = Provider::signing(algorithm).await;
        let node = node(&provider).await;
        let first = login(&node).await.ok();
        assert_eq!(
            (&first["user"]["email"], &first["user"]["name"]),
            (&json!("ada@example.org"), &json!("Ada Lovelace"))
        );
        assert_eq!((&first["token_type"], &first["expires_in"]), (&json!("Bearer"), &json!(900)));
        // At the provider she has another address now; she is still the same.
        provider.knows(json!({"sub": "ada", "email": "lovelace@example.org", "email_verified": true}));
        let second = Person::logged_in(&node.url, &login(&node).await.ok());
        assert_eq!((json!(second.id), accounts(&node).await), (first["user"]["id"].clone(), 1), "{algorithm:?}");
        second.send(Method::GET, "/auth/me", None, None).await.ok();
        let refresh = json!({"refresh_token": second.refresh_token});
        post(&node, "/auth/refresh", refresh).await.ok();
        assert_eq!(provider.keys_shown(), 1);
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_logins_at_once_make_one_account() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let all = futures::future::join_all((0..8).map(|_| login(&node))).await;
    let ids: Vec<Value> = all.into_iter().map(|answer| answer.ok()["user"]["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(accounts(&node).await, 1);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_belongs_to_the_browser_that_began_it_and_is_taken_up_once() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let (trip, other) = (Trip::begin(&node.url).await, Trip::begin(&node.url).await);
    assert!(trip.cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{}", trip.cookie);
    let query = trip.agree().await;
    for cookie in ["", other.shown(), &format!("{}x", trip.shown())] {
        back(&node, &query, cookie).await.problem("invalid_input");
    }
    // One browser, two tabs.
    let both = format!("{}; {}", other.shown(), trip.shown());
    let answer = land(&node.url, &query, &both).await;
    let forgotten = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(forgotten.contains("=; Path=/; Max-Age=0; HttpOnly"), "{forgotten}");
    assert_eq!(answer.status(), StatusCode::OK);
    let replayed = back(&node, &query, &both).await;
    assert_eq!(replayed.status, StatusCode::BAD_REQUEST);
    replayed.problem("invalid_input");
    back(&node, &other.agree().await, &both).await.ok();

    let late = Trip::begin(&node.url).await;
    let query = late.agree().await;
    node.advance(TimeDelta::minutes(10));
    back(&node, &query, late.shown()).await.problem("invalid_input");
    let now = node.node.api().services().context().clock.now();
    link::persistence::oidc::forget(node.pool(), now + TimeDelta::seconds(1)).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM oidc_attempts").fetch_one(node.pool()).await.unwrap();
    assert_eq!(left, 0);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_no_login_of_ours_led_to_is_refused() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let trip = Trip::begin(&node.url).await;
    let (made_up, state) = ("A".repeat(43), trip.agree().await.split("state=").nth(1).unwrap().to_owned());
    let wrong =
        ["", "code=x", "code=x&state=", "code=x&state=%00", "code=x&state=short", "state=%ff", "code=x&state=ä"];
    for query in wrong.map(str::to_owned).into_iter().chain([format!("code=x&state={made_up}")]) {
        let answer = back(&node, &query, trip.shown()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(["invalid_input", "malformed"].contains(&answer.body["code"].as_str().unwrap()), "{query}");
    }
    back(&node, &format!("code=x&code=y&state={state}"), trip.shown()).await.problem("invalid_input");
    // A code that the provider never gave.
    let refused = back(&node, &format!("code=x&state={state}"), trip.shown()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    refused.problem("unauthenticated");
    for (what, said) in [
        ("error=access_denied", "access_denied"),
        ("error=%3Cscript%3E", "does not say why"),
        ("code=x&iss=https://elsewhere.example", "another provider"),
    ] {
        let trip = Trip::begin(&node.url).await;
        let state = trip.agree().await.split("state=").nth(1).unwrap().to_owned();
        let problem = back(&node, &format!("{what}&state={state}"), trip.shown()).await.problem("unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem:#}");
    }
    assert_eq!(accounts(&node).await, 0);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_says_something_else_than_it_has_to_is_refused() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let now = Clock::default().now().timestamp();
    let lies: [(&str, Value); 16] = [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!([])),
        ("aud", json!([CLIENT, "another client"])),
        ("azp", json!("another client")),
        ("iss", json!("https://elsewhere.example")),
        ("exp", json!(now - 120)),
        ("exp", Value::Null),
        ("iat", json!(now + 600)),
        ("iat", json!(now - 3_600)),
        ("iat", Value::Null),
        ("nbf", json!(now + 600)),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("sub", json!("a\0a")),
    ];
    for (claim, value) in lies {
        let lie = value.clone();
        provider.bend(move |claims| claims[claim] = lie.clone());
        let answer = login(&node).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{claim} = {value}: {:#}", answer.body);
        answer.problem("unauthenticated");
    }
    assert_eq!(accounts(&node).await, 0);
    provider.bend(|claims| (claims["aud"], claims["azp"]) = (json!([CLIENT, "another client"]), json!(CLIENT)));
    login(&node).await.ok();
    node.node.stop().await;
}

/// An ID token with a header and a signature of one's own.
fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", text(header), text(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_the_provider_did_not_sign_is_refused() {
    type Forge = fn(&Signer, &Value) -> String;
    let forgeries: [(&str, Forge); 6] = [
        ("no signature", |key, claims| by_hand(&json!({"alg": "none", "kid": key.kid}), claims, "")),
        ("an empty signature", |key, claims| by_hand(&json!({"alg": "EdDSA", "kid": key.kid}), claims, "")),
        ("the public key as a secret", |key, claims| {
            let public = key.public["x"].as_str().unwrap();
            let secret = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(public).unwrap());
            let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
            jsonwebtoken::encode(&header, claims, &secret).unwrap()
        }),
        ("another's key under the same name", |key, claims| {
            let mut other = Signer::new(Algorithm::EdDSA);
            other.kid.clone_from(&key.kid);
            other.sign(claims)
        }),
        ("another algorithm's key under the same name", |key, claims| {
            let mut other = Signer::new(Algorithm::ES256);
            other.kid.clone_from(&key.kid);
            other.sign(claims)
        }),
        ("no token at all", |_, _| "x".into()),
    ];
    let provider = Provider::start().await;
    let node = node(&provider).await;
    for (what, forge) in forgeries {
        provider.forge(forge);
        let answer = login(&node).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {:#}", answer.body);
        answer.problem("unauthenticated");
    }
    assert_eq!(accounts(&node).await, 0);
    provider.behave();
    login(&node).await.ok();
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_provider_is_fetched_once_and_unknown_ones_not_again_and_again() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    login(&node).await.ok();
    provider.rotate();
    login(&node).await.ok();
    assert_eq!(provider.keys_shown(), 2);
    provider.rotate();
    for _ in 0..3 {
        login(&node).await.problem("unauthenticated");
    }
    assert_eq!(provider.keys_shown(), 2);
    node.advance(TimeDelta::seconds(61));
    provider.bend(|claims| {
        for time in ["iat", "exp"] {
            claims[time] = json!(claims[time].as_i64().unwrap() + 61);
        }
    });
    login(&node).await.ok();
    assert_eq!(provider.keys_shown(), 3);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_linked_by_a_verified_address_and_never_taken_over_by_another() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let ada = Person::register(&node.url, "Ada").await;
    for verified in [json!(false), json!("false"), json!(1), Value::Null] {
        provider.knows(json!({"sub": "mallory", "email": ada.email, "email_verified": verified}));
        login(&node).await.problem("name_taken");
    }
    provider.knows(json!({"sub": "mallory", "email": ada.email}));
    login(&node).await.problem("name_taken");
    provider.knows(json!({"sub": "ada", "email": ada.email.to_uppercase(), "email_verified": true}));
    let key = ada.post("/auth/api_keys", json!({"name": "a script"})).await;
    let key = key["key"].as_str().expect("it is shown once").to_owned();
    let before = [ada.clone(), ada.login().await, Person { token: key, ..ada.clone() }];
    for opener in &before {
        opener.send(Method::GET, "/auth/me", None, None).await.ok();
    }
    assert_eq!(login(&node).await.ok()["user"]["id"], json!(ada.id));
    // Nobody had shown that the address is theirs: what opened the account until now opens it no more.
    for opener in &before {
        opener.send(Method::GET, "/auth/me", None, None).await.problem("unauthenticated");
    }
    let password = json!({"email": ada.email, "password": "correct horse"});
    post(&node, "/auth/login", password).await.problem("bad_credentials");
    // Linked once, it is the subject that counts, and nothing ends any more.
    let linked = Person::logged_in(&node.url, &login(&node).await.ok());
    provider.knows(json!({"sub": "ada", "email": ada.email, "email_verified": false}));
    assert_eq!(login(&node).await.ok()["user"]["id"], json!(ada.id));
    linked.send(Method::GET, "/auth/me", None, None).await.ok();
    assert_eq!(accounts(&node).await, 1);
    for nobody in [json!({"sub": "bob"}), json!({"sub": "bob", "email": "no address", "email_verified": true})] {
        provider.knows(nobody);
        login(&node).await.problem("unauthenticated");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_password_is_opened_by_none() {
    let provider = Provider::start().await;
    let node = node(&provider).await;
    let ada = Person::logged_in(&node.url, &login(&node).await.ok());
    let mut said = vec![];
    for (email, password) in [("ada@example.org", "x"), ("ada@example.org", "nobody's"), ("nobody@example.org", "x")] {
        let answer = post(&node, "/auth/login", json!({"email": email, "password": password})).await;
        said.push(answer.problem("bad_credentials")["detail"].clone());
    }
    assert!(said.iter().all(|detail| *detail == said[0]), "{said:?}");
    let change = json!({"password": "", "new_password": "correct horse"});
    assert_eq!(ada.try_post("/auth/change_password", change).await.status, StatusCode::BAD_REQUEST);
    let change = json!({"password": "nobody's", "new_password": "correct horse"});
    ada.try_post("/auth/change_password", change).await.problem("bad_credentials");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_some_domains_may_log_in_the_address_has_to_be_verified_and_of_one_of_them() {
    let provider = Provider::start().await;
    let node = changed(&provider, |oidc| oidc.allowed_domains = vec!["example.org".into()]).await;
    for (email, verified) in [
        ("ada@example.com", true),
        ("ada@sub.example.org", true),
        ("ada@notexample.org", true),
        ("ada@example.org", false),
    ] {
        provider.knows(json!({"sub": "ada", "email": email, "email_verified": verified}));
        let answer = login(&node).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{email}");
        answer.problem("forbidden");
    }
    assert_eq!(accounts(&node).await, 0);
    provider.knows(json!({"sub": "ada", "email": "ada@Example.org", "email_verified": true}));
    login(&node).await.ok();
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_gets_a_code_that_becomes_tokens_once_and_soon() {
    let provider = Provider::start().await;
    let node = changed(&provider, |oidc| {
        oidc.return_url = Some("https://app.example.org/login?theme=dark".parse().unwrap());
        oidc.redirect_url = "https://link.example.org/auth/oidc/callback".parse().unwrap();
    })
    .await;
    let code = async || {
        let trip = Trip::begin(&node.url).await;
        assert!(trip.cookie.starts_with("__Host-link_oidc_"), "{}", trip.cookie);
        assert!(trip.cookie.ends_with("; HttpOnly; Secure; SameSite=Lax"), "{}", trip.cookie);
        let answer = browser().get(&trip.location).send().await.unwrap();
        let location = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        let answer = land(&node.url, location.split_once('?').unwrap().1, trip.shown()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let location = answer.headers()[header::LOCATION].to_str().unwrap();
        location.strip_prefix("https://app.example.org/login?theme=dark&code=").expect("it is the front end").to_owned()
    };
    let (one, two) = (code().await, code().await);
    let exchange = |code: String| post(&node, "/auth/exchange_code", json!({"code": code}));
    let both = tokio::join!(exchange(one.clone()), exchange(one.clone()));
    let good = [&both.0, &both.1].into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(good, 1, "a code counts once");
    exchange(one).await.problem("unauthenticated");
    node.advance(TimeDelta::seconds(60));
    exchange(two).await.problem("unauthenticated");
    exchange("link_lc_none".into()).await.problem("unauthenticated");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_or_does_not_know_link_makes_a_login_unavailable_and_no_more() {
    let mut provider = Provider::start().await;
    let stranger = changed(&provider, |oidc| oidc.client_secret = Some("wrong".into())).await;
    let problem = login(&stranger).await.problem("unavailable");
    assert!(problem["next_actions"][0].as_str().unwrap().contains("LINK_OIDC_CLIENT_SECRET"), "{problem:#}");
    assert!(!problem.to_string().contains("wrong"));
    let elsewhere = changed(&provider, |oidc| oidc.issuer = format!("{}/", oidc.issuer)).await;
    let start = async |node: &TestNode| back_to(browser().get(format!("{}/auth/oidc/start", node.url))).await;
    start(&elsewhere).await.problem("unavailable");

    let (known, new) = (node(&provider).await, node(&provider).await);
    let trip = Trip::begin(&known.url).await;
    let query = trip.agree().await;
    provider.stop().await;
    for answer in [back(&known, &query, trip.shown()).await, start(&new).await] {
        assert_eq!((answer.status, &answer.body["retryable"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(true)));
        answer.problem("unavailable");
    }
    Person::register(&new.url, "Ada").await;
    let metrics = http().get(format!("{}/metrics", new.url)).send().await.unwrap().text().await.unwrap();
    for line in [
        "link_oidc_calls_total{call=\"token\",outcome=\"refused\"}",
        "link_oidc_logins_total{step=\"begin\",outcome=\"unavailable\"}",
        "link_oidc_call_seconds_count{call=\"discovery\"}",
    ] {
        assert!(metrics.contains(line), "{line} is missing");
    }
    for node in [stranger, elsewhere, known, new] {
        node.node.stop().await;
    }
}

async fn back_to(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("it answers");
    Answer { status: answer.status(), body: answer.json().await.expect("it answers in JSON") }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_no_such_login() {
    let node = TestNode::start().await;
    for path in ["start", "callback", "callback?code=x&state=y", "elsewhere"] {
        let answer = back_to(browser().get(format!("{}/auth/oidc/{path}", node.url))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        answer.problem("no_such_operation");
    }
    back_to(browser().post(format!("{}/auth/oidc/start", node.url))).await.problem("method_not_allowed");
    node.node.stop().await;
}
