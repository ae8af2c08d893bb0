//! Parts of inputs with bounds, so that what was parsed fits and the description says the same.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::domain::{
    ids::{Subject, UUID},
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    text::{Label, Text},
};

/// Describes a type wherever it is used.
macro_rules! described {
    ($name:ident, |$schemas:pat_param| $schema:expr) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema($schemas: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

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

described!(Secrets, |schemas| {
    let (name, secret) = (schemas.subschema_for::<Label>(), schemas.subschema_for::<Secret>());
    json_schema!({
        "type": "object", "maxProperties": SECRETS_MAX, "propertyNames": name, "additionalProperties": secret,
    })
});

/// The most permissions of one input, repeated ones counted.
const PERMISSIONS_MAX: usize = 16;

fn chosen(given: Vec<Permission>, from: Permissions) -> Result<Permissions, String> {
    if given.len() > PERMISSIONS_MAX {
        return Err(format!("has {} values: at most {PERMISSIONS_MAX}", given.len()));
    }
    let chosen: Permissions = given.into_iter().collect();
    match from.includes(chosen) {
        true => Ok(chosen),
        false => Err(format!("must be of {}", from.iter().map(Permission::name).collect::<Vec<_>>().join(", "))),
    }
}

fn choice(from: Permissions, least: usize) -> Schema {
    let names: Vec<_> = from.iter().map(Permission::name).collect();
    let items = json!({"type": "string", "enum": names});
    let mut schema = json_schema!({"type": "array", "items": items, "maxItems": PERMISSIONS_MAX});
    if least > 0 {
        schema.insert("minItems".into(), least.into());
    }
    schema
}

/// What a role of a workspace's own consists of.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Permission>")]
pub(super) struct InRole(pub Permissions);

impl TryFrom<Vec<Permission>> for InRole {
    type Error = String;
    fn try_from(given: Vec<Permission>) -> Result<Self, String> {
        chosen(given, Permissions::IN_ROLES).map(Self)
    }
}

described!(InRole, |_| choice(Permissions::IN_ROLES, 0));

/// What is granted on a single thing: at least one permission.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Permission>")]
pub(super) struct OnThing(pub Permissions);

impl TryFrom<Vec<Permission>> for OnThing {
    type Error = String;
    fn try_from(given: Vec<Permission>) -> Result<Self, String> {
        match given.is_empty() {
            true => Err("is empty: at least one is needed".into()),
            false => chosen(given, Permissions::ON_THINGS).map(Self),
        }
    }
}

described!(OnThing, |_| choice(Permissions::ON_THINGS, 1));

/// A thing that something can be granted on.
#[derive(Deserialize)]
#[serde(try_from = "Subject")]
pub(super) struct Thing(pub Subject);

impl TryFrom<Subject> for Thing {
    type Error = &'static str;
    fn try_from(subject: Subject) -> Result<Self, Self::Error> {
        match subject {
            Subject::Project(_) | Subject::Task(_) | Subject::Conversation(_) => Ok(Self(subject)),
            Subject::Workspace(_)
            | Subject::Agent(_)
            | Subject::Session(_)
            | Subject::Document(_)
            | Subject::Webhook(_) => Err("must be project:ID, task:ID or conversation:ID"),
        }
    }
}

described!(Thing, |_| {
    json_schema!({
        "type": "string", "pattern": format!("^(project|task|conversation):{UUID}$"),
        "examples": ["task:0190f3c2-7b1e-7000-8000-000000000001"],
    })
});

/// What agents work on: a project or a task.
#[derive(Deserialize)]
#[serde(try_from = "Subject")]
pub(super) struct Work(pub Subject);

impl TryFrom<Subject> for Work {
    type Error = &'static str;
    fn try_from(subject: Subject) -> Result<Self, Self::Error> {
        match subject {
            Subject::Project(_) | Subject::Task(_) => Ok(Self(subject)),
            Subject::Workspace(_)
            | Subject::Conversation(_)
            | Subject::Agent(_)
            | Subject::Session(_)
            | Subject::Document(_)
            | Subject::Webhook(_) => Err("must be project:ID or task:ID"),
        }
    }
}

described!(Work, |_| {
    json_schema!({
        "type": "string", "pattern": format!("^(project|task):{UUID}$"),
        "examples": ["project:0190f3c2-7b1e-7000-8000-000000000001"],
    })
});

/// Somebody who can belong to a workspace: everybody but the parts of Link.
#[derive(Deserialize)]
#[serde(try_from = "Principal")]
pub(super) struct Somebody(pub Principal);

impl TryFrom<Principal> for Somebody {
    type Error = &'static str;
    fn try_from(who: Principal) -> Result<Self, Self::Error> {
        match who {
            Principal::Service(Service::Conductor | Service::Probe | Service::Courier) => {
                Err("must be user:ID, agent:ID, team:ID or service:ID")
            }
            who => Ok(Self(who)),
        }
    }
}

described!(Somebody, |_| {
    json_schema!({
        "type": "string", "pattern": format!("^(user|agent|team|service):{UUID}$"),
        "examples": ["user:0190f3c2-7b1e-7000-8000-000000000001"],
    })
});

/// A person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "Principal")]
pub(super) struct Person(pub Principal);

impl TryFrom<Principal> for Person {
    type Error = &'static str;
    fn try_from(who: Principal) -> Result<Self, Self::Error> {
        who.user().map(|_| Self(who)).ok_or("must be user:ID")
    }
}

described!(Person, |_| {
    json_schema!({
        "type": "string", "pattern": format!("^user:{UUID}$"),
        "examples": ["user:0190f3c2-7b1e-7000-8000-000000000001"],
    })
});

/// Somebody who can be in a team: a person or an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Principal")]
pub(super) struct Teammate(pub Principal);

impl TryFrom<Principal> for Teammate {
    type Error = &'static str;
    fn try_from(who: Principal) -> Result<Self, Self::Error> {
        match who {
            Principal::User(_) | Principal::Agent(_) => Ok(Self(who)),
            Principal::Team(_) | Principal::Service(_) => Err("must be user:ID or agent:ID"),
        }
    }
}

described!(Teammate, |_| {
    json_schema!({
        "type": "string", "pattern": format!("^(user|agent):{UUID}$"),
        "examples": ["agent:0190f3c2-7b1e-7000-8000-000000000001"],
    })
});

/// Tells `null` from absent.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
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

described!(Address, |_| {
    json_schema!({
        "type": "string", "minLength": 7, "maxLength": ADDRESS_LENGTH_MAX, "pattern": ADDRESS,
        "examples": ["http://127.0.0.1:8000"],
    })
});

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
