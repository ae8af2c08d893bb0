//! Whether an answer is as its question wants it: the part of JSON Schema that questions use. Words of a schema that are
//! not known here ask for nothing; a schema is an agent's, and a wrong one must not keep a person from answering.

use serde_json::Value;

/// How deep a schema is followed.
const DEPTH_MAX: usize = 16;

/// Checks a value against a schema.
///
/// # Errors
/// In words, what is wrong and where.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, value, "the answer", DEPTH_MAX)
}

fn at(schema: &Value, value: &Value, place: &str, depth: usize) -> Result<(), String> {
    let (Some(schema), true) = (schema.as_object(), depth > 0) else { return Ok(()) };
    for (word, wanted) in schema {
        match word.as_str() {
            "type" => is_type(wanted, value, place)?,
            "enum" => {
                if let Some(known) = wanted.as_array().filter(|known| !known.contains(value)) {
                    let known: Vec<String> = known.iter().take(10).map(Value::to_string).collect();
                    return Err(format!("{place} must be one of {}", known.join(", ")));
                }
            }
            "const" if wanted != value => return Err(format!("{place} must be {wanted}")),
            "anyOf" | "oneOf" => any(wanted, value, place, depth)?,
            "allOf" => {
                for part in wanted.as_array().into_iter().flatten() {
                    at(part, value, place, depth - 1)?;
                }
            }
            "required" => has_all(wanted, value, place)?,
            "properties" => {
                for (name, part) in wanted.as_object().into_iter().flatten() {
                    if let Some(field) = value.get(name) {
                        at(part, field, &format!("`{name}`"), depth - 1)?;
                    }
                }
            }
            "items" => {
                for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(wanted, item, &format!("item {} of {place}", nth + 1), depth - 1)?;
                }
            }
            bound => within(bound, wanted, value, place)?,
        }
    }
    Ok(())
}

fn is_type(wanted: &Value, value: &Value, place: &str) -> Result<(), String> {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    let fits = wanted.as_array().map_or_else(|| is(wanted), |several| several.iter().any(is));
    if fits { Ok(()) } else { Err(format!("{place} must be of type {}", wanted.to_string().replace('"', ""))) }
}

fn any(wanted: &Value, value: &Value, place: &str, depth: usize) -> Result<(), String> {
    let Some(several) = wanted.as_array().filter(|several| !several.is_empty()) else { return Ok(()) };
    let mut wrong = vec![];
    for part in several {
        match at(part, value, place, depth - 1) {
            Ok(()) => return Ok(()),
            Err(why) => wrong.push(why),
        }
    }
    Err(wrong.join(", or "))
}

fn has_all(wanted: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else { return Ok(()) };
    let missing = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
    match missing.into_iter().find(|name| !fields.contains_key(*name)) {
        Some(name) => Err(format!("{place} lacks `{name}`")),
        None => Ok(()),
    }
}

fn within(bound: &str, wanted: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(limit) = wanted.as_f64() else { return Ok(()) };
    let length = value.as_str().map(|text| text.chars().count() as f64);
    let count = value.as_array().map(|items| items.len() as f64);
    let (measured, least) = match bound {
        "minimum" => (value.as_f64(), true),
        "maximum" => (value.as_f64(), false),
        "minLength" => (length, true),
        "maxLength" => (length, false),
        "minItems" => (count, true),
        "maxItems" => (count, false),
        _ => return Ok(()),
    };
    match measured {
        Some(measured) if least && measured < limit => Err(format!("{place} must be at least {limit}")),
        Some(measured) if !least && measured > limit => Err(format!("{place} must be at most {limit}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_as_its_question_wants_it_or_it_is_said_what_is_wrong() {
        let approval = json!({
            "type": "object", "required": ["approve"],
            "properties": {"approve": {"type": "boolean"}, "message": {"type": "string", "maxLength": 5}},
        });
        assert_eq!(check(&approval, &json!({"approve": true, "message": "yes"})), Ok(()));
        for (answer, why) in [
            (json!("yes"), "the answer must be of type object"),
            (json!({}), "the answer lacks `approve`"),
            (json!({"approve": "yes"}), "`approve` must be of type boolean"),
            (json!({"approve": true, "message": "far too long"}), "`message` must be at most 5"),
        ] {
            assert_eq!(check(&approval, &answer), Err(why.to_owned()));
        }
        let choice = json!({"anyOf": [{"enum": ["red", "blue"]}, {"type": "array", "items": {"type": "integer", "minimum": 1}}]});
        assert_eq!(check(&choice, &json!("red")), Ok(()));
        assert_eq!(check(&choice, &json!([1, 2.0])), Ok(()));
        assert!(check(&choice, &json!([0])).unwrap_err().contains("item 1 of the answer must be at least 1"));
    }

    #[test]
    fn a_schema_that_is_none_keeps_nobody_from_answering() {
        for schema in
            [json!(null), json!("x"), json!({"type": 7, "enum": 3, "anyOf": [], "required": {}, "minimum": "x"})]
        {
            assert_eq!(check(&schema, &json!({"a": [1]})), Ok(()));
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..200 {
            deep = json!({"anyOf": [deep]});
        }
        assert_eq!(check(&deep, &json!(1)), Ok(()));
    }
}
