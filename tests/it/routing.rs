//! Who gets work that is for no agent by name, and whether Link says truly why.

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    terminal::Terminal,
};

/// Hands out a task of its own and returns the delegation's id.
async fn handed_out(ada: &Person, project: &str, priority: &str, agent: Option<&str>, instructions: &str) -> String {
    let body = json!({"title": "Count the craters", "priority": priority});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let review = json!({"approvals": 0, "by": "anyone"});
    let body = json!({"agent_id": agent, "review": review, "instructions": instructions});
    id(&ada.post(&format!("/tasks/{task}/delegations"), body).await)
}

async fn delegated(ada: &Person, project: &str, priority: &str, agent: Option<&str>) -> Value {
    let delegation = handed_out(ada, project, priority, agent, "").await;
    ada.until_delegation(&delegation, &["completed", "escalated"]).await
}

/// The first route of a delegation, as `delegation.explain_route` tells it.
async fn explained(ada: &Person, delegation: &Value) -> Value {
    let routes = ada.get(&format!("/delegations/{}/route", id(delegation))).await;
    routes["items"][0].clone()
}

fn candidate<'a>(explained: &'a Value, agent: &str) -> &'a Value {
    let all = explained["route"]["decision"]["candidates"].as_array().expect("there are candidates");
    all.iter().find(|candidate| candidate["agent"] == agent).expect("the agent was a candidate")
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_to_the_agent_that_did_it_well_also_after_a_restart_and_link_says_why() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    // The worse one was there first, so nothing but what was learned speaks for the other.
    let poor = ada.scripted(&workspace, "Poor", "fail refused I would rather not.").await;
    let good = ada.scripted(&workspace, "Good", "say Seven.").await;
    for _ in 0..4 {
        assert_eq!(delegated(&ada, &project, "none", Some(&poor)).await["status"], "escalated");
        let done = delegated(&ada, &project, "none", Some(&good)).await;
        assert_eq!(done["status"], "completed");
        let named = explained(&ada, &done).await;
        assert_eq!(
            (&named["route"]["decision"]["mode"], &named["route"]["decision"]["propensity"]),
            (&json!("pinned"), &json!(1.0))
        );
    }

    let urgent = explained(&ada, &delegated(&ada, &project, "urgent", None).await).await;
    assert_eq!((&urgent["agent_id"], &urgent["route"]["decision"]["mode"]), (&json!(good), &json!("careful")));
    let (better, worse) = (candidate(&urgent, &good), candidate(&urgent, &poor));
    assert!(better["mean"].as_f64() > worse["mean"].as_f64() && worse["n"].as_f64() > Some(3.9), "{urgent:#}");
    assert_eq!((&better["propensity"], &worse["propensity"]), (&json!(1.0), &json!(0.0)));

    let usual = explained(&ada, &delegated(&ada, &project, "low", None).await).await;
    let decision = &usual["route"]["decision"];
    assert_eq!((&decision["mode"], &decision["kind"]), (&json!("sampled"), &json!(project)));
    let (better, worse) = (candidate(&usual, &good), candidate(&usual, &poor));
    let sum = better["propensity"].as_f64().unwrap() + worse["propensity"].as_f64().unwrap();
    assert!((sum - 1.0).abs() < 1e-4 && better["propensity"].as_f64() > worse["propensity"].as_f64(), "{usual:#}");
    assert!(decision["seed"].is_u64() && better["sampled"].is_f64() && decision["instances"][0]["cost"].is_f64());

    let node = node.restart().await;
    let ada = Person { url: node.url.clone(), ..ada };
    ada.post(&format!("/agents/{good}/pause"), json!({})).await;
    let only = explained(&ada, &delegated(&ada, &project, "urgent", None).await).await;
    let filtered = json!([{"agent": good, "instance": null, "why": "paused"}]);
    assert_eq!((&only["agent_id"], &only["route"]["decision"]["filtered"]), (&json!(poor), &filtered));
    assert!(candidate(&only, &poor)["mean"].as_f64() < Some(0.5), "{only:#}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_agent_can_take_it_work_is_queued_and_says_why() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let delegation = handed_out(&ada, &project, "none", None, "").await;
    let waits = |of: &Value| of["waits"].as_str().unwrap_or_default().to_owned();
    let path = format!("/delegations/{delegation}");
    ada.until(&path, "it says that there is nobody", |of| waits(of) == "the workspace has no agent").await;
    ada.post(&format!("{path}/cancel"), json!({})).await;

    // Nothing listens there.
    let instances = json!([{"url": "http://127.0.0.1:9"}]);
    let far = json!({"name": "Far", "runtime": "penguin", "instances": instances});
    let far = id(&ada.post(&format!("/workspaces/{workspace}/agents"), far).await);
    ada.until(&format!("/agents/{far}"), "it is offline", |agent| agent["status"] == "offline").await;
    let near = json!({"name": "Near", "runtime": "scripted", "instances": []});
    let near = id(&ada.post(&format!("/workspaces/{workspace}/agents"), near).await);
    ada.post(&format!("/agents/{near}/pause"), json!({})).await;
    let delegation = handed_out(&ada, &project, "none", None, "").await;
    let path = format!("/delegations/{delegation}");
    ada.until(&path, "it counts who cannot", |of| {
        waits(of) == "nobody can take it now: 1 × the agent is paused, 1 × the instance does not answer"
    })
    .await;
    let explained = ada.get(&format!("{path}/route")).await;
    assert_eq!((&explained["items"], &explained["waits"]["why"]), (&json!([]), &json!("nobody_can")));
    let filtered = explained["waits"]["filtered"].as_array().unwrap();
    let why = |agent: &str| filtered.iter().find(|one| one["agent"] == agent).map(|one| one["why"].clone());
    assert_eq!((why(&far), why(&near)), (Some(json!("unhealthy")), Some(json!("paused"))));

    ada.post(&format!("/agents/{near}/resume"), json!({})).await;
    ada.post(&format!("/agents/{near}/instances"), json!({"url": "script:say Seven."})).await;
    let done = ada.until_delegation(&delegation, &["completed"]).await;
    assert_eq!(done["waits"], Value::Null);
    assert_eq!(ada.get(&format!("{path}/route")).await["waits"], Value::Null);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_loses_its_work_step_by_step_and_one_attempt_wins_it_back() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let agent = ada.scripted(&workspace, "Shaky", "say Seven.").await;
    let gone = "[[script:fail instance_lost The server is gone.]]";
    // Each is tried twice before a person is asked; the fifth failure in a row is one too many.
    for _ in 0..2 {
        let failed = handed_out(&ada, &project, "none", Some(&agent), gone).await;
        ada.until_delegation(&failed, &["escalated"]).await;
    }
    let second = handed_out(&ada, &project, "none", Some(&agent), gone).await;
    let stands = |agent: &Value, standing: &str| agent["instances"][0]["standing"] == standing;
    let path = format!("/agents/{agent}");
    let seen = ada.until(&path, "its breaker is open", |agent| stands(agent, "open")).await;
    let health = &seen["instances"][0]["health"];
    assert_eq!((&seen["status"], &health["breaker"]), (&json!("degraded"), &json!("open")));
    assert!(health["open_until"].is_string() && health["success"].as_f64() < Some(0.5), "{health:#}");

    let third = handed_out(&ada, &project, "none", None, "").await;
    let waits = ada.until(&format!("/delegations/{third}/route"), "it waits", |of| of["waits"].is_object()).await;
    assert_eq!(waits["waits"]["filtered"][0]["why"], "breaker_open", "{waits:#}");
    assert!(waits["waits"]["until"].is_string());
    ada.post(&format!("/delegations/{second}/cancel"), json!({})).await;
    // What was learned is in the log, so a restart forgets none of it.
    let node = node.restart().await;
    let ada = Person { url: node.url.clone(), ..ada };
    let held = ada.until(&format!("/delegations/{third}"), "it waits again", |of| of["waits"].is_string()).await;
    assert_eq!(held["waits"], "nobody can take it now: 1 × the instance's breaker is open");

    node.advance(chrono::TimeDelta::seconds(40));
    ada.until_delegation(&third, &["completed"]).await;
    ada.until(&path, "it is sound again", |agent| stands(agent, "sound")).await;
    let log = ada.log(&workspace).await;
    let of = |kind: &str, field: &str| -> Vec<String> {
        let events = log.iter().filter(|event| event["type"] == kind);
        events.map(|event| event["data"][field].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(of("instance:standing", "standing"), ["degraded", "open", "half_open", "sound"]);
    let statuses = of("agent:status", "status");
    assert_eq!(statuses.iter().filter(|status| *status == "degraded").count(), 1, "{statuses:?}");
    assert_eq!(statuses.last().map(String::as_str), Some("idle"));
    let metrics = ada.http.get(format!("{}/metrics", node.url)).send().await.unwrap().text().await.unwrap();
    for part in
        ["link_instance_standings_total{standing=\"open\"}", "link_instances{standing=", "link_delegations_queued{why="]
    {
        assert!(metrics.contains(part), "{part} is missing");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_needs_no_node_and_says_the_same_for_the_same_seed() {
    let terminal = Terminal::at("http://127.0.0.1:1");
    let words = ["sim", "--seeds", "2", "--days", "2", "--seed", "7"];
    let json = terminal.link(&[&words[..], &["--output", "json"]].concat()).await.done();
    let report: Value = serde_json::from_str(&json).unwrap();
    let policies: Vec<&str> =
        report["policies"].as_array().unwrap().iter().filter_map(|p| p["policy"].as_str()).collect();
    assert_eq!(policies, ["learned", "uniform", "round_robin", "best_fixed", "oracle"]);
    assert!(report["detector"].as_array().unwrap().iter().all(|row| row["false_alarms_per_1000"].is_number()));

    let table = terminal.link(&words).await.done();
    assert_eq!(table, terminal.link(&words).await.done());
    for part in ["2 worlds of 2 days", "ABOVE LEARNED", "round robin", "FALSE PER 1000", "4.0 times as slow"] {
        assert!(table.contains(part), "{part} is missing: {table}");
    }
    assert_eq!(terminal.link(&["sim", "--seeds", "0"]).await.code, 2);
}
