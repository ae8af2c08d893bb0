//! The fake's routes.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::{Shared, run};

type TheWorld = State<Arc<Shared>>;
type Params = Query<HashMap<String, String>>;

/// Puts the routes together.
pub fn routes(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/health", get(health))
        .route("/capabilities", get(async || Json(json!({"version": "0.9.3", "model": "stub/stub-1"}))))
        .route("/session", get(search).post(create))
        .route("/session/status", get(status))
        .route("/session/{id}/message", get(messages))
        .route("/session/{id}/abort", post(abort))
        .route("/conversations/{id}/history", get(history))
        .route("/chat/message", post(chat))
        .route("/link/chat-request", get(receipt))
        .route("/link/chat-request/cancel", post(cancel))
        .route("/events/sse", get(events))
        .route("/permission", get(permissions))
        .route("/question", get(questions))
        .route("/approvals/{id}/{verb}", post(decide))
        .route("/question/{id}/reply", post(reply))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared);
    Router::new().nest("/api/v1", api)
}

/// Keys, faults and counting, before any route.
async fn guard(State(shared): TheWorld, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let named =
        ["chat/message", "chat-request/cancel", "chat-request", "abort", "events/sse", "history", "session/status"];
    let named = named.iter().find(|name| path.contains(**name)).copied().unwrap_or("other");
    let key = request.headers().get("X-API-Key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let refused = shared.edit(|world| {
        if let Some(times) = world.broken.get_mut(named).filter(|times| **times > 0) {
            *times -= 1;
            return Some((StatusCode::INTERNAL_SERVER_ERROR, "broken"));
        }
        let (ordinary, link) = world.keys.clone()?;
        let links_own = path.contains("/link/") || named == "chat/message";
        match () {
            () if path.ends_with("/health") || key == ordinary || (key == link && links_own) => None,
            () if key == link => {
                Some((StatusCode::FORBIDDEN, "The Link execution credential is not authorized for this endpoint."))
            }
            () => Some((StatusCode::UNAUTHORIZED, "This Penguin instance is protected.")),
        }
    });
    match refused {
        Some((code, detail)) => refuse(code, detail),
        None => next.run(request).await,
    }
}

fn refuse(code: StatusCode, detail: &str) -> Response {
    (code, Json(json!({ "detail": detail }))).into_response()
}

fn not_found(id: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("Session {id} not found"))
}

async fn health(State(shared): TheWorld) -> Json<Value> {
    let boot = shared.edit(|world| world.boot);
    Json(json!({"status": "healthy", "uptime": {"start_time": format!("boot-{boot}"), "uptime_seconds": 1}}))
}

async fn create(State(shared): TheWorld, Json(body): Json<Value>) -> Json<Value> {
    let title = body["title"].as_str().unwrap_or_default().to_owned();
    let id = shared.edit(|world| {
        let id = format!("session_{}", world.number());
        let session = world.session(&id);
        session.prepared = true;
        session.title.clone_from(&title);
        id
    });
    Json(json!({"id": id, "title": title, "message_count": 0}))
}

async fn search(State(shared): TheWorld, Query(params): Params) -> Json<Value> {
    let wanted = params.get("search").cloned().unwrap_or_default();
    let found: Vec<_> = shared.edit(|world| {
        let fits = world.sessions.iter().filter(|(_, session)| session.title.contains(&wanted));
        fits.map(|(id, session)| json!({"id": id, "title": session.title})).collect()
    });
    Json(json!(found))
}

async fn status(State(shared): TheWorld) -> Json<Value> {
    let all: serde_json::Map<_, _> = shared.edit(|world| {
        let mark = |busy| json!({"type": if busy { "busy" } else { "idle" }});
        world.sessions.iter().map(|(id, session)| (id.clone(), mark(session.busy))).collect()
    });
    Json(Value::Object(all))
}

async fn messages(State(shared): TheWorld, Path(id): Path<String>) -> Response {
    let kept = shared.edit(|world| {
        let session = world.sessions.get(&id)?;
        Some(if session.prepared { session.messages.clone() } else { Vec::new() })
    });
    kept.map_or_else(|| not_found(&id), |kept| Json(kept).into_response())
}

