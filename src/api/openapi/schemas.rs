//! Schemas of inputs and outputs, as JSON Schema 2020-12, with the named ones kept for `components`.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

const PLACE: &str = "#/components/schemas/";

/// What was described so far. An input is described as it is read, an output as it is written: what is always written
/// is required in an output, and may have a default in an input.
pub(super) struct Schemas {
    inputs: SchemaGenerator,
    outputs: SchemaGenerator,
}

impl Schemas {
    /// Begins with nothing.
    pub fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self { inputs: settings().into_generator(), outputs: settings().for_serialize().into_generator() }
    }

    /// Describes an input; its own definition stays out of the components, since its fields go to several places.
    pub fn input(&mut self, describe: fn(&mut SchemaGenerator) -> Schema) -> Value {
        let schema = describe(&mut self.inputs).to_value();
        let name = named(&schema).map(str::to_owned);
        let mut schema = match name {
            Some(name) => self.inputs.definitions_mut().remove(&name).unwrap_or(schema),
            None => schema,
        };
        tidy(&mut schema);
        schema
    }

    /// Describes an output.
    pub fn output(&mut self, describe: fn(&mut SchemaGenerator) -> Schema) -> Value {
        describe(&mut self.outputs).to_value()
    }

    /// Follows a reference into the outputs.
    pub fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        named(schema).and_then(|name| self.outputs.definitions().get(name)).unwrap_or(schema)
    }

    /// Follows a reference into the inputs.
    pub fn resolved_input<'a>(&'a self, schema: &'a Value) -> &'a Value {
        named(schema).and_then(|name| self.inputs.definitions().get(name)).unwrap_or(schema)
    }

    /// Returns all named ones. One that is read and written alike has one name.
    pub fn take(&mut self) -> Map<String, Value> {
        let mut inputs = self.inputs.take_definitions(true);
        let mut outputs = self.outputs.take_definitions(true);
        inputs.values_mut().chain(outputs.values_mut()).for_each(tidy);
        for (name, output) in outputs {
            let input = inputs.insert(name.clone(), output.clone());
            let alike = input.is_none_or(|input| input == output);
            debug_assert!(alike, "{name} is read and written in different shapes: use two types");
        }
        inputs
    }
}

/// Returns the name that a reference leads to.
pub(super) fn named(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)?.strip_prefix(PLACE)
}

/// Says the bounds of whole numbers, which their formats only hint at, and keeps words in one paragraph.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(fields) => {
            let most = match fields.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(json!(u32::MAX)),
                Some("uint64") => Some(json!(u64::MAX)),
                _ => None,
            };
            if let Some(most) = most {
                fields.entry("maximum").or_insert(most);
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes `null` out of what a schema allows: a parameter of an address is left out instead.
pub(super) fn without_null(schema: &mut Value) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = &choices[..] {
            let only = only.clone();
            let fields = schema.as_object_mut().into_iter();
            fields.for_each(|fields| drop(fields.remove("anyOf")));
            if let (Value::Object(fields), Value::Object(only)) = (&mut *schema, only) {
                for (name, value) in only {
                    fields.entry(name).or_insert(value);
                }
            }
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if schema.get("default").is_some_and(Value::is_null)
        && let Value::Object(fields) = schema
    {
        fields.remove("default");
    }
}
