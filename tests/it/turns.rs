//! Agents take part: they answer messages, one at a time, once, also when Link is killed in between.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    crash::check_projections,
    support::{
        fake_penguin::FakePenguin,
        node::{TestNode, TestProcess},
        person::{Person, id},
        socket::Socket,
    },
};

/// Two people and an agent in a channel.
struct Hall {
    node: TestNode,
    ada: Person,
    ben: Person,
    workspace: String,
    agent: String,
    room: String,
}

impl Hall {
    async fn open(script: &str, policy: &str) -> Self {
        let node = TestNode::start().await;
        let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &ben, "member").await;
        let agent = ada.scripted(&workspace, "Scribe", script).await;
        let body = json!({"type": "channel", "participants": [format!("agent:{agent}")], "turn_policy": policy});
        let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
        Self { node, ada, ben, workspace, agent, room }
    }

    async fn close(self) {
        check_projections(self.node.pool(), &self.workspace).await;
        self.node.node.stop().await;
    }
}

fn text(words: &str) -> Value {
    json!({"parts": [{"type": "text", "text": words}]})
}

async fn say(person: &Person, room: &str, words: &str) -> Value {
    person.post(&format!("/conversations/{room}/messages"), text(words)).await
}

/// Waits until so many turns are over, and returns all turns, oldest first.
async fn until_over(person: &Person, room: &str, count: usize) -> Vec<Value> {
    let over = |seen: &Value| {
        let all = seen["items"].as_array().map_or(0, Vec::len);
        all == count && seen["items"].as_array().expect("it is there").iter().all(|turn| turn["ended_at"].is_string())
    };
    let path = format!("/conversations/{room}/turns?limit=200");
    let seen = person.until(&path, "the turns are over", over).await;
    seen["items"].as_array().expect("it is there").iter().rev().cloned().collect()
}

async fn until_running(person: &Person, room: &str) {
    let runs =
        |seen: &Value| seen["items"].as_array().expect("it is there").iter().any(|turn| turn["status"] == "running");
    person.until(&format!("/conversations/{room}/turns"), "a turn runs", runs).await;
}

/// What a message says, with its kind.
async fn said(person: &Person, room: &str) -> Vec<(String, String)> {
    let page = person.get(&format!("/conversations/{room}/messages?limit=200")).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = |message: &Value| (text(&message["kind"]), text(&message["parts"][0]["text"]));
    page["items"].as_array().expect("it is there").iter().map(each).collect()
}

