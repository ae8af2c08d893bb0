//! Whether a schema still takes what it took, or still gives only what it gave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Found, text};

/// Who has to be satisfied by a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Clients write it: what was accepted has to be accepted.
    Input,
    /// Clients read it: what they read has to stay as they know it.
    Output,
}

/// The two descriptions, to follow references in.
pub(super) struct Shapes<'a> {
    pub old: &'a Value,
    pub new: &'a Value,
}

/// Bounds that narrow when they rise, and those that narrow when they fall.
const LEAST: [&str; 6] = ["minLength", "minimum", "minItems", "minProperties", "exclusiveMinimum", "minContains"];
const MOST: [&str; 6] = ["maxLength", "maximum", "maxItems", "maxProperties", "exclusiveMaximum", "maxContains"];
/// Rules that cannot be weighed: another one is taken for a narrower one.
const RULES: [&str; 8] = ["pattern", "format", "multipleOf", "uniqueItems", "not", "allOf", "propertyNames", "if"];

impl Shapes<'_> {
    /// Compares a schema with what became of it.
    pub fn compare(&self, found: &mut Found, place: &str, old: &Value, new: &Value, direction: Direction) {
        Walk { shapes: self, direction, seen: BTreeSet::new() }.compare(found, place, old, new);
    }
}

/// A way through a schema and what became of it.
#[derive(Clone)]
struct Walk<'a> {
    shapes: &'a Shapes<'a>,
    direction: Direction,
    /// References that were followed.
    seen: BTreeSet<String>,
}

impl Walk<'_> {
    fn compare(&mut self, found: &mut Found, place: &str, old: &Value, new: &Value) {
        if let (Some(a), Some(b)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self.seen.insert(format!("{a} {b}"))
        {
            return;
        }
        let (shapes, direction) = (self.shapes, self.direction);
        let (old, new) = (followed(shapes.old, old), followed(shapes.new, new));
        if old == new && shapes.old == shapes.new {
            return;
        }
        let (old_choices, new_choices) = (choices(old), choices(new));
        if old_choices.is_some() || new_choices.is_some() {
            let (old, new) = (old_choices.unwrap_or_else(|| vec![old]), new_choices.unwrap_or_else(|| vec![new]));
            self.alternatives(found, place, &old, &new);
        }
        kinds(found, place, old, new, direction);
        values(found, place, old, new);
        if direction == Direction::Input {
            bounds(found, place, old, new);
        } else if old["format"] != new["format"] {
            found.breaking(place, format!("has the format {} instead of {}", new["format"], old["format"]));
        }
        self.fields(found, place, old, new);
        for (part, name) in [("items", "[]"), ("additionalProperties", ".*")] {
            if old[part].is_object() && new[part].is_object() {
                self.compare(found, &format!("{place}{name}"), &old[part], &new[part]);
            }
        }
    }

    /// Whoever relies on one of the alternatives has to find one that does as well.
    fn alternatives(&self, found: &mut Found, place: &str, old: &[&Value], new: &[&Value]) {
        let fits = |old: &Value, new: &Value| {
            let mut trial = Found::default();
            self.clone().compare(&mut trial, place, old, new);
            trial.0.iter().all(|change| !change.breaking)
        };
        let lost = old.iter().filter(|old| !new.iter().any(|new| fits(old, new))).count();
        let strange = new.iter().filter(|new| !old.iter().any(|old| fits(old, new))).count();
        // A reader has to cope with a variant that it does not know, but not with one that changed.
        if lost > 0 {
            found.breaking(place, format!("no longer has {lost} of its variants as they were"));
        } else if strange > 0 {
            found.added(place, format!("has {strange} variants more"));
        }
    }

    fn fields(&mut self, found: &mut Found, place: &str, old: &Value, new: &Value) {
        let direction = self.direction;
        let fields = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
        let needed = |schema: &Value, name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
        };
        let (before, after) = (fields(old), fields(new));
        for (name, field) in &before {
            let place = format!("{place}.{name}");
            let Some(now) = after.get(name) else {
                found.breaking(&place, "is gone");
                continue;
            };
            match (needed(old, name), needed(new, name), direction) {
                (false, true, Direction::Input) => found.breaking(&place, "is required now"),
                (true, false, Direction::Output) => found.breaking(&place, "may be absent now"),
                (false, true, Direction::Output) | (true, false, Direction::Input) => {
                    found.added(&place, "is required or optional, other than before");
                }
                _ => {}
            }
            self.compare(found, &place, field, now);
        }
        for name in after.keys().filter(|name| !before.contains_key(*name)) {
            let place = format!("{place}.{name}");
            match direction == Direction::Input && needed(new, name) {
                true => found.breaking(&place, "is new and required"),
                false => found.added(&place, "is new"),
            }
        }
        if direction == Direction::Input
            && old["additionalProperties"] != false
            && new["additionalProperties"] == false
            && !old.is_null()
        {
            found.breaking(place, "takes no unknown fields any more");
        }
    }
}

