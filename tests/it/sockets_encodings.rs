//! The same frames in JSON and in MessagePack: two sockets, one in each, hear the same.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    node::TestNode,
    person::{Person, id},
    socket::Socket,
};

const JSON: &str = "link.v1.json";
const MESSAGE_PACK: &str = "link.v1.msgpack";

/// One person on two sockets, one in each encoding.
struct Pair([Socket; 2]);

impl Pair {
    async fn connect(person: &Person) -> Self {
        let (json, chosen) = Socket::speaking(&person.url, JSON).await;
        assert_eq!(chosen, JSON);
        let (packed, chosen) = Socket::speaking(&person.url, MESSAGE_PACK).await;
        assert_eq!(chosen, MESSAGE_PACK);
        Self([json, packed])
    }

    async fn send(&mut self, frame: &Value) {
        for socket in &mut self.0 {
            socket.send(frame.clone()).await;
        }
    }

    /// Returns the next frame, which is the same on both sockets but for these fields.
    async fn next_but(&mut self, own: &[&str]) -> Value {
        let [json, packed] = &mut self.0;
        let (mut json, mut packed) = (json.next().await, packed.next().await);
        for frame in [&mut json, &mut packed] {
            for field in own {
                let value = frame.as_object_mut().and_then(|fields| fields.remove(*field));
                assert!(value.is_some_and(|value| !value.is_null()), "{frame} has no {field}");
            }
        }
        assert_eq!(json, packed);
        json
    }

    async fn next(&mut self) -> Value {
        self.next_but(&[]).await
    }

    async fn ask(&mut self, frame: Value) -> Value {
        self.send(&frame).await;
        self.next().await
    }

    /// Returns the frames up to the next one of a kind.
    async fn up_to(&mut self, kind: &str) -> Vec<Value> {
        let mut frames = vec![self.next().await];
        while frames[frames.len() - 1]["t"] != kind {
            frames.push(self.next().await);
        }
        frames
    }
}