fn said_by(kind: &str, words: &str) -> (String, String) {
    (kind.to_owned(), words.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_mentioned_answers_once_while_everyone_watches() {
    let hall = Hall::open("usage 12 3 0.5; say The moon is far. @scribe", "enqueue").await;
    let Hall { ada, ben, workspace, room, agent, .. } = &hall;
    let mut watching = Socket::subscribed(ben, workspace, None).await;
    say(ada, room, "How are you all?").await;
    let asked = say(ada, room, "@scribe, how far is the moon?").await;
    let turns = until_over(ben, room, 1).await;
    assert_eq!((&turns[0]["status"], &turns[0]["message_id"]), (&json!("answered"), &asked["id"]));
    assert_eq!((&turns[0]["agent_id"], &turns[0]["output_tokens"]), (&json!(agent), &json!(3)));
    let page = ben.get(&format!("/conversations/{room}/messages?after=2")).await;
    let answer = &page["items"][0];
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "an agent's words begin no turn");
    assert_eq!((&answer["id"], &answer["parent_id"]), (&turns[0]["answer_id"], &asked["id"]));
    assert_eq!(answer["author"], format!("agent:{agent}"));
    assert_eq!(answer["parts"][0]["text"], "The moon is far. @scribe");

    let (mut written, mut kinds) = (String::new(), vec![]);
    while kinds.last().is_none_or(|kind| kind != "conversation:turn_ended") {
        let frame = watching.next().await;
        match frame["t"].as_str() {
            Some("event") => {
                if frame["type"] == "conversation:message" && frame["data"]["author"] == format!("agent:{agent}") {
                    assert_eq!(frame["on_behalf_of"], format!("user:{}", ada.id));
                }
                kinds.push(frame["type"].as_str().unwrap().to_owned());
            }
            Some("signal") if frame["type"] == "conversation:output" => {
                assert_eq!(frame["topic"], format!("conversation:{room}"));
                written.push_str(frame["data"]["delta"].as_str().unwrap());
                assert_eq!(frame["data"]["length"], written.chars().count());
            }
            _ => {}
        }
    }
    assert_eq!(written, "The moon is far. @scribe");
    assert!(kinds.iter().any(|kind| kind == "agent:status"), "everyone sees that it works: {kinds:?}");
    hall.close().await;
}

const HOLD: &str = "[[script: say Hello there; silent]]";

/// Asks the agent something that it never ends, and waits until it has written what it will.
async fn hold(hall: &Hall) -> Socket {
    let mut watching = Socket::subscribed(&hall.ben, &hall.workspace, None).await;
    say(&hall.ada, &hall.room, &format!("@scribe hold on {HOLD}")).await;
    let mut written = String::new();
    while written != "Hello there" {
        let frame = watching.until("signal").await;
        if frame["type"] == "conversation:output" {
            written.push_str(frame["data"]["delta"].as_str().expect("it is there"));
        }
    }
    watching
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_in_the_middle_gets_the_text_so_far_and_who_interrupts_keeps_it() {
    let hall = Hall::open("say Well.", "interrupt").await;
    let Hall { ada, ben, workspace, room, .. } = &hall;
    drop(hold(&hall).await);
    let mut joining = Socket::subscribed(ada, workspace, None).await;
    let mut frame = joining.until("signal").await;
    // Who is here is told first.
    while frame["type"] != "conversation:output" {
        frame = joining.until("signal").await;
    }
    assert_eq!((&frame["data"]["text"], &frame["data"]["length"]), (&json!("Hello there"), &json!(11)));
    say(ben, room, "@scribe never mind [[script: say Well.]]").await;
    let turns = until_over(ben, room, 2).await;
    let ends: Vec<_> = turns.iter().map(|turn| turn["status"].clone()).collect();
    assert_eq!(ends, ["interrupted", "answered"]);
    let all = said(ada, room).await;
    assert_eq!(all[2..], [said_by("partial", "Hello there"), said_by("said", "Well.")]);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_while_an_agent_writes_gets_all_of_it_in_the_end() {
    let hall = Hall::open("say Well.", "enqueue").await;
    let mut lagging = Socket::narrow(&hall.ben, &hall.workspace).await;
    let large = "x".repeat(60_000);
    for _ in 0..16 {
        say(&hall.ada, &hall.room, &large).await;
    }
    drop(hold(&hall).await);
    let mut written = String::new();
    while written != "Hello there" {
        let frame = lagging.next().await;
        if frame["type"] == "conversation:output" {
            match frame["data"]["text"].as_str() {
                Some(whole) => written = whole.to_owned(),
                None => written.push_str(frame["data"]["delta"].as_str().expect("it is there")),
            }
        }
    }
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_rolled_back_leaves_nothing_behind() {
    let hall = Hall::open("say Well.", "roll_back").await;
    let Hall { ada, ben, room, .. } = &hall;
    drop(hold(&hall).await);
    // The script of the first message would be chosen if the agent still heard it and not the second.
    say(ben, room, "@scribe something else").await;
    let turns = until_over(ben, room, 2).await;
    let ends: Vec<_> = turns.iter().map(|turn| (turn["status"].clone(), turn["answer_id"].is_null())).collect();
    assert_eq!(ends, [(json!("rolled_back"), true), (json!("answered"), false)]);
    assert_eq!(said(ada, room).await[2..], [said_by("said", "Well.")]);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_agent_refuses_where_nobody_may_wait_and_an_agent_that_leaves_is_stopped() {
    let hall = Hall::open("say Well.", "reject").await;
    let Hall { ada, ben, room, agent, .. } = &hall;
    drop(hold(&hall).await);
    ben.try_post(&format!("/conversations/{room}/messages"), text("@scribe and me?")).await.problem("busy");
    assert_eq!(said(ben, room).await.len(), 1, "nothing was said");
    say(ben, room, "Then not.").await;
    let path = format!("/conversations/{room}");
    ben.send(Method::PATCH, &path, Some(&json!({"turn_policy": "enqueue"})), None).await.ok();
    say(ben, room, "@scribe and now?").await;
    let inner = json!({"at_message_id": say(ada, room, "here").await["id"]});
    let inner = id(&ada.post(&format!("/conversations/{room}/branches"), inner).await);
    say(ada, &inner, &format!("@scribe here too {HOLD}")).await;
    until_running(ada, &inner).await;
    ada.try_post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await.problem("busy");
    for room in [room, &inner] {
        ada.send(Method::DELETE, &format!("/conversations/{room}/participants/agent:{agent}"), None, None).await.ok();
    }
    let turns = until_over(ben, room, 2).await;
    assert!(turns.iter().all(|turn| turn["status"] == "dropped"), "{turns:#?}");
    until_over(ben, &inner, 1).await;
    ada.post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await;
    ada.until(&format!("/agents/{agent}"), "idle again", |agent| agent["status"] == "idle").await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_is_given_up_as_far_as_it_got() {
    let hall = Hall::open("say Well.", "enqueue").await;
    let Hall { node, ada, room, agent, .. } = &hall;
    drop(hold(&hall).await);
    node.advance(chrono::TimeDelta::minutes(10));
    let turns = until_over(ada, room, 1).await;
    assert_eq!((&turns[0]["status"], &turns[0]["failure_class"]), (&json!("failed"), &json!("silent")));
    let page = ada.get(&format!("/conversations/{room}/messages?limit=200")).await;
    let parts = &page["items"][1]["parts"];
    assert!(parts[0]["text"].as_str().expect("it is there").contains("it took longer than 10 minutes"));
    assert_eq!(parts[1]["text"], "Hello there");
    ada.until(&format!("/agents/{agent}"), "idle again", |agent| agent["status"] == "idle").await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_said_with_its_cause_and_what_to_do() {
    let hall = Hall::open("fail provider_quota the money is gone", "enqueue").await;
    let Hall { node, ada, ben, room, agent, .. } = &hall;
    say(ada, room, "@scribe hello").await;
    let turns = until_over(ben, room, 1).await;
    assert_eq!((&turns[0]["status"], &turns[0]["failure_class"]), (&json!("failed"), &json!("provider_quota")));
    let words = "Scribe could not answer: the money is gone. Give it more budget, then ask again.";
    assert_eq!(said(ben, room).await[1], said_by("note", words));
    // One that is paused is waited for, and then no longer.
    ada.post(&format!("/agents/{agent}/pause"), json!({})).await;
    say(ada, room, "@scribe are you there?").await;
    node.advance(chrono::TimeDelta::minutes(11));
    until_over(ada, room, 2).await;
    assert!(said(ada, room).await[3].1.contains("had no room in time"));
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_asks_in_words_is_its_answer_and_what_it_needs_leave_for_it_does_not_get() {
    let hall = Hall::open("say Hm.; ask Which colour?", "enqueue").await;
    let Hall { ada, ben, room, .. } = &hall;
    say(ada, room, "@scribe paint it").await;
    until_over(ben, room, 1).await;
    assert_eq!(said(ben, room).await[1], said_by("said", "Hm.\nWhich colour?"));
    say(ada, room, "@scribe tear it down [[script: approve tearing it down; say Gone.]]").await;
    let turns = until_over(ben, room, 2).await;
    assert_eq!(turns[1]["failure_class"], "permission_denied");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_between_two_people_a_third_one_does_not_hear() {
    let hall = Hall::open("say psst", "enqueue").await;
    let Hall { node, ada, ben, workspace, agent, room } = &hall;
    let cleo = Person::register(&node.url, "Cleo").await;
    ada.invite(workspace, &cleo, "owner").await;
    let mut outside = Socket::subscribed(&cleo, workspace, None).await;
    let participants = [format!("user:{}", ben.id), format!("agent:{agent}")];
    let body = json!({"type": "dm", "participants": participants});
    let dm = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
    say(ben, &dm, "@scribe hello").await;
    until_over(ada, &dm, 1).await;
    assert_eq!(said(ada, &dm).await[1], said_by("said", "psst"));
    say(ada, room, "the end").await;
    loop {
        let frame = outside.next().await;
        assert!(!frame.to_string().contains("psst") && !frame.to_string().contains(&dm), "{frame:#}");
        if frame["type"] == "conversation:message" {
            break;
        }
    }
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_wait_in_their_order_and_each_is_answered_once_though_link_is_killed() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let agent = ada.scripted(&workspace, "Scribe", "say Hm.").await;
    let body = json!({"type": "agent_session", "participants": [format!("agent:{agent}")]});
    let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
    for n in 0..4 {
        // Nobody needs to be mentioned in a session with an agent.
        say(&ada, &room, &format!("Count [[script: say {n}; wait 400ms; say {n} is it.]]")).await;
    }
    for _ in 0..3 {
        until_running(&ada, &room).await;
        node.kill();
        node.revive().await;
    }
    let turns = until_over(&ada, &room, 4).await;
    assert!(turns.iter().all(|turn| turn["status"] == "answered"), "{turns:#?}");
    let answers: Vec<_> = said(&ada, &room).await[4..].iter().map(|(_, words)| words.clone()).collect();
    let expected: Vec<_> = (0..4).map(|n| format!("{n}\n{n} is it.")).collect();
    assert_eq!(answers, expected, "each once, in the order of the questions");
    check_projections(&node.database().await, &workspace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_penguin_answers_as_any_other_agent_does() {
    let hall = Hall::open("say Well.", "enqueue").await;
    let Hall { ada, workspace, room, .. } = &hall;
    let fake = FakePenguin::start().await;
    let body = json!({"name": "Pingu", "runtime": "penguin", "instances": [{"url": fake.url()}]});
    let pingu = id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await);
    let join = json!({"participant": format!("agent:{pingu}")});
    ada.post(&format!("/conversations/{room}/participants"), join).await;
    say(ada, room, "@pingu hello [[say:Noot noot.]]").await;
    until_over(ada, room, 1).await;
    assert_eq!(said(ada, room).await[1], said_by("said", "Noot noot."));
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_makes_one_task_and_hands_it_to_the_only_penguin() {
    let hall = Hall::open("say Well.", "enqueue").await;
    let Hall { ada, ben, workspace, room, .. } = &hall;
    let project = ada.project(workspace, "Moon base").await;
    let body = json!({"type": "channel", "project_id": project});
    let lab = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
    let order = text("/penguin Paint the shed\nin red");
    let path = format!("/conversations/{lab}/messages");
    ada.try_post(&format!("/conversations/{room}/messages"), order.clone()).await.problem("invalid_input");
    ada.try_post(&path, text("/penguin ")).await.problem("invalid_input");
    say(ada, &lab, "/shrug whatever").await;
    let none = ada.post(&path, order.clone()).await;
    let note = said(ada, &lab).await.pop().unwrap();
    assert!(note.0 == "note" && note.1.contains("-1 · Paint the shed: no Penguin takes work here"), "{note:?}");

    let fake = FakePenguin::start().await;
    let body = json!({"name": "Pingu", "runtime": "penguin", "instances": [{"url": fake.url()}]});
    let pingu = id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await);
    let tries = (0..4).map(|_| ada.send(Method::POST, &path, Some(&order), Some("once")));
    let answers: Vec<_> = futures::future::join_all(tries).await.into_iter().map(|answer| id(&answer.ok())).collect();
    assert!(answers.iter().all(|id| *id == answers[0] && *id != none["id"]));
    let tasks = ada.get(&format!("/projects/{project}/tasks")).await;
    let tasks = tasks["items"].as_array().unwrap();
    assert_eq!(tasks.len(), 2, "{tasks:#?}");
    assert_eq!((&tasks[1]["title"], &tasks[1]["delegate_agent_id"]), (&json!("Paint the shed"), &json!(pingu)));
    let description = tasks[1]["description"].as_str().unwrap();
    assert!(description.starts_with("in red\n\n") && description.contains(&lab), "{description}");
    let all = said(ada, &lab).await;
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all[4].1.contains("-2 · Paint the shed: delegated to Pingu."), "{all:?}");

    let guest = Person::register(&hall.node.url, "Guest").await;
    ada.invite(workspace, &guest, "guest").await;
    guest.try_post(&path, order.clone()).await.problem("forbidden");
    ben.post(&path, order).await;
    let handed_in = |seen: &Value| {
        seen["items"]
            .as_array()
            .is_some_and(|all| all.len() == 3 && all[1..].iter().all(|task| task["status"] == "in_review"))
    };
    ada.until(&format!("/projects/{project}/tasks"), "both are handed in", handed_in).await;
    ada.until(&format!("/agents/{pingu}"), "idle again", |agent| agent["status"] == "idle").await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_taken_out_of_a_direct_conversation_is_silent_in_its_branches_too() {
    let hall = Hall::open("say Well.", "enqueue").await;
    let Hall { ada, workspace, agent, .. } = &hall;
    let body = json!({"type": "dm", "participants": [format!("agent:{agent}")]});
    let dm = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
    let at = json!({"at_message_id": say(ada, &dm, "psst").await["id"]});
    let inner = id(&ada.post(&format!("/conversations/{dm}/branches"), at).await);
    let at = json!({"at_message_id": say(ada, &inner, &format!("@scribe {HOLD}")).await["id"]});
    let innermost = id(&ada.post(&format!("/conversations/{inner}/branches"), at).await);
    until_running(ada, &inner).await;
    say(ada, &inner, "@scribe and then?").await;
    say(ada, &innermost, &format!("@scribe {HOLD}")).await;
    ada.send(Method::DELETE, &format!("/conversations/{dm}/participants/agent:{agent}"), None, None).await.ok();
    for (room, count) in [(&inner, 2), (&innermost, 1)] {
        let turns = until_over(ada, room, count).await;
        assert!(turns.iter().all(|turn| turn["status"] == "dropped"), "{turns:#?}");
        assert!(said(ada, room).await.iter().all(|(_, words)| words != "Well."));
    }
    ada.until(&format!("/agents/{agent}"), "idle again", |agent| agent["status"] == "idle").await;
    hall.close().await;
}
