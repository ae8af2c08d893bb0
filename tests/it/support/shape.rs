//! Compares the shapes of JSON values: keys and types, not contents.

use serde_json::Value;

/// Panics unless both have the same keys with the same types.
pub fn same(fake: &Value, real: &Value) {
    let differences = compare(fake, real, "", true);
    assert!(differences.is_empty(), "{differences:#?}\nfake: {fake:#}");
}

/// Panics unless every key of the fake is in the real one, with the same type.
pub fn part_of(fake: &Value, real: &Value) {
    let differences = compare(fake, real, "", false);
    assert!(differences.is_empty(), "{differences:#?}\nfake: {fake:#}");
}

/// Panics unless each event of the fake has the shape of some real event of its type.
pub fn events_among(fake: &[Value], real: &[Value]) {
    assert!(!fake.is_empty(), "the fake told nothing");
    for event in fake {
        let alike = real.iter().filter(|other| other["type"] == event["type"]);
        let differences: Vec<_> = alike.map(|other| compare(event, &without_sse_id(other), "", true)).collect();
        let nearest = differences.iter().min_by_key(|found| found.len());
        assert!(nearest.is_some_and(Vec::is_empty), "{nearest:#?}\nfake: {event:#}");
    }
}

/// The id on the wire is not part of an event's body.
fn without_sse_id(event: &Value) -> Value {
    let mut event = event.clone();
    event.as_object_mut().expect("an event").remove("sse_id");
    event
}

/// Keys inside which the contents depend on the tool.
const FREE: [&str; 2] = ["input", "metadata"];

fn compare(fake: &Value, real: &Value, at: &str, exact: bool) -> Vec<String> {
    match (fake, real) {
        // What may be null says nothing about its type.
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (Value::Object(fake), Value::Object(real)) => {
            let mut found = Vec::new();
            for (key, value) in fake {
                let at = format!("{at}.{key}");
                match real.get(key) {
                    None => found.push(format!("{at} is not in the real one")),
                    Some(_) if FREE.contains(&key.as_str()) && at.contains("state") => {}
                    Some(other) => found.extend(compare(value, other, &at, exact)),
                }
            }
            let missing = real.keys().filter(|key| exact && !fake.contains_key(*key) && !key.starts_with("session_"));
            found.extend(missing.map(|key| format!("{at}.{key} is missing")));
            found
        }
        (Value::Array(fake), Value::Array(real)) => {
            let one = |value: &Value| {
                let tried = real.iter().map(|other| compare(value, other, &format!("{at}[]"), exact));
                tried.min_by_key(Vec::len).unwrap_or_default()
            };
            fake.iter().flat_map(one).collect()
        }
        (fake, real) if kind(fake) == kind(real) => Vec::new(),
        (fake, real) => vec![format!("{at} is {} and not {}", kind(fake), kind(real))],
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
