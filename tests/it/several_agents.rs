//! Several agents on one piece of work: who may write where.

use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::{TestNode, TestProcess},
    person::{Person, id},
};

/// Makes a ready task that claims paths.
async fn claiming(ada: &Person, project: &str, title: &str, paths: &[&str]) -> String {
    let body = json!({"title": title, "description": "as the title says", "claims": paths});
    id(&ada.post(&format!("/projects/{project}/tasks"), body).await)
}

async fn routed(ada: &Person, delegation: &str) -> Value {
    ada.get(&format!("/delegations/{delegation}/route")).await["waits"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_begins_when_the_one_that_has_its_path_lets_go_although_link_was_killed_meanwhile() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let sleeper = ada.scripted(&workspace, "Sleeper", "say Zzz; silent").await;
    let worker = ada.scripted(&workspace, "Worker", "say Done.").await;
    let holder = claiming(&ada, &project, "Rewrite all of it", &["src"]).await;
    let narrow = claiming(&ada, &project, "Mend the doors", &["src/api", "docs/doors.md"]).await;
    let elsewhere = claiming(&ada, &project, "Mend the roof", &["roof"]).await;
    let first = ada.delegate(&holder, &sleeper).await;
    ada.until_delegation(&first, &["running"]).await;
    let second = ada.delegate(&narrow, &worker).await;
    let third = ada.delegate(&elsewhere, &worker).await;

    ada.until_delegation(&third, &["reviewing"]).await;
    let waits = routed(&ada, &second).await;
    assert_eq!((&waits["why"], &waits["holder"]), (&json!("path_claimed"), &json!(holder)), "{waits:#}");
    node.kill();
    node.revive().await;
    assert_eq!(ada.get(&format!("/delegations/{second}")).await["status"], "queued");
    ada.post(&format!("/delegations/{first}/cancel"), json!({})).await;
    let done = ada.until_delegation(&second, &["reviewing"]).await;
    assert_eq!(done["attempts"].as_array().map(Vec::len), Some(1), "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_an_agent_at_work_would_share_are_refused_and_its_paths_are_told_to_it() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let [one, other] = [claiming(&ada, &project, "One", &["a"]).await, claiming(&ada, &project, "Other", &["b"]).await];
    let fake = FakePenguin::start().await;
    let body = json!({"name": "Penguin", "runtime": "penguin", "instances": [{"url": fake.url(), "slots": 2}]});
    let penguin = id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await);
    for task in [&one, &other] {
        ada.send(reqwest::Method::PATCH, &format!("/tasks/{task}"), Some(&json!({"description": "[[hang]]"})), None)
            .await
            .ok();
        let delegation = ada.delegate(task, &penguin).await;
        ada.until_delegation(&delegation, &["running"]).await;
    }
    assert!(fake.prompts()[0].contains("- a") && fake.prompts()[1].contains("- b"), "{:#?}", fake.prompts());
    let body = json!({"claims": ["b/x"]});
    let refused = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("busy")), "{:#}", refused.body);
    let body = json!({"claims": ["a/x", "c"]});
    let changed = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await.ok();
    assert_eq!(changed["claims"], json!(["a/x", "c"]));
    for bad in [json!(["../x"]), json!(["/x"]), json!(["x/"]), json!(["x", "x"]), json!(vec!["x"; 65])] {
        let body = json!({"claims": bad});
        let refused = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await;
        assert_eq!(refused.status, 400, "{:#}", refused.body);
    }
    node.node.stop().await;
}