async fn history(State(shared): TheWorld, Path(id): Path<String>) -> Json<Value> {
    let kept = shared.edit(|world| {
        let session = world.sessions.get(&id).filter(|session| session.prepared);
        session.map(|session| session.history.clone()).unwrap_or_default()
    });
    Json(json!({"conversation_id": id, "messages": kept}))
}

async fn abort(State(shared): TheWorld, Path(id): Path<String>) -> Response {
    if !shared.edit(|world| world.sessions.get(&id).is_some_and(|session| session.prepared)) {
        return not_found(&id);
    }
    stop(&shared, &id);
    Json(true).into_response()
}

fn stop(shared: &Shared, session: &str) {
    if let Some(abort) = shared.edit(|world| world.aborts.remove(session)) {
        _ = abort.send(true);
    }
}

async fn chat(State(shared): TheWorld, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (session, request) = (field("session_id"), field("client_message_id"));
    let durable = body["durable_request"] == true;
    let key = receipt_key(&session, &request);
    if durable {
        let link = shared.edit(|world| world.keys.as_ref().map(|(_, link)| link.clone()));
        if link.is_some_and(|link| headers.get("X-API-Key").is_none_or(|key| key.as_bytes() != link.as_bytes())) {
            return refuse(StatusCode::FORBIDDEN, "Link execution requires the dedicated Link service credential.");
        }
        if let Some(known) = shared.edit(|world| world.receipts.get(&key).cloned()) {
            return replay(&shared, &key, &known, &body);
        }
        shared.edit(|world| {
            world.receipts.insert(key.clone(), json!({"state": "accepted"}));
            world.bodies.insert(key.clone(), body.clone());
        });
    }
    let (abort, aborted) = watch::channel(false);
    shared.edit(|world| {
        world.session(&session);
        world.aborts.insert(session.clone(), abort);
    });
    let turns_max = body["max_iterations"].as_u64().and_then(|turns| usize::try_from(turns).ok()).unwrap_or(100);
    let run = run::Run {
        world: Arc::clone(&shared),
        session: session.clone(),
        request,
        agent: field("agent_id"),
        text: field("text"),
        turns_max,
    };
    let (done, answer) = oneshot::channel();
    // A run belongs to the instance, not to the connection that asked for it.
    let owner = Arc::clone(&shared);
    shared.tasks.lock().expect("not poisoned").spawn(async move {
        let answer = supervised(&owner, run, aborted, durable).await;
        if durable {
            owner.edit(|world| world.receipts.insert(key, json!({"state": "completed", "response": answer})));
        }
        _ = done.send(answer);
    });
    match answer.await {
        Ok(answer) => Json(answer).into_response(),
        // The fake "died": its door is shut as well, so nobody reads this.
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "gone"),
    }
}

/// Runs until the end or an abort.
async fn supervised(shared: &Shared, run: run::Run, mut aborted: watch::Receiver<bool>, durable: bool) -> Value {
    let session = run.session.clone();
    let stopped = tokio::select! {
        answer = run.run() => return answer,
        stopped = aborted.wait_for(|aborted| *aborted) => stopped.is_ok(),
    };
    assert!(stopped, "an abort is sent before its sender is dropped");
    shared.edit(|world| {
        world.session(&session).busy = false;
        world.waiting.retain(|_, asked| asked["sessionID"] != session.as_str());
    });
    shared.publish(&session, "session.status", json!({"sessionID": session, "status": {"type": "idle"}}));
    let mut answer = json!({
        "response": "", "action_results": [], "aborted": true, "status": null, "session_id": session,
    });
    if durable {
        answer["status"] = json!("stopped");
        answer["abort_reason"] = json!("user_interrupted");
    }
    answer
}

fn receipt_key(session: &str, request: &str) -> String {
    format!("{session} {request}")
}

fn replay(shared: &Shared, key: &str, known: &Value, body: &Value) -> Response {
    if shared.edit(|world| world.bodies.get(key) != Some(body)) {
        return refuse(StatusCode::CONFLICT, "CHAT_REQUEST_IDEMPOTENCY_CONFLICT");
    }
    if known["state"] == "completed" {
        return Json(known["response"].clone()).into_response();
    }
    let recovering = json!({"status": "recovering", "request_state": "accepted", "session_id": body["session_id"]});
    Json(recovering).into_response()
}

