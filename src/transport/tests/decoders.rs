//! Bytes that nobody meant: each is read, or refused with a problem of the sender's.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::Config};

use crate::{
    actors::encoding::Encoding,
    api::problem::Problem,
    transport::{query, values, ws::client_frame::ClientFrame},
};

use super::made_up::{client_frame, value};

fn tries() -> Config {
    Config { cases: 768, failure_persistence: None, ..Config::default() }
}

fn is_the_senders(problem: &Problem) -> bool {
    (400..500).contains(&problem.status) && !problem.next_actions.is_empty()
}

/// What was read is what its own encoding is read as.
fn reads_or_refuses(encoding: Encoding, bytes: &[u8]) {
    match values::parse(encoding, bytes) {
        Ok(value) => assert_eq!(values::parse(encoding, &encoding.encode(&value)), Ok(value)),
        Err(problem) => assert!(is_the_senders(&problem), "{problem:?}"),
    }
    if let Err(unreadable) = ClientFrame::read(encoding, bytes) {
        assert!(is_the_senders(&unreadable.problem), "{unreadable:?}");
    }
}

/// Changes some bytes, and may cut the end off.
fn broken(mut bytes: Vec<u8>, changes: &[(Index, u8)], end: Option<Index>) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes.truncate(end.map_or(bytes.len(), |end| end.index(bytes.len() + 1)));
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec((any::<Index>(), any::<u8>()), 0..4)
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            reads_or_refuses(encoding, &bytes);
        }
    }

    #[test]
    fn broken_frames_are_read_or_refused(
        frame in client_frame(), changes in changes(), end in proptest::option::of(any::<Index>()),
    ) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            reads_or_refuses(encoding, &broken(encoding.encode(&frame).into(), &changes, end));
        }
    }

    #[test]
    fn broken_values_are_read_or_refused(value in value(), changes in changes()) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            reads_or_refuses(encoding, &broken(encoding.encode(&value).into(), &changes, None));
        }
    }

    #[test]
    fn any_query_is_read_or_refused(query in "([a-z%0-9=&+]|\\PC){0,60}") {
        let typed = BTreeSet::from(["a".to_owned(), "limit".to_owned()]);
        if let Err(problem) = query::fields(&query, &typed) {
            prop_assert!(is_the_senders(&problem));
        }
    }
}
