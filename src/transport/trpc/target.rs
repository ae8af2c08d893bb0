//! What an HTTP request under `/trpc` asks for, read from its address and its body. Pure, and nothing in it panics.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    actors::encoding::Encoding,
    api::problem::{self, Problem},
    transport::{query, values},
};

use super::BATCH_MAX;

/// What an address asks for.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// The names of the procedures.
    pub paths: Vec<String>,
    /// Whether the answer is a list.
    pub batched: bool,
    /// The token of the connection parameters.
    pub token: Option<String>,
    /// Where a subscription goes on.
    pub last_event_id: Option<String>,
    input: Option<String>,
}

impl Target {
    /// Reads an address: the path below `/trpc/`, and the query.
    ///
    /// # Errors
    /// When it is no address of tRPC's, or asks for too much at once.
    pub fn read(path: &str, query: &str) -> Result<Self, Problem> {
        // In a path a plus is a plus.
        let path = query::decoded(&path.replace('+', "%2B"))?;
        let mut fields = query::fields(query, &BTreeSet::new())?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let batched = text("batch").is_some_and(|batch| batch == "1");
        let paths: Vec<String> = match batched {
            true => path.split(',').map(str::to_owned).collect(),
            false => vec![path],
        };
        if paths.len() > BATCH_MAX {
            return Err(Problem::new(problem::INVALID_INPUT, format!("at most {BATCH_MAX} calls in one batch")));
        }
        let token =
            text("connectionParams").map(|params| values::parse(Encoding::Json, params.as_bytes())).transpose()?;
        let last_event_id = text("lastEventId").or_else(|| text("Last-Event-Id"));
        Ok(Self { paths, batched, token: token.as_ref().and_then(token_of), last_event_id, input: text("input") })
    }

    /// Returns the inputs of the calls, in order: from the body, or from the address when there is none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn inputs(&self, body: Option<&[u8]>) -> Result<Vec<Value>, Problem> {
        let text = body.or(self.input.as_deref().map(str::as_bytes)).unwrap_or_default();
        let given = if text.is_empty() { Value::Null } else { values::parse(Encoding::Json, text)? };
        if !self.batched {
            return Ok(vec![given]);
        }
        let mut given = match given {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => {
                return Err(Problem::new(problem::INVALID_INPUT, "the input of a batch must be an object by position"));
            }
        };
        Ok((0..self.paths.len()).map(|nth| given.remove(&nth.to_string()).unwrap_or_default()).collect())
    }
}

/// Returns the token of connection parameters: `{token}` or `{authorization: "Bearer …"}`.
pub fn token_of(params: &Value) -> Option<String> {
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let bearer =
        |value: &str| value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")).unwrap_or(value).to_owned();
    let authorization = text("authorization").or(text("Authorization"));
    text("token").or(authorization).map(bearer)
}

/// Puts the id of the last event that was seen into the input of a subscription.
pub fn resumed(input: Value, last_event_id: Option<String>) -> Value {
    let Some(id) = last_event_id.filter(|id| !id.is_empty()) else { return input };
    match input {
        Value::Object(mut fields) => {
            fields.insert("lastEventId".into(), id.into());
            Value::Object(fields)
        }
        Value::Null => Value::Object(Map::from_iter([("lastEventId".to_owned(), id.into())])),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(path: &str, query: &str) -> Target {
        Target::read(path, query).unwrap()
    }

    #[test]
    fn a_single_call_is_read() {
        let target = read("projects.list", "input=%7B%22a%22%3A1%7D");
        assert_eq!((target.paths.as_slice(), target.batched), (["projects.list".to_owned()].as_slice(), false));
        assert_eq!(target.inputs(None), Ok(vec![json!({"a": 1})]));
        assert_eq!(read("auth.me", "").inputs(None), Ok(vec![Value::Null]));
        assert_eq!(read("a.b", "").inputs(Some(br#"{"x":2}"#)), Ok(vec![json!({"x": 2})]));
    }

    #[test]
    fn a_batch_is_read_by_position_and_what_is_missing_is_nothing() {
        let target = read("a.b,c.d,e.f", "batch=1&input=%7B%220%22%3A%7B%7D%2C%222%22%3A%7B%22x%22%3A1%7D%7D");
        assert_eq!(target.inputs(None), Ok(vec![json!({}), Value::Null, json!({"x": 1})]));
        assert_eq!(read("a.b%2Cc.d", "batch=1").paths.len(), 2);
        assert_eq!(read("a.b,c.d", "").paths, ["a.b,c.d"]);
        assert_eq!(target.inputs(Some(b"[]")).unwrap_err().code, "invalid_input");
        assert_eq!(target.inputs(Some(b"{")).unwrap_err().code, "malformed");
    }

    #[test]
    fn a_batch_has_a_bound() {
        let paths = |n: usize| vec!["a.b"; n].join(",");
        assert!(Target::read(&paths(BATCH_MAX), "batch=1").is_ok());
        assert_eq!(Target::read(&paths(BATCH_MAX + 1), "batch=1").unwrap_err().code, "invalid_input");
    }

    #[test]
    fn a_token_is_found_in_the_connection_parameters() {
        for params in [r#"{"token":"x"}"#, r#"{"authorization":"Bearer x"}"#, r#"{"Authorization":"bearer x"}"#] {
            let encoded: String = params.bytes().map(|byte| format!("%{byte:02x}")).collect();
            assert_eq!(read("a.b", &format!("connectionParams={encoded}")).token.as_deref(), Some("x"), "{params}");
        }
        assert_eq!(read("a.b", "connectionParams=null").token, None);
        assert!(Target::read("a.b", "connectionParams={").is_err());
    }

    #[test]
    fn a_subscription_goes_on_after_the_last_event() {
        assert_eq!(resumed(json!({"a": 1}), Some("7".into())), json!({"a": 1, "lastEventId": "7"}));
        assert_eq!(resumed(Value::Null, Some("7".into())), json!({"lastEventId": "7"}));
        assert_eq!(resumed(json!({"a": 1}), Some(String::new())), json!({"a": 1}));
        assert_eq!(resumed(json!({"a": 1}), None), json!({"a": 1}));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(path in ".{0,80}", query in ".{0,80}", body in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(target) = Target::read(&path, &query) {
                let calls = target.paths.len();
                if let Ok(inputs) = target.inputs(Some(&body)) {
                    prop_assert_eq!(inputs.len(), calls);
                }
                let _ = target.inputs(None);
            }
        }
    }
}
