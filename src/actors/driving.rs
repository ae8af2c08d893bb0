//! Between a driver and the actor of its run: carries reports one way, what people decided the other, and finds in the
//! log what was answered in an earlier life.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use ractor::{ActorProcessingErr, ActorRef};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agents::{self, AgentRuntime, Assignment, Bookmark, Control, Endpoint, Failure, Outcome},
    domain::{
        event::{Event, TaskEvent},
        failure::FailureClass,
        ids::{AttemptId, InstanceId, InterruptId, Subject, UserId},
        model::Model,
        principal::Principal,
        rejection::Rejection,
        workspace::{Runner, Running},
    },
    persistence::{
        log,
        secrets::{self, Credentials},
    },
};

use super::{
    context::Context,
    request::{CommandError, Receipt},
    run::RunMessage,
    workspace::WorkspaceHandle,
};

/// Reports of a driver that may wait; then the driver waits.
const REPORTS_MAX: usize = 64;
/// What people decided that may wait for the driver.
const CONTROLS_MAX: usize = 16;

/// How long a report may wait for a workspace that is unavailable; then the actor starts anew.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);

/// Says whose work it is, and what the agent is asked to do.
pub(super) fn assignment(
    handle: &WorkspaceHandle,
    running: &Running,
    delegator: Principal,
    prompt: String,
) -> Assignment {
    Assignment {
        attempt: running.attempt,
        fence: running.fence,
        delegation: running.delegation,
        task: running.task,
        workspace: handle.id,
        on_behalf_of: delegator.user().unwrap_or(UserId(uuid::Uuid::nil())),
        prompt,
    }
}

/// Why an instance cannot be reached from this node, until somebody changes something.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWay {
    #[error("the instance was removed")]
    Removed,
    #[error("this node cannot drive agents of this runtime")]
    NoDriver,
    #[error(transparent)]
    Credentials(secrets::Error),
}

/// Finds the driver of an instance, and says where it is and how to talk to it.
///
/// # Errors
/// When the database does not answer: that passes.
pub(super) async fn way(
    context: &Context,
    instance: InstanceId,
    runner: Option<&Runner>,
) -> Result<Result<(Arc<dyn AgentRuntime>, Endpoint), NoWay>, sqlx::Error> {
    let Some(runner) = runner else { return Ok(Err(NoWay::Removed)) };
    let Some(runtime) = context.runtime(runner.runtime) else { return Ok(Err(NoWay::NoDriver)) };
    match context.vault.open(&context.pool, instance).await {
        Ok(credentials) => Ok(Ok((runtime, endpoint(instance, runner, credentials)))),
        Err(secrets::Error::Database(error)) => Err(error),
        Err(error) => Ok(Err(NoWay::Credentials(error))),
    }
}

/// Says where an instance is and how to talk to it.
pub(super) fn endpoint(instance: InstanceId, runner: &Runner, credentials: Credentials) -> Endpoint {
    Endpoint {
        instance,
        url: runner.url.clone(),
        credentials,
        model: runner.model.clone(),
        turns_max: runner.turns_max,
    }
}

/// Returns what an earlier life of an attempt's driver left behind.
pub(super) async fn bookmark(handle: &WorkspaceHandle, attempt: AttemptId) -> Result<Bookmark, log::Error> {
    Ok(match handle.peek(Subject::Session(attempt)).await? {
        Some(Model::Session(_, session)) => Bookmark { remote: session.remote, cursor: session.cursor },
        _ => Bookmark::default(),
    })
}

/// Starts a driver. Dropping the first handle stops watching, the second tells it what people decided.
pub(super) fn start(
    runtime: Arc<dyn AgentRuntime>,
    endpoint: Endpoint,
    work: Assignment,
    bookmark: Bookmark,
    actor: ActorRef<RunMessage>,
) -> (AbortOnDropHandle<()>, mpsc::Sender<Control>) {
    let (reports, from_driver) = mpsc::channel(REPORTS_MAX);
    let (control, to_driver) = mpsc::channel(CONTROLS_MAX);
    let driver = tokio::spawn(async move {
        let run = async { runtime.run(&endpoint, &work, bookmark, reports, to_driver).await };
        // A driver that panics has failed like any other.
        let panicked = |_| Err(Failure::new(FailureClass::Unknown, "the driver panicked"));
        let run = AssertUnwindSafe(run).catch_unwind().map(|end| end.unwrap_or_else(panicked));
        follow(run, from_driver, actor).await;
    });
    (AbortOnDropHandle::new(driver), control)
}

/// Carries reports to the actor one at a time, and the end after the last of them.
async fn follow(
    run: impl Future<Output = Result<Outcome, Failure>>,
    mut reports: mpsc::Receiver<agents::Report>,
    actor: ActorRef<RunMessage>,
) {
    let carry = async |report| {
        let _ = ractor::call!(actor, RunMessage::Reported, report);
    };
    tokio::pin!(run);
    let result = loop {
        tokio::select! {
            biased;
            Some(report) = reports.recv() => carry(report).await,
            result = &mut run => break result,
        }
    };
    reports.close();
    while let Some(report) = reports.recv().await {
        carry(report).await;
    }
    // With the actor gone, its successor asks the instance.
    let _ = actor.cast(RunMessage::Ended(result));
}

/// Finds a question of an attempt by the driver's name for it, and its answer if there is one.
pub(super) async fn answer_in_the_log(
    handle: &WorkspaceHandle,
    running: &Running,
    key: &str,
) -> Result<Option<(InterruptId, Option<Value>)>, log::Error> {
    let (mut found, mut answers, mut own) = (None, HashMap::new(), HashSet::new());
    for recorded in log::load(&handle.context.pool, handle.id, Subject::Task(running.task), 0).await? {
        match recorded.event {
            Event::Task(TaskEvent::InterruptOpened { interrupt, attempt, key: asked, .. })
                if attempt == running.attempt =>
            {
                own.insert(interrupt);
                found = if asked == key { Some(interrupt) } else { found };
            }
            Event::Task(TaskEvent::InterruptRenewed { interrupt, key: asked })
                if asked == key && own.contains(&interrupt) =>
            {
                found = Some(interrupt);
            }
            Event::Task(TaskEvent::InterruptResolved { interrupt, answer, .. }) => {
                answers.insert(interrupt, answer);
            }
            _ => {}
        }
    }
    Ok(found.map(|interrupt| (interrupt, answers.remove(&interrupt))))
}

/// Whether the actor is still needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// The attempt holds its delegation.
    Holds,
    /// Nobody wants to hear more of it.
    Over,
}

/// Asks until the workspace has an answer, however long it needs to come back.
pub(super) async fn patiently<F>(ask: impl Fn() -> F) -> Result<Standing, ActorProcessingErr>
where
    F: Future<Output = Result<Receipt, CommandError>>,
{
    let deadline = Instant::now() + REPORT_PATIENCE;
    loop {
        match ask().await {
            Ok(_) => return Ok(Standing::Holds),
            Err(CommandError::Rejected(Rejection::Fenced | Rejection::NotFound(_))) => return Ok(Standing::Over),
            Err(error @ CommandError::Rejected(_)) => {
                tracing::warn!(%error, "a report was refused");
                return Ok(Standing::Holds);
            }
            Err(CommandError::Overloaded | CommandError::Unavailable(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
