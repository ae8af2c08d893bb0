//! What is answered while no agent is there: everything that needs none, and work says what it waits for. The table says
//! how long each took with agents and without; nothing is asserted about time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    faults::Lab,
    support::{fake_penguin::FakePenguin, node::TestNode, person::id},
};

#[tokio::test(flavor = "multi_thread")]
async fn with_every_agent_dead_everything_else_is_answered_as_before_and_work_waits_with_a_reason() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let fake = FakePenguin::start().await;
    let delegation = lab.penguins("first", "Build [[say:ok]]", &[fake.url()]).await;
    let seen = lab.ada.until_delegation(&delegation, &["reviewing"]).await;
    let agent = seen["agent_id"].as_str().expect("it is named").to_owned();
    let alive = answered(&lab).await;

    fake.shut();
    let offline = |seen: &Value| seen["status"] == "offline";
    lab.ada.until(&format!("/agents/{agent}"), "nobody answers", offline).await;
    let dead = answered(&lab).await;
    println!("{:<12} {:>10} {:>10} {:>7}", "what", "alive ms", "dead ms", "ratio");
    for ((what, alive), (_, dead)) in alive.iter().zip(&dead) {
        let ratio = dead.as_secs_f64() / alive.as_secs_f64();
        println!("{what:<12} {:>10.2} {:>10.2} {ratio:>7.2}", alive.as_secs_f64() * 1e3, dead.as_secs_f64() * 1e3);
    }

    // New work is taken on, and says what it waits for.
    let task = lab.task("second", "later").await;
    let waiting = lab.ada.delegate(&task, &agent).await;
    let held = |seen: &Value| seen["waits"].as_str().is_some_and(|why| why.contains("does not answer"));
    let seen = lab.ada.until(&format!("/delegations/{waiting}"), "it says why", held).await;
    assert_eq!(seen["status"], "queued");
    // And is done when somebody is there again.
    fake.reopen().await;
    lab.ada.until_delegation(&waiting, &["reviewing"]).await;
    node.node.stop().await;
}

/// How often each thing is asked for.
const TIMES: u32 = 40;

/// What people do all day that needs no agent, with how long one of each takes in the middle.
async fn answered(lab: &Lab) -> Vec<(&'static str, Duration)> {
    let ada = &lab.ada;
    let talk = json!({"type": "channel", "title": "Hall"});
    let talk = id(&ada.post(&format!("/workspaces/{}/conversations", lab.workspace), talk).await);
    let document = json!({"title": "Menu"});
    let document = id(&ada.post(&format!("/projects/{}/documents", lab.project), document).await);
    // The board that is read stays as it is.
    let annex = ada.project(&lab.workspace, "Annex").await;
    let mut all = vec![];
    for what in ["board", "chat", "document", "task", "inbox"] {
        let mut took = vec![];
        for n in 0..TIMES {
            let begun = Instant::now();
            match what {
                "board" => drop(ada.get(&format!("/projects/{}/board", lab.project)).await),
                "chat" => {
                    let words = json!({"parts": [{"type": "text", "text": format!("hello {n}")}]});
                    ada.post(&format!("/conversations/{talk}/messages"), words).await;
                }
                "document" => {
                    let changes = json!({"changes": [{"kind": "append", "text": "More."}]});
                    ada.post(&format!("/documents/{document}/edit"), changes).await;
                }
                "task" => drop(ada.task(&annex, "One more").await),
                _ => drop(ada.get(&format!("/workspaces/{}/inbox", lab.workspace)).await),
            }
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        all.push((what, took[took.len() / 2]));
    }
    all
}
