//! What an endpoint outside can rely on: it hears of every event that it asked for and that everybody may read, at
//! least once, signed, whatever happens to it or to Link in between.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        endpoint::{Endpoint, Received, Reply},
        node::{TestNode, TestProcess},
        person::{Answer, Person, id},
    },
};

/// Somebody with webhooks.
pub struct Scene {
    pub ada: Person,
    pub workspace: String,
    pub project: String,
}

impl Scene {
    pub async fn new(url: &str) -> Self {
        let ada = Person::register(url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let project = ada.project(&workspace, "Moon base").await;
        Self { ada, workspace, project }
    }

    /// Moves the time and logs in anew.
    pub async fn advance(&mut self, node: &TestNode, by: TimeDelta) {
        node.advance(by);
        self.ada = self.ada.login().await;
    }

    pub async fn webhook(&self, url: &str, events: Value) -> (String, String) {
        let body = json!({"url": url, "events": events});
        let made = self.ada.post(&format!("/workspaces/{}/webhooks", self.workspace), body).await;
        (id(&made), made["secret"].as_str().expect("the secret is shown once").to_owned())
    }

    pub async fn update(&self, webhook: &str, change: Value) -> Value {
        self.ada.send(Method::PATCH, &format!("/webhooks/{webhook}"), Some(&change), None).await.ok()
    }

    pub async fn tasks(&self, from: usize, to: usize) {
        for n in from..to {
            self.ada.task(&self.project, &format!("task {n}")).await;
        }
    }

    pub async fn deliveries(&self, webhook: &str) -> Vec<Value> {
        let path = format!("/webhooks/{webhook}/deliveries?limit=200");
        self.ada.get(&path).await["items"].as_array().expect("a list").clone()
    }

    pub async fn until_first(&self, webhook: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/webhooks/{webhook}/deliveries");
        self.ada.until(&path, what, |seen| test(&seen["items"][0])).await["items"][0].clone()
    }
}

pub async fn node() -> TestNode {
    TestNode::with(|config| config.webhooks_allow_private = true).await
}

pub fn titles(received: &[Received]) -> Vec<&str> {
    received.iter().filter_map(|one| one.body["data"]["data"]["title"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_hears_of_what_it_asked_for_in_order_and_signed() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    scene.tasks(0, 1).await;
    let (webhook, secret) = scene.webhook(&endpoint.url(), json!(["task:created", "project:*"])).await;
    assert!(secret.starts_with("whsec_"));
    scene.tasks(1, 4).await;
    scene.ada.project(&scene.workspace, "Mars base").await;
    scene.ada.post(&format!("/workspaces/{}/conversations", scene.workspace), json!({"type": "channel"})).await;

    let received = endpoint.until(4).await;
    assert_eq!(titles(&received), ["task 1", "task 2", "task 3"], "nothing from before, in the order of the log");
    assert_eq!(received[3].kind(), "project:created");
    let log = scene.ada.log(&scene.workspace).await;
    for one in &received {
        assert!(one.is_signed_by(&secret), "{one:#?}");
        assert!(!one.is_signed_by("whsec_AAAA"));
        let offset = one.body["data"]["offset"].as_u64().expect("an event has an offset") as usize;
        let event = &log[offset - 1];
        assert_eq!((&one.body["timestamp"], &one.body["type"]), (&event["at"], &event["type"]));
        assert_eq!((&one.body["data"]["id"], &one.body["data"]["data"]), (&event["id"], &event["data"]));
        assert_eq!(one.body["data"]["workspace"], scene.workspace);
    }
    let over = |first: &Value| first["status"] == "delivered" && first["type"] == "project:created";
    let last = scene.until_first(&webhook, "the last is delivered", over).await;
    assert_eq!((&last["id"], &last["code"], &last["attempts"]), (&json!(received[3].id), &json!(204), &json!(1)));
    assert_eq!(scene.deliveries(&webhook).await.len(), 4, "the conversation was not asked for");
    check_projections(node.pool(), &scene.workspace).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_conversation_is_told_to_no_endpoint() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let ben = Person::register(&node.url, "Ben").await;
    scene.ada.invite(&scene.workspace, &ben, "member").await;
    scene.webhook(&endpoint.url(), json!(["conversation:*", "task:created"])).await;
    let make = json!({"type": "dm", "participants": [format!("user:{}", ben.id)]});
    let dm = id(&scene.ada.post(&format!("/workspaces/{}/conversations", scene.workspace), make).await);
    let words = json!({"parts": [{"type": "text", "text": "between us"}]});
    scene.ada.post(&format!("/conversations/{dm}/messages"), words).await;
    scene.tasks(0, 1).await;
    let received = endpoint.until(1).await;
    assert_eq!((received.len(), received[0].kind()), (1, "task:created"));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_hears_no_more_than_whoever_made_the_webhook_may_see() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let ben = Person::register(&node.url, "Ben").await;
    scene.ada.invite(&scene.workspace, &ben, "admin").await;
    let secret = scene.ada.project(&scene.workspace, "Secret").await;
    let deny = json!({"subject": format!("project:{secret}"), "principal": format!("user:{}", ben.id),
        "effect": "deny", "permissions": ["read"]});
    scene.ada.post(&format!("/workspaces/{}/grants", scene.workspace), deny).await;
    let hooks = format!("/workspaces/{}/webhooks", scene.workspace);
    let made = ben.post(&hooks, json!({"url": endpoint.url(), "events": ["task:*"]})).await;
    scene.ada.task(&secret, "not for Ben").await;
    scene.tasks(0, 1).await;
    let received = endpoint.until(1).await;
    assert_eq!(titles(&received), ["task 0"]);

    // With the right to manage webhooks goes what they send, and it is said why.
    let change = json!({"role": "member"});
    let member = format!("/workspaces/{}/members/{}", scene.workspace, ben.id);
    scene.ada.send(Method::PATCH, &member, Some(&change), None).await.ok();
    scene.tasks(1, 2).await;
    let off = |seen: &Value| seen["items"][0]["enabled"] == false;
    let seen = scene.ada.until(&hooks, "the webhook is off", off).await;
    assert_eq!(seen["items"][0]["id"], made["id"]);
    assert!(seen["items"][0]["disabled_reason"].as_str().is_some_and(|why| why.contains("may no longer")), "{seen:#}");
    assert_eq!(endpoint.until(1).await.len(), 1);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_the_one_before_signs_for_a_day() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let mut scene = Scene::new(&node.url).await;
    let (webhook, first) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    let rotate = format!("/webhooks/{webhook}/rotate_secret");
    let send = async |ada: &Person| ada.send(Method::POST, &rotate, Some(&json!({})), Some("rotate")).await.ok();
    let rotated = send(&scene.ada).await;
    let second = rotated["secret"].as_str().expect("the new secret is shown").to_owned();
    assert_ne!(first, second);
    assert!(rotated["former_secret_until"].is_string(), "{rotated:#}");
    let again = send(&scene.ada).await;
    assert_eq!(again["secret"], Value::Null, "a repeated request rotates nothing and shows nothing: {again:#}");

    scene.tasks(0, 1).await;
    let both = endpoint.until(1).await.remove(0);
    assert_eq!(both.signatures.len(), 2);
    assert!(both.is_signed_by(&first) && both.is_signed_by(&second));
    scene.advance(&node, TimeDelta::hours(25)).await;
    scene.tasks(1, 2).await;
    let later = endpoint.until(2).await.remove(1);
    assert!(later.is_signed_by(&second) && !later.is_signed_by(&first));

    let list = scene.ada.get(&format!("/workspaces/{}/webhooks", scene.workspace)).await;
    let everything = format!("{list} {:?}", scene.ada.log(&scene.workspace).await);
    assert!(!everything.contains("whsec_"), "a secret is shown again: {everything}");
    let log = format!("{:?}", scene.ada.log(&scene.workspace).await);
    assert!(!log.contains("psst"), "the address holds a secret too: {log}");
    let kept: Vec<String> = sqlx::query_scalar(
        "SELECT coalesce(response::text, '') || answer::text FROM commands UNION ALL SELECT encode(sealed, 'escape') FROM sealed_texts",
    )
    .fetch_all(node.pool())
    .await
    .expect("the tables are there");
    assert!(kept.len() > 3 && !kept.iter().any(|text| text.contains("whsec_") || text.contains("psst")), "{kept:#?}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_creation_makes_one_webhook() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let path = format!("/workspaces/{}/webhooks", scene.workspace);
    let body = json!({"url": endpoint.url()});
    let first = scene.ada.send(Method::POST, &path, Some(&body), Some("make")).await.ok();
    let again = scene.ada.send(Method::POST, &path, Some(&body), Some("make")).await.ok();
    assert_eq!((&first["id"], &again["secret"]), (&again["id"], &Value::Null));
    assert_eq!(scene.ada.get(&path).await["items"].as_array().map(Vec::len), Some(1));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_or_given_up_is_sent_again_when_a_person_asks() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let (webhook, secret) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    scene.tasks(0, 1).await;
    endpoint.until(1).await;
    let first = scene.until_first(&webhook, "it is delivered", |first| first["status"] == "delivered").await;
    let again = format!("/webhooks/{webhook}/deliveries/{}/redeliver", id(&first));
    let waiting = scene.ada.post(&again, json!({})).await;
    assert_eq!((&waiting["status"], &waiting["id"]), (&json!("pending"), &first["id"]));
    let received = endpoint.until(2).await;
    assert_eq!((&received[0].id, &received[0].text), (&received[1].id, &received[1].text));
    assert!(received[1].is_signed_by(&secret));
    let nothing = format!("/webhooks/{webhook}/deliveries/{webhook}/redeliver");
    scene.ada.try_post(&nothing, json!({})).await.problem("not_found");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_inside_is_refused_and_a_name_that_leads_inside_gets_nothing() {
    let (node, endpoint) = (TestNode::start().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let path = format!("/workspaces/{}/webhooks", scene.workspace);
    for inside in [
        endpoint.url(),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://localhost/".into(),
        "http://[::1]/".into(),
        "ftp://example.org/".into(),
        "https://user:secret@example.org/".into(),
    ] {
        let refused = scene.ada.try_post(&path, json!({"url": inside})).await.problem("invalid_input");
        assert_eq!(refused["errors"][0]["path"], "url", "{inside}");
    }
    // The host's own name leads to this very machine.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("it has a name");
    let (webhook, _) = scene.webhook(&format!("http://{}:1/", name.trim()), json!(["task:created"])).await;
    scene.tasks(0, 1).await;
    let tried = scene.until_first(&webhook, "it was tried", |first| first["attempts"] == 1).await;
    let error = tried["error"].as_str().expect("it says why");
    assert!(error.contains("not public") || error.contains("no connection"), "{tried:#}");
    assert_eq!((&tried["status"], &tried["code"]), (&json!("pending"), &Value::Null));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_link_goes_on_where_it_was_and_leaves_nothing_out() {
    let endpoint = Endpoint::start().await;
    let mut node = TestProcess::with(&[("LINK_WEBHOOKS_ALLOW_PRIVATE", "true")]).await;
    let scene = Scene::new(&node.url).await;
    scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    for round in 0..3 {
        endpoint.reply([Reply::Status(204, &[]), Reply::Never]);
        scene.tasks(round * 10, round * 10 + 10).await;
        endpoint.until(endpoint.received().len() + 1).await;
        node.kill();
        node.revive().await;
    }
    let wanted: Vec<String> = (0..30).map(|n| format!("task {n}")).collect();
    let all = async {
        loop {
            let received = endpoint.received();
            if wanted.iter().all(|title| titles(&received).contains(&title.as_str())) {
                return received;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let received = tokio::time::timeout(crate::support::person::PATIENCE, all).await;
    let received = received.unwrap_or_else(|_| panic!("{:?} came", titles(&endpoint.received())));
    let mut ids: Vec<&str> = received.iter().map(|one| one.id.as_str()).collect();
    let mut first_seen = titles(&received);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 30, "what came twice came under the same id");
    first_seen.dedup();
    let mut once = vec![];
    first_seen.into_iter().for_each(|title| {
        if !once.contains(&title) {
            once.push(title)
        }
    });
    assert_eq!(once, wanted, "in the order of the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_manages_the_workspace_sees_webhooks_and_strangers_see_none() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let (webhook, _) = scene.webhook(&endpoint.url(), json!(["*"])).await;
    let (ben, eve) = (Person::register(&node.url, "Ben").await, Person::register(&node.url, "Eve").await);
    scene.ada.invite(&scene.workspace, &ben, "member").await;
    for (person, code) in [(&ben, "forbidden"), (&eve, "not_found")] {
        let send = async |method, path: String| -> Answer { person.send(method, &path, Some(&json!({})), None).await };
        send(Method::POST, format!("/webhooks/{webhook}/rotate_secret")).await.problem(code);
        send(Method::DELETE, format!("/webhooks/{webhook}")).await.problem(code);
        send(Method::PATCH, format!("/webhooks/{webhook}")).await.problem(code);
        person.send(Method::GET, &format!("/webhooks/{webhook}/deliveries"), None, None).await.problem(code);
    }
    scene.ada.send(Method::DELETE, &format!("/webhooks/{webhook}"), None, None).await.ok();
    scene.ada.send(Method::GET, &format!("/webhooks/{webhook}/deliveries"), None, None).await.problem("not_found");
    check_projections(node.pool(), &scene.workspace).await;
    node.node.stop().await;
}
