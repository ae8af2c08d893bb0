//! The login by another provider, as a browser sees it: two addresses, a cookie and redirects.

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
    routing::get,
};

use crate::api::{
    Caller,
    oidc::{Cookie, Finished, Returned},
    problem::{self, Problem},
};

use super::{Doors, peer, problem_response, query, rest};

/// Builds both addresses.
pub fn routes() -> Router<Doors> {
    Router::new().route("/start", get(start)).route("/callback", get(callback))
}

async fn start(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let caller = caller_of(&doors, &request.into_parts().0);
    let begun = doors.api.begin_oidc(&caller).await;
    let answer = begun.and_then(|begun| with_cookie(away(&begun.location)?, &begun.cookie));
    answer.unwrap_or_else(|problem| refused(problem, caller.trace))
}

async fn callback(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let caller = caller_of(&doors, &parts);
    let trace = caller.trace.clone();
    finish(&doors, caller, &parts).await.unwrap_or_else(|problem| refused(problem, trace))
}

async fn finish(doors: &Doors, caller: Caller, parts: &Parts) -> Result<Response<Body>, Problem> {
    let mut fields = query::fields(parts.uri.query().unwrap_or_default(), &Default::default())?;
    let mut field = |name: &str| fields.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let state = field("state").unwrap_or_default();
    let mut cookie = doors.api.oidc_cookie(&state)?;
    let browser = cookie_of(&parts.headers, &cookie.name);
    let returned = Returned { state, browser, code: field("code"), error: field("error"), issuer: field("iss") };
    let answer = match doors.api.finish_oidc(caller, returned).await? {
        Finished::Here(tokens) => Json(tokens).into_response(),
        Finished::Elsewhere(location) => away(&location)?,
    };
    cookie.life = chrono::TimeDelta::zero();
    with_cookie(answer, &cookie)
}

fn caller_of(doors: &Doors, parts: &Parts) -> Caller {
    let trace = rest::trace_of(&parts.headers, &doors.api);
    Caller { trace, address: peer::of(&parts.extensions).address, ..Caller::default() }
}

fn refused(mut problem: Problem, trace: String) -> Response<Body> {
    problem.trace_id = trace;
    problem_response(problem)
}

fn away(location: &str) -> Result<Response<Body>, Problem> {
    let location = HeaderValue::try_from(location).map_err(|_| unwritable())?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

fn with_cookie(mut answer: Response<Body>, cookie: &Cookie) -> Result<Response<Body>, Problem> {
    let Cookie { name, value, secure, life } = cookie;
    let secure = if *secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly{secure}; SameSite=Lax", life.num_seconds());
    let text = HeaderValue::try_from(text).map_err(|_| unwritable())?;
    answer.headers_mut().append(header::SET_COOKIE, text);
    Ok(answer)
}

fn unwritable() -> Problem {
    Problem::new(problem::INTERNAL, "the answer cannot be written as a header")
}

fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}
