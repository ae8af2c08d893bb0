//! What needs a person is in one place, for those who may decide it, until it is decided.

use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::TestNode,
    person::{Person, id},
};

async fn inbox(who: &Person, workspace: &str) -> Vec<Value> {
    let page = who.get(&format!("/workspaces/{workspace}/inbox")).await;
    page["items"].as_array().expect("a page has items").clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = items.iter().filter_map(|item| item["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_waits_for_a_person_is_in_the_inbox_of_those_who_may_decide_it() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let bob = Person::register(&node.url, "Bob").await;
    let eve = Person::register(&node.url, "Eve").await;
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &bob, "member").await;
    ada.invite(&workspace, &eve, "guest").await;
    let project = ada.project(&workspace, "Moon base").await;
    let mut delegations = vec![];
    for (name, script, state) in [
        ("Asker", "ask Which colour?", "awaiting"),
        ("Doer", "say Done.", "reviewing"),
        ("Stuck", "fail agent_blocked I have no key", "escalated"),
    ] {
        let task = ada.task(&project, name).await;
        let agent = ada.scripted(&workspace, name, script).await;
        let delegation = ada.delegate(&task, &agent).await;
        ada.until_delegation(&delegation, &[state]).await;
        let moved = ada.get(&format!("/tasks/{task}")).await["next_move"].clone();
        assert_eq!(moved["by"], "person", "{moved:#}");
        delegations.push(delegation);
    }

    // Who delegated does not review, a guest decides nothing.
    let mine = inbox(&ada, &workspace).await;
    assert_eq!(kinds(&mine), ["escalation", "question"], "{mine:#?}");
    assert!(mine.iter().all(|item| item["mine"] == true));
    let escalation = mine.iter().find(|item| item["kind"] == "escalation").expect("it is there");
    assert_eq!(escalation["text"], "I have no key");
    assert_eq!(escalation["options"], json!(["resume", "reassign", "cancel"]));
    assert_eq!(escalation["owner"], format!("user:{}", ada.id));
    assert_eq!(kinds(&inbox(&bob, &workspace).await), ["escalation", "question", "review"]);
    assert_eq!(kinds(&inbox(&eve, &workspace).await), [""; 0]);

    // Page by page it is the same.
    let mut paged = vec![];
    let mut cursor = String::new();
    loop {
        let page = bob.get(&format!("/workspaces/{workspace}/inbox?limit=1{cursor}")).await;
        paged.extend(page["items"].as_array().expect("a page has items").clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(kinds(&paged), ["escalation", "question", "review"]);

    // What is decided is gone, for everybody.
    bob.post(&format!("/delegations/{}/answer", delegations[0]), json!({"answer": "green"})).await;
    bob.post(&format!("/delegations/{}/review", delegations[1]), json!({"verdict": "approve"})).await;
    ada.post(&format!("/delegations/{}/cancel", delegations[2]), json!({})).await;
    ada.until_delegation(&delegations[0], &["reviewing"]).await;
    assert_eq!(kinds(&inbox(&ada, &workspace).await), [""; 0]);
    assert_eq!(kinds(&inbox(&bob, &workspace).await), ["review"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_ran_out_at_the_instance_is_answered_when_the_agent_asks_again() {
    let fake = FakePenguin::start().await;
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let write = r#"[[ask:permission]] [[tool:write_file {"path":"dome.md","content":"glass"}]]"#;
    let body = json!({"title": "Build", "description": format!("{write} {write} [[say:built]]")});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let instances = json!([{"url": fake.url()}]);
    let body = json!({"name": "Builder", "runtime": "penguin", "instances": instances});
    let agent = id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await);
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &["awaiting"]).await;

    fake.expire_questions();
    // The agent was refused there, and asks the same again: it is still the one question.
    let path = format!("/workspaces/{workspace}/events?limit=200");
    let renewed = |seen: &Value| {
        let events = seen["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        events.iter().any(|event| event["type"] == "interrupt:renewed")
    };
    ada.until(&path, "it is asked again", renewed).await;
    let waiting = inbox(&ada, &workspace).await;
    assert_eq!(kinds(&waiting), ["approval"]);

    let answer = |answer: Value| json!({"interrupt_id": waiting[0]["id"], "answer": answer});
    let path = format!("/delegations/{delegation}/answer");
    let wrong = ada.try_post(&path, answer(json!({"approve": "perhaps"}))).await;
    let wrong = wrong.problem("invalid_input");
    assert!(wrong.to_string().contains("`approve` must be of type boolean"), "{wrong:#}");
    ada.post(&path, answer(json!({"approve": true}))).await;
    let done = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(done["interrupts"].as_array().map(Vec::len), Some(1), "{done:#}");
    assert_eq!(done["interrupts"][0]["status"], "delivered");
    let made = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let written = |made: &Value| made["kind"] == "file" && made["name"] == "dome.md";
    assert!(made["items"].as_array().expect("a list").iter().any(written), "{made:#}");
}
