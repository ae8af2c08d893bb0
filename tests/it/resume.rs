//! Whoever comes back finds exactly what is theirs, whatever they missed and however often they left; and who begins to
//! listen while an agent writes reads the same in the end as who was there from the start.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use link::{
    domain::{event::Recorded, ids::WorkspaceId, principal::Principal, workspace::Workspace},
    persistence::log,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::{TestNode, TestProcess},
    person::{Person, id},
    socket::Socket,
};

/// Random choices that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Reads a workspace in pieces: connects, reads some, is cut off without a word, and comes again.
struct Reader {
    person: Person,
    topics: Vec<String>,
    dice: Dice,
    /// The last offset that is known to be passed.
    cursor: u64,
    seen: BTreeMap<u64, Value>,
    connections: usize,
}

impl Reader {
    async fn read_until_renamed(mut self, workspace: String, over: Arc<AtomicBool>) -> Self {
        loop {
            self.connections += 1;
            let mut socket = Socket::hello(&self.person).await;
            let subscribed = socket.subscribe(&workspace, json!(self.topics), Some(self.cursor)).await;
            assert_eq!(subscribed["t"], "subscribed", "{subscribed}");
            let mut left = self.dice.roll(30);
            // The end is awaited on the last connection.
            let stays = over.load(Ordering::Relaxed);
            while left > 0 || stays {
                let Some(frame) = socket.try_next().await else { break };
                left = left.saturating_sub(1);
                match frame["t"].as_str() {
                    Some("event") => {
                        let offset = frame["offset"].as_u64().expect("an event has an offset");
                        assert!(offset > self.cursor, "{offset} came after {}", self.cursor);
                        self.cursor = offset;
                        self.seen.insert(offset, frame.clone());
                        if frame["type"] == "workspace:renamed" {
                            return self;
                        }
                    }
                    Some("cursor" | "caught_up") => {
                        let offset = frame["offset"].as_u64().expect("it has an offset");
                        assert!(offset >= self.cursor, "back to {offset} from {}", self.cursor);
                        self.cursor = offset;
                    }
                    _ => {}
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_cut_off_again_and_again_holds_in_the_end_what_the_log_has_for_them() {
    let node = TestNode::start().await;
    let owner = Person::register(&node.url, "Owner").await;
    let workspace = owner.workspace("Lab").await;
    let (one, two) = (owner.project(&workspace, "One").await, owner.project(&workspace, "Two").await);
    let tasks = [owner.task(&one, "dig").await, owner.task(&two, "fill").await];
    let make = json!({"type": "channel", "title": "Hall"});
    let hall = id(&owner.post(&format!("/workspaces/{workspace}/conversations"), make).await);
    let filters = [
        vec!["*".to_owned()],
        vec![format!("project:{one}"), format!("workspace:{workspace}")],
        vec![format!("conversation:{hall}"), format!("workspace:{workspace}")],
        vec!["*".to_owned()],
    ];
    let (mut reading, mut people, over) = (vec![], vec![], Arc::new(AtomicBool::new(false)));
    for (nth, topics) in filters.iter().cloned().enumerate() {
        let person = Person::register(&node.url, "Reader").await;
        owner.invite(&workspace, &person, "member").await;
        people.push(person.clone());
        let reader =
            Reader { person, topics, dice: Dice(nth as u64), cursor: 0, seen: BTreeMap::new(), connections: 0 };
        reading.push(tokio::spawn(reader.read_until_renamed(workspace.clone(), over.clone())));
    }
    let (mut dice, mut denied) = (Dice(77), vec![]);
    for round in 0..240 {
        match dice.roll(8) {
            0 => {
                let subject = format!("project:{}", [&one, &two][dice.roll(2)]);
                let principal = format!("user:{}", people[dice.roll(people.len())].id);
                let body =
                    json!({"subject": subject, "principal": principal, "effect": "deny", "permissions": ["read"]});
                let grant = id(&owner.post(&format!("/workspaces/{workspace}/grants"), body).await);
                denied.push(grant);
            }
            1 => {
                if let Some(grant) = denied.pop() {
                    let path = format!("/workspaces/{workspace}/grants/{grant}");
                    // The same grant may be there twice in the list, and only once in the workspace.
                    owner.send(Method::DELETE, &path, None, None).await;
                }
            }
            2..=4 => {
                let body = json!({"title": format!("round {round}")});
                let path = format!("/tasks/{}", tasks[dice.roll(2)]);
                owner.send(Method::PATCH, &path, Some(&body), None).await.ok();
            }
            _ => {
                let words = json!({"parts": [{"type": "text", "text": format!("round {round}")}]});
                owner.post(&format!("/conversations/{hall}/messages"), words).await;
            }
        }
    }
    let rename = json!({"name": "The end"});
    over.store(true, Ordering::Relaxed);
    owner.send(Method::PATCH, &format!("/workspaces/{workspace}"), Some(&rename), None).await.ok();

    let of: WorkspaceId = workspace.parse().expect("it is an id");
    let log = log::page(node.pool(), of, 0, 10_000).await.expect("the log can be read");
    let (mut state, mut states) = (Workspace::default(), vec![]);
    for event in &log {
        state.apply(event.offset, event.at, &event.subject, &event.event);
        states.push(people.iter().map(|person| state.rights(user(person))).collect::<Vec<_>>());
    }
    for (nth, reader) in reading.into_iter().enumerate() {
        let reader = reader.await.expect("the reader heard of the end");
        let (mut shown, mut hidden) = (0, 0);
        for (at, event) in log.iter().enumerate() {
            let wanted = wants(&reader.topics, event);
            let mut later = states[at..].iter().map(|rights| rights[nth].as_ref().is_some_and(|r| r.see(event)));
            match reader.seen.get(&event.offset) {
                Some(frame) => {
                    assert!(wanted && later.any(|sees| sees), "reader {nth} got {frame}");
                    assert_eq!(frame["id"], json!(event.id), "it is the one in the log");
                    shown += 1;
                }
                None => {
                    assert!(!wanted || later.any(|sees| !sees), "reader {nth} missed {}", event.offset);
                    hidden += 1;
                }
            }
        }
        assert!(shown > 10 && hidden > 0 && reader.connections > 1, "{shown} {hidden} {}", reader.connections);
    }
    node.node.stop().await;
}

fn user(person: &Person) -> Principal {
    Principal::User(person.id.parse().expect("it is an id"))
}

fn wants(topics: &[String], event: &Recorded) -> bool {
    let about = |topic: &String| {
        *topic == "*" || *topic == event.subject.to_string() || event.refs.iter().any(|of| *topic == of.to_string())
    };
    topics.iter().any(about)
}

/// What a reader of running text holds: all so far, or what it held and what was added.
#[derive(Default)]
struct Text {
    held: String,
    whole: usize,
}

impl Text {
    fn hear(&mut self, frame: &Value) {
        if frame["t"] != "signal" || frame["type"] != "task:output" {
            return;
        }
        let data = &frame["data"];
        match data["text"].as_str() {
            Some(text) => {
                self.held = text.to_owned();
                self.whole += 1;
            }
            None => self.held.push_str(data["delta"].as_str().expect("it has a text or a delta")),
        }
        assert_eq!(data["length"], self.held.chars().count(), "{data}");
    }

    async fn read_until(&mut self, socket: &mut Socket, enough: impl Fn(&Self, &Value) -> bool) {
        loop {
            let frame = socket.next().await;
            self.hear(&frame);
            if enough(self, &frame) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_listen_in_the_middle_of_a_text_reads_all_of_it() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Describe it").await;
    let script = "say It is grey é.; say And round.; ask Go on?; say Nobody lives there.";
    let agent = ada.scripted(&workspace, "Poet", script).await;
    let mut early = Socket::subscribed(&ada, &workspace, None).await;
    early.until("caught_up").await;
    let delegation = ada.delegate(&task, &agent).await;
    let (mut first, mut second) = (Text::default(), Text::default());
    first.read_until(&mut early, |text, _| text.held.contains("And round.")).await;
    ada.until_delegation(&delegation, &["awaiting"]).await;

    let mut late = Socket::hello(&ada).await;
    late.subscribe(&workspace, json!([format!("task:{task}")]), None).await;
    second.read_until(&mut late, |text, _| !text.held.is_empty()).await;
    assert_eq!((second.held.as_str(), second.whole), (first.held.as_str(), 1));
    // Nobody hears of the text of a task that they did not ask for.
    let mut elsewhere = Socket::hello(&ada).await;
    elsewhere.subscribe(&workspace, json!([format!("project:{project}")]), None).await;
    elsewhere.until("caught_up").await;

    let answer = json!({"answer": "yes"});
    ada.post(&format!("/delegations/{delegation}/answer"), answer).await;
    let is_over = |_: &Text, frame: &Value| frame["type"] == "delegation:submitted";
    first.read_until(&mut early, is_over).await;
    second.read_until(&mut late, is_over).await;
    assert_eq!(second.held, first.held);
    let over = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(over["output"].as_str().map(str::trim), Some(first.held.trim()), "the final text is the same");
    // It is over: who comes now hears of the events only.
    let mut after = Socket::hello(&ada).await;
    after.subscribe(&workspace, json!([format!("task:{task}")]), Some(0)).await;
    let mut third = Text::default();
    third.read_until(&mut after, |_, frame| frame["t"] == "caught_up").await;
    after.send(json!({"t": "ping", "id": 1})).await;
    third.read_until(&mut after, |_, frame| frame["t"] == "pong").await;
    assert_eq!(third.held, "");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_resumes_finds_what_it_missed_in_memory() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let make = json!({"type": "channel", "title": "Hall"});
    let hall = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), make).await);
    let mut socket = Socket::subscribed(&ada, &workspace, None).await;
    let begin = socket.until("caught_up").await["offset"].as_u64().expect("it has an offset");
    for _ in 0..20 {
        let words = json!({"parts": [{"type": "text", "text": "hello"}]});
        ada.post(&format!("/conversations/{hall}/messages"), words).await;
    }
    socket.until("event").await;
    // Tokens are signed, and everything else is known: with the log out of reach, it is still read.
    let hidden = "ALTER TABLE events RENAME TO events_out_of_reach";
    sqlx::query(hidden).execute(node.pool()).await.expect("nobody else uses it");
    let mut sockets = vec![];
    for _ in 0..50 {
        sockets.push(Socket::subscribed(&ada, &workspace, Some(begin)).await);
    }
    for mut socket in sockets {
        let mut seen = vec![];
        loop {
            let frame = socket.next().await;
            match frame["t"].as_str() {
                Some("event") => seen.push(frame["offset"].as_u64().expect("it has an offset")),
                Some("caught_up") => break,
                _ => {}
            }
        }
        assert_eq!(seen, (begin + 1..=begin + 20).collect::<Vec<_>>());
    }
    let shown = "ALTER TABLE events_out_of_reach RENAME TO events";
    sqlx::query(shown).execute(node.pool()).await.expect("it is there");
    node.node.stop().await;
}

/// Clients of a storm.
const STORM: usize = 60;

/// Lets many listen from an offset on, until each was told the end of the log and who is here; returns how many
/// statements the node has asked its database meanwhile.
async fn storm(process: &TestProcess, people: &[Person], workspace: &str, after: u64) -> usize {
    let statements = || process.log().matches("sqlx::query").count();
    let before = statements();
    let mut sockets = vec![];
    for nth in 0..STORM {
        sockets.push(Socket::subscribed(&people[nth % people.len()], workspace, Some(after)).await);
    }
    for socket in &mut sockets {
        socket.until("caught_up").await;
        assert!(socket.until("signal").await["data"]["state"].is_array());
    }
    statements() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_resumes_asks_the_database_nothing_and_after_a_restart_one_thing_each() {
    let mut process = TestProcess::with(&[("RUST_LOG", "error,sqlx::query=debug")]).await;
    let ada = Person::register(&process.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    // So that there is somebody to be told of.
    ada.scripted(&workspace, "Sleeper", "silent").await;
    let mut people = vec![ada.clone()];
    for _ in 0..5 {
        let person = Person::register(&process.url, "Reader").await;
        ada.invite(&workspace, &person, "member").await;
        people.push(person);
    }
    let mut socket = Socket::subscribed(&ada, &workspace, None).await;
    let begin = socket.until("caught_up").await["offset"].as_u64().expect("it has an offset");
    socket.send(json!({"t": "presence", "workspace": workspace, "status": "online"})).await;
    ada.project(&workspace, "Moon base").await;
    storm(&process, &people, &workspace, begin).await;
    // The node's own, such as those that renew its leases, are some.
    let asked = storm(&process, &people, &workspace, begin).await;
    assert!(asked < STORM / 2, "{STORM} clients whose news are in memory asked {asked} things");

    process.kill();
    process.revive().await;
    let asked = storm(&process, &people, &workspace, begin).await;
    assert!(asked >= 6, "nothing was written down: the count means nothing");
    assert!(asked < STORM + STORM / 2, "after a restart {STORM} clients asked {asked} things");
}
