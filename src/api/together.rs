//! What descriptions say of fields together: which of them exclude each other.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Says that exactly one of several fields is given, the others being left out or `null`.
pub(super) fn exactly_one(schema: &mut Schema, fields: &[&str]) {
    let only = |given: &&str| -> Value {
        let kind = |field: &&str| json!({"type": if field == given { "string" } else { "null" }});
        let kinds: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), kind(field))).collect();
        json!({"required": [given], "properties": kinds})
    };
    schema.insert("oneOf".into(), fields.iter().map(only).collect());
}

/// Says that of two fields at most one is given.
pub(super) fn not_both(schema: &mut Schema, [one, other]: [&str; 2]) {
    let text = json!({"type": "string"});
    schema.insert("not".into(), json!({"required": [one, other], "properties": {one: text, other: text}}));
}
