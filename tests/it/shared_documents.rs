//! Texts that people and agents write together: by sockets that speak y-sync, and by operations.

use std::time::Duration;

use futures::SinkExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use yrs::{
    sync::{AwarenessUpdate, Message, SyncMessage, awareness::AwarenessUpdateEntry},
    updates::encoder::Encode,
};

use crate::{
    crash::check_projections,
    support::{
        node::{TestNode, TestProcess},
        person::{PATIENCE, Person, id},
        writer::{Writer, connect},
    },
};

struct Scene {
    ada: Person,
    ben: Person,
    workspace: String,
    project: String,
    document: String,
}

impl Scene {
    async fn new(url: &str) -> Self {
        let (ada, ben) = (Person::register(url, "Ada").await, Person::register(url, "Ben").await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &ben, "member").await;
        let project = ada.project(&workspace, "Moon base").await;
        let document = id(&ada.post(&format!("/projects/{project}/documents"), json!({"title": "Menu"})).await);
        Self { ada, ben, workspace, project, document }
    }

    fn path(&self, rest: &str) -> String {
        format!("/documents/{}{rest}", self.document)
    }

    async fn text(&self) -> String {
        self.ada.get(&self.path("")).await["text"].as_str().expect("it has a text").to_owned()
    }

    /// An agent with a key of its own.
    async fn agent(&self) -> Person {
        let agent = self.ada.scripted(&self.workspace, "Scribe", "say Hi.").await;
        let made = self.ada.post(&format!("/agents/{agent}/keys"), json!({"name": "pen"})).await;
        Person { token: made["key"].as_str().expect("it is shown once").to_owned(), id: agent, ..self.ada.clone() }
    }
}

