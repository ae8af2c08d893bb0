//! JSON schemas as TypeScript types: exactly what they admit, as far as a type can say it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Returns the type of a schema; fields of objects begin at `indent`.
pub fn shape(schema: &Value, indent: usize) -> String {
    let Some(schema) = schema.as_object() else { return "unknown".into() };
    let parts = [reference(schema), literal(schema), choice(schema, indent), plain(schema, indent)];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.len() {
        0 => "unknown".into(),
        1 => parts.remove(0),
        _ => parts.iter().map(|part| grouped(part)).collect::<Vec<_>>().join(" & "),
    }
}

/// Returns the name that a reference leads to.
pub fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// Collects the names of every definition that a schema refers to.
pub fn targets(schema: &Value, found: &mut BTreeSet<String>) {
    found.extend(target(schema).map(str::to_owned));
    match schema {
        Value::Array(items) => items.iter().for_each(|item| targets(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| targets(item, found)),
        _ => {}
    }
}

/// Returns a comment for people, or nothing when there is nothing to say.
pub fn comment(schema: &Value, indent: usize) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    remark(text, indent)
}

/// Returns a text as a comment on lines of its own.
pub fn remark(text: &str, indent: usize) -> String {
    let text = text.replace("*/", "*\\/");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { text } else { format!("{}/** {text} */\n", " ".repeat(indent)) }
}

fn reference(schema: &Map<String, Value>) -> Option<String> {
    schema.get("$ref")?.as_str()?.rsplit('/').next().map(str::to_owned)
}

fn literal(schema: &Map<String, Value>) -> Option<String> {
    if let Some(value) = schema.get("const") {
        return Some(value.to_string());
    }
    let values = schema.get("enum")?.as_array()?;
    Some(union(values.iter().map(Value::to_string)))
}

fn choice(schema: &Map<String, Value>, indent: usize) -> Option<String> {
    let choices = schema.get("anyOf").or(schema.get("oneOf"))?.as_array()?;
    Some(union(choices.iter().map(|choice| shape(choice, indent))))
}

fn plain(schema: &Map<String, Value>, indent: usize) -> Option<String> {
    if schema.contains_key("const") || schema.contains_key("enum") {
        return None;
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            Some(union(kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, schema, indent))))
        }
        Some(Value::String(kind)) => Some(of_kind(kind, schema, indent)),
        _ => schema.contains_key("properties").then(|| of_kind("object", schema, indent)),
    }
}

fn of_kind(kind: &str, schema: &Map<String, Value>, indent: usize) -> String {
    match kind {
        "string" | "boolean" | "null" => kind.into(),
        "integer" | "number" => "number".into(),
        "array" => list(schema, indent),
        _ => object(schema, indent),
    }
}

fn list(schema: &Map<String, Value>, indent: usize) -> String {
    if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
        let items: Vec<String> = items.iter().map(|item| shape(item, indent)).collect();
        return format!("[{}]", items.join(", "));
    }
    let items = schema.get("items").map_or_else(|| "unknown".into(), |items| shape(items, indent));
    format!("{}[]", grouped(&items))
}

fn object(schema: &Map<String, Value>, indent: usize) -> String {
    let fields = schema.get("properties").and_then(Value::as_object);
    let Some(fields) = fields.filter(|fields| !fields.is_empty()) else {
        return match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => "Record<string, never>".into(),
            Some(rest) => format!("Record<string, {}>", shape(rest, indent)),
            // One of several shapes says the fields then.
            None if schema.contains_key("oneOf") || schema.contains_key("anyOf") => "{}".into(),
            None => "Record<string, unknown>".into(),
        };
    };
    let required: BTreeSet<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let inner = indent + 2;
    let lines = fields.iter().map(|(name, field)| {
        let optional = if required.contains(name.as_str()) { "" } else { "?" };
        let (comment, kind, name) = (comment(field, inner), shape(field, inner), quoted(name));
        format!("{comment}{}{name}{optional}: {kind};\n", " ".repeat(inner))
    });
    format!("{{\n{}{}}}", lines.collect::<String>(), " ".repeat(indent))
}

/// Returns a name as it stands before a colon.
pub fn quoted(name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_owned() } else { Value::from(name).to_string() }
}

fn union(choices: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = vec![];
    for choice in choices {
        if choice == "unknown" {
            return choice;
        }
        if !all.contains(&choice) {
            all.push(choice);
        }
    }
    if all.is_empty() { "never".into() } else { all.join(" | ") }
}

fn grouped(kind: &str) -> String {
    let compound = !kind.starts_with('{') && (kind.contains(" | ") || kind.contains(" & "));
    let closes_late = kind.starts_with('{') && (kind.contains("} | ") || kind.contains("} & "));
    if compound || closes_late { format!("({kind})") } else { kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_the_type_that_it_admits() {
        for (schema, wanted) in [
            (json!(true), "unknown"),
            (json!({}), "unknown"),
            (json!({"description": "anything"}), "unknown"),
            (json!({"type": "string", "format": "uuid"}), "string"),
            (json!({"type": ["integer", "null"]}), "number | null"),
            (json!({"$ref": "#/$defs/Role", "default": "x"}), "Role"),
            (json!({"anyOf": [{"$ref": "#/$defs/Role"}, {"type": "null"}]}), "Role | null"),
            (json!({"oneOf": [{"const": "a", "type": "string"}, {"const": "b", "type": "string"}]}), "\"a\" | \"b\""),
            (json!({"enum": ["a", "b"], "type": "string"}), "\"a\" | \"b\""),
            (json!({"type": "array", "items": {"type": ["string", "null"]}}), "(string | null)[]"),
            (json!({"type": "array", "items": {"type": "string"}}), "string[]"),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), "Record<string, string>"),
            (json!({"type": "object"}), "Record<string, unknown>"),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b-c": {}}, "required": ["a"]}),
                "{\n  a: string;\n  \"b-c\"?: unknown;\n}",
            ),
        ] {
            assert_eq!(shape(&schema, 0), wanted, "{schema}");
        }
    }

    #[test]
    fn a_comment_cannot_be_left() {
        assert_eq!(remark("a */ b\nc", 2), "  /** a *\\/ b c */\n");
        assert_eq!(remark("", 2), "");
    }
}
