//! Queries of addresses: read, or refused with a problem of the sender's.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use link::transport::query;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let typed = BTreeSet::from(["after".to_owned(), "limit".to_owned()]);
    match query::fields(text, &typed) {
        Ok(fields) => assert!(fields.keys().all(|name| !name.contains('\0'))),
        Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
    }
});
