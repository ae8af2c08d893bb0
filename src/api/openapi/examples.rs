//! Examples of inputs, made from their schemas: what is required, and no more.

use serde_json::{Map, Value, json};

use super::schemas::Schemas;

const ID: &str = "0190f3c2-7b1e-7000-8000-000000000001";

/// Makes an example of an object.
pub(super) fn of(schemas: &Schemas, schema: &Value) -> Value {
    let mut needed: Vec<&str> = names(schema);
    // Where one of several shapes is wanted, the first one.
    let first = schema.get("oneOf").and_then(|choices| choices.get(0));
    needed.extend(first.map(names).unwrap_or_default());
    let fields = schema.get("properties").and_then(Value::as_object);
    if needed.is_empty() {
        // Where nothing is needed, something still shows how it is done.
        let telling = ["title", "name", "status", "description", "reason"];
        needed.extend(telling.into_iter().find(|name| fields.is_some_and(|fields| fields.contains_key(*name))));
    }
    let shown = fields.into_iter().flatten().filter(|(name, _)| needed.contains(&name.as_str()));
    let example: Map<String, Value> =
        shown.map(|(name, schema)| (name.clone(), field(schemas, name, schema))).collect();
    example.into()
}

fn names(schema: &Value) -> Vec<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Makes an example of a field.
pub(super) fn field(schemas: &Schemas, name: &str, schema: &Value) -> Value {
    let schema = schemas.resolved_input(schema);
    for given in ["examples", "enum"] {
        if let Some(first) = schema.get(given).and_then(|values| values.get(0)) {
            return first.clone();
        }
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    for choices in ["oneOf", "anyOf"] {
        if let Some(first) = schema.get(choices).and_then(|choices| choices.get(0)) {
            return field(schemas, name, first);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("string") => text(name, schema).into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => match schema.get("items") {
            Some(items) if schema["minItems"].as_u64().unwrap_or(1) > 0 => json!([field(schemas, name, items)]),
            _ => json!([]),
        },
        Some("object") => of(schemas, schema),
        _ => json!("yes"),
    }
}

fn text(name: &str, schema: &Value) -> String {
    match (schema.get("format").and_then(Value::as_str), name) {
        (Some("uuid"), _) => ID,
        (Some("email"), _) | (_, "email") => "ada@example.org",
        (_, "password") => "correct horse",
        (_, "title") => "Write the report",
        (_, "name") => "Moon base",
        (_, "url") => "http://127.0.0.1:8000",
        (_, "q") => "report",
        (_, "text") => "Hello",
        _ => "example",
    }
    .into()
}
