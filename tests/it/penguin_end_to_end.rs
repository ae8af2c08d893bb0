//! The main job with a real Penguin 0.9.3: delegate, watch, review, done; and the same with Link killed in the
//! middle. Needs `tests/penguin/install.sh` once and `LINK_REAL_PENGUIN=1`.

use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        driving::new_id,
        node::TestProcess,
        person::{Person, id},
        real_penguin::{ALONE, LINK, ORDINARY, first_turns_with, penguin, wanted},
        socket::Socket,
    },
};

/// Ada delegates to a Penguin, Ben reviews.
struct Scene {
    node: TestProcess,
    ada: Person,
    ben: Person,
    workspace: String,
    delegation: String,
    task: String,
    file: String,
}

async fn delegated(credentials: &[(&str, &str)], model: Option<&str>) -> Scene {
    let url = tokio::task::spawn_blocking(penguin).await.expect("started");
    let node = TestProcess::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "member").await;
    let project = ada.project(&workspace, "Moon base").await;
    let file = format!("checklist-{}.txt", new_id());
    let description =
        format!("Do it [[tool:write_file {{\"path\":\"{file}\",\"content\":\"one\"}}]] [[words:15]] [[delay:0.2]]");
    let body = json!({"title": "Write the checklist", "description": description});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let credentials: Value = credentials.iter().map(|(name, secret)| ((*name).to_owned(), json!(secret))).collect();
    let instance = json!({"url": url, "credentials": credentials, "model": model});
    let body = json!({"name": "Penguin", "runtime": "penguin", "instances": [instance]});
    let agent = id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await);
    let delegation = ada.delegate(&task, &agent).await;
    Scene { node, ada, ben, workspace, delegation, task, file }
}

fn words(from: usize) -> String {
    (from..15).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_does_a_task_while_everyone_watches_and_a_reviewer_approves() {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let scene = delegated(&[ORDINARY], None).await;
    let (mut text, mut progress, mut last) = (String::new(), 0, 0);
    let mut watching = Socket::subscribed(&scene.ben, &scene.workspace, Some(0)).await;
    loop {
        let frame = watching.next().await;
        match frame["t"].as_str() {
            Some("event") => {
                let offset = frame["offset"].as_u64().expect("an event has an offset");
                assert_eq!(offset, last + 1, "events come in order, without a gap");
                last = offset;
                progress += u32::from(frame["type"] == "task:progress");
                if frame["type"] == "delegation:reviewing" {
                    break;
                }
            }
            Some("signal") if frame["type"] == "task:output" => {
                if let Some(whole) = frame["data"]["text"].as_str() {
                    text = whole.to_owned();
                } else {
                    text.push_str(frame["data"]["delta"].as_str().expect("a delta is text"));
                }
            }
            _ => {}
        }
    }
    assert!(progress >= 1, "progress was seen");
    assert_eq!(text.trim(), words(0), "the text arrived while it was written, in order");
    finish(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguins_durable_run_survives_kill_9_of_link_and_runs_once() {
    killed_in_the_middle(&[ORDINARY, LINK], Some("stub/stub-1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguins_plain_run_survives_kill_9_of_link_and_runs_once() {
    killed_in_the_middle(&[ORDINARY], None).await;
}

async fn killed_in_the_middle(credentials: &[(&str, &str)], model: Option<&str>) {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let mut scene = delegated(credentials, model).await;
    let mut watching = Socket::subscribed(&scene.ben, &scene.workspace, Some(0)).await;
    let mut seen = vec![];
    let mut deltas = 0;
    while deltas < 3 {
        let frame = watching.next().await;
        match frame["t"].as_str() {
            Some("event") => seen.push(frame["offset"].as_u64().expect("an event has an offset")),
            Some("signal") => deltas += 1,
            _ => {}
        }
    }
    scene.node.kill();
    scene.node.revive().await;
    let mut watching = Socket::subscribed(&scene.ben, &scene.workspace, seen.last().copied()).await;
    loop {
        let event = watching.until("event").await;
        seen.push(event["offset"].as_u64().expect("an event has an offset"));
        if event["type"] == "delegation:reviewing" {
            break;
        }
    }
    assert!(
        seen.iter().enumerate().all(|(nth, offset)| *offset == nth as u64 + 1),
        "no event lost or doubled: {seen:?}"
    );
    finish(&scene).await;
    assert_eq!(first_turns_with(&scene.file).await, 1, "Penguin ran the work once");
}

async fn finish(scene: &Scene) {
    let Scene { ada, ben, delegation, .. } = scene;
    let handed_in = ada.get(&format!("/delegations/{delegation}")).await;
    assert_eq!(handed_in["output"], words(0));
    assert_eq!(handed_in["attempts"].as_array().map(Vec::len), Some(1), "{handed_in:#}");
    assert!(handed_in["attempts"][0]["input_tokens"].as_u64() > Some(0), "usage is recorded: {handed_in:#}");
    let artifacts = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let files: Vec<&Value> =
        artifacts["items"].as_array().expect("a list").iter().filter(|made| made["kind"] == "file").collect();
    assert_eq!(files.len(), 1, "{artifacts:#}");
    assert_eq!(files[0]["name"], scene.file);
    ben.post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve", "comment": "Right."})).await;
    assert_eq!(ada.get(&format!("/tasks/{}", scene.task)).await["status"], "done");
    check_projections(&scene.node.database().await, &scene.workspace).await;
}
