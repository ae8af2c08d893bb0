//! What is secret is known to who showed it and to nobody else: it is in no line that a node logs, however much it logs, in
//! no row of its database, and in no answer but the one that hands it over.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    browser::{REDIRECT, Trip, browser, land},
    endpoint::{Endpoint, Reply},
    node::TestProcess,
    person::{Person, http, id},
    provider::{CLIENT, Provider, SECRET},
    socket::Socket,
    trpc::escaped,
};

/// What was shown to a node or by it, and what it answered to what was wrong.
#[derive(Default)]
struct Seen {
    secrets: Vec<(&'static str, String)>,
    refusals: Vec<String>,
}

impl Seen {
    fn secret(&mut self, what: &'static str, text: impl Into<String>) -> String {
        let text = text.into();
        assert!(text.len() >= 8, "{what} could be anywhere");
        self.secrets.push((what, text.clone()));
        text
    }

    fn tokens(&mut self, of: &Value) {
        for what in ["access_token", "refresh_token"] {
            let text = of[what].as_str().unwrap_or_else(|| panic!("{of:#}"));
            self.secret(what, text);
            if what == "access_token" {
                self.secret("a signature", text.rsplit('.').next().expect("it has parts"));
            }
        }
    }

    fn key(&mut self, what: &'static str, made: &Value) -> String {
        self.secret(what, made["key"].as_str().unwrap_or_else(|| panic!("{made:#}")))
    }

    /// Sends what is refused, and keeps the refusal.
    async fn wrong(&mut self, url: &str, path: &str, token: Option<&str>, body: Value) {
        let mut request = http().post(format!("{url}{path}")).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_client_error(), "{path} {body}: {}", answer.status());
        self.refusals.push(answer.text().await.expect("it is text"));
    }

    /// Returns what of it is in a text.
    fn found_in(&self, place: &str, text: &str) -> Vec<String> {
        let mut found = vec![];
        let text = text.to_lowercase();
        for (what, secret) in &self.secrets {
            // As it is, as a column of bytes shows it, and as an address does.
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            for form in [secret.to_lowercase(), hex, escaped(secret).to_lowercase()] {
                let at = text.find(&form).map(|at| text[..at].rfind('\n').map_or(0, |line| line + 1));
                let line = at.and_then(|at| text[at..].lines().next());
                found.extend(line.map(|line| format!("{what} is in {place}: {line:.600}")));
            }
        }
        found
    }
}

async fn post(url: &str, path: &str, body: Value) -> Value {
    let answer = http().post(format!("{url}/api/v1{path}")).json(&body).send().await.expect("it answers");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.expect("it answers in JSON")
}

/// Passwords and tokens: made, shown, mistaken and spent.
async fn logins(seen: &mut Seen, url: &str) -> Person {
    let old = seen.secret("a password", "battery-staple-register");
    let account = json!({"email": "ada@example.org", "name": "Ada", "password": old});
    let registered = post(url, "/auth/register", account.clone()).await;
    seen.tokens(&registered);
    let wrong = seen.secret("a wrong password", "battery-staple-mistaken");
    let login = |password: &str| json!({"email": "ada@example.org", "password": password});
    seen.wrong(url, "/api/v1/auth/login", None, login(&wrong)).await;
    seen.wrong(url, "/api/v1/auth/login", None, json!({"email": ["ada"], "password": wrong})).await;
    seen.wrong(url, "/api/v1/auth/register", None, account).await;
    seen.wrong(url, "/api/v1/auth/register", None, json!({"email": "x@y.z", "name": "", "password": wrong})).await;
    seen.wrong(url, "/api/v1/auth/login", None, json!({"email": "a@b.c", "password": 8_273_645_190_017_u64})).await;
    seen.secret("a password that is no text", "8273645190017");
    let long = seen.secret("a password that is too long", "overlong".repeat(40));
    seen.wrong(url, "/api/v1/auth/register", None, json!({"email": "x@y.z", "name": "X", "password": long})).await;

    let second = post(url, "/auth/login", login(&old)).await;
    seen.tokens(&second);
    let refreshed = post(url, "/auth/refresh", json!({"refresh_token": second["refresh_token"]})).await;
    seen.tokens(&refreshed);
    let made_up = seen.secret("a refresh token that is none", "link_rt_thisOneIsMadeUpEntirely");
    seen.wrong(url, "/api/v1/auth/refresh", None, json!({"refresh_token": made_up})).await;
    let ada = Person::logged_in(url, &registered);
    let new = seen.secret("a new password", "battery-staple-changed");
    seen.wrong(url, "/api/v1/auth/change_password", Some(&ada.token), json!({"password": wrong, "new_password": new}))
        .await;
    ada.post("/auth/change_password", json!({"password": old, "new_password": new})).await;
    let ada = Person::logged_in(url, &post(url, "/auth/login", login(&new)).await);
    seen.tokens(&json!({"access_token": ada.token, "refresh_token": ada.refresh_token}));
    ada
}

