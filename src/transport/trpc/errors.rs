//! Problems as tRPC says errors: one of its keys and numbers, and the whole problem inside.

use serde_json::{Value, json};

use crate::api::problem::{self, Problem};

/// One of tRPC's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its number, as in JSON-RPC.
    pub number: i32,
    /// Its HTTP status.
    pub status: u16,
}

const PARSE_ERROR: Key = key("PARSE_ERROR", -32700, 400);
const BAD_REQUEST: Key = key("BAD_REQUEST", -32600, 400);
const INTERNAL_SERVER_ERROR: Key = key("INTERNAL_SERVER_ERROR", -32603, 500);
/// Those whose status says all.
const BY_STATUS: &[Key] = &[
    BAD_REQUEST,
    key("UNAUTHORIZED", -32001, 401),
    key("PAYMENT_REQUIRED", -32002, 402),
    key("FORBIDDEN", -32003, 403),
    key("NOT_FOUND", -32004, 404),
    key("METHOD_NOT_SUPPORTED", -32005, 405),
    key("TIMEOUT", -32008, 408),
    key("CONFLICT", -32009, 409),
    key("PRECONDITION_FAILED", -32012, 412),
    key("PAYLOAD_TOO_LARGE", -32013, 413),
    key("UNSUPPORTED_MEDIA_TYPE", -32015, 415),
    key("UNPROCESSABLE_CONTENT", -32022, 422),
    key("PRECONDITION_REQUIRED", -32028, 428),
    key("TOO_MANY_REQUESTS", -32029, 429),
    key("CLIENT_CLOSED_REQUEST", -32099, 499),
    INTERNAL_SERVER_ERROR,
    key("NOT_IMPLEMENTED", -32603, 501),
    key("BAD_GATEWAY", -32603, 502),
    key("SERVICE_UNAVAILABLE", -32603, 503),
    key("GATEWAY_TIMEOUT", -32603, 504),
];

const fn key(name: &'static str, number: i32, status: u16) -> Key {
    Key { name, number, status }
}

impl Key {
    /// Returns the key of a problem.
    pub fn of(problem: &Problem) -> Self {
        if problem.code == problem::MALFORMED.name {
            return PARSE_ERROR;
        }
        let rest = if problem.status < 500 { BAD_REQUEST } else { INTERNAL_SERVER_ERROR };
        BY_STATUS.iter().find(|key| key.status == problem.status).copied().unwrap_or(rest)
    }
}

/// Returns a problem as tRPC's error shape.
pub fn shape(problem: &Problem, path: Option<&str>) -> Value {
    let key = Key::of(problem);
    let mut data = json!({"code": key.name, "httpStatus": key.status, "problem": problem});
    if let Some(path) = path {
        data["path"] = json!(path);
    }
    json!({"message": problem.detail, "code": key.number, "data": data})
}

/// Returns the answer of a call that failed.
pub fn failure(problem: &Problem, path: Option<&str>) -> Value {
    json!({"error": shape(problem, path)})
}

#[cfg(test)]
mod tests {
    use crate::api::problem::CODES;

    use super::*;

    #[test]
    fn every_problem_has_a_key_with_its_own_status() {
        for code in CODES {
            let key = Key::of(&Problem::new(*code, "x"));
            assert_eq!(key.status, code.status, "{}", code.name);
        }
    }

    #[test]
    fn a_status_that_trpc_does_not_know_is_still_told() {
        let mut problem = Problem::new(problem::INTERNAL, "x");
        for (status, wanted) in [(418, BAD_REQUEST), (507, INTERNAL_SERVER_ERROR)] {
            problem.status = status;
            assert_eq!(Key::of(&problem), wanted);
        }
    }

    #[test]
    fn the_whole_problem_is_in_the_shape() {
        let problem = Problem::field("title", "too long");
        let shape = shape(&problem, Some("tasks.create"));
        assert_eq!(shape["code"], -32600);
        assert_eq!(shape["data"]["code"], "BAD_REQUEST");
        assert_eq!(shape["data"]["path"], "tasks.create");
        assert_eq!(shape["data"]["problem"]["errors"][0]["path"], "title");
    }
}