async fn receipt(State(shared): TheWorld, Query(params): Params) -> Json<Value> {
    let key = receipt_key(&params["session_id"], &params["client_message_id"]);
    Json(shared.edit(|world| world.receipts.get(&key).cloned()).unwrap_or_else(|| json!({"state": "absent"})))
}

async fn cancel(State(shared): TheWorld, params: Params) -> Json<Value> {
    stop(&shared, &params["session_id"]);
    receipt(State(shared), params).await
}

async fn permissions(state: TheWorld, params: Params) -> Json<Value> {
    waiting(&state, &params, "permission-")
}

async fn questions(state: TheWorld, params: Params) -> Json<Value> {
    waiting(&state, &params, "question-")
}

fn waiting(shared: &Shared, params: &HashMap<String, String>, prefix: &str) -> Json<Value> {
    let fits = |id: &str, asked: &Value| id.starts_with(prefix) && asked["sessionID"] == params["session_id"].as_str();
    let asked: Vec<_> = shared.edit(|world| {
        world.waiting.iter().filter(|(id, asked)| fits(id, asked)).map(|(_, asked)| asked.clone()).collect()
    });
    Json(json!(asked))
}

async fn decide(State(shared): TheWorld, Path((id, verb)): Path<(String, String)>) -> Response {
    let reply = if verb == "approve" { "once" } else { "reject" };
    let known = shared.edit(|world| {
        let known = world.waiting.remove(&id).is_some();
        if known {
            world.replies.insert(id.clone(), reply.into());
        }
        known
    });
    if !known {
        return refuse(StatusCode::NOT_FOUND, &format!("Approval request not found or already resolved: {id}"));
    }
    Json(json!({"success": true, "message": "Request decided", "request": {"id": id}})).into_response()
}

async fn reply(State(shared): TheWorld, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    shared.edit(|world| {
        world.waiting.remove(&id);
        world.replies.insert(id, body["answers"].to_string());
    });
    Json(true).into_response()
}

async fn events(
    State(shared): TheWorld,
    Query(params): Params,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let session = params.get("session_id").cloned().unwrap_or_default();
    let after = headers.get("Last-Event-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (known, gap) = shared.edit(|world| {
        let known = world.sessions.get(&session).map(|session| session.events.clone()).unwrap_or_default();
        (known, std::mem::take(&mut world.gap))
    });
    let place = after.as_ref().map(|after| known.iter().position(|event| event["id"] == after.as_str()));
    let (next, missed) = match place {
        _ if gap => (known.len(), true),
        None => (known.len(), false),
        Some(Some(place)) => (place + 1, false),
        Some(None) => (known.len(), true),
    };
    let own = |order: u32, kind: &str, properties: Value| {
        let id = format!("evt:session:{session}:{order:08}");
        json!({"id": id, "order": order, "time": run::time(), "type": kind, "properties": properties})
    };
    let mut first = vec![own(1, "server.connected", json!({"sessionID": session, "agentID": null, "directory": null}))];
    if missed {
        let reason = "last_event_id_not_available";
        first.push(own(2, "server.replay_gap", json!({"lastEventID": after, "reason": reason, "sessionID": session})));
    }
    let news = shared.news.subscribe();
    let rest = stream::unfold((shared, session, next, news), |(shared, session, next, mut news)| async move {
        loop {
            news.borrow_and_update();
            let event = shared.edit(|world| {
                let shown = world.events_max.is_none_or(|most| next < most);
                world.sessions.get(&session)?.events.get(next).filter(|_| shown).cloned()
            });
            if let Some(event) = event {
                return Some((event, (shared, session, next + 1, news)));
            }
            news.changed().await.ok()?;
        }
    });
    let all = stream::iter(first)
        .chain(rest)
        .map(|event| Ok(Event::default().id(event["id"].as_str().unwrap_or_default()).data(event.to_string())));
    Sse::new(all).keep_alive(KeepAlive::default())
}
