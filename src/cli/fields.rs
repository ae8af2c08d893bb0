//! The fields of an operation's input as flags of the command line: read from its JSON Schema.

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use crate::api::Operation;

use super::generated::RESERVED;

/// One field of an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Its name on the wire.
    pub name: String,
    /// What can be given.
    pub shape: Shape,
    /// Whether `null` can be given.
    pub nullable: bool,
    /// Whether it has to be given.
    pub required: bool,
    /// What it is, for people.
    pub doc: String,
}

/// How a text of the command line becomes a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// The text itself.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A JSON text, of the kind that is named.
    Json(&'static str),
    /// A JSON text, or else the text itself.
    Any,
    /// Some of them.
    List(Box<Shape>),
}

/// Returns the fields of an operation's input, by name.
pub(super) fn of(operation: &Operation) -> Vec<Field> {
    let mut schemas = SchemaGenerator::default();
    let schema = (operation.input)(&mut schemas).to_value();
    let definitions = schemas.definitions();
    let schema = resolved(&schema, definitions);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let field = |(name, schema): (&String, &Value)| {
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        Field {
            name: name.clone(),
            shape: shape(schema, definitions),
            nullable: is_nullable(schema),
            required: required.contains(&name.as_str()),
            doc: doc.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    };
    properties.into_iter().flatten().map(field).collect()
}

fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    let lists = ["anyOf", "oneOf"].iter().filter_map(|word| schema.get(word)?.as_array());
    lists.flatten().collect()
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

fn is_nullable(schema: &Value) -> bool {
    let among_types = schema.get("type").and_then(Value::as_array).is_some_and(|kinds| kinds.contains(&"null".into()));
    among_types || alternatives(schema).into_iter().any(is_null)
}

fn shape(schema: &Value, definitions: &Map<String, Value>) -> Shape {
    let schema = resolved(schema, definitions);
    let others: Vec<&Value> = alternatives(schema).into_iter().filter(|schema| !is_null(schema)).collect();
    if let [only] = others[..] {
        return shape(only, definitions);
    }
    let consts: Option<Vec<String>> =
        others.iter().map(|schema| schema.get("const")?.as_str().map(String::from)).collect();
    let listed = schema.get("enum").and_then(Value::as_array);
    let listed = listed.map(|values| values.iter().filter_map(Value::as_str).map(String::from).collect::<Vec<_>>());
    let consts = consts.filter(|choices| !choices.is_empty());
    if let Some(choices) = consts.or(listed) {
        return Shape::Choice(choices);
    }
    if !others.is_empty() {
        return Shape::Any;
    }
    let kinds = schema.get("type").map(Value::to_string).unwrap_or_default();
    match () {
        () if kinds.contains("string") => Shape::Text,
        () if kinds.contains("array") => {
            let items = schema.get("items").map_or(Shape::Any, |items| shape(items, definitions));
            Shape::List(Box::new(items))
        }
        () if kinds.is_empty() => Shape::Any,
        () if kinds.contains("boolean") => Shape::Json("true|false"),
        () if kinds.contains("integer") || kinds.contains("number") => Shape::Json("NUMBER"),
        () => Shape::Json("JSON"),
    }
}

/// Returns a field's name as a flag says it.
pub(super) fn flag(name: &str) -> String {
    let long = name.replace('_', "-");
    if RESERVED.contains(&long.as_str()) { format!("field-{long}") } else { long }
}

impl Field {
    /// Returns its flag, without the dashes before it.
    pub fn flag(&self) -> String {
        flag(&self.name)
    }

    /// Returns what the parser knows it by; no other argument has such a name.
    pub fn id(&self) -> String {
        format!("field:{}", self.name)
    }

    /// Turns what was given into a value.
    pub fn value(&self, given: &[String]) -> Result<Value, String> {
        match (&self.shape, given) {
            (Shape::List(items), given) => list(items, given),
            (_, [text]) if self.nullable && text == "null" => Ok(Value::Null),
            (shape, [text]) => one(shape, text),
            _ => Err("is given more than once".into()),
        }
    }
}

fn one(shape: &Shape, text: &str) -> Result<Value, String> {
    let json = || serde_json::from_str(text);
    match shape {
        Shape::Text | Shape::Choice(_) => Ok(text.into()),
        Shape::Json("JSON") => json().map_err(|error| format!("`{text}` is no JSON: {error}")),
        Shape::Json(kind) => json().map_err(|_| format!("`{text}` is not {kind}")),
        Shape::Any => Ok(json().unwrap_or_else(|_| text.into())),
        Shape::List(items) => list(items, &[text.to_owned()]),
    }
}

/// Each text is an item, or a JSON list of items.
fn list(items: &Shape, given: &[String]) -> Result<Value, String> {
    let mut values = vec![];
    for text in given {
        match serde_json::from_str(text) {
            Ok(Value::Array(several)) => values.extend(several),
            _ => values.push(one(items, text)?),
        }
    }
    Ok(Value::Array(values))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(operation: &str, name: &str) -> Field {
        let table = crate::api::table();
        let fields = of(table.find(operation).unwrap());
        fields.into_iter().find(|field| field.name == name).unwrap()
    }

    fn value(operation: &str, name: &str, given: &[&str]) -> Result<Value, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        field(operation, name).value(&given)
    }

    #[test]
    fn shapes_follow_from_the_schema() {
        assert_eq!(field("tasks.create", "title").shape, Shape::Text);
        assert!(field("tasks.create", "title").required);
        assert_eq!(field("tasks.create", "depends_on").shape, Shape::List(Box::new(Shape::Text)));
        assert_eq!(field("tasks.list", "limit").shape, Shape::Json("NUMBER"));
        assert_eq!(field("delegation.answer", "answer").shape, Shape::Any);
        let Shape::Choice(states) = field("tasks.transition", "to").shape else { panic!("a state is a choice") };
        assert!(states.contains(&"in_review".to_owned()));
        let Shape::Choice(births) = field("tasks.create", "status").shape else { panic!("also when optional") };
        assert_eq!(births, ["backlog", "ready"]);
    }

    #[test]
    fn texts_become_values() {
        assert_eq!(value("tasks.create", "title", &["12"]), Ok(json!("12")));
        assert_eq!(value("tasks.create", "depends_on", &["a", "b"]), Ok(json!(["a", "b"])));
        assert_eq!(value("tasks.update", "assignee", &["null"]), Ok(Value::Null));
        assert_eq!(value("tasks.list", "limit", &["5"]), Ok(json!(5)));
        assert!(value("tasks.list", "limit", &["five"]).is_err());
        assert_eq!(value("delegation.answer", "answer", &["go on"]), Ok(json!("go on")));
        assert_eq!(value("delegation.answer", "answer", &[r#"{"approve":true}"#]), Ok(json!({"approve": true})));
        assert_eq!(value("agents.register", "instances", &[r#"[{"url":"x"}]"#]), Ok(json!([{"url": "x"}])));
    }
}
