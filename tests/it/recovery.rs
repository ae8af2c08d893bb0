//! After a failure the next step is taken, and said; an agent that no longer counts is told to stop, whatever happens.

use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::{TestNode, TestProcess},
    person::{Person, id},
};

/// Registers an agent with these servers and returns its id.
async fn penguins(ada: &Person, workspace: &str, name: &str, urls: &[String]) -> String {
    let instances: Vec<_> = urls.iter().map(|url| json!({"url": url, "slots": 2})).collect();
    let body = json!({"name": name, "runtime": "penguin", "instances": instances});
    id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_takes_the_next_step_and_says_which_and_why_until_a_person_is_asked() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Break").await;
    let script = "say I was that far; write notes.md half; fail stream_cut the stream broke at 7";
    let agent = ada.scripted(&workspace, "Breaker", script).await;
    let delegation = ada.delegate(&task, &agent).await;

    let seen = ada.until_delegation(&delegation, &["escalated"]).await;
    let attempts = seen["attempts"].as_array().expect("a list");
    let steps: Vec<_> = attempts.iter().map(|attempt| attempt["next_step"]["strategy"].clone()).collect();
    // There is no other instance, and a person named the agent.
    assert_eq!(steps, ["same_instance", "ask_person"], "{seen:#}");
    assert_eq!(seen["step"]["passed_over"], json!(["other_instance"]), "{seen:#}");
    assert_eq!(seen["step"]["fingerprint"], "stream_cut: the stream broke at <n>");
    assert_eq!(seen["owner"], format!("user:{}", ada.id));
    assert!(seen["reason"].as_str().is_some_and(|why| why.contains("the stream broke")), "{seen:#}");

    // All that was produced is there: the file and the words, of each attempt.
    let made = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let kinds: Vec<_> = made["items"].as_array().expect("a list").iter().map(|made| made["kind"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "partial").count(), 2, "{made:#}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "file").count(), 2, "{made:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_an_attempt_that_was_paused_is_told_to_stop_although_link_was_killed_before() {
    let fake = FakePenguin::start().await;
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Never end [[hang]]").await;
    let agent = penguins(&ada, &workspace, "Hanger", &[fake.url()]).await;
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &["running"]).await;

    // The instance hears nothing while it is shut off: the word to stop gets lost with the node.
    fake.shut();
    ada.post(&format!("/delegations/{delegation}/pause"), json!({})).await;
    node.kill();
    fake.reopen().await;
    assert!(fake.busy(), "the agent still works");
    node.revive().await;

    let seen = |seen: &serde_json::Value| seen["attempts"][0]["stopping"] == false;
    let paused = ada.until(&format!("/delegations/{delegation}"), "it is let go", seen).await;
    assert_eq!(paused["status"], "paused");
    assert!(!fake.busy(), "the agent was told to stop");
    let log = ada.log(&workspace).await;
    let released: Vec<_> = log.iter().filter(|event| event["type"] == "attempt:released").collect();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0]["data"]["stopped"], true);
    assert_eq!(fake.runs(), 1, "it was never started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_is_told_what_the_one_before_did_and_how_it_ended() {
    let fake = FakePenguin::start().await;
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let goal = ada.task(&project, "Live on the moon").await;
    let body = json!({
        "title": "Build the dome", "parent_id": goal,
        "description": r#"Of glass. [[tool:write_file {"path":"dome.md","content":"half a dome"}]] [[strange]]"#,
    });
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let room = json!({"type": "task", "title": "dome", "task_id": task});
    let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), room).await);
    let words = json!({"parts": [{"type": "text", "text": "mind the wind"}]});
    ada.post(&format!("/conversations/{room}/messages"), words).await;
    let agent = penguins(&ada, &workspace, "Builder", &[fake.url()]).await;
    let delegation = ada.delegate(&task, &agent).await;
    let seen = ada.until_delegation(&delegation, &["escalated"]).await;

    let prompts = fake.prompts();
    assert_eq!(prompts.len(), 2, "{prompts:#?}");
    assert!(prompts.iter().all(|prompt| prompt.starts_with("Build the dome\n\nOf glass.")), "{prompts:#?}");
    assert!(prompts[0].contains("Live on the moon") && prompts[0].contains("mind the wind"), "{}", prompts[0]);
    assert!(!prompts[0].contains("SYSTEM_OUTPUT"), "{}", prompts[0]);
    for known in ["another attempt", "unknown: ", "quantum_foam", "dome.md"] {
        assert!(prompts[1].contains(known), "{known}: {}", prompts[1]);
    }
    // What each was told can be proved later.
    for (nth, prompt) in prompts.iter().enumerate() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, prompt.as_bytes());
        let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seen["attempts"][nth]["pack_hash"], hash, "{seen:#}");
    }
}

/// A workspace with a scripted agent that works on a task, and the delegation.
async fn at_work(node: &TestNode, script: &str, status: &str) -> (Person, String, String, String) {
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Sleep").await;
    let agent = ada.scripted(&workspace, "Sleeper", script).await;
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &[status]).await;
    (ada, workspace, task, delegation)
}

