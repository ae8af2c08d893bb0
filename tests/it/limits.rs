//! One caller may ask for so much and no more; nobody else pays for it, and a browser is told what it may do.

use link::config::Rates;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, http},
    raw::{Frame, Raw, TEXT, UPGRADE},
    socket::Socket,
};

const PROXY: &str = "127.0.0.1";

async fn strict() -> TestNode {
    TestNode::with(|config| {
        config.rates = Rates { reads: 2, writes: 2, credentials: 2 };
        config.trusted_proxies = vec![PROXY.parse::<std::net::IpAddr>().expect("an address").into()];
        config.cors_origins = vec!["https://app.example.org".into()];
    })
    .await
}

async fn me(person: &Person) -> Response {
    let request = person.http.get(format!("{}/api/v1/auth/me", person.url)).bearer_auth(&person.token);
    request.send().await.expect("it answers")
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_is_told_when_to_come_again_and_nobody_else_pays() {
    let node = strict().await;
    let (ada, bob) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Bob").await);
    let mut refused = None;
    for nth in 0..200 {
        let answer = me(&ada).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some((nth, answer));
            break;
        }
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let (nth, answer) = refused.expect("200 reads are more than 2 a second");
    assert!(nth >= 20, "a burst of ten seconds' worth passes: {nth}");
    assert_eq!(header(&answer, "retry-after"), "1");
    let problem: Value = answer.json().await.expect("it is a problem");
    assert_eq!((problem["code"].as_str(), problem["retryable"].as_bool()), (Some("too_many_requests"), Some(true)));
    assert!(problem["retry_after_ms"].as_u64().is_some_and(|ms| (1..=500).contains(&ms)), "{problem:#}");

    assert_eq!(me(&bob).await.status(), StatusCode::OK, "another person has a bucket of their own");
    ada.workspace("Lab").await;
    let mut socket = Socket::hello(&ada).await;
    let mut codes = vec![];
    for _ in 0..5 {
        codes.push(socket.call("auth.me", json!({})).await["code"].clone());
    }
    assert!(codes.contains(&json!("too_many_requests")), "a socket is no way around: {codes:?}");
    node.advance(chrono::TimeDelta::seconds(11));
    assert_eq!(me(&ada).await.status(), StatusCode::OK, "the bucket fills again");
    node.node.stop().await;
}

async fn login(http: &Client, url: &str, from: &str, email: &str, password: &str) -> Value {
    let request = http.post(format!("{url}/api/v1/auth/login")).header("x-forwarded-for", from);
    let answer = request.json(&json!({"email": email, "password": password})).send().await.expect("it answers");
    answer.json().await.expect("it answers in JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_cannot_be_tried_out_and_the_owner_is_not_locked_out() {
    let node = strict().await;
    let http = http();
    let body = json!({"email": "ada@throttled.example", "name": "Ada", "password": "correct horse"});
    let register = http.post(format!("{}/api/v1/auth/register", node.url)).header("x-forwarded-for", "192.0.2.9");
    assert_eq!(register.json(&body).send().await.expect("it answers").status(), StatusCode::CREATED);
    let mut seen = vec![];
    for _ in 0..12 {
        let answer = login(&http, &node.url, "192.0.2.1", "ada@throttled.example", "wrong horse").await;
        seen.push(answer["code"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(seen.iter().filter(|code| *code == "bad_credentials").count(), 10, "{seen:?}");
    let right = login(&http, &node.url, "192.0.2.1", "ada@throttled.example", "correct horse").await;
    assert_eq!(right["code"], "too_many_requests", "not even the right one is looked at");
    assert!(right["retry_after_ms"].as_u64().is_some_and(|ms| ms > 20_000), "{right:#}");
    let elsewhere = login(&http, &node.url, "192.0.2.2", "ada@throttled.example", "correct horse").await;
    assert!(elsewhere["access_token"].is_string(), "{elsewhere:#}");
    let nobody = login(&http, &node.url, "192.0.2.1", "nobody@throttled.example", "wrong horse").await;
    assert_eq!(nobody["code"], "bad_credentials", "another account is another count");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_without_end_from_one_address_are_refused_before_they_cost_anything() {
    let node = strict().await;
    let (http, mut codes) = (http(), vec![]);
    for nth in 0..40 {
        let answer = login(&http, &node.url, "2001:db8::1", &format!("{nth}@example.org"), "x").await;
        codes.push(answer["code"].as_str().unwrap_or_default().to_owned());
    }
    assert!(codes.contains(&"too_many_requests".to_owned()), "{codes:?}");
    let neighbour = login(&http, &node.url, "2001:db8::2", "x@example.org", "x").await;
    assert_eq!(neighbour["code"], "too_many_requests", "the same /64 is the same place");
    let elsewhere = login(&http, &node.url, "2001:db8:1::1", "x@example.org", "x").await;
    assert_eq!(elsewhere["code"], "bad_credentials");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_the_origins_that_are_listed_may_call_link() {
    let node = strict().await;
    let http = http();
    let ask = async |origin: &str| {
        let request = http.request(Method::OPTIONS, format!("{}/api/v1/workspaces", node.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let request = request.header("access-control-request-headers", "authorization,content-type,idempotency-key");
        request.send().await.expect("it answers")
    };
    let listed = ask("https://app.example.org").await;
    assert!(listed.status().is_success());
    assert_eq!(header(&listed, "access-control-allow-origin"), "https://app.example.org");
    assert!(header(&listed, "access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(header(&listed, "access-control-allow-credentials"), "", "no cookie ever counts");
    for stranger in ["https://evil.example", "https://app.example.org.evil.example", "null", "http://app.example.org"] {
        assert_eq!(header(&ask(stranger).await, "access-control-allow-origin"), "", "{stranger}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_to_be_careful() {
    let node = strict().await;
    let http = http();
    for path in ["/healthz", "/nowhere", "/api/v1/auth/me", "/api/v1/openapi.json", "/docs", "/ws", "/metrics"] {
        let answer = http.get(format!("{}{path}", node.url)).send().await.expect("it answers");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "x-frame-options"), "DENY", "{path}");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
        assert!(header(&answer, "content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!(header(&answer, "strict-transport-security"), "", "plain HTTP promises no TLS: {path}");
    }
    let secure = http.get(format!("{}/healthz", node.url)).header("x-forwarded-proto", "https").send().await;
    assert!(header(&secure.expect("it answers"), "strict-transport-security").contains("max-age"));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_more_than_there_may_be_is_told_so_and_a_freed_place_is_taken() {
    let node = TestNode::with(|config| config.connections.max = 3).await;
    let ada = Person::register(&node.url, "Ada").await;
    drop(ada.http.clone());
    let ada = Person { http: http(), ..ada };
    let mut taken = vec![];
    // Registering may still hold a place.
    let refused = loop {
        let mut raw = Raw::connect(&node.url).await;
        raw.write(b"GET /healthz HTTP/1.1\r\nhost: link\r\n\r\n").await.expect("the node reads");
        let head = raw.head().await;
        match head.starts_with("HTTP/1.1 200") {
            true => taken.push(raw),
            false => break head + &String::from_utf8(raw.rest().await).expect("it is text"),
        }
    };
    assert!(taken.len() <= 3 && !taken.is_empty());
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("application/problem+json"), "{refused}");
    let body: Value =
        serde_json::from_str(refused.split_once("\r\n\r\n").expect("it has a body").1).expect("it is JSON");
    assert_eq!((&body["code"], &body["retryable"]), (&json!("unavailable"), &json!(true)));
    // A socket keeps its place for as long as it is open.
    taken.pop();
    let mut socket = loop {
        let mut raw = Raw::connect(&node.url).await;
        let _ = raw.write(format!("{UPGRADE}\r\n").as_bytes()).await;
        if raw.head().await.starts_with("HTTP/1.1 101") {
            break raw;
        }
    };
    let mut raw = Raw::connect(&node.url).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 503"));
    socket.write(&Frame::says(&json!({"t": "hello", "token": ada.token})).bytes()).await.expect("the node reads");
    assert_eq!(socket.frame().await.expect("it greets").0, TEXT);
    node.node.stop().await;
}
