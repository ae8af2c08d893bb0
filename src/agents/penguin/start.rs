//! Before anything is submitted: finds out whether the instance already has the attempt's work.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Pace,
    client::{CallError, Client, Looking},
    wire::{ChatAnswer, ChatRequest, Execution, Message, Receipt},
};
use crate::{
    agents::{Assignment, Bookmark, Endpoint, Failure},
    domain::failure::FailureClass,
};

/// How a run was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Into a session prepared for the attempt.
    Plain,
    /// With Link's authority and a receipt.
    Durable,
}

/// What finds a run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// How it was submitted.
    pub mode: Mode,
    /// The session.
    pub session: String,
    /// The request id, which is also the id of the user's message.
    pub request: String,
    /// The boot that runs it, if known.
    pub boot: Option<String>,
}

/// How far the event stream was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    session: String,
    boot: Option<String>,
    event: String,
}

/// What has to be done for an attempt.
#[derive(Debug)]
pub enum Step {
    /// The instance does not have it: submit.
    Submit,
    /// The instance has it: follow.
    Follow,
    /// The instance has its result: read it.
    Read(Box<ChatAnswer>),
}

/// Where a run is and what to do next.
#[derive(Debug)]
pub struct Start {
    /// What finds it.
    pub remote: Remote,
    /// What to do.
    pub step: Step,
    /// The event to read on from.
    pub after: Option<String>,
}

/// Finds the attempt's run, or prepares a place for it.
pub async fn find(
    client: &Client,
    endpoint: &Endpoint,
    work: &Assignment,
    bookmark: &Bookmark,
    pace: &Pace,
) -> Result<Start, Failure> {
    let deadline = Instant::now() + pace.unreachable_max;
    loop {
        let error = match look(client, endpoint, work, bookmark, pace).await {
            Ok(start) => return Ok(start),
            Err(Looking::Over(failure)) => return Err(failure),
            Err(Looking::Call(error)) => error,
        };
        // The instance may have the work: giving up early would let it run a second time elsewhere.
        let patient = match error {
            CallError::Refused => bookmark.remote.is_some(),
            CallError::Lost(_) => true,
            CallError::Status { .. } | CallError::Unreadable(_) => false,
        };
        if !patient || Instant::now() >= deadline {
            let doing = "asking for the run";
            return Err(match error {
                CallError::Refused if patient => Failure::new(FailureClass::InstanceLost, format!("{doing}: {error}")),
                error => error.failure(doing, FailureClass::InstanceLost),
            });
        }
        sleep(pace.poll).await;
    }
}

async fn look(
    client: &Client,
    endpoint: &Endpoint,
    work: &Assignment,
    bookmark: &Bookmark,
    pace: &Pace,
) -> Result<Start, Looking> {
    let known: Option<Remote> = bookmark
        .remote
        .clone()
        .map(serde_json::from_value)
        .transpose()
        .map_err(|_| Failure::new(FailureClass::Misconfigured, "the bookmark is not from this driver"))?;
    let boot = client.boot().await?;
    let mode = known.as_ref().map_or_else(|| mode(endpoint), |remote| remote.mode);
    let mut start = match mode {
        Mode::Durable => durable(client, work, known, boot.as_deref()).await?,
        Mode::Plain => plain(client, work, known, boot.as_deref(), pace).await?,
    };
    if matches!(start.step, Step::Follow) && start.remote.boot == boot {
        start.after = Some(resume_from(bookmark.cursor.as_ref(), &start.remote));
    }
    Ok(start)
}

/// Writes down how far the stream was read.
pub fn cursor(remote: &Remote, event: &str) -> Value {
    json!(Cursor { session: remote.session.clone(), boot: remote.boot.clone(), event: event.to_owned() })
}

/// Makes the body of the submission; it is the same each time, because a receipt refuses another.
pub fn request<'a>(endpoint: &'a Endpoint, work: &'a Assignment, remote: &'a Remote) -> ChatRequest<'a> {
    let durable = remote.mode == Mode::Durable;
    ChatRequest {
        text: &work.prompt,
        session_id: &remote.session,
        client_message_id: &remote.request,
        agent_id: &remote.request,
        max_iterations: endpoint.turns_max,
        model: endpoint.model.as_deref(),
        durable_request: durable,
        link_execution: endpoint.model.as_ref().filter(|_| durable).map(|model| Execution {
            workspace_id: work.workspace.to_string(),
            user_id: work.on_behalf_of.to_string(),
            run_id: work.attempt.to_string(),
            requested_model_id: model.clone(),
            execution_source: "link_gateway",
            provider_state_owner: "link_managed",
            settlement_mode: "debit_link_credits",
            allow_fallback_to_link_gateway: false,
        }),
    }
}

/// Tells whether the session's messages hold the request.
pub fn holds(messages: &[Message], request: &str) -> bool {
    messages.iter().any(|message| message.info.id == request)
}

