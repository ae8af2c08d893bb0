//! Frames of a client, in both encodings: read, or refused with a problem of the sender's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use link::{
    actors::encoding::Encoding,
    transport::{values, ws::client_frame::ClientFrame},
};

fuzz_target!(|bytes: &[u8]| {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        match values::parse(encoding, bytes) {
            Ok(value) => assert_eq!(values::parse(encoding, &encoding.encode(&value)), Ok(value)),
            Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
        }
        match ClientFrame::read(encoding, bytes) {
            Ok(frame) => assert_eq!(ClientFrame::read(encoding, &encoding.encode(&frame)), Ok(frame)),
            Err(unreadable) => assert!((400..500).contains(&unreadable.problem.status), "{unreadable:?}"),
        }
    }
});
