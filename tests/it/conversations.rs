//! People talk: threads, reactions, deletions, branches that come together again, and words that are found.

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

/// Two people in a workspace with a channel.
struct Hall {
    node: TestNode,
    ada: Person,
    ben: Person,
    workspace: String,
    room: String,
}

impl Hall {
    async fn open() -> Self {
        let node = TestNode::start().await;
        let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &ben, "member").await;
        let room = begin(&ada, &workspace, json!({"type": "channel", "title": "Hall"})).await;
        Self { node, ada, ben, workspace, room }
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

async fn say(person: &Person, room: &str, words: &str) -> Value {
    person.post(&format!("/conversations/{room}/messages"), text(words)).await
}

async fn read(person: &Person, room: &str) -> Vec<Value> {
    let page = person.get(&format!("/conversations/{room}/messages?limit=200")).await;
    page["items"].as_array().expect("a page has items").clone()
}

/// What a reader sees: each message's number and words.
fn shown(messages: &[Value]) -> Vec<(u64, String)> {
    let words = |message: &Value| message["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    messages.iter().map(|message| (message["seq"].as_u64().expect("it has a number"), words(message))).collect()
}

async fn branch(person: &Person, room: &str, at: &Value) -> String {
    id(&person.post(&format!("/conversations/{room}/branches"), json!({"at_message_id": at["id"]})).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_answered_reacted_to_read_changed_and_deleted() {
    let hall = Hall::open().await;
    let Hall { ada, ben, room, workspace, .. } = &hall;
    let mut watching = Socket::subscribed(ben, workspace, None).await;
    let first = say(ada, room, "Shall we paint it, @ben?").await;
    assert_eq!(first["mentions"], json!([format!("user:{}", ben.id)]));
    let answer = json!({"parts": [{"type": "text", "text": "yes"}, {"type": "mention",
        "principal": format!("user:{}", ada.id)}], "parent_id": first["id"]});
    let answer = ben.post(&format!("/conversations/{room}/messages"), answer).await;
    assert_eq!(answer["mentions"], json!([format!("user:{}", ada.id)]));
    let thread = ada.get(&format!("/conversations/{room}/messages?parent_id={}", id(&first))).await;
    assert_eq!(thread["items"].as_array().map(Vec::len), Some(1));

    let at = format!("/conversations/{room}/messages/{}", id(&first));
    for _ in 0..2 {
        ben.post(&format!("{at}/reactions"), json!({"emoji": "👍"})).await;
    }
    let seen = ada.post(&format!("{at}/reactions"), json!({"emoji": "👍"})).await;
    assert_eq!(seen["reactions"][0]["who"].as_array().map(Vec::len), Some(2));
    assert_eq!(seen["replies"], 1);
    let seen = ada.send(Method::DELETE, &format!("{at}/reactions/%F0%9F%91%8D"), None, None).await.ok();
    assert_eq!(seen["reactions"], json!([{"emoji": "👍", "who": [format!("user:{}", ben.id)]}]));

    let marked = ben.post(&format!("/conversations/{room}/read"), json!({"seq": 2})).await;
    let back = ben.post(&format!("/conversations/{room}/read"), json!({"seq": 1})).await;
    assert_eq!(
        (&marked["reads"], marked["reads"].as_array().map(Vec::len)),
        (&back["reads"], Some(0)),
        "no participant"
    );
    ada.post(&format!("/conversations/{room}/participants"), json!({"participant": format!("user:{}", ben.id)})).await;
    let after = ada.get(&format!("/conversations/{room}")).await;
    assert_eq!(after["reads"], json!([{"who": format!("user:{}", ben.id), "seq": 2}]));
    let all = ada.post(&format!("/conversations/{room}/read"), json!({"seq": 9})).await;
    assert!(all["reads"].to_string().contains(r#""seq":2,"who":"user:"#), "what was not said is not read: {all:#}");

    ada.send(Method::PATCH, &at, Some(&text("Shall we paint the shed, @ben?")), None).await.ok();
    let history = ben.get(&format!("{at}/history")).await;
    let versions: Vec<_> = history["items"].as_array().unwrap().iter().map(|v| v["parts"][0]["text"].clone()).collect();
    assert_eq!(versions, ["Shall we paint it, @ben?", "Shall we paint the shed, @ben?"]);
    ben.send(Method::DELETE, &at, None, None).await.problem("forbidden");
    let gone = ada.send(Method::DELETE, &at, None, None).await.ok();
    assert_eq!((&gone["parts"], &gone["reactions"]), (&json!([]), &json!([])));
    assert!(gone["deleted_at"].is_string());
    assert_eq!(ben.get(&format!("{at}/history")).await["items"], json!([]));
    ada.send(Method::PATCH, &at, Some(&text("again")), None).await.problem("not_found");
    // An owner keeps order.
    ada.send(Method::DELETE, &format!("/conversations/{room}/messages/{}", id(&answer)), None, None).await.ok();
    assert_eq!(watching.until_event("conversation:message_deleted").await["data"]["message"], first["id"]);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_shares_what_came_before_it_and_goes_on_by_itself() {
    let hall = Hall::open().await;
    let Hall { ada, ben, room, .. } = &hall;
    let mut said = vec![];
    for words in ["one", "two", "three"] {
        said.push(say(ada, room, words).await);
    }
    let inner = branch(ben, room, &said[1]).await;
    say(ben, &inner, "3 in the branch").await;
    let fourth = say(ada, &inner, "4 in the branch").await;
    say(ada, room, "four").await;
    let deeper = branch(ada, &inner, &fourth).await;
    say(ben, &deeper, "5 in the deeper").await;
    // A branch at a message that is shared already begins there.
    let early = branch(ada, &deeper, &said[0]).await;
    say(ada, &early, "2 in the early").await;

    let of = |pairs: &[(u64, &str)]| -> Vec<(u64, String)> { pairs.iter().map(|(n, t)| (*n, (*t).into())).collect() };
    assert_eq!(shown(&read(ben, room).await), of(&[(1, "one"), (2, "two"), (3, "three"), (4, "four")]));
    let prefix = [(1, "one"), (2, "two"), (3, "3 in the branch"), (4, "4 in the branch"), (5, "5 in the deeper")];
    assert_eq!(shown(&read(ada, &inner).await), of(&prefix[..4]));
    assert_eq!(shown(&read(ada, &deeper).await), of(&prefix));
    assert_eq!(shown(&read(ada, &early).await), of(&[(1, "one"), (2, "2 in the early")]));
    let page = ada.get(&format!("/conversations/{deeper}/messages?after=1&limit=2")).await;
    assert_eq!(shown(page["items"].as_array().unwrap()), of(&prefix[1..3]));
    assert_eq!(page["next_cursor"], 3);
    let origin = ada.get(&format!("/conversations/{inner}")).await;
    assert_eq!(origin["branch"], json!({"parent_id": room, "message_id": said[1]["id"], "seq": 2}));
    let elsewhere = json!({"at_message_id": said[2]["id"]});
    ada.try_post(&format!("/conversations/{inner}/branches"), elsewhere).await.problem("not_found");
    // What is shared can be answered, and is changed where it was said.
    let answer = json!({"parts": [{"type": "text", "text": "to two"}], "parent_id": said[1]["id"]});
    ada.post(&format!("/conversations/{inner}/messages"), answer).await;
    let at = format!("/conversations/{inner}/messages/{}", id(&said[1]));
    ada.send(Method::PATCH, &at, Some(&text("2")), None).await.problem("not_found");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_says_once_what_a_branch_came_to_and_where_people_disagree() {
    let hall = Hall::open().await;
    let Hall { ada, ben, room, .. } = &hall;
    let decide = |value: &str| json!({"parts": [{"type": "decision", "key": "colour", "value": value}]});
    let first = ada.post(&format!("/conversations/{room}/messages"), decide("red")).await;
    let inner = branch(ben, room, &first).await;
    let nothing = ben.try_post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await;
    nothing.problem("invalid_transition");
    say(ben, &inner, "Blue looks better.").await;
    ben.post(&format!("/conversations/{inner}/messages"), decide("blue")).await;
    let merge = json!({"into_id": room, "summary": "We tried it.", "decisions": [{"key": "coats", "value": "two"}]});
    let path = format!("/conversations/{inner}/merge");
    // Both press the button.
    let (here, there) = tokio::join!(ben.post(&path, merge.clone()), ada.post(&path, merge.clone()));
    assert_eq!(here["id"], there["id"], "a branch is merged once");
    assert_eq!(ben.post(&path, merge.clone()).await["id"], here["id"]);
    assert_eq!(
        (&here["kind"], &here["seq"], &here["parts"][0]["text"]),
        (&json!("merge"), &json!(2), &json!("We tried it."))
    );
    let what = &here["merge"];
    assert_eq!((&what["branch_id"], &what["from_seq"], &what["to_seq"]), (&json!(inner), &json!(2), &json!(3)));
    assert_eq!(what["conflicts"], json!([{"key": "colour", "here": ["red"], "there": "blue"}]));
    assert_eq!(what["decisions"].as_array().map(Vec::len), Some(2));

    let closed = ada.try_post(&format!("/conversations/{inner}/messages"), text("more")).await;
    closed.problem("busy");
    assert_eq!(ada.get(&format!("/conversations/{inner}")).await["merged_into"], json!(room));
    assert_eq!(read(ada, &inner).await.len(), 3, "it stays readable");
    assert_eq!(read(ada, room).await.len(), 2);
    let other = begin(ada, &hall.workspace, json!({"type": "channel"})).await;
    ada.try_post(&path, json!({"into_id": other})).await.problem("busy");
    ada.try_post(&format!("/conversations/{room}/merge"), json!({"into_id": other}))
        .await
        .problem("invalid_transition");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_a_direct_conversation_stays_between_its_people() {
    let hall = Hall::open().await;
    let Hall { node, ada, ben, workspace, room } = &hall;
    let cleo = Person::register(&node.url, "Cleo").await;
    ada.invite(workspace, &cleo, "owner").await;
    let who = |person: &Person| format!("user:{}", person.id);
    let dm = begin(ada, workspace, json!({"type": "dm", "participants": [who(ben)]})).await;
    let first = say(ada, &dm, "psst").await;
    let inner = branch(ben, &dm, &first).await;
    say(ben, &inner, "psst psst").await;
    for path in [format!("/conversations/{inner}"), format!("/conversations/{inner}/messages")] {
        cleo.send(Method::GET, &path, None, None).await.problem("not_found");
    }
    assert!(!cleo.log(workspace).await.iter().any(|event| event.to_string().contains("psst")));
    let found = cleo.get(&format!("/workspaces/{workspace}/messages/search?q=psst")).await;
    assert_eq!(found["items"], json!([]));
    let found = ben.get(&format!("/workspaces/{workspace}/messages/search?q=psst")).await;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(2));
    let join = json!({"participant": who(&cleo)});
    ada.try_post(&format!("/conversations/{inner}/participants"), join).await.problem("forbidden");
    ada.try_post(&format!("/conversations/{inner}/merge"), json!({"into_id": room})).await.problem("forbidden");
    // Who leaves leaves the branches too.
    ada.send(Method::DELETE, &format!("/conversations/{dm}/participants/{}", who(ben)), None, None).await.ok();
    ben.send(Method::GET, &format!("/conversations/{inner}"), None, None).await.problem("not_found");
    ada.post(&format!("/conversations/{inner}/merge"), json!({"into_id": dm})).await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_their_words_page_by_page() {
    let hall = Hall::open().await;
    let Hall { node, ada, ben, workspace, room } = &hall;
    let mut ids = vec![];
    for n in 0..5 {
        ids.push(id(&say(if n % 2 == 0 { ada } else { ben }, room, &format!("The moon base, part {n}.")).await));
    }
    say(ada, room, "Something else").await;
    let inner = branch(ben, room, &json!({"id": ids[1]})).await;
    say(ben, &inner, "The moon, seen from here").await;
    let search = format!("/workspaces/{workspace}/messages/search");
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let page = ben.get(&format!("{search}?q=moon%20base&limit=2{cursor}")).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|found| id(&found["message"])));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(sorted, ids, "each is found once");
    let first = ben.get(&format!("{search}?q=moon&conversation_id={inner}&author=user:{}", ben.id)).await;
    let of_ben: Vec<_> =
        first["items"].as_array().unwrap().iter().map(|found| found["message"]["seq"].clone()).collect();
    assert_eq!(of_ben.len(), 2, "its own and what it shares: {first:#}");
    let pieces = &first["items"][0]["highlights"];
    assert!(pieces.as_array().unwrap().iter().any(|piece| piece["hit"] == true && piece["text"] == "moon"), "{pieces}");
    for filter in ["after=2100-01-01T00:00:00Z", "before=2000-01-01T00:00:00Z", "q2=", "limit=1"] {
        let answer = ben.send(Method::GET, &format!("{search}?q=moon&{filter}"), None, None).await;
        match filter {
            "limit=1" => assert_eq!(answer.ok()["items"].as_array().map(Vec::len), Some(1)),
            "q2=" => drop(answer.problem("invalid_input")),
            _ => assert_eq!(answer.ok()["items"], json!([])),
        }
    }
    // What was deleted or changed is no longer found by its old words.
    ada.send(Method::DELETE, &format!("/conversations/{room}/messages/{}", ids[0]), None, None).await.ok();
    ada.send(Method::PATCH, &format!("/conversations/{room}/messages/{}", ids[2]), Some(&text("nothing")), None)
        .await
        .ok();
    let left = ben.get(&format!("{search}?q=base")).await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(3));
    // The longest message that there can be is kept, and found by how it begins.
    let most: String = (0..65_536 / 8).map(|n| format!("w{n:06} ")).collect();
    let parts: Vec<Value> = (0..14).map(|n| json!({"type": "text", "text": format!("{n:x}{}", &most[1..])})).collect();
    ada.post(&format!("/conversations/{room}/messages"), json!({"parts": parts})).await;
    let long = ben.get(&format!("{search}?q=w000001")).await;
    let text: usize =
        long["items"][0]["highlights"].as_array().unwrap().iter().map(|p| p["text"].as_str().unwrap().len()).sum();
    assert!((1..1_000).contains(&text), "{text}");
    let plan: Vec<String> =
        sqlx::query_scalar("EXPLAIN SELECT id FROM messages WHERE words @@ websearch_to_tsquery('simple', 'moon')")
            .fetch_all(&mut *indexed(node).await)
            .await
            .unwrap();
    assert!(plan.iter().any(|line| line.contains("messages_by_words")), "{plan:#?}");
    hall.close().await;
}

/// A connection that reads a small table by its index too.
async fn indexed(node: &TestNode) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut connection = node.pool().acquire().await.expect("it is there");
    sqlx::query("SET enable_seqscan = off").execute(&mut *connection).await.expect("it is there");
    connection
}
