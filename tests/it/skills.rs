//! What work requires, and who may do it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    team::Team,
};

/// Registers an agent that is good at something.
async fn registered(ada: &Person, workspace: &str, name: &str, skills: Value) -> String {
    let instances = json!([{"url": "script:say Done."}]);
    let body = json!({"name": name, "runtime": "scripted", "instances": instances, "skills": skills});
    id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_only_to_who_has_every_skill_that_it_requires_and_says_what_is_missing() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, workspace, .. } = &team;
    let cook = registered(ada, workspace, "Cook", json!(["cooking"])).await;
    registered(ada, workspace, "Nobody", json!([])).await;
    let task = ada.task(&team.project, "Sew").await;
    let body = json!({"skills": ["cooking", "sewing"]});
    let delegation = id(&ada.post(&format!("/tasks/{task}/delegations"), body).await);
    let route = format!("/delegations/{delegation}/route");
    let held = ada.until(&route, "it says what is missing", |seen| seen["waits"]["why"] == "no_skill").await;
    assert!(held["waits"]["reason"].as_str().is_some_and(|why| why.ends_with(": sewing")), "{held:#}");
    let filtered = held["waits"]["filtered"].as_array().expect("a list");
    assert!(filtered.len() == 2 && filtered.iter().all(|fell| fell["why"] == "skills"), "{held:#}");

    let body = json!({"skills": ["cooking", "sewing"]});
    ada.send(Method::PATCH, &format!("/agents/{cook}"), Some(&body), None).await.ok();
    let seen = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(seen["agent_id"], json!(cook));
    let route = ada.get(&route).await;
    let filtered = &route["items"][0]["route"]["decision"]["filtered"];
    assert_eq!((filtered.as_array().map(Vec::len), &filtered[0]["why"]), (Some(1), &json!("skills")), "{route:#}");
    team.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_requires_is_required_of_each_delegation_of_it_as_it_was_then() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, workspace, project, .. } = &team;
    let cook = registered(ada, workspace, "Cook", json!(["cooking"])).await;
    let body = json!({"title": "A soup in a bag", "skills": ["cooking", "sewing"]});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let path = format!("/tasks/{task}");
    assert_eq!(ada.get(&path).await["skills"], json!(["cooking", "sewing"]));

    // The agent is named, and lacks one all the same.
    let waiting = id(&ada.post(&format!("{path}/delegations"), json!({"agent_id": cook})).await);
    let route = format!("/delegations/{waiting}/route");
    let held = ada.until(&route, "it says what is missing", |seen| seen["waits"]["why"] == "no_skill").await;
    assert!(held["waits"]["reason"].as_str().is_some_and(|why| why.ends_with(": sewing")), "{held:#}");

    let changed = ada.send(Method::PATCH, &path, Some(&json!({"skills": ["cooking"]})), None).await.ok();
    assert_eq!(changed["skills"], json!(["cooking"]));
    let held = ada.get(&route).await;
    assert_eq!(held["waits"]["why"], "no_skill", "it stays as it was agreed: {held:#}");
    ada.post(&format!("/delegations/{waiting}/cancel"), json!({})).await;
    // Beside what the task requires counts what the delegation says.
    let body = json!({"skills": ["sewing"]});
    let both = id(&ada.post(&format!("{path}/delegations"), body).await);
    let route = format!("/delegations/{both}/route");
    ada.until(&route, "it says what is missing", |seen| seen["waits"]["why"] == "no_skill").await;
    ada.post(&format!("/delegations/{both}/cancel"), json!({})).await;
    let done = id(&ada.post(&format!("{path}/delegations"), json!({})).await);
    assert_eq!(ada.until_delegation(&done, &["reviewing"]).await["agent_id"], json!(cook));

    let many: Vec<String> = (0..21).map(|nth| format!("skill {nth}")).collect();
    let refused = ada.send(Method::PATCH, &path, Some(&json!({"skills": many})), None).await;
    refused.problem("invalid_input");
    team.node.node.stop().await;
}