/// Durable needs Link's key, and a model because Link's authority names one.
pub fn mode(endpoint: &Endpoint) -> Mode {
    let key = endpoint.credentials.get("link_key").is_some_and(|key| !key.is_empty());
    if key && endpoint.model.is_some() { Mode::Durable } else { Mode::Plain }
}

/// Without a cursor of this very boot, everything since the session's first event is read again.
fn resume_from(cursor: Option<&Value>, remote: &Remote) -> String {
    let read: Option<Cursor> = cursor.and_then(|cursor| serde_json::from_value(cursor.clone()).ok());
    match read {
        Some(read) if read.session == remote.session && read.boot == remote.boot => read.event,
        _ => format!("evt:session:{}:00000001", remote.session),
    }
}

/// One name for the session, the request and the agent: `link-` and the attempt.
pub fn request_id(work: &Assignment) -> String {
    format!("link-{}", work.attempt.0.simple())
}

/// The title of the session that is prepared for an attempt.
pub fn title(work: &Assignment) -> String {
    format!("Link attempt {}", work.attempt)
}

async fn durable(
    client: &Client,
    work: &Assignment,
    known: Option<Remote>,
    boot: Option<&str>,
) -> Result<Start, Looking> {
    let id = request_id(work);
    let recalled = known.is_some();
    let remote = known.unwrap_or_else(|| Remote {
        mode: Mode::Durable,
        session: id.clone(),
        request: id,
        boot: boot.map(str::to_owned),
    });
    let receipt = client.receipt(&remote.session, &remote.request).await?;
    let step = match receipt.state.as_str() {
        "completed" => Step::Read(Box::new(result_of(receipt)?)),
        // Penguin never takes such a request up again after a restart.
        "accepted" if remote.boot.as_deref() != boot => return Err(restarted().into()),
        "accepted" => Step::Follow,
        "absent" if recalled => return Err(gone().into()),
        "absent" => Step::Submit,
        other => {
            let what = format!("a receipt in the unknown state `{other}`");
            return Err(Failure::new(FailureClass::Unknown, what).into());
        }
    };
    Ok(Start { remote, step, after: None })
}

/// Returns the answer of a completed receipt.
pub fn result_of(receipt: Receipt) -> Result<ChatAnswer, Failure> {
    receipt.response.ok_or_else(|| {
        let code = receipt.http_error.as_ref().and_then(|error| error["status_code"].as_u64());
        let code = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        CallError::Status { code, detail: "the request was refused".into() }.failure("chat", FailureClass::Unknown)
    })
}

async fn plain(
    client: &Client,
    work: &Assignment,
    known: Option<Remote>,
    boot: Option<&str>,
    pace: &Pace,
) -> Result<Start, Looking> {
    if let Some(remote) = known {
        return recalled(client, remote, boot).await;
    }
    let place = |session: String| Remote {
        mode: Mode::Plain,
        session,
        request: request_id(work),
        boot: boot.map(str::to_owned),
    };
    let start = |session, step| Start { remote: place(session), step, after: None };
    let title = title(work);
    let mut prepared = client.sessions_titled(&title).await?;
    prepared.sort_by(|a, b| a.id.cmp(&b.id));
    if prepared.is_empty() {
        let session = client.create_session(&title).await?;
        return Ok(start(session, Step::Submit));
    }
    // An earlier activation came this far; its submission may still be on its way.
    for look in 0..2 {
        if look > 0 {
            sleep(pace.settle).await;
        }
        for session in &prepared {
            let messages = client.messages(&session.id).await?;
            if holds(&messages, &request_id(work)) || client.is_busy(&session.id).await? {
                return Ok(start(session.id.clone(), Step::Follow));
            }
        }
    }
    Ok(start(prepared.swap_remove(0).id, Step::Submit))
}

/// A run that the instance was known to have: it has it still, or it is lost. It is never submitted again.
async fn recalled(client: &Client, remote: Remote, boot: Option<&str>) -> Result<Start, Looking> {
    let same_boot = remote.boot.as_deref() == boot;
    let missing = || if same_boot { gone() } else { restarted() };
    let messages = match client.messages(&remote.session).await {
        Ok(messages) => messages,
        Err(error) if error.is_not_found() => return Err(missing().into()),
        Err(error) => return Err(error.into()),
    };
    let held = holds(&messages, &remote.request);
    if held || (same_boot && client.is_busy(&remote.session).await?) {
        return Ok(Start { remote, step: Step::Follow, after: None });
    }
    Err(missing().into())
}

/// The instance restarted and dropped the run.
pub fn restarted() -> Failure {
    Failure::new(FailureClass::InstanceLost, "the instance restarted and dropped the run")
}

/// The instance forgot the run.
pub fn gone() -> Failure {
    Failure::new(FailureClass::SessionNotFound, "the instance no longer knows the run")
}
