//! JSON from outside: size, depth and characters are checked before anyone looks at the meaning.

use serde_json::Value;

use crate::api::problem::{self, Problem};

/// The most bytes of a body or a frame.
pub const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting.
const DEPTH_MAX: usize = 64;

/// Reads a value.
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(problem::MALFORMED, format!("the JSON cannot be read: {error}")))?;
    if !acceptable(&value, 0) {
        let detail = format!("the JSON is nested more than {DEPTH_MAX} deep, or holds U+0000");
        return Err(Problem::new(problem::MALFORMED, detail));
    }
    Ok(value)
}

fn acceptable(value: &Value, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(|item| acceptable(item, depth + 1)),
        Value::Object(fields) => fields.iter().all(|(name, item)| !name.contains('\0') && acceptable(item, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_or_holds_nul_is_refused_and_nothing_panics() {
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(60).as_bytes()).is_ok());
        assert!(parse(deep(100).as_bytes()).is_err());
        assert!(parse(deep(10_000).as_bytes()).is_err());
        assert!(parse(br#"{"a":"\u0000"}"#).is_err());
        assert!(parse(b"\xff\xfe").is_err());
    }
}
