//! Single and batched calls over HTTP.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, Response, StatusCode,
        header::{self, HeaderName},
        request::Parts,
    },
    response::IntoResponse,
};
use futures::future::join_all;
use serde_json::Value;

use crate::{
    api::{
        Answer, Api, Kind,
        problem::{self, Problem},
    },
    transport::{Doors, hint, peer, rest},
};

use super::{
    errors::{Key, failure},
    sse, stream,
    target::Target,
    who::{Who, bearer, kind_of},
    ws,
};

const VARY: HeaderValue = HeaderValue::from_static("trpc-accept, accept");
const TRPC_ACCEPT: HeaderName = HeaderName::from_static("trpc-accept");

/// One call that waits to be made.
pub struct Call {
    /// The procedure.
    pub path: String,
    /// The method that the request has.
    pub method: Method,
    /// Its input.
    pub input: Value,
    /// The idempotency key of the request.
    pub key: Option<String>,
}

impl Call {
    /// Makes it.
    pub async fn make(self, api: &Api, who: &Who, trace: &str) -> Result<Answer, Problem> {
        let answer = async {
            let wanted = method(kind_of(api, &self.path)?);
            if wanted != self.method {
                let detail = format!("unsupported {}-request to the procedure \"{}\"", self.method, self.path);
                return Err(Problem::new(problem::METHOD_NOT_ALLOWED, detail));
            }
            let caller = who.caller(api, &self.path, self.key, trace)?;
            api.call(&self.path, caller, self.input).await
        };
        answer.await.map_err(|mut problem| {
            problem.trace_id = trace.to_owned();
            problem
        })
    }
}

fn method(kind: Kind) -> Method {
    match kind {
        Kind::Query => Method::GET,
        Kind::Mutation => Method::POST,
    }
}

/// Answers every request under `/trpc`.
pub async fn door(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if ws::is_handshake(&parts) {
        return ws::upgrade(doors, parts).await;
    }
    let mut response = match parts.method {
        Method::HEAD => StatusCode::NO_CONTENT.into_response(),
        _ => {
            let trace = rest::trace_of(&parts.headers, &doors.api);
            answer(&doors, &parts, body, &trace).await.unwrap_or_else(|mut problem| {
                problem.trace_id = trace;
                refusal(&problem, None)
            })
        }
    };
    response.headers_mut().insert(header::VARY, VARY);
    response
}

async fn answer(doors: &Doors, parts: &Parts, body: Body, trace: &str) -> Result<Response<Body>, Problem> {
    let path = parts.uri.path().strip_prefix("/trpc").unwrap_or_default();
    let target = Target::read(path.strip_prefix('/').unwrap_or_default(), parts.uri.query().unwrap_or_default())?;
    let token = bearer(&parts.headers).or_else(|| target.token.clone());
    let who = Who::of(&doors.api, token, peer::of(&parts.extensions).address).await;
    if parts.method == Method::GET && !target.batched && accepts(&parts.headers, "text/event-stream") {
        return Ok(sse::open(doors, &target, &parts.headers, who, trace));
    }
    must_not_mix(&doors.api, &target)?;
    let calls = read(doors, parts, body, &target, &who).await?;
    if !target.batched {
        return Ok(single(&doors.api, calls, &who, trace).await);
    }
    if accepts(&parts.headers, "application/jsonl") {
        return Ok(stream::respond(doors.api.clone(), calls, who, trace.to_owned()));
    }
    Ok(batch(&doors.api, calls, &who, trace).await)
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let values = [TRPC_ACCEPT, header::ACCEPT].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.split(';').next().is_some_and(|part| part.trim() == kind))
}

fn must_not_mix(api: &Api, target: &Target) -> Result<(), Problem> {
    let mut kinds = target.paths.iter().filter_map(|path| kind_of(api, path).ok());
    let first = kinds.next();
    if first.is_some_and(|first| kinds.any(|kind| kind != first)) {
        return Err(Problem::new(problem::INVALID_INPUT, "a batch has either queries or mutations"));
    }
    Ok(())
}

async fn read(doors: &Doors, parts: &Parts, body: Body, target: &Target, who: &Who) -> Result<Vec<Call>, Problem> {
    let key = rest::key_of(&parts.headers)?;
    if key.is_some() && target.paths.len() > 1 {
        let detail = "one key cannot stand for several calls: give each its own as `key` in its input";
        return Err(Problem::field("Idempotency-Key", detail));
    }
    let wanted = target.paths.iter().any(|path| who.may_call(&doors.api, path));
    let bytes = match parts.method {
        Method::GET => None,
        _ if !wanted => {
            // A stranger's body is kept nowhere.
            rest::drop_body(body).await;
            Some(vec![])
        }
        _ => Some(rest::bytes_of(&parts.headers, body).await?),
    };
    let inputs = target.inputs(bytes.as_deref())?;
    let call = |(path, input): (&String, Value)| Call {
        path: path.clone(),
        method: parts.method.clone(),
        input,
        key: key.clone(),
    };
    Ok(target.paths.iter().zip(inputs).map(call).collect())
}

async fn single(api: &Api, calls: Vec<Call>, who: &Who, trace: &str) -> Response<Body> {
    let Some(call) = calls.into_iter().next() else {
        return refusal(&Problem::new(problem::INTERNAL, "a request without a call"), None);
    };
    let path = call.path.clone();
    match call.make(api, who, trace).await {
        Ok(Answer { body, offset, .. }) => {
            let mut response = Json(result(body)).into_response();
            if let Some(offset) = offset {
                response.headers_mut().insert(rest::OFFSET, HeaderValue::from(offset));
            }
            response
        }
        Err(problem) => {
            let mut response = refusal(&problem, Some(&path));
            if let (405, Ok(kind)) = (problem.status, kind_of(api, &path)) {
                response.headers_mut().insert(header::ALLOW, allowed(kind));
            }
            response
        }
    }
}

fn allowed(kind: Kind) -> HeaderValue {
    match kind {
        Kind::Query => HeaderValue::from_static("GET"),
        Kind::Mutation => HeaderValue::from_static("POST"),
    }
}

async fn batch(api: &Api, calls: Vec<Call>, who: &Who, trace: &str) -> Response<Body> {
    let answers = join_all(calls.into_iter().map(|call| async {
        let path = call.path.clone();
        match call.make(api, who, trace).await {
            Ok(answer) => (StatusCode::OK, result(answer.body)),
            Err(problem) => (status(&problem), failure(&problem, Some(&path))),
        }
    }));
    let (statuses, answers): (Vec<_>, Vec<_>) = answers.await.into_iter().unzip();
    let first = statuses.first().copied().unwrap_or(StatusCode::OK);
    let common = if statuses.iter().all(|status| *status == first) { first } else { StatusCode::MULTI_STATUS };
    (common, Json(Value::Array(answers))).into_response()
}

/// Wraps an answer as it is: the macro for JSON would copy it.
fn result(answer: Value) -> Value {
    let wrap = |name: &str, value| Value::Object([(name.to_owned(), value)].into_iter().collect());
    wrap("result", wrap("data", answer))
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(Key::of(problem).status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns a problem as the answer to a whole request.
pub fn refusal(problem: &Problem, path: Option<&str>) -> Response<Body> {
    let status = status(problem);
    let mut response = (status, Json(failure(problem, path))).into_response();
    hint(problem, response.headers_mut());
    response.headers_mut().insert(header::VARY, VARY);
    response
}
