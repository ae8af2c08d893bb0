//! JSON and MessagePack carry the same values, for every frame.

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::Config, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    actors::{
        encoding::{Encoded, Encoding},
        feed::{Committed, Signal, shown},
    },
    domain::{ids::Subject, tests::examples::examples},
    transport::ws::{client_frame::ClientFrame, server_frame::ServerFrame},
};

use super::made_up::{client_frame, nearly_a_frame, recorded, server_frame};

/// Reads a frame as a client does that has never heard of our types.
fn plain(encoding: Encoding, bytes: &[u8]) -> Value {
    match encoding {
        Encoding::Json => serde_json::from_slice(bytes).expect("it is JSON"),
        Encoding::MessagePack => rmp_serde::from_slice(bytes).expect("it is MessagePack"),
    }
}

/// Returns what a whole frame carries.
fn carried(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

/// Returns what a frame of the server says, the same in both encodings.
fn said(frame: &ServerFrame) -> Value {
    let [json, packed] = [Encoding::Json, Encoding::MessagePack].map(|to| plain(to, carried(&frame.encode(to))));
    assert_eq!(json, packed);
    json
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn both_encodings_carry_the_same_values_in_every_frame_of_the_server(frame in server_frame()) {
        let said = said(&frame);
        prop_assert_eq!(&said, &serde_json::to_value(&frame).unwrap());
        prop_assert!(said["t"].is_string());
    }

    #[test]
    fn both_encodings_carry_the_same_values_in_every_frame_of_a_client(frame in client_frame()) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            prop_assert_eq!(ClientFrame::read(encoding, &encoding.encode(&frame)), Ok(frame.clone()));
        }
    }

    #[test]
    fn what_is_wrong_with_a_frame_does_not_depend_on_its_encoding(frame in nearly_a_frame()) {
        let [json, packed] =
            [Encoding::Json, Encoding::MessagePack].map(|encoding| ClientFrame::read(encoding, &encoding.encode(&frame)));
        prop_assert_eq!(json, packed);
    }
}

fn tries() -> Config {
    Config { cases: 256, failure_persistence: None, ..Config::default() }
}

#[test]
fn every_kind_of_frame_was_among_them() {
    let mut runner = TestRunner::deterministic();
    let (mut server, mut client) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..300 {
        let frame = server_frame().new_tree(&mut runner).unwrap().current();
        server.insert(said(&frame)["t"].as_str().unwrap().to_owned());
        let frame = client_frame().new_tree(&mut runner).unwrap().current();
        client.insert(json!(frame)["t"].as_str().unwrap().to_owned());
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let all =
        ["welcome", "ok", "error", "subscribed", "event", "caught_up", "cursor", "reset", "signal", "goodbye", "pong"];
    assert_eq!(server, names(&all));
    let all = ["hello", "subscribe", "unsubscribe", "call", "presence", "typing", "auth", "ping"];
    assert_eq!(client, names(&all));
}

#[test]
fn every_event_looks_the_same_in_both_encodings_and_in_the_log() {
    let mut runner = TestRunner::deterministic();
    for event in examples() {
        let event = recorded(event).new_tree(&mut runner).unwrap().current();
        let workspace = uuid::Uuid::from_u128(7).into();
        let mut expected = shown(&event);
        expected["t"] = json!("event");
        expected["workspace"] = json!(workspace);
        assert_eq!(said(&ServerFrame::Event(Committed::new(workspace, event).into())), expected);
    }
}

#[test]
fn what_many_hear_is_written_once_in_each_encoding() {
    let mut runner = TestRunner::deterministic();
    let event = recorded(examples().remove(0)).new_tree(&mut runner).unwrap().current();
    let event = ServerFrame::Event(Committed::new(uuid::Uuid::from_u128(7).into(), event).into());
    let (workspace, encoded) = (uuid::Uuid::from_u128(7).into(), Encoded::default());
    let topic = Subject::Workspace(workspace);
    let signal =
        Signal { workspace, topic, refs: vec![], kind: "user:presence", data: json!({}), audience: None, encoded };
    for frame in [event, ServerFrame::Signal(signal.into())] {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            assert_eq!(frame.encode(encoding).as_ptr(), frame.clone().encode(encoding).as_ptr());
        }
    }
}
