//! REST: every operation at its method and path.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, get},
};
use futures::StreamExt;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use crate::{
    actors::encoding::Encoding,
    api::{
        Answer, Api, Caller, Identity, Method, Operation, openapi,
        problem::{self, Problem},
    },
    domain::permission::Permission,
};

use super::{
    Doors, peer, problem_response, query,
    values::{self, BYTES_MAX},
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);
/// Bytes of a refused body that are read before the connection is closed under its sender.
const DROPPED_MAX: usize = 8 * BYTES_MAX;
/// Says at which offset a change is readable.
pub(super) const OFFSET: HeaderName = HeaderName::from_static("link-offset");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the door has to know of an operation.
#[derive(Clone)]
struct Route {
    name: &'static str,
    method: Method,
    public: bool,
    /// Fields of the query that are no strings.
    typed: BTreeSet<String>,
}

/// Builds the routes of all operations.
pub fn routes(api: &Api) -> Router<Doors> {
    let mut paths: BTreeMap<&'static str, MethodRouter<Doors>> = BTreeMap::new();
    for operation in api.table().operations() {
        let route = Route {
            name: operation.name,
            method: operation.method,
            public: operation.permission == Permission::Public,
            typed: typed_fields(operation),
        };
        let filter = match operation.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        };
        let handler = move |State(doors): State<Doors>, request: Request| answer(doors, route.clone(), request);
        let known = paths.remove(operation.path).unwrap_or_default();
        paths.insert(operation.path, known.on(filter, handler));
    }
    let document = openapi::document(api.table());
    let described = get(async move || Json(document.clone()));
    let router = paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router.route("/openapi.json", described)
}

fn typed_fields(operation: &Operation) -> BTreeSet<String> {
    let mut schemas = SchemaGenerator::default();
    let schema = (operation.input)(&mut schemas).to_value();
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let definition = name.and_then(|name| schemas.definitions().get(name));
    let fields = definition.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let is_typed = |schema: &Value| {
        let kind = schema.get("type").map(Value::to_string).unwrap_or_default();
        kind.contains("integer") || kind.contains("boolean") || kind.contains("number")
    };
    fields.into_iter().flatten().filter(|(_, schema)| is_typed(schema)).map(|(name, _)| name.clone()).collect()
}

async fn answer(doors: Doors, route: Route, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let trace = trace_of(&parts.headers, &doors.api);
    let called = match read(&doors.api, &route, &mut parts, body, &trace).await {
        Ok((caller, input)) => doors.api.call(route.name, caller, input).await,
        Err(problem) => Err(problem),
    };
    match called {
        Ok(Answer { status, body, offset }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = (status, Json(body)).into_response();
            if let Some(offset) = offset {
                response.headers_mut().insert(OFFSET, HeaderValue::from(offset));
            }
            response
        }
        Err(mut problem) => {
            problem.trace_id = trace;
            problem_response(problem)
        }
    }
}

async fn read(
    api: &Api,
    route: &Route,
    parts: &mut Parts,
    body: Body,
    trace: &str,
) -> Result<(Caller, Value), Problem> {
    let identity = match route.public {
        true => None,
        false => match identity_of(&parts.headers, api).await {
            Ok(identity) => Some(identity),
            Err(problem) => {
                // A stranger's body is kept nowhere.
                drop_body(body).await;
                return Err(problem);
            }
        },
    };
    let key = key_of(&parts.headers)?;
    let mut fields = match route.method {
        Method::Get => Map::new(),
        Method::Post | Method::Patch | Method::Delete => body_of(&parts.headers, body).await?,
    };
    if matches!(route.method, Method::Get | Method::Delete) {
        for (name, value) in query::fields(parts.uri.query().unwrap_or_default(), &route.typed)? {
            if fields.insert(name.clone(), value).is_some() {
                return Err(Problem::field(name, "is given twice"));
            }
        }
    }
    let path = RawPathParams::from_request_parts(parts, &()).await;
    let path = path.map_err(|_| Problem::new(problem::MALFORMED, "the path is not valid UTF-8"))?;
    for (name, value) in &path {
        let value = Value::from(value);
        if fields.get(name).is_some_and(|given| *given != value) {
            return Err(Problem::field(name, "differs from the path"));
        }
        fields.insert(name.to_owned(), value);
    }
    let address = peer::of(&parts.extensions).address;
    Ok((Caller { identity, key, trace: trace.to_owned(), address }, Value::Object(fields)))
}

/// Finds out whose token it is.
pub(super) async fn identity_of(headers: &HeaderMap, api: &Api) -> Result<Identity, Problem> {
    let value = headers.get(header::AUTHORIZATION);
    let value = value.ok_or_else(|| Problem::new(problem::UNAUTHENTICATED, "a valid token is needed"))?;
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ").or(text.strip_prefix("bearer ")));
    api.identify(token.unwrap_or_default()).await
}

/// Returns the idempotency key, if there is one.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().map(str::to_owned));
    key.transpose().map_err(|_| Problem::field("Idempotency-Key", "must be ASCII"))
}

/// Lets a client say what nobody will read.
pub(super) async fn drop_body(body: Body) {
    let _ = tokio::time::timeout(BODY_TIMEOUT, collect(body, 0)).await;
}

/// Reads a body; nothing when it is longer than it may be. Much of the rest is read and dropped, since a client that is
/// still writing when the connection closes does not hear why.
async fn collect(body: Body, bytes_max: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        seen += piece.len();
        if seen <= bytes_max {
            kept.extend_from_slice(&piece);
        } else if seen > DROPPED_MAX {
            break;
        }
    }
    Ok((seen <= bytes_max).then_some(kept))
}

async fn body_of(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Problem> {
    let bytes = bytes_of(headers, body).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match values::parse(Encoding::Json, &bytes)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Problem::new(problem::INVALID_INPUT, "the body must be a JSON object")),
    }
}

/// Reads a body that is JSON, if there is one.
pub(super) async fn bytes_of(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, collect(body, BYTES_MAX)).await;
    let bytes = bytes.map_err(|_| Problem::new(problem::MALFORMED, "the body did not arrive in time"))?;
    let bytes = bytes.map_err(|_| Problem::new(problem::MALFORMED, "the body broke off"))?;
    let too_large = || Problem::new(problem::TOO_LARGE, format!("the body is larger than {BYTES_MAX} bytes"));
    let bytes = bytes.ok_or_else(too_large)?;
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(problem::UNSUPPORTED_MEDIA, "the body must be application/json"));
    }
    Ok(bytes)
}

/// Takes the trace of a W3C `traceparent`, or makes one.
pub(super) fn trace_of(headers: &HeaderMap, api: &Api) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let id = given.and_then(|text| text.split('-').nth(1));
    match id.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0')) {
        Some(id) => id.to_ascii_lowercase(),
        None => api.services().context().clock.id::<uuid::Uuid>().simple().to_string(),
    }
}