/// A login by another provider.
async fn other_provider(seen: &mut Seen, url: &str) {
    seen.secret("the client's secret", SECRET);
    let trip = Trip::begin(url).await;
    seen.secret("the login's cookie", trip.shown().split_once('=').expect("it has a value").1);
    let query = trip.agree().await;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        seen.secret(if name == "code" { "the provider's code" } else { "the login's state" }, value);
    }
    let answer = land(url, &query, trip.shown()).await;
    let location = answer.headers()["location"].to_str().expect("it is text");
    let code = seen.secret("the code for the front end", location.split_once("code=").expect("it has a code").1);
    seen.tokens(&post(url, "/auth/exchange_code", json!({"code": code})).await);
    seen.wrong(url, "/api/v1/auth/exchange_code", None, json!({"code": code})).await;
    let again = land(url, &query, trip.shown()).await;
    seen.refusals.push(again.text().await.expect("it is text"));
}

/// Keys, shown at every door.
async fn keys(seen: &mut Seen, ada: &Person, workspace: &str) {
    let agent = ada.scripted(workspace, "Scribe", "say Hi.").await;
    let service = ada.post(&format!("/workspaces/{workspace}/services"), json!({"name": "CI", "role": "member"})).await;
    let holders = [
        ("a person's key", "/auth/api_keys".to_owned()),
        ("an agent's key", format!("/agents/{agent}/keys")),
        ("a service's key", format!("/workspaces/{workspace}/services/{}/keys", id(&service))),
    ];
    for (what, path) in holders {
        let body = json!({"name": "laptop"});
        let made = ada.send(reqwest::Method::POST, &path, Some(&body), Some(what)).await.ok();
        let key = Person { token: seen.key(what, &made), ..ada.clone() };
        let again = ada.send(reqwest::Method::POST, &path, Some(&body), Some(what)).await;
        seen.refusals.push(again.body.to_string());
        key.get(&format!("/workspaces/{workspace}")).await;
        Socket::hello(&key).await;
        let params = escaped(&json!({"token": key.token}).to_string());
        let asked = format!("{}/trpc/workspaces.list?connectionParams={params}", ada.url);
        assert!(http().get(asked).send().await.expect("it answers").status().is_success());
        let broken = seen.secret("a key with a slip", key.token[..key.token.len() - 2].to_owned() + "zz");
        seen.wrong(&ada.url, "/api/v1/workspaces", Some(&broken), json!({"name": "No"})).await;
    }
}

