//! Answers where no router is. hyper answers what is no request by itself, with a head and nothing else; here that becomes a
//! problem like every other.

use axum::http::StatusCode;

use crate::api::problem::{self, Problem};

/// Writes a problem as a whole answer; the connection ends with it.
pub(super) fn answer(problem: &Problem) -> String {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry = if problem.retryable { "retry-after: 1\r\n" } else { "" };
    let body = serde_json::to_string(problem).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{retry}connection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Returns what to say instead of bytes that are an empty answer of hyper's. The router's refusals have bodies.
pub(super) fn instead_of(bytes: &[u8]) -> Option<String> {
    let head = bytes.strip_prefix(b"HTTP/1.1 4")?.strip_suffix(b"\r\n\r\n")?;
    let is_empty = head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end() == b"content-length: 0");
    let problem = match head.get(..2).filter(|_| is_empty)? {
        b"00" => Problem::new(problem::MALFORMED, "this is no request of HTTP/1.1")
            .then(&["Send HTTP/1.1, or have the proxy in front of Link send it"]),
        b"14" | b"31" => {
            let detail = "the line and the headers of a request may have 64 KiB together, and there may be 100 headers";
            let status = if head.starts_with(b"14") { StatusCode::URI_TOO_LONG } else { TOO_MANY_HEADERS };
            let problem = Problem::new(problem::TOO_LARGE, detail).then(&["Send fewer or shorter headers"]);
            Problem { status: status.as_u16(), ..problem }
        }
        _ => return None,
    };
    Some(answer(&problem))
}

const TOO_MANY_HEADERS: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_refusal_becomes_a_problem_and_nothing_else_does() {
        let empty = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\ndate: x\r\n\r\n");
        for (line, code) in [
            ("400 Bad Request", "malformed"),
            ("414 URI Too Long", "too_large"),
            ("431 Request Header Fields Too Large", "too_large"),
        ] {
            let said = instead_of(empty(line).as_bytes()).expect("it is one of hyper's");
            assert!(said.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{said}");
            let body = said.split_once("\r\n\r\n").expect("it has a body").1;
            let problem: Problem = serde_json::from_str(body).expect("it is a problem");
            assert_eq!((problem.code.as_str(), problem.status.to_string().as_str()), (code, &line[..3]));
        }
        let full = "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n";
        let body = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nmore";
        for other in [full, body, &empty("200 OK"), &empty("404 Not Found"), "HTTP/1.1 4", "", "\u{88}"] {
            assert_eq!(instead_of(other.as_bytes()), None, "{other}");
        }
    }
}
