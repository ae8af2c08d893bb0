//! Endpoints that fail, dawdle or are gone: nothing is left out, no other one waits for them, and what stays dead is
//! switched off.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        endpoint::{Endpoint, Reply},
        person::id,
    },
    webhooks::{Scene, node, titles},
};

const FAILED: Reply = Reply::Status(500, &[]);

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_hears_it_again_under_the_same_id() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let (webhook, secret) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    endpoint.reply([FAILED, Reply::Status(302, &[("location", "http://127.0.0.1:1/elsewhere")])]);
    scene.tasks(0, 1).await;
    for attempt in 1..=2 {
        endpoint.until(attempt).await;
        let tried = |first: &Value| first["attempts"] == attempt && first["status"] == "pending";
        let first = scene.until_first(&webhook, "it was tried", tried).await;
        assert!(first["error"].is_string() && first["next_at"].is_string(), "{first:#}");
        node.advance(TimeDelta::minutes(1));
    }
    let received = endpoint.until(3).await;
    assert!(received.iter().all(|one| one.id == received[0].id && one.is_signed_by(&secret)));
    assert!(received[0].timestamp < received[2].timestamp, "each attempt is signed anew");
    scene.until_first(&webhook, "it is delivered", |first| first["status"] == "delivered").await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_asks_to_wait_is_left_alone_until_then() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let (webhook, _) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    endpoint.reply([Reply::Status(429, &[("retry-after", "7200")])]);
    scene.tasks(0, 1).await;
    let first = scene.until_first(&webhook, "it was tried", |first| first["attempts"] == 1).await;
    let time = |name: &str| first[name].as_str().and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok()).unwrap();
    assert!(time("next_at") - time("attempted_at") >= TimeDelta::hours(2), "{first:#}");
    scene.tasks(1, 2).await;
    scene.until_first(&webhook, "the second was taken up", |first| first["attempts"] == 0).await;
    assert_eq!(endpoint.received().len(), 1, "the second waits too");
    node.advance(TimeDelta::hours(3));
    assert_eq!(titles(&endpoint.until(3).await), ["task 0", "task 0", "task 1"]);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_delays_no_other() {
    let (node, dead, living) = (node().await, Endpoint::start().await, Endpoint::start().await);
    dead.always(Reply::Never);
    let scene = Scene::new(&node.url).await;
    let (webhook, _) = scene.webhook(&dead.url(), json!(["*"])).await;
    scene.webhook(&living.url(), json!(["task:created"])).await;
    scene.tasks(0, 20).await;
    assert_eq!(living.until(20).await.len(), 20);
    assert_eq!(dead.until(1).await.len(), 1, "it is asked one thing at a time");
    assert!(scene.deliveries(&webhook).await.iter().all(|delivery| delivery["status"] == "pending"));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_switched_off_and_goes_on_where_it_stopped() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    let scene = Scene::new(&node.url).await;
    let (webhook, _) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    endpoint.reply([Reply::Status(410, &[])]);
    scene.tasks(0, 1).await;
    let list = format!("/workspaces/{}/webhooks", scene.workspace);
    let seen = scene.ada.until(&list, "it is switched off", |seen| seen["items"][0]["enabled"] == false).await;
    let reason = seen["items"][0]["disabled_reason"].as_str().expect("it says why");
    assert!(reason.contains("410"), "{seen:#}");
    let log = scene.ada.log(&scene.workspace).await;
    let disabled = log.iter().find(|event| event["type"] == "webhook:disabled").expect("it is in the log");
    assert_eq!((&disabled["actor"], &disabled["data"]["reason"]), (&json!("service:courier"), &json!(reason)));
    let delivery = scene.deliveries(&webhook).await.remove(0);
    assert_eq!(delivery["status"], "failed");
    let again = format!("/webhooks/{webhook}/deliveries/{}/redeliver", id(&delivery));
    scene.ada.try_post(&again, json!({})).await.problem("busy");

    scene.tasks(1, 3).await;
    assert_eq!(endpoint.received().len(), 1);
    assert_eq!(scene.update(&webhook, json!({"enabled": true})).await["disabled_reason"], Value::Null);
    assert_eq!(titles(&endpoint.until(3).await), ["task 0", "task 1", "task 2"]);
    check_projections(node.pool(), &scene.workspace).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_failure_switch_a_webhook_off() {
    let (node, endpoint) = (node().await, Endpoint::start().await);
    endpoint.always(FAILED);
    let mut scene = Scene::new(&node.url).await;
    let (webhook, _) = scene.webhook(&endpoint.url(), json!(["task:created"])).await;
    scene.tasks(0, 3).await;
    let list = format!("/workspaces/{}/webhooks", scene.workspace);
    let failing = |seen: &Value| seen["items"][0]["failing_since"].is_string();
    scene.ada.until(&list, "its failing is seen", failing).await;
    let off = |seen: &Value| seen["items"][0]["enabled"] == false;
    let mut seen = Value::Null;
    for _ in 0..20 {
        let before = endpoint.received().len();
        scene.advance(&node, TimeDelta::hours(25)).await;
        let goes_on = |seen: &Value| off(seen) || endpoint.received().len() > before;
        seen = scene.ada.until(&list, "it is tried again, or switched off", goes_on).await;
        if off(&seen) {
            break;
        }
    }
    assert!(off(&seen), "{seen:#}");
    assert!(seen["items"][0]["disabled_reason"].as_str().is_some_and(|why| why.contains("days")), "{seen:#}");
    assert!(scene.deliveries(&webhook).await.iter().all(|delivery| delivery["code"] == 500));
    node.node.stop().await;
}
