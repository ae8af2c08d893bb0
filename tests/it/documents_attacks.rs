//! What somebody may do to a shared document who means harm, or whose client is mistaken.

use reqwest::Method;
use serde_json::{Value, json};
use yrs::{
    Doc, Text, Transact,
    sync::{AwarenessUpdate, Message, SyncMessage, awareness::AwarenessUpdateEntry},
};

use crate::{
    crash::check_projections,
    support::{
        node::TestNode,
        person::{Person, id},
        writer::Writer,
    },
};

struct Scene {
    node: TestNode,
    ada: Person,
    ben: Person,
    workspace: String,
    project: String,
    document: String,
}

impl Scene {
    async fn open() -> Self {
        let node = TestNode::start().await;
        let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &ben, "member").await;
        let project = ada.project(&workspace, "Moon base").await;
        let document = id(&ada.post(&format!("/projects/{project}/documents"), json!({"title": "Menu"})).await);
        Self { node, ada, ben, workspace, project, document }
    }

    fn path(&self, rest: &str) -> String {
        format!("/documents/{}{rest}", self.document)
    }

    async fn append(&self, words: &str, key: Option<&str>) {
        let body = json!({"changes": [{"kind": "append", "text": words}]});
        self.ada.send(Method::POST, &self.path("/edit"), Some(&body), key).await.ok();
    }

    async fn text(&self) -> String {
        self.ada.get(&self.path("")).await["text"].as_str().expect("it has a text").to_owned()
    }

    async fn close(self) {
        check_projections(self.node.pool(), &self.workspace).await;
        self.node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_values_within_values_ends_its_own_socket_and_the_node_goes_on() {
    let scene = Scene::open().await;
    let value = |level: &[u8]| {
        let bytes = [&[1, 1, 1, 0, 8, 1, 1, 99, 1], level.repeat(100_000).as_slice(), &[127, 0]].concat();
        Message::Sync(SyncMessage::Update(bytes))
    };
    for level in [&[117, 1][..], &[118, 1, 1, 97]] {
        let mut mallory = Writer::open(&scene.ben, &scene.document).await;
        mallory.say(value(level)).await;
        assert_eq!(mallory.close_code().await, 4000);
    }
    scene.append("Soup.", None).await;
    assert_eq!(scene.text().await, "Soup.");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_no_longer_write_writes_nothing_more_and_who_may_again_is_asked_for_it() {
    let scene = Scene::open().await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    ben.write("Bread. ").await;
    ada.until("Ben's words", |seen| seen.words() == "Bread. ").await;
    let grants = format!("/workspaces/{}/grants", scene.workspace);
    let deny = json!({"subject": format!("project:{}", scene.project), "principal": format!("user:{}", scene.ben.id),
        "effect": "deny", "permissions": ["work"]});
    let grant = id(&scene.ada.post(&grants, deny).await);
    ben.write("Graffiti. ").await;
    ben.until("he is refused", |seen| seen.refused > 0).await;
    assert_eq!(scene.text().await, "Bread. ");
    assert_eq!(ada.words(), "Bread. ");

    scene.ada.send(Method::DELETE, &format!("{grants}/{grant}"), None, None).await.ok();
    // He is asked for all that he has, not only for what he says from here on.
    ben.write("Salt. ").await;
    ben.until("he is asked again", |seen| seen.asked == 2).await;
    ada.until("all of it", |seen| seen.words() == "Bread. Graffiti. Salt. ").await;
    assert_eq!(scene.text().await, "Bread. Graffiti. Salt. ");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_repeated_under_its_key_is_told_to_no_editor_twice() {
    let scene = Scene::open().await;
    let mut ada = Writer::open(&scene.ada, &scene.document).await;
    for _ in 0..3 {
        scene.append("once ", Some("a key")).await;
    }
    scene.append("end", None).await;
    ada.until("the end", |seen| seen.words().ends_with("end")).await;
    assert_eq!(ada.words(), "once end");
    assert_eq!(scene.text().await, "once end");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_shown_to_nobody_as_somebodys_cursor() {
    let scene = Scene::open().await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    let client = ben.doc.client_id();
    for (clock, json) in [(1, "{"), (2, r#"{"name":"Ben"}"#)] {
        let entry = AwarenessUpdateEntry { clock, json: json.into() };
        ben.say(Message::Awareness(AwarenessUpdate { clients: [(client, entry)].into() })).await;
    }
    ada.until("Ben is there", |seen| !seen.aware.is_empty()).await;
    let shown: Vec<&str> =
        ada.aware.iter().flat_map(|update| update.clients.values()).map(|entry| &*entry.json).collect();
    assert_eq!(shown, [r#"{"name":"Ben"}"#]);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_waits_for_another_one_is_written_down_once_however_often_it_is_said() {
    let scene = Scene::open().await;
    let from = Doc::new();
    let text = from.get_or_insert_text("content");
    let orphan = ["a", "b"].map(|word| {
        let mut tx = from.transact_mut();
        text.push(&mut tx, word);
        tx.encode_update_v1()
    })[1]
        .clone();
    for _ in 0..3 {
        let mut ben = Writer::open(&scene.ben, &scene.document).await;
        ben.say(Message::Sync(SyncMessage::SyncStep2(orphan.clone()))).await;
        ben.write("").await;
        // Whatever was said before is settled when this is told.
        scene.append(".", None).await;
        ben.until("a dot more", |seen| seen.words().contains('.')).await;
    }
    let log = scene.ada.log(&scene.workspace).await;
    let edits = |who: &Person| {
        let author = Value::from(format!("user:{}", who.id));
        log.iter().filter(|event| event["type"] == "document:edited" && event["data"]["author"] == author).count()
    };
    assert_eq!((edits(&scene.ben), edits(&scene.ada)), (1, 3));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_to_take_out_more_than_one_can_write_down_is_refused() {
    let scene = Scene::open().await;
    for _ in 0..2 {
        scene.append(&"x".repeat(40_000), None).await;
    }
    let take = |delete: u32| json!({"note": "shorter", "changes": [{"kind": "splice", "at": 0, "delete": delete}]});
    scene.ada.try_post(&scene.path("/suggestions"), take(70_000)).await.problem("version_conflict");
    let made = scene.ada.post(&scene.path("/suggestions"), take(60_000)).await;
    let accept = json!({"change": 0, "accept": true});
    scene.ada.post(&scene.path(&format!("/suggestions/{}/resolve", id(&made))), accept).await;
    assert_eq!(scene.text().await.len(), 20_000);
    scene.close().await;
}
