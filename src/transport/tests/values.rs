//! What may come in, and what may not, in both encodings.

use serde_json::{Value, json};

use crate::{
    actors::encoding::Encoding,
    api::problem::Problem,
    transport::values::{VALUES_MAX, parse},
};

fn refused(encoding: Encoding, bytes: &[u8]) -> String {
    let Err(problem) = parse(encoding, bytes) else { panic!("it is read") };
    assert_eq!(problem.code, "malformed");
    problem.detail
}

/// Writes a value in both encodings and reads it again.
fn both(value: &Value) -> [Result<Value, Problem>; 2] {
    [Encoding::Json, Encoding::MessagePack].map(|encoding| parse(encoding, &encoding.encode(value)))
}

#[test]
fn what_is_too_deep_or_holds_nul_is_refused_and_nothing_panics() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(Encoding::Json, deep(64).as_bytes()).is_ok());
    let packed = |n: usize| [vec![0x91; n], vec![1]].concat();
    assert!(parse(Encoding::MessagePack, &packed(64)).is_ok());
    for too_deep in [65, 100, 10_000, 1 << 20] {
        assert!(refused(Encoding::Json, deep(too_deep).as_bytes()).contains("nested more than 64 deep"));
        assert!(refused(Encoding::MessagePack, &packed(too_deep)).contains("nested more than 64 deep"));
    }
    // Maps count like lists.
    assert!(refused(Encoding::MessagePack, &[b"\x81\xa1a".repeat(65), vec![1]].concat()).contains("64 deep"));
    for text in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#] {
        assert!(refused(Encoding::Json, text.as_bytes()).contains("U+0000"));
    }
    for bytes in [b"\xa1\0".as_slice(), b"\x81\xa1\0\x01"] {
        assert!(refused(Encoding::MessagePack, bytes).contains("U+0000"));
    }
    refused(Encoding::Json, b"\xff\xfe");
    refused(Encoding::MessagePack, b"\xa2\xff\xfe");
}

#[test]
fn numbers_texts_and_the_rest_come_through_both_encodings_as_they_are() {
    let value = json!({
        "null": null, "yes": true, "list": [], "map": {}, "text": "ä\u{1f427}\n\"", "": "no name",
        "numbers": [0, 1, -1, 127, 128, -128, -129, 65_535, u32::MAX, i32::MIN, i64::MIN, i64::MAX, u64::MAX],
        "fractions": [0.1, -0.0, 1.0, 1e300, 5e-324, f64::MAX, 0.123_456_789_012_345_68, 2.0_f64.powi(60)],
    });
    assert_eq!(both(&value), [Ok(value.clone()), Ok(value)]);
}

#[test]
fn a_length_that_is_only_promised_takes_no_memory() {
    let promises: [&[u8]; 5] = [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\x01",
    ];
    for promise in promises {
        refused(Encoding::MessagePack, promise);
    }
}

#[test]
fn more_values_than_allowed_are_refused_however_small_they_are() {
    let list = |n: usize| json!(vec![0; n]);
    let fits = list(VALUES_MAX - 1);
    assert_eq!(both(&fits), [Ok(fits.clone()), Ok(fits)]);
    let many = list(VALUES_MAX);
    let maps = json!(vec![json!({"a": [1]}); VALUES_MAX / 3 + 1]);
    for too_many in [many, maps] {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            assert!(refused(encoding, &encoding.encode(&too_many)).contains("more than 65536 values"));
        }
    }
}

#[test]
fn what_only_messagepack_can_say_is_refused() {
    let only: [(&str, &[u8]); 9] = [
        ("bytes", b"\xc4\x01a"),
        ("bytes for a name", b"\x81\xc4\x01a\x01"),
        ("a number for a name", b"\x81\x01\x01"),
        ("null for a name", b"\x81\xc0\x01"),
        ("an extension", b"\xd4\x01a"),
        ("a time", b"\xd6\xff\0\0\0\0"),
        ("NaN", b"\xcb\x7f\xf8\0\0\0\0\0\0"),
        ("infinity", b"\xca\x7f\x80\0\0"),
        ("what is reserved", b"\xc1"),
    ];
    for (what, bytes) in only {
        assert!(parse(Encoding::MessagePack, bytes).is_err(), "{what}");
    }
}

#[test]
fn what_is_unclear_is_refused_in_both_encodings() {
    assert!(refused(Encoding::Json, br#"{"a":1,"a":1}"#).contains("twice"));
    assert!(refused(Encoding::MessagePack, b"\x82\xa1a\x01\xa1a\x01").contains("twice"));
    refused(Encoding::Json, b"1 2");
    for (first, rest) in [(b"\x01".as_slice(), b"\x01".as_slice()), (b"\x90", b"\x91"), (b"\xa1a", b"\xdb\xff")] {
        assert!(parse(Encoding::MessagePack, first).is_ok());
        assert!(refused(Encoding::MessagePack, &[first, rest].concat()).contains("follows"));
    }
    for empty in [Encoding::Json, Encoding::MessagePack] {
        refused(empty, b"");
    }
}

#[test]
fn a_name_that_the_reader_keeps_for_itself_smuggles_nothing_in() {
    let smuggled = json!({"$serde_json::private::RawValue": "\"\\u0000\""});
    let beside = json!({"a": 1, "b": smuggled});
    for value in [&smuggled, &beside] {
        assert!(both(value).into_iter().all(|read| read.is_err_and(|problem| problem.detail.contains("reserved"))));
    }
}
