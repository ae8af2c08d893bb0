//! Who is here: several connections of one person are one, each as long as it lives; agents are in the same list.

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    raw::{CLOSE, Frame, Raw},
    socket::Socket,
};

struct Lab {
    node: TestNode,
    ada: Person,
    ben: Person,
    workspace: String,
}

async fn lab() -> Lab {
    let node = TestNode::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "guest").await;
    Lab { node, ada, ben, workspace }
}

impl Lab {
    async fn of(&self, who: &str) -> Value {
        let list = self.ben.get(&format!("/workspaces/{}/presence", self.workspace)).await;
        let items = list["items"].as_array().expect("a list");
        items.iter().find(|item| item["who"] == who).unwrap_or_else(|| panic!("{who} is not in {list:#}")).clone()
    }

    fn ada(&self) -> String {
        format!("user:{}", self.ada.id)
    }

    /// Says how Ada is over one of her sockets, and waits until it was heard.
    async fn say(&self, socket: &mut Socket, status: &str) {
        socket.send(json!({"t": "presence", "workspace": self.workspace, "status": status})).await;
        socket.send(json!({"t": "ping", "id": 1})).await;
        socket.until("pong").await;
    }

    /// Watches until someone is told to be so.
    async fn told(&self, watching: &mut Socket, who: &str, status: &str) -> Value {
        loop {
            let signal = watching.until("signal").await;
            if signal["type"] == "user:presence" && signal["data"]["who"] == who && signal["data"]["status"] == status {
                return signal;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_connections_the_highest_counts_until_it_ends() {
    let lab = lab().await;
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    assert_eq!(lab.of(&lab.ada()).await, json!({"who": lab.ada(), "status": "offline", "text": null, "since": null}));
    let (mut laptop, mut phone) = (Socket::hello(&lab.ada).await, Socket::hello(&lab.ada).await);
    lab.say(&mut phone, "away").await;
    lab.told(&mut watching, &lab.ada(), "away").await;
    lab.say(&mut laptop, "working").await;
    let signal = lab.told(&mut watching, &lab.ada(), "working").await;
    assert_eq!(signal["topic"], format!("workspace:{}", lab.workspace));
    let working = lab.of(&lab.ada()).await;
    assert_eq!((&working["status"], &working["since"]), (&json!("working"), &signal["data"]["since"]));
    drop(laptop);
    lab.told(&mut watching, &lab.ada(), "away").await;
    assert_eq!(lab.of(&lab.ada()).await["status"], "away");
    drop(phone);
    let gone = lab.told(&mut watching, &lab.ada(), "offline").await;
    assert_eq!(lab.of(&lab.ada()).await["since"], gone["data"]["since"], "it is known since when");
    assert!(lab.ada.log(&lab.workspace).await.iter().all(|event| event["type"] != "user:presence"));
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_without_a_connection_counts_for_a_minute() {
    let lab = lab().await;
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    let path = format!("/workspaces/{}/presence", lab.workspace);
    let said = lab.ada.post(&path, json!({"status": "working", "text": "on the soup"})).await;
    assert_eq!((&said["who"], &said["text"]), (&json!(lab.ada()), &json!("on the soup")));
    let told = lab.told(&mut watching, &lab.ada(), "working").await;
    assert_eq!(told["data"]["text"], "on the soup");
    assert_eq!(lab.of(&lab.ada()).await["text"], "on the soup");
    lab.node.advance(TimeDelta::seconds(61));
    lab.told(&mut watching, &lab.ada(), "offline").await;
    assert_eq!(lab.of(&lab.ada()).await["status"], "offline");
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_hears_who_is_here_and_then_only_what_changes() {
    let lab = lab().await;
    let mut here = Socket::hello(&lab.ada).await;
    lab.say(&mut here, "online").await;
    let agent = lab.ada.scripted(&lab.workspace, "Sleeper", "silent").await;
    let mut joining = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    joining.until("caught_up").await;
    let whole = joining.until("signal").await;
    assert_eq!(whole["type"], "user:presence");
    let state = whole["data"]["state"].as_array().expect("the whole state");
    let of = |who: &str| state.iter().find(|seen| seen["who"] == who).map(|seen| seen["status"].clone());
    assert_eq!((of(&lab.ada()), of(&format!("agent:{agent}"))), (Some(json!("online")), Some(json!("online"))));
    assert_eq!(of(&format!("user:{}", lab.ben.id)), None, "he did not say that he is here");
    assert_eq!(whole["data"]["total"], state.len());

    let mut elsewhere = Socket::hello(&lab.ben).await;
    elsewhere.subscribe(&lab.workspace, json!([format!("agent:{agent}")]), None).await;
    elsewhere.until("caught_up").await;
    lab.say(&mut here, "away").await;
    lab.told(&mut joining, &lab.ada(), "away").await;
    elsewhere.send(json!({"t": "ping", "id": 1})).await;
    assert_eq!(elsewhere.next().await["t"], "pong", "who did not ask for it hears nothing");
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_at_work_while_an_attempt_runs_and_away_when_paused() {
    let lab = lab().await;
    let agent = lab.ada.scripted(&lab.workspace, "Sleeper", "silent").await;
    let who = format!("agent:{agent}");
    assert_eq!(lab.of(&who).await["status"], "online");
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    let project = lab.ada.project(&lab.workspace, "Moon base").await;
    let task = lab.ada.task(&project, "Sleep").await;
    let delegation = lab.ada.delegate(&task, &agent).await;
    lab.told(&mut watching, &who, "working").await;
    assert_eq!(lab.of(&who).await["status"], "working");
    lab.ada.post(&format!("/delegations/{delegation}/cancel"), json!({})).await;
    lab.told(&mut watching, &who, "online").await;
    lab.ada.post(&format!("/agents/{agent}/pause"), json!({})).await;
    lab.told(&mut watching, &who, "offline").await;
    assert_eq!(lab.of(&who).await["status"], "offline");
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_reaches_who_may_see_the_topic_and_nobody_types_where_they_may_not_look() {
    let lab = lab().await;
    let cleo = Person::register(&lab.node.url, "Cleo").await;
    lab.ada.invite(&lab.workspace, &cleo, "owner").await;
    let make = json!({"type": "dm", "participants": [format!("user:{}", lab.ben.id)]});
    let dm = id(&lab.ada.post(&format!("/workspaces/{}/conversations", lab.workspace), make).await);
    let topic = format!("conversation:{dm}");
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    watching.until("caught_up").await;
    let path = format!("/workspaces/{}/typing", lab.workspace);
    let body = json!({"topic": topic, "on": true});
    cleo.try_post(&path, body.clone()).await.problem("not_found");
    lab.ada.post(&path, body).await;
    let signal = watching.until("signal").await;
    assert_eq!((&signal["type"], &signal["topic"]), (&json!("user:typing"), &json!(topic)));
    assert_eq!(signal["data"], json!({"who": lab.ada(), "on": true}), "the first one heard is hers");
    let eve = Person::register(&lab.node.url, "Eve").await;
    let list = format!("/workspaces/{}/presence", lab.workspace);
    eve.send(Method::GET, &list, None, None).await.problem("not_found");
    eve.try_post(&list, json!({"status": "online"})).await.problem("not_found");
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_is_away_for_all_and_here_for_nobody_who_comes() {
    let lab = lab().await;
    let cleo = Person::register(&lab.node.url, "Cleo").await;
    lab.ada.invite(&lab.workspace, &cleo, "member").await;
    let who = format!("user:{}", cleo.id);
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    let (mut hers, mut here) = (Socket::hello(&cleo).await, Socket::hello(&lab.ada).await);
    lab.say(&mut hers, "online").await;
    lab.say(&mut here, "online").await;
    lab.told(&mut watching, &who, "online").await;
    let path = format!("/workspaces/{}/members/{}", lab.workspace, cleo.id);
    lab.ada.send(Method::DELETE, &path, None, None).await.ok();
    lab.told(&mut watching, &who, "offline").await;
    // Her socket is open still, and says so again.
    lab.say(&mut hers, "working").await;
    let mut joining = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    let state = joining.until("signal").await["data"]["state"].clone();
    let seen: Vec<_> = state.as_array().expect("the whole state").iter().map(|seen| seen["who"].clone()).collect();
    assert_eq!(seen, [json!(lab.ada())]);
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_to_read_on_in_the_log_is_told_anew_who_is_here() {
    let lab = lab().await;
    let mut here = Socket::hello(&lab.ada).await;
    lab.say(&mut here, "online").await;
    let mut watching = Socket::subscribed(&lab.ben, &lab.workspace, None).await;
    let state = |signal: &Value| signal["data"]["state"].clone();
    let first = state(&watching.until("signal").await);
    assert_eq!(first[0]["who"], json!(lab.ada()));
    // What a team is changes what its people may see: they read on with their new rights.
    let team = json!({"name": "Crew", "members": [format!("user:{}", lab.ben.id)]});
    lab.ada.post(&format!("/workspaces/{}/teams", lab.workspace), team).await;
    let again = loop {
        let signal = watching.until("signal").await;
        if state(&signal).is_array() {
            break state(&signal);
        }
    };
    assert_eq!(again, first);
    lab.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_what_changed_while_it_did_not_read_is_told_anew_who_is_here_and_be_it_nobody() {
    let lab = lab().await;
    let room = json!({"type": "channel", "title": "Hall"});
    let room = id(&lab.ada.post(&format!("/workspaces/{}/conversations", lab.workspace), room).await);
    let (messages, words) = (format!("/conversations/{room}/messages"), "x".repeat(20_000));
    let words = json!({"parts": [{"type": "text", "text": words}]});
    let mut here = Socket::hello(&lab.ada).await;
    // What a connection's buffers take is the system's to say, and with them full for 7 seconds it is cut.
    for count in [160, 160, 320, 640] {
        lab.say(&mut here, "online").await;
        let mut slow = lab.narrow().await;
        let first = presence(&mut slow).await.expect("it reads");
        assert_eq!((&first["total"], &first["state"][0]["who"]), (&json!(1), &json!(lab.ada())));
        let talk = stream::iter(0..count).map(async |_| drop(lab.ada.post(&messages, words.clone()).await));
        assert_eq!(talk.buffer_unordered(8).count().await, count);
        lab.say(&mut here, "offline").await;
        let heard = presence(&mut slow).await;
        if let Some(whole) = heard.filter(|heard| heard["state"].is_array()) {
            assert_eq!(whole, json!({"state": [], "total": 0}));
            return lab.node.node.stop().await;
        }
    }
    panic!("nothing was ever lost");
}

impl Lab {
    /// A socket of Ben's with next to no room for what comes in, which listens to everything.
    async fn narrow(&self) -> Raw {
        let mut raw = Raw::narrow(&self.node.url, "/ws").await;
        let hello = json!({"t": "hello", "token": self.ben.token});
        let subscribe = json!({"t": "subscribe", "id": 1, "workspace": self.workspace, "topics": ["*"]});
        for said in [hello, subscribe] {
            raw.write(&Frame::says(&said).bytes()).await.expect("the node reads");
        }
        raw
    }
}

/// Reads until something is told of who is here; nothing, if the socket is closed before.
async fn presence(raw: &mut Raw) -> Option<Value> {
    loop {
        let (_, payload) = raw.said().await.ok().filter(|(opcode, _)| *opcode != CLOSE)?;
        let frame: Value = serde_json::from_slice(&payload).expect("frames are JSON");
        if frame["type"] == "user:presence" {
            return Some(frame["data"].clone());
        }
    }
}