async fn nudges(person: &Person, workspace: &str) -> Vec<Value> {
    let log = person.log(workspace).await.into_iter();
    log.filter(|event| event["type"] == "attempt:nudged").map(|event| event["data"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_falls_silent_is_told_so_once_also_after_a_restart_and_then_a_person_is_asked() {
    let node = TestNode::start().await;
    let (mut ada, workspace, task, delegation) = at_work(&node, "silent", "running").await;
    node.advance(chrono::TimeDelta::minutes(6));
    let nudged = |seen: &Value| seen["attempts"][0]["nudges"] == 1;
    ada.until(&format!("/delegations/{delegation}"), "it was told", nudged).await;
    let seen = ada.get(&format!("/tasks/{task}")).await;
    assert_eq!((&seen["phase"], &seen["status"]), (&json!("silent"), &json!("in_progress")), "people see it too");

    let node = node.restart().await;
    ada.url.clone_from(&node.url);
    node.advance(chrono::TimeDelta::minutes(20));
    let ada = ada.login().await;
    let seen = ada.until_delegation(&delegation, &["escalated"]).await;
    assert_eq!(seen["attempts"][0]["failure_class"], "silent", "{seen:#}");
    assert!(seen["attempts"][0]["failure_message"].as_str().is_some_and(|why| why.contains("told so")), "{seen:#}");
    let told = nudges(&ada, &workspace).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["why"], &told[0]["untold"]), (&json!("silent"), &Value::Null));
    let inbox = ada.get(&format!("/workspaces/{workspace}/inbox")).await;
    let item = &inbox["items"][0];
    assert_eq!(
        (&item["kind"], &item["mine"], &item["delegation_id"]),
        (&json!("escalation"), &json!(true), &json!(delegation))
    );
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_that_it_does_not_move_can_go_on() {
    let node = TestNode::start().await;
    let (ada, workspace, _, delegation) = at_work(&node, "doze; say Awake.", "running").await;
    node.advance(chrono::TimeDelta::minutes(6));
    let seen = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!((&seen["output"], &seen["attempts"][0]["nudges"]), (&json!("Awake."), &json!(1)), "{seen:#}");
    assert_eq!(nudges(&ada, &workspace).await.len(), 1);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_runs_in_circles_is_told_so_and_stopped_when_it_goes_on_with_it() {
    let node = TestNode::start().await;
    let call = "tool sh ls";
    let four = [call; 4].join("; ");
    let (ada, workspace, _, delegation) = at_work(&node, &format!("{four}; doze; say Done."), "reviewing").await;
    let seen = ada.get(&format!("/delegations/{delegation}")).await;
    assert_eq!(seen["attempts"][0]["status"], "succeeded", "{seen:#}");
    let told = nudges(&ada, &workspace).await;
    assert_eq!((told.len(), &told[0]["why"]), (1, &json!("circling")), "{told:#?}");
    let (bob, _, _, delegation) = at_work(&node, &format!("{four}; {four}; silent"), "escalated").await;
    let seen = bob.get(&format!("/delegations/{delegation}")).await;
    let first = &seen["attempts"][0];
    assert_eq!((&first["failure_class"], &first["nudges"]), (&json!("loop_detected"), &json!(1)), "{seen:#}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_wrong_with_a_database_that_is_in_use_and_sees_what_was_changed_behind_links_back() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    // Each rests before anything is changed: work that still moves would put right what the test breaks.
    let scripts = [
        ("write a.md x; say Done.", "reviewing"),
        ("fail stream_cut cut at 7", "escalated"),
        ("ask Which?", "awaiting"),
        ("silent", "running"),
    ];
    for (script, rests) in scripts {
        let task = ada.task(&project, script).await;
        let agent = ada.scripted(&workspace, script, script).await;
        let delegation = ada.delegate(&task, &agent).await;
        ada.until_delegation(&delegation, &[rests]).await;
    }
    let workspace = workspace.parse().expect("an id");
    let examine = async || link::persistence::doctor::examine(node.pool(), workspace).await.expect("it can be read");
    assert_eq!(examine().await, vec![]);

    let changes = [
        ("I5", "UPDATE tasks SET status = 'done'"),
        ("I5", "UPDATE interrupts SET status = 'closed'"),
        ("I16", "DELETE FROM artifacts"),
        ("I22", "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY"),
        (
            "I25",
            r#"UPDATE events SET data = regexp_replace(data::text, '"title":"[^"]*"', '"title":"another"')::json
               WHERE type = 'task:created'"#,
        ),
    ];
    let mut known = 0;
    for (invariant, change) in changes {
        sqlx::query(change).execute(node.pool()).await.expect("the test may");
        let found = examine().await;
        assert!(found.iter().any(|finding| finding.invariant == invariant), "{change}: {found:?}");
        assert!(found.len() > known, "{change} is found beside the others: {found:?}");
        known = found.len();
    }
    // Whoever changes an event breaks the chain, too.
    assert!(examine().await.iter().any(|finding| finding.invariant == "I23"));
    node.node.stop().await;
}
