//! The definitions that types refer to. What comes in and what goes out are described apart, since a field that may
//! be left out of an input is always there in an output; where the two differ, the one that comes in has a name of
//! its own.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::shapes::{comment, shape, target, targets};

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// Everything that was described so far.
pub struct Definitions {
    inputs: SchemaGenerator,
    outputs: SchemaGenerator,
    used_in: BTreeSet<String>,
    used_out: BTreeSet<String>,
}

impl Default for Definitions {
    fn default() -> Self {
        Self {
            inputs: SchemaSettings::draft2020_12().into_generator(),
            outputs: SchemaSettings::draft2020_12().for_serialize().into_generator(),
            used_in: BTreeSet::new(),
            used_out: BTreeSet::new(),
        }
    }
}

impl Definitions {
    /// Describes a type.
    pub fn add(&mut self, direction: Direction, describe: fn(&mut SchemaGenerator) -> Schema) -> Value {
        let schemas = match direction {
            Direction::In => &mut self.inputs,
            Direction::Out => &mut self.outputs,
        };
        describe(schemas).to_value()
    }

    /// Follows a reference.
    pub fn resolved(&self, direction: Direction, schema: Value) -> Value {
        target(&schema).and_then(|name| self.find(direction, name)).cloned().unwrap_or(schema)
    }

    /// Returns the type of a schema, and remembers what it refers to.
    pub fn shape(&mut self, direction: Direction, schema: &Value, indent: usize) -> String {
        let used = match direction {
            Direction::In => &mut self.used_in,
            Direction::Out => &mut self.used_out,
        };
        targets(schema, used);
        shape(&self.renamed(direction, schema), indent)
    }

    /// Returns the type of what an operation answers; pages have one name for all.
    pub fn output(&mut self, schema: &Value) -> String {
        let resolved = self.resolved(Direction::Out, schema.clone());
        let fields = resolved.get("properties").and_then(Value::as_object);
        let is_page = |fields: &&serde_json::Map<String, Value>| fields.keys().eq(["items", "next_cursor"]);
        match fields.filter(is_page).and_then(|fields| fields["items"].get("items").cloned()) {
            Some(item) => format!("Page<{}>", self.shape(Direction::Out, &item, 0)),
            None => self.shape(Direction::Out, schema, 0),
        }
    }

    /// Returns every definition that something refers to.
    pub fn text(&self) -> String {
        let mut all = BTreeMap::new();
        for (direction, used) in [(Direction::In, &self.used_in), (Direction::Out, &self.used_out)] {
            for name in self.closure(direction, used) {
                let Some(schema) = self.find(direction, &name) else { continue };
                let name = self.name(direction, &name);
                let text = shape(&self.renamed(direction, schema), 0);
                let fields_only = text.starts_with('{') && text.matches("\n}").count() == 1 && text.ends_with("\n}");
                let declared = match fields_only {
                    true => format!("export interface {name} {text}\n\n"),
                    false => format!("export type {name} = {text};\n\n"),
                };
                all.insert(name, format!("{}{declared}", comment(schema, 0)));
            }
        }
        all.into_values().collect()
    }

    fn find(&self, direction: Direction, name: &str) -> Option<&Value> {
        match direction {
            Direction::In => self.inputs.definitions().get(name),
            Direction::Out => self.outputs.definitions().get(name),
        }
    }

    /// Everything that is referred to, directly or not.
    fn closure(&self, direction: Direction, names: &BTreeSet<String>) -> BTreeSet<String> {
        let (mut all, mut open) = (BTreeSet::new(), names.iter().cloned().collect::<Vec<_>>());
        while let Some(name) = open.pop() {
            if let Some(schema) = self.find(direction, &name).filter(|_| all.insert(name.clone())) {
                let mut next = BTreeSet::new();
                targets(schema, &mut next);
                open.extend(next);
            }
        }
        all
    }

    /// Returns the name of a definition in the text.
    fn name(&self, direction: Direction, name: &str) -> String {
        if direction == Direction::Out || self.is_the_same(name) { name.to_owned() } else { format!("{name}Given") }
    }

    /// Tells whether a name means the same in both directions, or exists in one only.
    fn is_the_same(&self, name: &str) -> bool {
        self.closure(Direction::In, &[name.to_owned()].into()).iter().all(|name| {
            let (given, answered) = (self.find(Direction::In, name), self.find(Direction::Out, name));
            answered.is_none() || given.map(|schema| shape(schema, 0)) == answered.map(|schema| shape(schema, 0))
        })
    }

    fn renamed(&self, direction: Direction, schema: &Value) -> Value {
        match schema {
            Value::Array(items) => items.iter().map(|item| self.renamed(direction, item)).collect(),
            Value::Object(fields) => {
                let rename = |(name, value): (&String, &Value)| match (name.as_str(), target(schema)) {
                    ("$ref", Some(to)) => (name.clone(), Value::from(self.name(direction, to))),
                    _ => (name.clone(), self.renamed(direction, value)),
                };
                Value::Object(fields.iter().map(rename).collect())
            }
            other => other.clone(),
        }
    }
}

/// Returns `tasks.add_dependency` as `TasksAddDependency`.
pub fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split(['.', '_']).map(word).collect()
}