fn append(words: &str) -> Value {
    json!({"changes": [{"kind": "append", "text": words}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_an_agent_write_one_text_and_each_word_has_its_author() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    ada.write("Soup. ").await;
    ben.until_words("Soup. ").await;
    ben.write("Bread. ").await;
    ada.until_words("Soup. Bread. ").await;
    let agent = scene.agent().await;
    let change = json!({"changes": [{"kind": "replace", "find": "Bread", "with": "Rye bread"},
        {"kind": "append", "text": "Tea."}]});
    let written = agent.post(&scene.path("/edit"), change).await;
    assert_eq!(written["text"], "Soup. Rye bread. Tea.");
    for writer in [&mut ada, &mut ben] {
        writer.until_words("Soup. Rye bread. Tea.").await;
    }
    let mut late = Writer::open(&scene.ben, &scene.document).await;
    late.until_words("Soup. Rye bread. Tea.").await;

    let log = scene.ada.log(&scene.workspace).await;
    let edits = log.iter().filter(|event| event["type"] == "document:edited");
    let authors: Vec<_> = edits.map(|event| event["data"]["author"].as_str().expect("it has one")).collect();
    let user = |person: &Person| format!("user:{}", person.id);
    assert_eq!(authors, [user(&scene.ada), user(&scene.ben), format!("agent:{}", agent.id)]);
    check_projections(node.pool(), &scene.workspace).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_seen_survives_kill_9_and_what_they_had_not_comes_back_with_its_writer() {
    let mut server = TestProcess::start().await;
    let scene = Scene::new(&server.url).await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    let mut told = String::new();
    for round in 0..3 {
        for n in 0..20 {
            let words = format!("{round}.{n} ");
            ada.write(&words).await;
            told.push_str(&words);
        }
        ben.until_words(&told).await;
        // Some of this may be lost on its way, and its writer still has it.
        ada.write("unheard ").await;
        told.push_str("unheard ");
        server.kill();
        server.revive().await;
        let seen = ben.words();
        assert!(scene.text().await.contains(&seen), "what was seen by others is kept");
        ada.reopen(&scene.ada, &scene.document).await;
        ben.reopen(&scene.ben, &scene.document).await;
        ben.until_words(&told).await;
        ada.until_words(&told).await;
    }
    assert_eq!(scene.text().await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_life_is_folded_into_a_snapshot_and_comes_to_the_same_text() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let mut told = String::new();
    for n in 0..230 {
        scene.ada.post(&scene.path("/edit"), append(&format!("{n} "))).await;
        told.push_str(&format!("{n} "));
    }
    let kept = async || -> Option<i64> {
        sqlx::query_scalar("SELECT max(seq) FROM document_snapshots").fetch_one(node.pool()).await.unwrap()
    };
    let begun = tokio::time::Instant::now();
    while kept().await.is_none() {
        assert!(begun.elapsed() < PATIENCE, "a snapshot is kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kept().await, Some(200));
    let node = node.restart().await;
    let scene = Scene { ada: Person { url: node.url.clone(), ..scene.ada }, ..scene };
    assert_eq!(scene.text().await, told);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_only_read_sees_and_does_not_write_and_whoever_may_not_read_hears_no_more() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let guest = Person::register(&node.url, "Guest").await;
    scene.ada.invite(&scene.workspace, &guest, "guest").await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    let mut reader = Writer::open(&guest, &scene.document).await;
    reader.write("graffiti ").await;
    ada.write("Soup.").await;
    ben.until_words("Soup.").await;
    reader.until("the words", |seen| seen.words().contains("Soup.")).await;
    assert_eq!(scene.text().await, "Soup.");
    guest.try_post(&scene.path("/edit"), append("graffiti")).await.problem("forbidden");

    let deny = json!({"subject": format!("project:{}", scene.project), "principal": format!("user:{}", scene.ben.id),
        "effect": "deny", "permissions": ["read"]});
    scene.ada.post(&format!("/workspaces/{}/grants", scene.workspace), deny).await;
    ada.write(" Secret.").await;
    assert_eq!(ben.close_code().await, 4003);
    assert_eq!(ben.words(), "Soup.");
    scene.ben.send(Method::GET, &scene.path(""), None, None).await.problem("not_found");
    let refused = connect(&scene.ben, &scene.document).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 404));

    let eve = Person::register(&node.url, "Eve").await;
    for person in [&eve, &Person { token: "nonsense".into(), ..eve.clone() }] {
        assert!(matches!(connect(person, &scene.document).await,
            Err(tungstenite::Error::Http(answer)) if [404, 401].contains(&answer.status().as_u16())));
    }
    eve.send(Method::GET, &scene.path(""), None, None).await.problem("not_found");
    scene.ada.post("/auth/logout_everywhere", json!({})).await;
    assert_eq!(ada.close_code().await, 4001);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_about_each_proposed_change_and_the_words_are_their_authors() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    scene.ada.post(&scene.path("/edit"), append("salt and pepper and salad")).await;
    let agent = scene.agent().await;
    let changes = json!([{"kind": "replace", "find": "pepper", "with": "cumin"},
        {"kind": "replace", "find": "salad", "with": "cake"}, {"kind": "append", "text": "!"}]);
    let proposed = agent.post(&scene.path("/suggestions"), json!({"note": "tastier", "changes": changes})).await;
    let resolve = scene.path(&format!("/suggestions/{}/resolve", id(&proposed)));
    let decide = |change: u32, accept: bool| json!({"change": change, "accept": accept});
    agent.try_post(&resolve, decide(0, true)).await.problem("forbidden");
    // Others write meanwhile; what was proposed stays where it was meant.
    scene.ben.post(&scene.path("/edit"), json!({"changes": [{"kind": "splice", "at": 0, "insert": "Take "}]})).await;
    let body = decide(0, true);
    for _ in 0..2 {
        scene.ada.send(Method::POST, &resolve, Some(&body), Some("once")).await.ok();
    }
    assert_eq!(scene.text().await, "Take salt and cumin and salad");
    scene.ada.try_post(&resolve, decide(0, true)).await.problem("version_conflict");
    scene.ada.post(&resolve, decide(2, false)).await;
    assert_eq!(scene.text().await, "Take salt and cumin and salad");
    let waiting = scene.ada.get(&scene.path("/suggestions")).await;
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(1), "one change waits still");
    scene
        .ben
        .post(&scene.path("/edit"), json!({"changes": [{"kind": "replace", "find": "salad", "with": "kale"}]}))
        .await;
    scene.ada.try_post(&resolve, decide(1, true)).await.problem("version_conflict");
    let last = scene.ada.post(&resolve, decide(1, false)).await;
    let states: Vec<_> = last["changes"].as_array().unwrap().iter().map(|change| change["status"].clone()).collect();
    assert_eq!(states, ["accepted", "declined", "declined"]);
    assert_eq!(scene.ada.get(&scene.path("/suggestions")).await["items"], json!([]));
    let log = scene.ada.log(&scene.workspace).await;
    let accepted = log
        .iter()
        .find(|event| event["type"] == "document:edited" && event["data"]["author"] == format!("agent:{}", agent.id));
    assert_eq!(accepted.expect("its words are in the text")["actor"], format!("user:{}", scene.ada.id));
    check_projections(node.pool(), &scene.workspace).await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_under_one_key_changes_the_text_once_and_all_changes_or_none() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let body = append("once ");
    for _ in 0..3 {
        scene.ada.send(Method::POST, &scene.path("/edit"), Some(&body), Some("a key")).await.ok();
    }
    assert_eq!(scene.text().await, "once ");
    let half =
        json!({"changes": [{"kind": "append", "text": "twice"}, {"kind": "replace", "find": "gone", "with": ""}]});
    scene.ada.try_post(&scene.path("/edit"), half).await.problem("version_conflict");
    let body = json!({"changes": [{"kind": "replace", "find": "once", "with": "done"}]});
    for _ in 0..2 {
        // The second time there is nothing to replace, and it was this request that did it.
        scene.ada.send(Method::POST, &scene.path("/edit"), Some(&body), Some("another")).await.ok();
    }
    assert_eq!(scene.text().await, "done ");
    scene.ada.post(&scene.path("/archive"), json!({})).await;
    scene.ada.try_post(&scene.path("/edit"), append("late")).await.problem("busy");
    assert_eq!(scene.text().await, "done ", "what was refused is not in the text");
    let mut ada = Writer::open(&scene.ada, &scene.document).await;
    ada.until_words("done ").await;
    ada.write("late").await;
    assert_eq!(ada.close_code().await, 4003);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_is_known_while_they_are_there() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    let client = ada.doc.client_id();
    let here = AwarenessUpdateEntry { clock: 1, json: r#"{"name":"Ada"}"#.into() };
    let says = |entry: AwarenessUpdateEntry| AwarenessUpdate { clients: [(client, entry)].into() };
    ada.say(Message::Awareness(says(here.clone()))).await;
    ben.until("Ada is there", |seen| seen.aware.contains(&says(here.clone()))).await;
    let mut late = Writer::open(&scene.ben, &scene.document).await;
    late.until("Ada is there", |seen| seen.aware.contains(&says(here.clone()))).await;
    drop(ada);
    let gone = says(AwarenessUpdateEntry { clock: 1, json: "null".into() });
    ben.until("Ada has left", |seen| seen.aware.contains(&gone)).await;
    assert!(scene.ada.log(&scene.workspace).await.iter().all(|event| event["type"] != "document:edited"));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_mean_nothing_end_their_own_socket_and_no_other() {
    let node = TestNode::start().await;
    let scene = Scene::new(&node.url).await;
    let (mut ada, mut ben) =
        (Writer::open(&scene.ada, &scene.document).await, Writer::open(&scene.ben, &scene.document).await);
    let bad_updates =
        [vec![0xff; 64], vec![1, 1, 200, 200, 200, 200, 200, 200, 0, 4, 1], vec![0, 1, 255, 255, 255, 255, 15]];
    let frames = [vec![0], vec![0, 2, 200], vec![1, 255, 255, 255, 255, 255], vec![9, 9, 9]].map(Frame::from);
    let updates = bad_updates.map(|update| Frame::from(Message::Sync(SyncMessage::Update(update)).encode_v1()));
    for frame in
        frames.into_iter().chain(updates).chain([Frame::text("hello"), Frame::from(vec![0; (1 << 20) + 2_000])])
    {
        let mut mallory = Writer::open(&scene.ben, &scene.document).await;
        let shown = format!("{frame:?}").chars().take(80).collect::<String>();
        // The end may come before the last byte of a frame that is too long has gone out.
        let code = match mallory.socket.send(frame).await {
            Ok(()) => mallory.close_code().await,
            Err(_) => 1006,
        };
        assert!([4000, 1006, 1009].contains(&code), "{code} for {shown}");
    }
    let before = scene.text().await;
    ada.write("Soup.").await;
    ben.until("it goes on", |seen| seen.words().contains("Soup.")).await;
    assert_eq!(scene.text().await.replace("Soup.", ""), before);
    node.node.stop().await;
}
