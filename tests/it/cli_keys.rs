//! `link keys`: the signing keys of a node, looked after while it runs and while it does not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{PATIENCE, Person, http},
    terminal::{Terminal, mode},
};

async fn shown(url: &str) -> Vec<Value> {
    let answer = http().get(format!("{url}/.well-known/jwks.json")).send().await.expect("it answers");
    let keys: Value = answer.json().await.expect("it answers in JSON");
    keys["keys"].as_array().expect("it is a list").iter().map(|key| key["kid"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_rotated_and_retired_while_the_node_runs() {
    let node = TestNode::start().await;
    let data_dir = node.config.data_dir.to_str().expect("it is text").to_owned();
    let terminal = Terminal::at(&node.url).with("LINK_DATA_DIR", data_dir);
    let keys = async |words: &[&str]| terminal.link(&[&["keys"], words, &["--output=json"]].concat()).await;

    let first = keys(&["list"]).await.json()["items"].clone();
    let old = first[0]["kid"].as_str().expect("it has a name").to_owned();
    assert_eq!(first, json!([{"kid": old, "use": "signs"}]));
    assert_eq!(shown(&node.url).await, [json!(old)]);

    let made = keys(&["rotate"]).await.json();
    assert_eq!(made["use"], "signs");
    let both = json!([{"kid": made["kid"], "use": "signs"}, {"kid": old, "use": "verifies"}]);
    assert_eq!(keys(&["list"]).await.json()["items"], both);
    assert_eq!(mode(&node.config.data_dir.join("jwt.key")), 0o600);

    let signing = keys(&["retire", made["kid"].as_str().expect("it has a name")]).await.refused(1);
    assert!(signing.to_string().contains("rotate first"), "{signing:#}");
    let unknown = keys(&["retire", "nobody"]).await.refused(1);
    assert!(unknown.to_string().contains("link keys list"), "{unknown:#}");
    let nothing = terminal.link(&["keys"]).await;
    assert_eq!(nothing.code, 2, "{nothing:#?}");

    assert_eq!(keys(&["retire", &old]).await.json(), json!({"kid": old, "use": "retired"}));
    assert_eq!(keys(&["list"]).await.json()["items"], json!([{"kid": made["kid"], "use": "signs"}]));
    // What the commands print are names; the keys themselves stay in the file.
    let file = std::fs::read_to_string(node.config.data_dir.join("jwt.key")).expect("it is ours");
    let human = terminal.link(&["keys", "list"]).await.done();
    assert!(human.contains(made["kid"].as_str().expect("it has a name")) && !human.contains(file.trim()), "{human}");

    // The node takes it up by itself: what the retired key signed is worthless then.
    let begun = tokio::time::Instant::now();
    while shown(&node.url).await != [made["kid"].clone()] {
        assert!(begun.elapsed() < PATIENCE, "the node still shows other keys");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Person::register(&node.url, "Ada").await.get("/auth/me").await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_settings_name_are_shown_and_left_alone() {
    let key = link::api::signing::Keys::generate().expect("random numbers can be had");
    let terminal = Terminal::at("http://127.0.0.1:9").with("LINK_JWT_KEY", key.trim());
    let keys = async |words: &[&str]| terminal.link(&[&["keys"], words, &["--output=json"]].concat()).await;
    let listed = keys(&["list"]).await.json()["items"].clone();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["use"]), (Some(1), &json!("signs")));
    for words in [&["rotate"][..], &["retire", "nobody"]] {
        let refused = keys(words).await.refused(1).to_string();
        assert!(refused.contains("LINK_JWT_KEY is set") && !refused.contains(key.trim()), "{refused}");
    }
}