/// Values that an encoding might lose.
fn odd() -> Value {
    json!({
        "null": null, "yes": true, "list": [], "map": {}, "text": "ä\u{1f427}\n\"", "": "no name",
        "numbers": [0, -1, 128, -129, u32::MAX, i64::MIN, i64::MAX, u64::MAX],
        "fractions": [0.1, 1.5, 1e300, 5e-324, f64::MAX, 0.123_456_789_012_345_68],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_in_messagepack_hears_what_a_socket_in_json_hears() {
    let node = TestNode::start().await;
    let (ada, ben) = (Person::register(&node.url, "Ada").await, Person::register(&node.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "member").await;
    let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), json!({"type": "channel"})).await);
    let messages = format!("/conversations/{room}/messages");
    let said = ada.post(&messages, json!({"parts": [{"type": "data", "data": odd()}]})).await;
    assert_eq!(said["parts"][0]["data"], odd());

    let mut pair = Pair::connect(&ben).await;
    pair.send(&json!({"t": "hello", "token": ben.token})).await;
    let welcome = pair.next_but(&["connection"]).await;
    assert_eq!((&welcome["t"], &welcome["user"]), (&json!("welcome"), &json!(ben.id)));

    for name in [json!(u64::MAX), json!(-1), json!(1.5), json!("ä"), Value::Null] {
        assert_eq!(pair.ask(json!({"t": "ping", "id": name})).await, json!({"t": "pong", "id": name}));
    }
    let wrong = pair.ask(json!({"t": "dance", "id": "x"})).await;
    assert_eq!((&wrong["t"], &wrong["id"], &wrong["code"]), (&json!("error"), &json!("x"), &json!("invalid_input")));
    let me = pair.ask(json!({"t": "call", "id": 1, "op": "auth.me", "input": {}})).await;
    assert_eq!((&me["t"], &me["data"]["id"]), (&json!("ok"), &json!(ben.id)));
    pair.send(&json!({"t": "call", "id": 2, "op": "tasks.get", "input": {"task_id": room}})).await;
    assert_eq!(pair.next_but(&["trace_id"]).await["code"], "not_found");

    let subscribed =
        pair.ask(json!({"t": "subscribe", "id": 3, "workspace": workspace, "topics": ["*"], "after": 0})).await;
    assert_eq!(subscribed["t"], "subscribed");
    let mut seen = pair.up_to("caught_up").await;
    seen.pop();
    let (said, parts) = (json!({"parts": [{"type": "data", "data": odd()}]}), json!([{"type": "data", "data": odd()}]));
    let sent = json!({"t": "call", "id": 4, "op": "conversations.post", "key": "k", "input": {
        "conversation_id": room, "parts": said["parts"],
    }});
    // Live, and by the client itself, once for both since the key is the same.
    pair.0[1].send(sent.clone()).await;
    // The answer and the event come in either order.
    let heard = [pair.0[1].next().await, pair.0[1].next().await];
    let of = |kind: &str| heard.iter().find(|frame| frame["t"] == kind).cloned().expect("it is one of both");
    let (event, done) = (of("event"), of("ok"));
    assert_eq!((&event, &event["data"]["parts"]), (&pair.0[0].next().await, &parts));
    seen.push(event);
    pair.0[0].send(sent).await;
    assert_eq!((&pair.0[0].next().await["data"], &done["data"]["parts"]), (&done["data"], &parts));
    for event in &mut seen {
        let fields = event.as_object_mut().expect("a frame is a map");
        assert_eq!((fields.remove("t"), fields.remove("workspace")), (Some(json!("event")), Some(json!(workspace))));
    }
    assert_eq!(seen, ada.log(&workspace).await);

    let mut ada_types = Socket::hello(&ada).await;
    let topic = format!("conversation:{room}");
    ada_types.send(json!({"t": "typing", "workspace": workspace, "topic": topic, "on": true})).await;
    let signal = pair.next().await;
    assert_eq!(
        (&signal["t"], &signal["topic"], &signal["data"]["on"]),
        (&json!("signal"), &json!(topic), &json!(true))
    );

    // Nothing for them: sooner or later a cursor says so.
    let nothing = json!({"t": "subscribe", "id": 5, "workspace": workspace, "topics": [format!("task:{room}")]});
    assert_eq!(pair.ask(nothing).await["t"], "subscribed");
    assert_eq!(pair.next().await["t"], "caught_up");
    for socket in &mut pair.0 {
        let cursor = loop {
            ada.post(&messages, json!({"parts": [{"type": "text", "text": "not for you"}]})).await;
            socket.send(json!({"t": "ping", "id": 6})).await;
            let frame = socket.next().await;
            if frame["t"] == "cursor" {
                socket.until("pong").await;
                break frame;
            }
        };
        let (offset, workspace) = (cursor["offset"].as_u64().expect("it has an offset"), &workspace);
        assert_eq!(cursor, json!({"t": "cursor", "workspace": workspace, "offset": offset}));
        socket.send(json!({"t": "unsubscribe", "id": 7, "workspace": workspace})).await;
        assert_eq!(socket.until("ok").await, json!({"t": "ok", "id": 7, "data": null}));
    }

    let beyond = json!({"t": "subscribe", "id": 8, "workspace": workspace, "topics": ["*"], "after": u64::MAX});
    assert_eq!(pair.ask(beyond).await["t"], "subscribed");
    assert_eq!(pair.next().await["t"], "reset");
    assert_eq!(pair.next().await["t"], "caught_up");
    node.node.stop().await;
    assert_eq!(pair.next().await["t"], "goodbye");
    for socket in &mut pair.0 {
        assert_eq!(socket.close_code().await, 1012);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_says_which_encoding_it_likes_best() {
    let node = TestNode::start().await;
    for (asked, chosen) in [
        ("link.v1.msgpack, link.v1.json", MESSAGE_PACK),
        ("link.v1.json,link.v1.msgpack", JSON),
        ("chat, link.v2.json, link.v1.msgpack", MESSAGE_PACK),
    ] {
        assert_eq!(Socket::speaking(&node.url, asked).await.1, chosen);
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_the_other_kind_ends_the_socket_and_a_wrong_one_does_not() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let hello = json!({"t": "hello", "token": ada.token});
    let (mut socket, _) = Socket::speaking(&node.url, MESSAGE_PACK).await;
    socket.send_raw(Message::text(hello.to_string())).await;
    assert_eq!(socket.close_code().await, 4000);

    let (mut socket, _) = Socket::speaking(&node.url, MESSAGE_PACK).await;
    socket.send(hello).await;
    assert_eq!(socket.next().await["t"], "welcome");
    let bomb = [vec![0x91; 1 << 19], vec![1]].concat();
    let wrong: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        ("a number", vec![7]),
        ("half a frame", b"\x82\xa1t\xa4ping\xa2id".to_vec()),
        ("two frames", b"\x81\xa1t\xa4ping\x81\xa1t\xa4ping".to_vec()),
        ("a list of four billion", b"\xdd\xff\xff\xff\xff".to_vec()),
        ("a text of four billion", b"\x82\xa1t\xdb\xff\xff\xff\xffping".to_vec()),
        ("a deep list", bomb),
        ("a million small values", vec![0xdd, 0, 0x0f, 0, 0].into_iter().chain(vec![0xc0; 0x0f_0000]).collect()),
        ("U+0000", b"\x82\xa1t\xa4ping\xa2id\xa1\0".to_vec()),
    ];
    for (what, bytes) in wrong {
        socket.send_raw(Message::binary(bytes)).await;
        let answer = socket.next().await;
        assert_eq!((&answer["t"], &answer["id"]), (&json!("error"), &Value::Null), "{what}: {answer}");
    }
    socket.send(json!({"t": "ping", "id": 1})).await;
    assert_eq!(socket.next().await, json!({"t": "pong", "id": 1}));
    socket.send_raw(Message::text("{\"t\":\"ping\",\"id\":1}")).await;
    assert_eq!(socket.close_code().await, 4000);
    node.node.stop().await;
}