/// What agents and endpoints outside are called with.
async fn others(seen: &mut Seen, ada: &Person, workspace: &str, endpoint: &Endpoint) {
    let (agents, webhooks) = (format!("/workspaces/{workspace}/agents"), format!("/workspaces/{workspace}/webhooks"));
    let credential = seen.secret("an instance's credential", "psst-sk-instance-0042");
    let instances = |credentials: Value| json!([{"url": "http://127.0.0.1:9", "credentials": credentials}]);
    let agent = |instances: Value| json!({"name": "Pingu", "runtime": "penguin", "instances": instances});
    let made = ada.post(&agents, agent(instances(json!({"api_key": credential})))).await;
    let instance = made["instances"][0]["id"].as_str().expect("it has an id");
    ada.post(&format!("/penguin/instances/{instance}/probe"), json!({})).await;
    let token = ada.token.clone();
    for wrong in [json!(credential), json!({"api_key": [credential]}), json!({"": credential}), json!([credential])] {
        seen.wrong(&ada.url, &format!("/api/v1{agents}"), Some(&token), agent(instances(wrong))).await;
    }

    seen.secret("a webhook's address", "token=psst");
    endpoint.reply([Reply::Status(500, &[]), Reply::Status(302, &[("location", "http://127.0.0.1:9/away?psst")])]);
    let webhook = ada.post(&webhooks, json!({"url": endpoint.url(), "events": ["project:*"]})).await;
    seen.secret("a webhook's secret", webhook["secret"].as_str().expect("it is shown once"));
    let rotated = ada.post(&format!("/webhooks/{}/rotate_secret", id(&webhook)), json!({})).await;
    seen.secret("a webhook's new secret", rotated["secret"].as_str().expect("it is shown once"));
    ada.project(workspace, "Moon base").await;
    endpoint.until(1).await;
}

/// Everything that is in a database, as text.
async fn rows(pool: &PgPool) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(pool)
        .await
        .expect("the database answers");
    let mut all = vec![];
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM \"{table}\" t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.expect("it is readable");
        all.push((table, text));
    }
    assert!(all.iter().any(|(table, text)| table == "events" && text.contains("Moon base")), "the log is among them");
    all
}

fn without_addresses(mut webhooks: Value) -> Value {
    for webhook in webhooks["items"].as_array_mut().expect("a list") {
        webhook["url"] = Value::Null;
    }
    webhooks
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_a_log_a_row_or_a_refusal() {
    let (provider, endpoint) = (Provider::start().await, Endpoint::start().await);
    let mut process = TestProcess::with(&[
        ("RUST_LOG", "debug"),
        ("LINK_WEBHOOKS_ALLOW_PRIVATE", "true"),
        ("LINK_OIDC_ISSUER", provider.url.clone().leak()),
        ("LINK_OIDC_CLIENT_ID", CLIENT),
        ("LINK_OIDC_CLIENT_SECRET", SECRET),
        ("LINK_OIDC_REDIRECT_URL", REDIRECT),
        ("LINK_OIDC_RETURN_URL", "https://app.example.org/login"),
    ])
    .await;
    let (url, mut seen) = (process.url.clone(), Seen::default());
    let key = std::fs::read_to_string(process.root().join("jwt.key")).expect("the node made it");
    seen.secret("the signing key", key.trim());

    let ada = logins(&mut seen, &url).await;
    provider.knows(json!({"sub": "grace", "email": "grace@example.org", "email_verified": true, "name": "Grace"}));
    other_provider(&mut seen, &url).await;
    let workspace = ada.workspace("Lab").await;
    keys(&mut seen, &ada, &workspace).await;
    others(&mut seen, &ada, &workspace, &endpoint).await;
    let listed = [
        ada.get("/auth/api_keys").await,
        ada.get(&format!("/workspaces/{workspace}/agents")).await,
        // Who manages a webhook is shown its address.
        without_addresses(ada.get(&format!("/workspaces/{workspace}/webhooks")).await),
    ];
    seen.refusals.extend(listed.iter().map(Value::to_string));
    seen.refusals.push(browser().get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap());

    let mut found: Vec<String> = seen.refusals.iter().flat_map(|text| seen.found_in("an answer", text)).collect();
    for (table, text) in rows(&process.database().await).await {
        found.extend(seen.found_in(&format!("the table {table}"), &text));
    }
    process.terminate().await;
    let log = process.log();
    assert!(log.contains("DEBUG"), "the node says all that it can say");
    found.extend(seen.found_in("the log", &log));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
