//! What a client may say on a socket, and what is said back. Pure, and nothing in it panics.

use serde_json::{Value, json};

use crate::{
    actors::encoding::Encoding,
    api::{
        Kind,
        problem::{self, Problem},
    },
    transport::{
        values,
        ws::client_frame::{ID_LENGTH_MAX, is_small},
    },
};

use super::{BATCH_MAX, errors, target};

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// Do something.
    Call {
        /// The client's name for it.
        id: Value,
        /// What it takes the procedure for.
        kind: Kind,
        /// The procedure.
        path: String,
        /// Its input.
        input: Value,
    },
    /// Send me what happens.
    Subscribe {
        /// The client's name for it.
        id: Value,
        /// The procedure.
        path: String,
        /// Its input.
        input: Value,
    },
    /// Send me no more of it.
    Stop {
        /// The client's name for it.
        id: Value,
    },
}

/// A message that cannot be followed, and the id it had, as far as it can be read.
#[derive(Debug, PartialEq)]
pub struct Refused {
    /// The client's name for it, or null.
    pub id: Value,
    /// Why.
    pub problem: Problem,
}

/// Reads a frame: one message, or a batch of them.
pub fn read(frame: &str) -> Vec<Result<Message, Refused>> {
    let refused = |problem| vec![Err(Refused { id: Value::Null, problem })];
    match values::parse(Encoding::Json, frame.as_bytes()) {
        Err(problem) => refused(problem),
        Ok(Value::Array(messages)) if messages.len() > BATCH_MAX => {
            refused(Problem::new(problem::INVALID_INPUT, format!("at most {BATCH_MAX} messages in one frame")))
        }
        Ok(Value::Array(messages)) => messages.into_iter().map(message).collect(),
        Ok(single) => vec![message(single)],
    }
}

/// Reads the token of the first frame, where the client announced one.
///
/// # Errors
/// When the frame says something else.
pub fn connection_params(frame: &str) -> Result<Option<String>, Problem> {
    let frame = values::parse(Encoding::Json, frame.as_bytes())?;
    if frame.get("method").and_then(Value::as_str) != Some("connectionParams") {
        return Err(Problem::new(problem::INVALID_INPUT, "the first message must be connectionParams"));
    }
    Ok(frame.get("data").and_then(target::token_of))
}

fn message(mut value: Value) -> Result<Message, Refused> {
    let id = value.get("id").cloned().unwrap_or_default();
    if id.is_null() || !is_small(&id) {
        let detail = format!("must be a number or at most {ID_LENGTH_MAX} bytes of text");
        return Err(Refused { id: Value::Null, problem: Problem::field("id", detail) });
    }
    let refused = |path: &str, why: &str| Err(Refused { id: id.clone(), problem: Problem::field(path, why) });
    let method = value.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
    if method == "subscription.stop" {
        return Ok(Message::Stop { id });
    }
    let mut params = value.get_mut("params").map(Value::take).unwrap_or_default();
    let Some(path) = params.get("path").and_then(Value::as_str).map(str::to_owned) else {
        return refused("params.path", "must be the name of a procedure");
    };
    let input = params.get_mut("input").map(Value::take).unwrap_or_default();
    let kind = match method.as_str() {
        "query" => Kind::Query,
        "mutation" => Kind::Mutation,
        "subscription" => {
            let last = params.get("lastEventId").and_then(Value::as_str).map(str::to_owned);
            return Ok(Message::Subscribe { id, path, input: target::resumed(input, last) });
        }
        _ => return refused("method", "must be query, mutation, subscription or subscription.stop"),
    };
    Ok(Message::Call { id, kind, path, input })
}

/// Says what a call brought.
pub fn done(id: &Value, data: &Value) -> Value {
    json!({"id": id, "result": {"type": "data", "data": data}})
}

/// Says what went wrong.
pub fn failed(id: &Value, problem: &Problem, path: Option<&str>) -> Value {
    json!({"id": id, "error": errors::shape(problem, path)})
}

/// Says that a subscription has begun.
pub fn started(id: &Value) -> Value {
    json!({"id": id, "result": {"type": "started"}})
}

/// Says that a subscription has ended.
pub fn stopped(id: &Value) -> Value {
    json!({"id": id, "result": {"type": "stopped"}})
}

/// Says that something happened; `data` is JSON already.
pub fn tracked(id: &Value, offset: u64, data: &str) -> String {
    format!(r#"{{"id":{id},"result":{{"type":"data","id":"{offset}","data":{{"id":"{offset}","data":{data}}}}}}}"#)
}

/// Asks the client to connect anew and to move its subscriptions over.
pub fn reconnect() -> Value {
    json!({"id": null, "method": "reconnect"})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_alone_and_in_batches() {
        let call = json!({"id": 1, "method": "query", "params": {"path": "auth.me"}});
        let wanted = Message::Call { id: json!(1), kind: Kind::Query, path: "auth.me".into(), input: Value::Null };
        assert_eq!(read(&call.to_string()), [Ok(wanted)]);
        let params = json!({"path": "workspaces.events", "input": {"a": 1}, "lastEventId": "9"});
        let batch =
            json!([{"id": "x", "method": "subscription", "params": params}, {"id": 3, "method": "subscription.stop"}]);
        let input = json!({"a": 1, "lastEventId": "9"});
        let subscribe = Message::Subscribe { id: json!("x"), path: "workspaces.events".into(), input };
        assert_eq!(read(&batch.to_string()), [Ok(subscribe), Ok(Message::Stop { id: json!(3) })]);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_under_its_own_id() {
        for (frame, id, code) in [
            (json!({"id": 1, "method": "query"}), json!(1), "invalid_input"),
            (json!({"id": 1, "method": "dance", "params": {"path": "a.b"}}), json!(1), "invalid_input"),
            (json!({"method": "query", "params": {"path": "a.b"}}), Value::Null, "invalid_input"),
            (
                json!({"id": "x".repeat(1_000), "method": "query", "params": {"path": "a.b"}}),
                Value::Null,
                "invalid_input",
            ),
            (json!({"id": {}, "method": "query", "params": {"path": "a.b"}}), Value::Null, "invalid_input"),
            (json!(7), Value::Null, "invalid_input"),
            (json!(vec![json!({}); BATCH_MAX + 1]), Value::Null, "invalid_input"),
        ] {
            let read = read(&frame.to_string());
            let refused = read[0].as_ref().unwrap_err();
            assert_eq!((&refused.id, refused.problem.code.as_str()), (&id, code), "{frame}");
        }
        assert_eq!(read("{")[0].as_ref().unwrap_err().problem.code, "malformed");
    }

    #[test]
    fn the_token_is_in_the_first_message() {
        let first = |data: Value| connection_params(&json!({"method": "connectionParams", "data": data}).to_string());
        assert_eq!(first(json!({"token": "x"})), Ok(Some("x".into())));
        assert_eq!(first(Value::Null), Ok(None));
        assert!(connection_params(r#"{"method":"query"}"#).is_err());
    }

    #[test]
    fn an_event_is_tracked_by_its_offset() {
        let frame: Value = serde_json::from_str(&tracked(&json!("a\"b"), 7, r#"{"x":1}"#)).unwrap();
        let data = json!({"id": "7", "data": {"x": 1}});
        assert_eq!(frame, json!({"id": "a\"b", "result": {"type": "data", "id": "7", "data": data}}));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_panics(frame in r#"[\[\]{}":,a-z0-9 ]{0,120}|.{0,60}"#) {
            let _ = read(&frame);
            let _ = connection_params(&frame);
        }
    }
}
