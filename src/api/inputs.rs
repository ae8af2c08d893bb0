//! Collections of an input with a bound, so that what was parsed fits and the description says the same.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, json};

use crate::domain::text::{Label, Text};

/// At most `MAX` different values.
#[derive(Clone, Debug)]
pub(super) struct Few<T, const MAX: usize>(pub BTreeSet<T>);

impl<T, const MAX: usize> Default for Few<T, MAX> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<'de, T: Deserialize<'de> + Ord, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = Vec::<T>::deserialize(from)?;
        let count = given.len();
        if count > MAX {
            return Err(D::Error::custom(format!("has {count} values: at most {MAX}")));
        }
        let different: BTreeSet<T> = given.into_iter().collect();
        if different.len() < count {
            return Err(D::Error::custom("has a value twice"));
        }
        Ok(Self(different))
    }
}

impl<T: JsonSchema, const MAX: usize> JsonSchema for Few<T, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Few_{}_{MAX}", T::schema_name()).into()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let items = schemas.subschema_for::<T>();
        json_schema!({"type": "array", "items": items, "maxItems": MAX, "uniqueItems": true})
    }
}

/// JSON knows one kind of number: `1.0` is the whole number 1.
pub(super) fn make_whole(value: &mut Value) {
    /// Above this not every whole number is a number of its own in floating point.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX);
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Says that exactly one of several fields is given, the others being left out or `null`.
pub(super) fn exactly_one(schema: &mut Schema, fields: &[&str]) {
    let only = |given: &&str| -> Value {
        let kind = |field: &&str| json!({"type": if field == given { "string" } else { "null" }});
        let kinds: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), kind(field))).collect();
        json!({"required": [given], "properties": kinds})
    };
    schema.insert("oneOf".into(), fields.iter().map(only).collect());
}

/// The most secrets of one instance.
const SECRETS_MAX: usize = 8;
type Secret = Text<1, 4096>;

/// Secrets by name.
#[derive(Clone, Default)]
pub(super) struct Secrets(pub BTreeMap<Label, Secret>);

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<Label, Secret>::deserialize(from)?;
        match given.len() {
            0..=SECRETS_MAX => Ok(Self(given)),
            count => Err(D::Error::custom(format!("has {count} secrets: at most {SECRETS_MAX}"))),
        }
    }
}

impl JsonSchema for Secrets {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Secrets".into()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let (name, secret) = (schemas.subschema_for::<Label>(), schemas.subschema_for::<Secret>());
        json_schema!({
            "type": "object", "maxProperties": SECRETS_MAX, "propertyNames": name, "additionalProperties": secret,
        })
    }
}

/// The longest address of an agent's server.
const ADDRESS_LENGTH_MAX: usize = 4096;
/// What an address looks like. Whether its host and port can be is seen when it is parsed.
const ADDRESS: &str = r"^(https?://[^\s\u0000-\u0020\u007f-\u009f\ufeff@\\/?#]+[^\s\u0000-\u0020\u007f-\u009f\ufeff]*|script:[^\u0000]*)$";

/// Where an agent's server is: an address without a user name, or a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address(String);

impl Address {
    /// Returns it as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether it is a script.
    pub fn is_script(&self) -> bool {
        self.0.starts_with("script:")
    }
}

impl TryFrom<String> for Address {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
        let is_script = text.starts_with("script:") && !text.contains('\0');
        let rest = text.strip_prefix("http://").or(text.strip_prefix("https://"));
        let is_address = rest.is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            !host.is_empty() && !host.contains(['@', '\\']) && !rest.contains(blank)
        });
        let is_address = is_address && reqwest::Url::parse(&text).is_ok_and(|url| url.has_host());
        match (is_script || is_address) && text.chars().count() <= ADDRESS_LENGTH_MAX {
            true => Ok(Self(text)),
            false => Err("must be http://… or https://… without user name and blanks; `script:…` for scripted agents"),
        }
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 7, "maxLength": ADDRESS_LENGTH_MAX, "pattern": ADDRESS,
            "examples": ["http://127.0.0.1:8000"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_exists_fits_and_holds_nothing_twice() {
        let few =
            |json: &str| serde_json::from_str::<Few<u8, 2>>(json).map(|few| few.0.len()).map_err(|e| e.to_string());
        assert_eq!(few("[1, 2]"), Ok(2));
        assert!(few("[1, 2, 3]").is_err_and(|why| why.contains("at most 2")));
        assert!(few("[1, 1]").is_err_and(|why| why.contains("twice")));
        let secrets = |count: u8| (0..count).map(|nth| (nth.to_string(), "x")).collect::<BTreeMap<_, _>>();
        let read = |count| serde_json::from_value::<Secrets>(json!(secrets(count)));
        assert!(read(8).is_ok() && read(9).is_err());
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let mut value = serde_json::from_str("[1.0, -2e3, 0.5, 1e300]").expect("they are numbers");
        make_whole(&mut value);
        assert_eq!(value, json!([1, -2000, 0.5, 1e300]));
    }

    #[test]
    fn an_address_is_one_that_can_be_called() {
        for good in
            ["http://127.0.0.1:8000", "https://penguin.example.org/a/@b?c#d", "http://[::1]:80/", "script:say Hello."]
        {
            assert!(Address::try_from(good.to_owned()).is_ok(), "{good}");
        }
        let long = format!("script:{}", "x".repeat(4096));
        for bad in [
            "",
            "http://",
            "HTTP://x",
            "http:x",
            "ftp://x",
            "http://a:b@c",
            "http://a b",
            "http://a:99999",
            "http://a\\b",
            &long,
        ] {
            assert!(Address::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
