//! Grants reach every part of a conversation: what is said in it, its branches, what is found in it, and who answers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        node::TestNode,
        person::{Person, id},
        socket::Socket,
    },
};

/// An owner, a member, and a guest whose role is nothing; in a workspace with a channel.
struct Lab {
    node: TestNode,
    ada: Person,
    ben: Person,
    guest: Person,
    workspace: String,
    room: String,
}

impl Lab {
    async fn open() -> Self {
        let node = TestNode::start().await;
        let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
        let guest = Person::register(&node.url, "Guest").await;
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &ben, "member").await;
        let role = json!({"name": "nothing", "permissions": []});
        let role = id(&ada.post(&format!("/workspaces/{workspace}/roles"), role).await);
        ada.invite(&workspace, &guest, &role).await;
        let room = begin(&ada, &workspace, json!({"type": "channel", "title": "Hall"})).await;
        Self { node, ada, ben, guest, workspace, room }
    }

    async fn grant(&self, effect: &str, what: String, who: String, permissions: &[&str]) -> String {
        let grant = json!({"subject": what, "principal": who, "effect": effect, "permissions": permissions});
        id(&self.ada.post(&format!("/workspaces/{}/grants", self.workspace), grant).await)
    }

    async fn close(self) {
        check_projections(self.node.pool(), &self.workspace).await;
        self.node.node.stop().await;
    }
}

async fn begin(person: &Person, workspace: &str, body: Value) -> String {
    id(&person.post(&format!("/workspaces/{workspace}/conversations"), body).await)
}

fn text(words: &str) -> Value {
    json!({"parts": [{"type": "text", "text": words}]})
}

async fn say(person: &Person, room: &str, words: &str) -> String {
    id(&person.post(&format!("/conversations/{room}/messages"), text(words)).await)
}

async fn branch(person: &Person, room: &str, at: &str) -> String {
    id(&person.post(&format!("/conversations/{room}/branches"), json!({"at_message_id": at})).await)
}

