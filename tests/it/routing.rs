//! Who gets work that is for no agent by name, and whether Link says truly why.

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    terminal::Terminal,
};

async fn delegated(ada: &Person, project: &str, priority: &str, agent: Option<&str>) -> Value {
    let body = json!({"title": "Count the craters", "priority": priority});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let review = json!({"approvals": 0, "by": "anyone"});
    let body = json!({"agent_id": agent, "review": review});
    let delegation = id(&ada.post(&format!("/tasks/{task}/delegations"), body).await);
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
    let filtered = json!([{"agent": good, "instance": null, "why": "unavailable"}]);
    assert_eq!((&only["agent_id"], &only["route"]["decision"]["filtered"]), (&json!(poor), &filtered));
    assert!(candidate(&only, &poor)["mean"].as_f64() < Some(0.5), "{only:#}");
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
