//! The main job: a task goes from a person to an agent and back, and everyone watches.

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    socket::Socket,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_from_a_person_to_an_agent_and_back_while_everyone_watches() {
    let node = TestNode::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "member").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Write the landing checklist").await;
    let script = "progress 10 reading; say I read the notes.; tool bash ls notes; progress 60 writing; \
                  write checklist.md one two three; usage 120 40 0.01; say The checklist is written.";
    let agent = ada.scripted(&workspace, "Scribe", script).await;
    let mut watching = Socket::subscribed(&ben, &workspace, Some(0)).await;

    let delegation = ada.delegate(&task, &agent).await;
    let reviewing = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(reviewing["attempts"][0]["output_tokens"], 40);
    assert!(reviewing["output"].as_str().is_some_and(|text| text.contains("The checklist is written.")));
    let own = ada.try_post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve"})).await;
    own.problem("forbidden");
    let done = ben.post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve"})).await;
    assert_eq!(done["status"], "completed");
    assert_eq!(ada.get(&format!("/tasks/{task}")).await["status"], "done");
    let artifacts = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let names: Vec<&str> = artifacts["items"].as_array().unwrap().iter().filter_map(|a| a["name"].as_str()).collect();
    assert!(names.contains(&"checklist.md") && names.contains(&"answer"), "{names:?}");

    let mut seen: Vec<(u64, String)> = vec![];
    let mut text = String::new();
    while seen.last().is_none_or(|(_, kind)| kind != "delegation:completed") {
        let frame = watching.next().await;
        match frame["t"].as_str() {
            Some("event") => seen.push((frame["offset"].as_u64().unwrap(), frame["type"].as_str().unwrap().into())),
            Some("signal") => text.push_str(frame["data"]["delta"].as_str().unwrap_or_default()),
            _ => {}
        }
    }
    assert!(seen.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "events come in order without a gap: {seen:?}");
    assert!(text.contains("The checklist is written."), "the text arrived while it was written: {text:?}");
    let kinds: Vec<&str> = seen.iter().map(|(_, kind)| kind.as_str()).collect();
    for expected in [
        "delegation:queued",
        "attempt:started",
        "attempt:accepted",
        "task:progress",
        "attempt:tool",
        "artifact:recorded",
        "attempt:usage",
        "delegation:submitted",
        "agent:status",
        "delegation:reviewed",
    ] {
        assert!(kinds.contains(&expected), "{expected} is missing in {kinds:?}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_a_person_and_its_answer_reaches_the_agent() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Paint it").await;
    let agent = ada.scripted(&workspace, "Painter", "ask Which colour?; say Done.").await;
    let delegation = ada.delegate(&task, &agent).await;

    let waiting = ada.until_delegation(&delegation, &["awaiting"]).await;
    assert_eq!(waiting["interrupts"][0]["prompt"], "Which colour?");
    assert_eq!(ada.get(&format!("/tasks/{task}")).await["status"], "awaiting_input");
    // The question survives a restart of the whole node.
    let node = node.restart().await;
    let ada = Person { url: node.url.clone(), ..ada };
    ada.post(&format!("/delegations/{delegation}/answer"), json!({"answer": "green"})).await;
    let handed_in = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert!(handed_in["output"].as_str().is_some_and(|text| text.contains("green")), "{handed_in:#}");
    let again = ada.try_post(&format!("/delegations/{delegation}/answer"), json!({"answer": "red"})).await;
    again.problem("not_found");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_delegation_stops_its_agent_and_frees_the_task() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Wait for ever").await;
    let agent = ada.scripted(&workspace, "Sleeper", "say Zzz; silent").await;
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &["running"]).await;
    ada.post(&format!("/delegations/{delegation}/cancel"), json!({"reason": "no longer needed"})).await;
    ada.until_delegation(&delegation, &["cancelled"]).await;
    assert_eq!(ada.get(&format!("/tasks/{task}")).await["status"], "ready");
    ada.until(&format!("/agents/{agent}"), "idle again", |agent| agent["status"] == "idle").await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_crashes_is_tried_again_and_then_a_person_is_asked() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Break").await;
    let agent = ada.scripted(&workspace, "Breaker", "say Hm; fail http_server_error it broke").await;
    let delegation = ada.delegate(&task, &agent).await;
    let escalated = ada.until_delegation(&delegation, &["escalated"]).await;
    let attempts = escalated["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{escalated:#}");
    assert!(attempts.windows(2).all(|pair| pair[0]["fence"].as_u64() < pair[1]["fence"].as_u64()));
    assert!(attempts.iter().all(|attempt| attempt["failure_class"] == "http_server_error"));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_driver_panics_has_failed_like_any_other() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Break").await;
    let agent = ada.scripted(&workspace, "Breaker", "say Hm; crash").await;
    let delegation = ada.delegate(&task, &agent).await;
    let escalated = ada.until_delegation(&delegation, &["escalated"]).await;
    assert_eq!(escalated["attempts"][0]["failure_class"], "unknown", "{escalated:#}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_say_anything_and_its_workspace_goes_on() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Say too much").await;
    // Characters that do not compress, three bytes each: as long a path as an agent can think of.
    let path: String = (0..1_000).filter_map(|n| char::from_u32(0x4e00 + n * 7)).collect();
    let script = format!("usage 18446744073709551615 1 0.5; write {path} x; tool t {path}; say Done.");
    let agent = ada.scripted(&workspace, "Talker", &script).await;
    let delegation = ada.delegate(&task, &agent).await;
    let handed_in = ada.until_delegation(&delegation, &["reviewing", "escalated"]).await;
    assert_eq!(handed_in["status"], "reviewing", "{handed_in:#}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_a_task_becomes_ready_once_when_it_is_done() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let first = ada.task(&project, "First").await;
    let body = json!({"title": "Second", "description": "after the first", "depends_on": [first]});
    let second = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    assert_eq!(ada.get(&format!("/tasks/{second}")).await["status"], "blocked");
    let agent = ada.scripted(&workspace, "Scribe", "say Done.").await;
    let refused = ada.try_post(&format!("/tasks/{second}/delegations"), json!({"agent_id": agent})).await;
    refused.problem("busy");
    let cycle = ada.try_post(&format!("/tasks/{first}/dependencies"), json!({"depends_on": second})).await;
    cycle.problem("dependency_cycle");

    let review = json!({"agent_id": agent, "review": {"approvals": 0, "by": "anyone"}});
    let delegation = id(&ada.post(&format!("/tasks/{first}/delegations"), review).await);
    ada.until_delegation(&delegation, &["completed"]).await;
    assert_eq!(ada.get(&format!("/tasks/{second}")).await["status"], "ready");
    // Whoever saw that it is ready can hand it out at once.
    ada.delegate(&second, &agent).await;
    let log = ada.log(&workspace).await;
    let ready: Vec<&Value> = log.iter().filter(|event| event["type"] == "task:ready").collect();
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0]["data"]["by"], first);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_that_comes_faster_than_anybody_reads_is_thinned_never_falls_and_ends_with_the_newest() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Count fast").await;
    let steps: Vec<String> = (0..80).map(|n| format!("progress {} {n}", (n * 7) % 90)).collect();
    let script = format!("{}; progress 95 nearly; wait 1500ms; say Counted.", steps.join("; "));
    let agent = ada.scripted(&workspace, "Counter", &script).await;
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &["reviewing"]).await;
    let log = ada.log(&workspace).await;
    let told: Vec<_> = log.iter().filter(|event| event["type"] == "task:progress").collect();
    let at = |event: &Value| {
        event["at"]
            .as_str()
            .and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok())
            .expect("an event has a time")
    };
    let percents: Vec<u64> = told.iter().filter_map(|event| event["data"]["percent"].as_u64()).collect();
    assert!(percents.windows(2).all(|pair| pair[0] <= pair[1]), "it fell: {percents:?}");
    assert_eq!(percents.last(), Some(&95), "the newest is told in the end");
    let seconds = (at(told[told.len() - 1]) - at(told[0])).num_seconds() as usize;
    // Ten at once, and ten a second from there on; one of the seconds may have begun before the first was committed.
    assert!(told.len() <= 10 * (seconds + 3) && told.len() < 60, "{} within {seconds} s", told.len());
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_are_put_where_they_are_and_to_and_fro_without_end() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let (first, second) = (ada.task(&project, "First").await, ada.task(&project, "Second").await);
    let rank = async |task: &str| ada.get(&format!("/tasks/{task}")).await["rank"].clone();
    let before = rank(&first).await;
    for _ in 0..20 {
        ada.post(&format!("/tasks/{first}/move"), json!({"before": second})).await;
        ada.post(&format!("/tasks/{second}/move"), json!({"after": first})).await;
        ada.post(&format!("/tasks/{second}/move"), json!({})).await;
    }
    assert_eq!(rank(&first).await, before, "it was there all the time");
    for _ in 0..200 {
        ada.post(&format!("/tasks/{second}/move"), json!({"before": first})).await;
        ada.post(&format!("/tasks/{second}/move"), json!({"after": first})).await;
    }
    assert!(rank(&first).await.as_str() < rank(&second).await.as_str());
    node.node.stop().await;
}
