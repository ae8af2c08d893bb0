//! What changed between two descriptions, and whether a client that was written for the old one breaks.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use schema::{Direction, Shapes};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether a client of the old description may break.
    pub breaking: bool,
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
}

/// The differences found so far.
#[derive(Default)]
struct Found(Vec<Change>);

impl Found {
    fn breaking(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Change { breaking: true, place: place.into(), what: what.into() });
    }

    fn added(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Change { breaking: false, place: place.into(), what: what.into() });
    }
}

/// Compares two descriptions. Words and examples do not count.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Found::default();
    let shapes = Shapes { old, new };
    let (before, after) = (operations(old), operations(new));
    for (place, old) in &before {
        match after.iter().find(|(other, _)| other == place) {
            None => found.breaking(place, "is gone"),
            Some((_, new)) => operation(&mut found, &shapes, place, old, new),
        }
    }
    for (place, _) in after.iter().filter(|(place, _)| before.iter().all(|(other, _)| other != place)) {
        found.added(place, "is new");
    }
    codes(&mut found, old, new);
    found.0
}

/// Tells whether the version of the new description allows a break: a new major one, or a new minor one while it is 0.x.
pub fn version_was_raised(old: &Value, new: &Value) -> bool {
    let line = |document: &Value| -> Option<(u64, u64)> {
        let mut numbers = document["info"]["version"].as_str()?.split('.').map(|number| number.parse::<u64>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some((major, if major == 0 { minor } else { 0 }))
    };
    match (line(old), line(new)) {
        (Some(old), Some(new)) => new > old,
        _ => false,
    }
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

fn operation(found: &mut Found, shapes: &Shapes<'_>, place: &str, old: &Value, new: &Value) {
    if old["operationId"] != new["operationId"] {
        found.breaking(place, format!("is called {} instead of {}", new["operationId"], old["operationId"]));
    }
    let open = |operation: &Value| operation["security"].as_array().is_none_or(Vec::is_empty);
    match (open(old), open(new)) {
        (true, false) => found.breaking(place, "needs a token now"),
        (false, true) => found.added(place, "needs no token any more"),
        _ => {}
    }
    parameters(found, shapes, place, old, new);
    body(found, shapes, place, &old["requestBody"], &new["requestBody"]);
    answers(found, shapes, place, old, new);
}

fn parameters(found: &mut Found, shapes: &Shapes<'_>, place: &str, old: &Value, new: &Value) {
    let listed = |operation: &Value| -> Vec<(String, Value)> {
        let all = operation["parameters"].as_array().cloned().unwrap_or_default();
        let name = |one: &Value| format!("{}.{}", text(&one["in"]), text(&one["name"]));
        all.into_iter().map(|one| (name(&one), one)).collect()
    };
    let (before, after) = (listed(old), listed(new));
    for (name, old) in &before {
        let place = format!("{place} {name}");
        let Some((_, new)) = after.iter().find(|(other, _)| other == name) else {
            found.breaking(&place, "is gone");
            continue;
        };
        match (old["required"] == true, new["required"] == true) {
            (false, true) => found.breaking(&place, "is required now"),
            (true, false) => found.added(&place, "is optional now"),
            _ => {}
        }
        shapes.compare(found, &place, &old["schema"], &new["schema"], Direction::Input);
    }
    for (name, new) in after.iter().filter(|(name, _)| before.iter().all(|(other, _)| other != name)) {
        let place = format!("{place} {name}");
        match new["required"] == true {
            true => found.breaking(&place, "is new and required"),
            false => found.added(&place, "is new"),
        }
    }
}

fn body(found: &mut Found, shapes: &Shapes<'_>, place: &str, old: &Value, new: &Value) {
    let place = format!("{place} body");
    let schema = |body: &Value| body["content"]["application/json"]["schema"].clone();
    match (old.is_null(), new.is_null()) {
        (true, true) => {}
        (false, true) => found.breaking(&place, "is gone"),
        (true, false) if new["required"] == true => found.breaking(&place, "is new and required"),
        (true, false) => found.added(&place, "is new"),
        (false, false) => {
            if old["required"] != true && new["required"] == true {
                found.breaking(&place, "is required now");
            }
            shapes.compare(found, &place, &schema(old), &schema(new), Direction::Input);
        }
    }
}

/// Successes are promises. Which problems an operation may have is not: `x-error-codes` of the whole is.
fn answers(found: &mut Found, shapes: &Shapes<'_>, place: &str, old: &Value, new: &Value) {
    let empty = Map::new();
    let successes = |operation: &'_ Value| -> BTreeSet<String> {
        let all = operation["responses"].as_object().unwrap_or(&empty);
        all.keys().filter(|status| status.starts_with('2')).cloned().collect()
    };
    let (before, after) = (successes(old), successes(new));
    for status in before.union(&after) {
        let place = format!("{place} {status}");
        let (old, new) = (&old["responses"][status], &new["responses"][status]);
        match (old.is_null(), new.is_null()) {
            (false, true) => found.breaking(&place, "is no answer any more"),
            (true, _) => found.breaking(&place, "is another answer than before"),
            (false, false) => {
                let schema = |answer: &Value| answer["content"]["application/json"]["schema"].clone();
                shapes.compare(found, &place, &schema(old), &schema(new), Direction::Output);
                for header in old["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
                    if new["headers"][header].is_null() {
                        found.breaking(&place, format!("has no header {header} any more"));
                    }
                }
            }
        }
    }
}

fn codes(found: &mut Found, old: &Value, new: &Value) {
    let listed = |document: &Value| document["x-error-codes"].as_array().cloned().unwrap_or_default();
    let (before, after) = (listed(old), listed(new));
    for old in &before {
        let place = format!("code {}", text(&old["code"]));
        match after.iter().find(|new| new["code"] == old["code"]) {
            None => found.breaking(&place, "is gone"),
            Some(new) if new["status"] != old["status"] => {
                found.breaking(&place, format!("has status {} instead of {}", new["status"], old["status"]));
            }
            Some(_) => {}
        }
    }
    for new in after.iter().filter(|new| before.iter().all(|old| old["code"] != new["code"])) {
        found.added(&format!("code {}", text(&new["code"])), "is new");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