fn followed<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    // A reference to a reference is followed; a circle of them says nothing.
    for _ in 0..8 {
        match schema["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#'))) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn choices(schema: &Value) -> Option<Vec<&Value>> {
    let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
    Some(choices.iter().collect())
}

fn kinds(found: &mut Found, place: &str, old: &Value, new: &Value, direction: Direction) {
    let named = |schema: &Value| -> Option<BTreeSet<String>> {
        match &schema["type"] {
            Value::String(kind) => Some([kind.clone()].into()),
            Value::Array(kinds) => Some(kinds.iter().map(|kind| text(kind).to_owned()).collect()),
            _ => None,
        }
    };
    let (before, after) = (named(old), named(new));
    if before == after {
        return;
    }
    // Whole numbers are numbers.
    let covers = |wide: &Option<BTreeSet<String>>, narrow: &Option<BTreeSet<String>>| match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            narrow.iter().all(|kind| wide.contains(kind) || (kind == "integer" && wide.contains("number")))
        }
    };
    let fine = match direction {
        Direction::Input => covers(&after, &before),
        Direction::Output => covers(&before, &after),
    };
    // Where one side lists alternatives, those were compared already.
    let listed = choices(old).is_some() != choices(new).is_some();
    let what = format!("has the type {} instead of {}", new["type"], old["type"]);
    match fine || listed {
        true => found.added(place, what),
        false => found.breaking(place, what),
    }
}

/// Values that could be sent or had to be expected are promises; new ones are not.
fn values(found: &mut Found, place: &str, old: &Value, new: &Value) {
    let listed = |schema: &Value| -> Option<BTreeMap<String, ()>> {
        match (&schema["enum"], schema.get("const")) {
            (Value::Array(values), _) => Some(values.iter().map(|value| (value.to_string(), ())).collect()),
            (_, Some(only)) => Some([(only.to_string(), ())].into()),
            _ => None,
        }
    };
    match (listed(old), listed(new)) {
        (Some(before), Some(after)) => {
            for value in before.keys().filter(|value| !after.contains_key(*value)) {
                found.breaking(place, format!("has no value {value} any more"));
            }
            for value in after.keys().filter(|value| !before.contains_key(*value)) {
                found.added(place, format!("has the new value {value}"));
            }
        }
        (None, Some(_)) => found.breaking(place, "is one of certain values now"),
        (Some(_), None) => found.added(place, "is any value now"),
        (None, None) => {}
    }
}

fn bounds(found: &mut Found, place: &str, old: &Value, new: &Value) {
    let number = |schema: &Value, bound: &str| schema[bound].as_f64();
    for (names, tighter) in [(LEAST, (|old, new| new > old) as fn(f64, f64) -> bool), (MOST, |old, new| new < old)] {
        for bound in names {
            match (number(old, bound), number(new, bound)) {
                (None, Some(new)) => found.breaking(place, format!("has a {bound} of {new} now")),
                (Some(old), Some(new)) if tighter(old, new) => {
                    found.breaking(place, format!("has a {bound} of {new} instead of {old}"));
                }
                (old, new) if old != new => found.added(place, format!("has a wider {bound}")),
                _ => {}
            }
        }
    }
    for rule in RULES.iter().filter(|rule| old[**rule] != new[**rule]) {
        match new[*rule].is_null() {
            true => found.added(place, format!("has no {rule} any more")),
            false => found.breaking(place, format!("has another {rule}")),
        }
    }
}
