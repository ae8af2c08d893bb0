//! Checkpoints through the doors: made by themselves and by people, and the way back to one and forth again.

use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::TestNode,
    person::{Person, id},
};

struct Lab {
    ada: Person,
    workspace: String,
    task: String,
}

impl Lab {
    async fn open(url: &str) -> Self {
        let ada = Person::register(url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let project = ada.project(&workspace, "Moon base").await;
        let task = ada.task(&project, "Soup").await;
        Self { ada, workspace, task }
    }

    async fn checkpoints(&self) -> Vec<Value> {
        let page = self.ada.get(&format!("/tasks/{}/checkpoints?limit=200", self.task)).await;
        page["items"].as_array().expect("a list").clone()
    }

    /// Waits until Link has made a checkpoint for this reason.
    async fn made(&self, reason: &str) -> Value {
        let path = format!("/tasks/{}/checkpoints?limit=200", self.task);
        let of = |seen: &Value| {
            let mut items = seen["items"].as_array().into_iter().flatten();
            items.find(|item| item["reason"] == reason).cloned()
        };
        let seen = self.ada.until(&path, &format!("a checkpoint: {reason}"), |seen| of(seen).is_some()).await;
        of(&seen).expect("it is there")
    }

    async fn back(&self, checkpoint: &str) -> Value {
        self.ada.post(&format!("/tasks/{}/rollback", self.task), json!({"checkpoint_id": checkpoint})).await
    }

    async fn rename(&self, title: &str) {
        let body = json!({"title": title});
        self.ada.send(reqwest::Method::PATCH, &format!("/tasks/{}", self.task), Some(&body), None).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_back_with_its_agent_and_its_conversation_and_forth_again() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let talk = json!({"type": "task", "title": "About soup", "task_id": lab.task});
    let talk = id(&lab.ada.post(&format!("/workspaces/{}/conversations", lab.workspace), talk).await);
    let say = async |text: &str| {
        let body = json!({"parts": [{"type": "text", "text": text}]});
        lab.ada.post(&format!("/conversations/{talk}/messages"), body).await
    };
    say("Salt is missing.").await;
    let body = json!({"name": "Before the pepper"});
    let named = lab.ada.post(&format!("/tasks/{}/checkpoints", lab.task), body).await;
    assert_eq!((&named["reason"], &named["name"]), (&json!("manual"), &json!("Before the pepper")));
    let mark = &named["manifest"]["conversations"][0];
    assert_eq!((mark["conversation"].as_str(), mark["seq"].as_u64()), (Some(&*talk), Some(1)));

    let agent = lab.ada.scripted(&lab.workspace, "Cook", "write soup.md hot; silent").await;
    let delegation = lab.ada.delegate(&lab.task, &agent).await;
    lab.ada.until_delegation(&delegation, &["running"]).await;
    let started = lab.made("attempt_started").await;
    assert_eq!(started["manifest"]["session"]["agent"], agent);
    lab.rename("Pepper soup").await;
    say("And pepper.").await;
    let seen = lab.back(&id(&named)).await;
    assert_eq!(seen["title"], "Soup");
    let seen = lab.ada.get(&format!("/delegations/{delegation}")).await;
    assert_eq!((&seen["status"], &seen["attempts"][0]["status"]), (&json!("paused"), &json!("superseded")));
    let log = lab.ada.log(&lab.workspace).await;
    let last = |kind: &str| log.iter().rev().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind}"));
    let marker = last("conversation:rolled_back");
    assert_eq!(
        (marker["subject"].as_str(), &marker["data"]["seq"]),
        (Some(&*format!("conversation:{talk}")), &json!(1))
    );
    // Nothing is gone: the message is read as before, and so is what the attempt made.
    let messages = lab.ada.get(&format!("/conversations/{talk}/messages")).await;
    assert_eq!(messages["items"].as_array().map(Vec::len), Some(2));
    let made = lab.ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    assert_eq!(made["items"][0]["name"], "soup.md");

    // The next attempt is told what was there at the checkpoint, and no more: the same as the first one was.
    lab.ada.post(&format!("/delegations/{delegation}/resume"), json!({})).await;
    let packed = |seen: &Value| seen["attempts"][1]["pack_hash"].is_string();
    let seen = lab.ada.until(&format!("/delegations/{delegation}"), "it is told", packed).await;
    assert_eq!(seen["attempts"][0]["pack_hash"], seen["attempts"][1]["pack_hash"]);
    lab.ada.post(&format!("/delegations/{delegation}/pause"), json!({})).await;

    // The way back is a checkpoint, too.
    let undo = last("task:rolled_back")["data"]["before"].as_str().expect("an id").to_owned();
    assert_eq!(lab.back(&undo).await["title"], "Pepper soup");
    assert_eq!(lab.back(&id(&named)).await["title"], "Soup");
    assert!(lab.checkpoints().await.iter().filter(|known| known["reason"] == "rollback").count() >= 3);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn link_makes_checkpoints_before_an_agent_may_do_something_and_when_work_is_handed_in() {
    let node = TestNode::start().await;
    let lab = Lab::open(&node.url).await;
    let agent = lab.ada.scripted(&lab.workspace, "Cook", "approve rm -rf; write soup.md hot; say Done.").await;
    let delegation = lab.ada.delegate(&lab.task, &agent).await;
    lab.ada.until_delegation(&delegation, &["awaiting"]).await;
    let answer = json!({"answer": {"approve": true}});
    lab.ada.post(&format!("/delegations/{delegation}/answer"), answer).await;
    let risky = lab.made("risky_step").await;
    assert_eq!(risky["made_by"], format!("user:{}", lab.ada.id));
    lab.ada.until_delegation(&delegation, &["reviewing"]).await;
    let submitted = lab.made("submitted").await;
    assert_ne!(submitted["manifest"]["task"], risky["manifest"]["task"], "the results are others");

    // Work that waits for a review is decided first; what nobody made cannot be gone back to.
    let back = format!("/tasks/{}/rollback", lab.task);
    let body = json!({"checkpoint_id": id(&risky)});
    lab.ada.try_post(&back, body.clone()).await.problem("busy");
    let nobody = json!({"checkpoint_id": lab.task});
    lab.ada.try_post(&back, nobody).await.problem("not_found");
    let body_of = |verdict: &str| json!({"verdict": verdict, "comment": "no"});
    lab.ada.post(&format!("/delegations/{delegation}/review"), body_of("reject")).await;
    lab.ada.post(&back, body).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_going_back_an_attempt_is_told_the_paths_that_are_claimed_for_it_now() {
    let (fake, node) = (FakePenguin::start().await, TestNode::start().await);
    let lab = Lab::open(&node.url).await;
    let path = format!("/tasks/{}", lab.task);
    let change = async |body: Value| lab.ada.send(reqwest::Method::PATCH, &path, Some(&body), None).await.ok();
    change(json!({"claims": ["old/pot"]})).await;
    let named = lab.ada.post(&format!("{path}/checkpoints"), json!({"name": "Before"})).await;
    change(json!({"claims": ["new/pan"], "title": "Stew"})).await;
    assert_eq!(lab.back(&id(&named)).await["title"], "Soup");
    assert_eq!(lab.ada.get(&path).await["claims"], json!(["new/pan"]), "what is claimed does not go back");
    let body = json!({"name": "Penguin", "runtime": "penguin", "instances": [{"url": fake.url()}]});
    let agent = id(&lab.ada.post(&format!("/workspaces/{}/agents", lab.workspace), body).await);
    let delegation = lab.ada.delegate(&lab.task, &agent).await;
    lab.ada.until_delegation(&delegation, &["reviewing"]).await;
    let prompt = &fake.prompts()[0];
    assert!(prompt.contains("new/pan") && !prompt.contains("old/pot"), "{prompt}");
    node.node.stop().await;
}
