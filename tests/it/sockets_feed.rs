//! Subscriptions: every event that is for you, once, in order, whatever happens to the connection.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    socket::Socket,
    talk::{self, head, offset, people, read_to, say, say_many},
};

const NOBODY: &str = "0190f3c2-7b1e-7000-8000-00000000dead";

struct Lab {
    node: TestNode,
    ada: Person,
    ben: Person,
    workspace: String,
    room: String,
}

async fn lab() -> Lab {
    let node = TestNode::start().await;
    let (ada, ben, workspace, room) = people(&node.url).await;
    Lab { node, ada, ben, workspace, room }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_workspace_looks_like_none() {
    let Lab { node, workspace, .. } = lab().await;
    let mallory = Person::register(&node.url, "Mallory").await;
    let mut socket = Socket::hello(&mallory).await;
    let foreign = socket.subscribe(&workspace, json!(["*"]), Some(0)).await;
    let unknown = socket.subscribe(NOBODY, json!(["*"]), Some(0)).await;
    assert_eq!((&foreign["t"], &foreign["code"], &foreign["id"]), (&json!("error"), &json!("not_found"), &json!("s")));
    assert_eq!(foreign, unknown);
    // Nor can a stranger be heard there.
    socket.send(json!({"t": "presence", "workspace": workspace, "status": "online"})).await;
    socket.send(json!({"t": "ping", "id": 1})).await;
    assert_eq!(socket.next().await["t"], "pong");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_resumes_after_the_last_offset_they_stored_sees_every_event_once() {
    let Lab { node, ada, ben, workspace, room } = lab().await;
    let writing = {
        let (ada, room) = (ada.clone(), room.clone());
        tokio::spawn(async move { say_many(&ada, &room, 200, "hello").await })
    };
    let (mut seen, mut dice, mut connections) = (vec![], 0x9e37_79b9_7f4a_7c15_u64, 0);
    loop {
        let mut socket = Socket::subscribed(&ben, &workspace, Some(seen.last().map_or(0, offset))).await;
        connections += 1;
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut left = dice >> 60;
        // The end of the replay may cut this reading short too, and then the next one goes on live.
        while left > 0 && !(writing.is_finished() && seen.last().map_or(0, offset) >= head(&ada, &workspace).await) {
            let frame = socket.next().await;
            if frame["t"] == "event" {
                seen.push(frame);
                left -= 1;
            }
        }
        if writing.is_finished() && seen.last().map_or(0, offset) >= head(&ada, &workspace).await {
            break;
        }
        // Dropped without a goodbye, with frames on their way.
        drop(socket);
    }
    writing.await.expect("everything was said");
    for event in &mut seen {
        let fields = event.as_object_mut().expect("an event is an object");
        assert_eq!((fields.remove("t"), fields.remove("workspace")), (Some(json!("event")), Some(json!(workspace))));
    }
    assert!(connections > 10, "only {connections} connections");
    assert_eq!(seen, ada.log(&workspace).await);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_the_same_order_while_many_write() {
    let Lab { node, ada, ben, workspace, room } = lab().await;
    let begin = head(&ada, &workspace).await;
    let mut sockets = vec![];
    for person in [&ada, &ben, &ben, &ada] {
        let mut socket = Socket::subscribed(person, &workspace, None).await;
        assert_eq!(socket.next().await, json!({"t": "caught_up", "workspace": workspace, "offset": begin}));
        sockets.push(socket);
    }
    let rooms = [room.clone(), talk::room(&ada, &workspace).await];
    join_all([(&ada, 0), (&ben, 0), (&ada, 1), (&ben, 1)].map(|(who, at)| say_many(who, &rooms[at], 40, "hello")))
        .await;
    let last = head(&ada, &workspace).await;
    for mut socket in sockets {
        assert_eq!(read_to(&mut socket, last).await, (begin + 1..=last).collect::<Vec<_>>());
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_lets_through_what_is_about_it_live_and_replayed() {
    let Lab { node, ada, ben, workspace, .. } = lab().await;
    let (one, two) = (ada.project(&workspace, "One").await, ada.project(&workspace, "Two").await);
    let (first, second) = (ada.task(&one, "First").await, ada.task(&two, "Second").await);
    let mut live = Socket::hello(&ben).await;
    live.subscribe(&workspace, json!([format!("task:{first}")]), None).await;
    live.until("caught_up").await;
    let mut project = Socket::hello(&ben).await;
    project.subscribe(&workspace, json!([format!("project:{one}"), format!("task:{second}")]), None).await;
    project.until("caught_up").await;
    for task in [&second, &first, &second, &first] {
        ada.send(Method::PATCH, &format!("/tasks/{task}"), Some(&json!({"title": "New"})), None).await.ok();
        ada.send(Method::PATCH, &format!("/tasks/{task}"), Some(&json!({"title": "Newer"})), None).await.ok();
    }
    ada.task(&two, "Not for you").await;
    let third = ada.task(&one, "Third").await;
    ada.send(Method::PATCH, &format!("/tasks/{first}"), Some(&json!({"priority": "urgent"})), None).await.ok();

    let log = ada.log(&workspace).await;
    let of = |subjects: &[&str]| -> Vec<u64> {
        let about =
            |event: &&Value| subjects.iter().any(|id| event["subject"].as_str().is_some_and(|s| s.ends_with(id)));
        log.iter().filter(about).map(offset).collect()
    };
    let mut replayed = Socket::hello(&ben).await;
    replayed.subscribe(&workspace, json!([format!("task:{first}")]), Some(0)).await;
    let mine = of(&[&first]);
    assert_eq!(read_to(&mut replayed, mine[mine.len() - 1]).await, mine);
    let caught_up = replayed.next().await;
    assert_eq!((&caught_up["t"], offset(&caught_up)), (&json!("caught_up"), log.len() as u64));
    let since = |all: Vec<u64>, after: u64| all.into_iter().filter(|offset| *offset > after).collect::<Vec<_>>();
    let begin = of(&[&second])[0];
    let begin = log
        .iter()
        .map(offset)
        .filter(|offset| *offset >= begin)
        .find(|at| log[*at as usize]["data"]["title"] == "New")
        .unwrap();
    assert_eq!(read_to(&mut live, mine[mine.len() - 1]).await, since(mine.clone(), begin));
    let both = of(&[&one, &first, &second, &third]);
    assert_eq!(read_to(&mut project, both[both.len() - 1]).await, since(both, begin));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_beyond_the_log_is_answered_with_a_reset_and_then_life_goes_on() {
    let Lab { node, ada, workspace, room, .. } = lab().await;
    let head = head(&ada, &workspace).await;
    for beyond in [head + 1, i64::MAX as u64, u64::MAX] {
        let mut socket = Socket::hello(&ada).await;
        assert_eq!(socket.subscribe(&workspace, json!(["*"]), Some(beyond)).await["head"], head);
        let reset = socket.next().await;
        assert_eq!((&reset["t"], &reset["head"]), (&json!("reset"), &json!(head)));
        assert!(reset["reason"].is_string());
        assert_eq!(socket.next().await, json!({"t": "caught_up", "workspace": workspace, "offset": head}));
    }
    let mut socket = Socket::subscribed(&ada, &workspace, Some(u64::MAX)).await;
    say(&ada, &room, "after the reset").await;
    assert_eq!(offset(&socket.until("event").await), head + 1);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_was_removed_sees_nothing_that_came_after() {
    for after in [None, Some(0)] {
        let Lab { node, ada, ben, workspace, room } = lab().await;
        say_many(&ada, &room, 300, "before").await;
        let mut socket = Socket::subscribed(&ben, &workspace, after).await;
        let writing = {
            let (ada, room) = (ada.clone(), room.clone());
            tokio::spawn(async move { say_many(&ada, &room, 200, "around").await })
        };
        let first = socket.until("event").await;
        assert!(offset(&first) > 0);
        ada.send(Method::DELETE, &format!("/workspaces/{workspace}/members/{}", ben.id), None, None).await.ok();
        let mut seen = vec![first];
        let code = loop {
            match socket.next_or_code().await {
                Ok(frame) if frame["t"] == "event" => seen.push(frame),
                Ok(_) => {}
                Err(code) => break code,
            }
        };
        assert_eq!(code, Some(4003));
        writing.await.expect("everything was said");
        let log = ada.log(&workspace).await;
        let removal = log.iter().find(|event| event["type"] == "member:removed").map(offset).expect("it is in the log");
        assert!(log.len() as u64 > removal, "nothing came after");
        assert!(seen.iter().all(|event| offset(event) <= removal), "an event after {removal}: {:?}", seen.last());
        assert!(seen.windows(2).all(|pair| offset(&pair[1]) == offset(&pair[0]) + 1));
        let mut again = Socket::hello(&ben).await;
        assert_eq!(again.subscribe(&workspace, json!(["*"]), Some(0)).await["code"], "not_found");
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_conversation_is_silent_for_a_third_member() {
    let Lab { node, ada, ben, workspace, room } = lab().await;
    let cleo = Person::register(&node.url, "Cleo").await;
    ada.invite(&workspace, &cleo, "owner").await;
    let (mut ben_sees, mut cleo_sees) =
        (Socket::subscribed(&ben, &workspace, None).await, Socket::subscribed(&cleo, &workspace, None).await);
    ben_sees.until("caught_up").await;
    cleo_sees.until("caught_up").await;
    let make = json!({"type": "dm", "participants": [format!("user:{}", ben.id)]});
    let dm = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), make).await);
    say(&ada, &dm, "psst").await;
    let mut ada_types = Socket::hello(&ada).await;
    let topic = format!("conversation:{dm}");
    ada_types.send(json!({"t": "typing", "workspace": workspace, "topic": topic, "on": true})).await;
    // What is known of the topic is remembered from here on, and holds for nobody else.
    ada_types.send(json!({"t": "ping", "id": 0})).await;
    ada_types.next().await;
    let mut cleo_types = Socket::hello(&cleo).await;
    cleo_types.send(json!({"t": "typing", "workspace": workspace, "topic": topic, "on": true})).await;
    cleo_types.send(json!({"t": "ping", "id": 1})).await;
    cleo_types.next().await;
    ada_types.send(json!({"t": "presence", "workspace": workspace, "status": "working"})).await;
    ada_types.send(json!({"t": "ping", "id": 1})).await;
    ada_types.next().await;
    say(&ada, &room, "the end").await;

    let until_the_end = async |socket: &mut Socket| {
        let mut frames = vec![];
        while frames.last().is_none_or(|frame: &Value| !frame.to_string().contains("the end")) {
            frames.push(socket.next().await);
        }
        frames
    };
    let (ben_saw, cleo_saw) = (until_the_end(&mut ben_sees).await, until_the_end(&mut cleo_sees).await);
    let kinds = |frames: &[Value]| {
        frames.iter().filter_map(|frame| Some(frame["type"].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&ben_saw).iter().filter(|kind| *kind == "user:typing").count(), 1, "{ben_saw:?}");
    assert!(ben_saw.iter().any(|frame| frame.to_string().contains("psst")));
    assert_eq!(kinds(&cleo_saw), ["user:presence", "conversation:message"], "{cleo_saw:?}");

    let mut replayed = Socket::hello(&cleo).await;
    replayed.subscribe(&workspace, json!(["*"]), Some(0)).await;
    let frames = until_the_end(&mut replayed).await;
    assert!(frames.iter().all(|frame| !frame.to_string().contains(&dm)));
    let mut asked = Socket::hello(&cleo).await;
    asked.subscribe(&workspace, json!([topic]), Some(0)).await;
    assert_eq!(asked.next().await["t"], "caught_up");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_long_replays_and_a_live_stream_at_once_all_arrive() {
    let Lab { node, ada, workspace, room, .. } = lab().await;
    let second = ada.workspace("Second").await;
    let second_room = talk::room(&ada, &second).await;
    let busy = ada.workspace("Busy").await;
    let busy_room = talk::room(&ada, &busy).await;
    join_all([say_many(&ada, &room, 2_000, "one"), say_many(&ada, &second_room, 2_000, "two")]).await;
    let mut socket = Socket::hello(&ada).await;
    // All at once, and nothing is read before all is asked for.
    for (workspace, after) in [(&workspace, Some(0)), (&second, Some(0)), (&busy, None)] {
        socket.send(json!({"t": "subscribe", "id": 1, "workspace": workspace, "topics": ["*"], "after": after})).await;
    }
    let begin = head(&ada, &busy).await;
    let writing = tokio::spawn({
        let ada = ada.clone();
        async move { say_many(&ada, &busy_room, 400, "live").await }
    });
    let wanted =
        [(&workspace, head(&ada, &workspace).await), (&second, head(&ada, &second).await), (&busy, begin + 400)];
    let mut seen: std::collections::BTreeMap<String, Vec<u64>> = Default::default();
    let mut caught_up = vec![];
    while wanted.iter().any(|(workspace, last)| seen.get(*workspace).and_then(|seen| seen.last()) < Some(last))
        || caught_up.len() < 3
    {
        let frame = socket.next().await;
        let of = frame["workspace"].as_str().unwrap_or_default().to_owned();
        match frame["t"].as_str() {
            Some("event") => seen.entry(of).or_default().push(offset(&frame)),
            Some("caught_up") => caught_up.push(of),
            Some("subscribed" | "cursor") => {}
            _ => panic!("{frame}"),
        }
    }
    writing.await.expect("everything was said");
    for (workspace, last) in wanted {
        let seen = &seen[workspace];
        assert_eq!(*seen, (seen[0]..=last).collect::<Vec<_>>());
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_unsubscribed_hears_nothing_and_may_subscribe_again() {
    let Lab { node, ada, workspace, room, .. } = lab().await;
    let mut socket = Socket::subscribed(&ada, &workspace, None).await;
    socket.until("caught_up").await;
    socket.send(json!({"t": "unsubscribe", "id": 2, "workspace": workspace})).await;
    assert_eq!(socket.next().await["t"], "ok");
    let begin = head(&ada, &workspace).await;
    say(&ada, &room, "unheard").await;
    socket.send(json!({"t": "ping", "id": 3})).await;
    assert_eq!(socket.next().await["t"], "pong");
    socket.subscribe(&workspace, json!(["*"]), Some(begin)).await;
    assert_eq!(offset(&socket.until("event").await), begin + 1);
    // A second subscription to the same workspace takes the place of the first.
    socket.subscribe(&workspace, json!([format!("conversation:{room}")]), None).await;
    socket.until("caught_up").await;
    ada.project(&workspace, "Not for this topic").await;
    say(&ada, &room, "heard").await;
    assert_eq!(socket.until_event("conversation:message").await["data"]["parts"][0]["text"], "heard");
    node.node.stop().await;
}
