//! What comes under `/trpc`: an address, a line break, and a body or a socket's frame. It is read, or refused with a problem
//! of the sender's; each call of a batch gets an input, and each message an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use link::transport::trpc::{
    BATCH_MAX,
    messages::{self, Message},
    target::Target,
};

fuzz_target!(|bytes: &[u8]| {
    let (line, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let rest = rest.get(1..).unwrap_or_default();
    if let Ok(address) = std::str::from_utf8(line) {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        match Target::read(path, query) {
            Ok(target) => {
                assert!((1..=BATCH_MAX).contains(&target.paths.len()));
                for body in [None, Some(rest)] {
                    match target.inputs(body) {
                        Ok(inputs) => assert_eq!(inputs.len(), target.paths.len()),
                        Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
                    }
                }
            }
            Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
        }
    }
    let Ok(frame) = std::str::from_utf8(rest) else { return };
    if let Err(problem) = messages::connection_params(frame) {
        assert!((400..500).contains(&problem.status), "{problem:?}");
    }
    let read = messages::read(frame);
    assert!(read.len() <= BATCH_MAX);
    for message in read {
        match message {
            // What is answered later is answered under its id.
            Ok(Message::Call { id, .. } | Message::Subscribe { id, .. } | Message::Stop { id }) => {
                assert!(!id.is_null());
            }
            Err(refused) => assert!((400..500).contains(&refused.problem.status), "{refused:?}"),
        }
    }
});