/// How many messages somebody finds by a word, and in how many conversations they see themselves.
async fn sees(person: &Person, workspace: &str, word: &str, within: &str) -> (usize, usize) {
    let count = |page: &Value| page["items"].as_array().expect("a page has items").len();
    let found = person.get(&format!("/workspaces/{workspace}/messages/search?q={word}{within}")).await;
    (count(&found), count(&person.get(&format!("/workspaces/{workspace}/conversations")).await))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_denied_is_denied_with_its_branches_everywhere() {
    let lab = Lab::open().await;
    let Lab { ada, ben, workspace, room, .. } = &lab;
    let first = say(ada, room, "the moon").await;
    let inner = branch(ben, room, &first).await;
    let second = say(ada, &inner, "the moon again").await;
    let deeper = branch(ben, &inner, &second).await;
    assert_eq!(sees(ben, workspace, "moon", "").await, (2, 3));
    let other = begin(ben, workspace, json!({"type": "channel"})).await;
    let own = say(ben, &other, "my own").await;
    let own = branch(ben, &other, &own).await;
    say(ben, &own, "and more").await;
    let merge = format!("/conversations/{own}/merge");

    let grant = lab.grant("deny", format!("conversation:{room}"), format!("user:{}", ben.id), &["read"]).await;
    let mut watching = Socket::subscribed(ben, workspace, Some(0)).await;
    for at in [room, &inner, &deeper] {
        for path in ["", "/messages", "/turns"] {
            ben.send(Method::GET, &format!("/conversations/{at}{path}"), None, None).await.problem("not_found");
        }
        let path = format!("/conversations/{at}");
        ben.try_post(&format!("{path}/read"), json!({"seq": 1})).await.problem("not_found");
        ben.try_post(&format!("{path}/messages"), text("hello")).await.problem("not_found");
        ben.try_post(&format!("{path}/branches"), json!({"at_message_id": first})).await.problem("not_found");
        let reaction = format!("{path}/messages/{first}/reactions");
        ben.try_post(&reaction, json!({"emoji": "+1"})).await.problem("not_found");
        ben.try_post(&merge, json!({"into_id": at})).await.problem("not_found");
        assert_eq!(sees(ben, workspace, "moon", &format!("&conversation_id={at}")).await, (0, 2));
    }
    assert_eq!(sees(ben, workspace, "moon", "").await, (0, 2));
    say(ada, &deeper, "the moon, @ben").await;
    say(ada, &other, "the end").await;
    loop {
        let frame = watching.until("event").await;
        assert!(!frame["data"].to_string().contains("moon"), "{frame:#}");
        let about = frame["subject"].as_str().unwrap_or_default();
        assert!([room, &inner, &deeper].iter().all(|hidden| !about.contains(*hidden)), "{frame:#}");
        if frame["data"].to_string().contains("the end") {
            break;
        }
    }
    ada.send(Method::DELETE, &format!("/workspaces/{workspace}/grants/{grant}"), None, None).await.ok();
    assert_eq!(sees(ben, workspace, "moon", "").await, (3, 5));
    ben.post(&merge, json!({"into_id": inner})).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_into_one_conversation_is_let_into_its_branches_and_no_further() {
    let lab = Lab::open().await;
    let Lab { ada, guest, workspace, room, .. } = &lab;
    let first = say(ada, room, "the moon").await;
    let inner = branch(ada, room, &first).await;
    say(ada, &inner, "the moon again").await;
    let other = begin(ada, workspace, json!({"type": "channel"})).await;
    say(ada, &other, "the moon elsewhere").await;
    assert_eq!(sees(guest, workspace, "moon", "").await, (0, 0));
    let whom = format!("user:{}", guest.id);
    lab.grant("allow", format!("conversation:{inner}"), whom.clone(), &["read"]).await;
    // In the branch one sees what it shares, and nothing else of where that was said.
    assert_eq!(sees(guest, workspace, "moon", "").await, (1, 1));
    assert_eq!(sees(guest, workspace, "moon", &format!("&conversation_id={inner}")).await.0, 2);
    guest.send(Method::GET, &format!("/conversations/{room}"), None, None).await.problem("not_found");
    guest.try_post(&format!("/conversations/{inner}/messages"), text("hello")).await.problem("forbidden");
    guest.try_post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await.problem("forbidden");
    lab.grant("allow", format!("conversation:{room}"), whom, &["read", "converse"]).await;
    say(guest, &inner, "hello").await;
    guest.try_post(&format!("/conversations/{inner}/merge"), json!({"into_id": other})).await.problem("not_found");
    guest.post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_only_where_it_may_speak() {
    let lab = Lab::open().await;
    let Lab { ada, workspace, room, .. } = &lab;
    let agent = ada.scripted(workspace, "Scribe", "say Well.").await;
    let join = json!({"participant": format!("agent:{agent}")});
    ada.post(&format!("/conversations/{room}/participants"), join).await;
    ada.post(&format!("/agents/{agent}/pause"), json!({})).await;
    say(ada, room, "@scribe, are you there?").await;
    lab.grant("deny", format!("conversation:{room}"), format!("agent:{agent}"), &["converse"]).await;
    ada.try_post(&format!("/conversations/{room}/messages"), text("@scribe?")).await.problem("forbidden");
    say(ada, room, "Then not.").await;
    // What was asked before is given up as soon as it would have been its turn.
    ada.post(&format!("/agents/{agent}/resume"), json!({})).await;
    let over = |seen: &Value| seen["items"][0]["ended_at"].is_string();
    let turns = ada.until(&format!("/conversations/{room}/turns"), "the turn is given up", over).await;
    assert_eq!(turns["items"][0]["status"], "failed");
    let said = ada.get(&format!("/conversations/{room}/messages")).await;
    let note = said["items"][2]["parts"][0]["text"].as_str().unwrap();
    assert!(note.contains("may not speak in this conversation"), "{note}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_needs_leave_in_the_project_and_not_only_where_it_is_given() {
    let lab = Lab::open().await;
    let Lab { ada, guest, workspace, .. } = &lab;
    let project = ada.project(workspace, "Moon base").await;
    let room = begin(ada, workspace, json!({"type": "channel", "project_id": project})).await;
    let (whom, everything) = (format!("user:{}", guest.id), ["read", "converse", "work", "delegate"]);
    lab.grant("allow", format!("conversation:{room}"), whom.clone(), &everything).await;
    let (path, order) = (format!("/conversations/{room}/messages"), text("/penguin Paint the shed"));
    guest.try_post(&path, order.clone()).await.problem("not_found");
    assert_eq!(ada.get(&format!("/projects/{project}/tasks")).await["items"], json!([]));
    lab.grant("allow", format!("project:{project}"), whom, &everything).await;
    guest.post(&path, order).await;
    assert_eq!(ada.get(&format!("/projects/{project}/tasks")).await["items"].as_array().map(Vec::len), Some(1));
    lab.close().await;
}
