//! What people ask about instances and runs, beside what probes and runs find out by themselves: whether an instance
//! lives, and what became of a run. State changes the usual way only: by a probe's command, and by the run's own actor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    agents::{Failure, Fate, Health, Outcome},
    domain::{
        failure::FailureClass,
        ids::{DelegationId, InstanceId, Subject},
        model::Model,
        principal::Principal,
        routing::Held,
        workspace::{Checkup, Runner, Running},
    },
};

use super::{
    driving,
    probe::{self, EVERY_WHILE_SILENT},
    request::CommandError,
    run::RunMessage,
    supervisor::SupervisorMessage,
    workspace::WorkspaceHandle,
};

/// How long a question to an instance may take in all.
const ASK_MAX: Duration = Duration::from_secs(8);
/// How long the end of a run is waited for, in milliseconds: its driver reads the result first.
const END_WAIT_MS: u64 = 10_000;

/// What an instance says became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It works on it.
    Running,
    /// It has a result.
    Finished,
    /// It ended without a result.
    Failed,
    /// It had the work and has it no longer.
    Missing,
    /// It does not have the work yet; the submission may still be on its way.
    NotStarted,
    /// It could not be asked: nothing is known.
    Unreachable,
    /// The attempt was over already; the instance was not asked.
    Over,
}

/// What was found of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconciled {
    /// What the instance says.
    pub found: Found,
    /// In words.
    pub detail: String,
}

impl Reconciled {
    fn new(found: Found, detail: impl Into<String>) -> Self {
        Self { found, detail: detail.into() }
    }
}

impl WorkspaceHandle {
    /// Returns when an instance was last asked whether it lives, by this node.
    pub fn asked_at(&self, instance: InstanceId) -> Option<DateTime<Utc>> {
        self.members.asked.get(&instance).map(|at| *at)
    }

    /// Returns how an instance does, as far as its workspace's writer has said on this node.
    pub fn checkup(&self, instance: InstanceId) -> Checkup {
        self.members.schedule.borrow().checkup(instance, self.context.clock.now())
    }

    /// Returns why a queued delegation waits; nothing for one that is not queued.
    pub fn held(&self, delegation: DelegationId) -> Option<Held> {
        self.members.schedule.borrow().held(delegation, self.context.clock.now(), self.context.bulkheads)
    }

    /// Asks an instance whether it lives, twice before it counts as dead, and writes the answer down.
    pub async fn probe(
        &self,
        instance: InstanceId,
        runner: &Runner,
        by: Principal,
    ) -> Result<Result<Health, Failure>, CommandError> {
        let silent = || Failure::new(FailureClass::InstanceLost, "no answer in time");
        let ask = async || {
            let asked = tokio::time::timeout(ASK_MAX, probe::ask(self, instance, runner)).await;
            let cannot =
                || Err(Failure::new(FailureClass::Misconfigured, "this node cannot drive agents of this runtime"));
            asked.unwrap_or_else(|_| Some(Err(silent()))).unwrap_or_else(cannot)
        };
        let mut health = ask().await;
        if health.is_err() {
            tokio::time::sleep(EVERY_WHILE_SILENT).await;
            health = ask().await;
        }
        probe::record(self, instance, runner.agent, &health, Some(by)).await?;
        Ok(health)
    }

    /// Asks an instance what became of a run. Where the run is over there, the run's own actor looks again, and this
    /// returns when the attempt has ended here too.
    #[tracing::instrument(name = "actors.workspace.reconcile", skip_all, fields(attempt = %running.attempt))]
    pub async fn reconcile(&self, running: &Running, runner: &Runner) -> Result<Reconciled, CommandError> {
        let reconciled = match tokio::time::timeout(ASK_MAX, self.fate(running, runner)).await {
            Ok(fate) => fate?,
            Err(_) => Reconciled::new(Found::Unreachable, "no answer in time"),
        };
        match reconciled.found {
            Found::Finished | Found::Failed | Found::Missing => self.look_again(running).await?,
            Found::Running | Found::NotStarted | Found::Unreachable => self.ensure_run(running)?,
            Found::Over => {}
        }
        Ok(reconciled)
    }

    async fn fate(&self, running: &Running, runner: &Runner) -> Result<Reconciled, CommandError> {
        let unavailable = |error: &dyn std::error::Error| CommandError::Unavailable(error.to_string());
        let task = self.peek(Subject::Task(running.task)).await.map_err(|error| unavailable(&error))?;
        let session = match task {
            Some(Model::Task(_, task)) => task.session_state(running.attempt),
            _ => None,
        };
        let Some(session) = session else {
            return Ok(Reconciled::new(Found::Over, "the attempt no longer holds its delegation"));
        };
        let (runtime, endpoint) = match driving::way(&self.context, running.instance, Some(runner)).await {
            Ok(Ok(way)) => way,
            Ok(Err(none)) => return Ok(Reconciled::new(Found::Unreachable, none.to_string())),
            Err(error) => return Ok(Reconciled::new(Found::Unreachable, error.to_string())),
        };
        let bookmark = driving::bookmark(self, running.attempt).await.map_err(|error| unavailable(&error))?;
        let work = driving::assignment(self, running, session.delegator, String::new());
        Ok(match runtime.inspect(&endpoint, &work, &bookmark).await {
            Ok(Fate::Running) => Reconciled::new(Found::Running, "the instance works on it"),
            Ok(Fate::NotStarted) => Reconciled::new(Found::NotStarted, "the instance does not have the work yet"),
            Ok(Fate::Missing(failure)) => Reconciled::new(Found::Missing, failure.message),
            Ok(Fate::Ended(Ok(Outcome::Submitted { .. }))) => {
                Reconciled::new(Found::Finished, "the instance has a result")
            }
            Ok(Fate::Ended(Ok(Outcome::Cancelled))) => Reconciled::new(Found::Failed, "the run was stopped"),
            Ok(Fate::Ended(Err(failure))) => Reconciled::new(Found::Failed, failure.message),
            Err(failure) => Reconciled::new(Found::Unreachable, failure.message),
        })
    }

    async fn look_again(&self, running: &Running) -> Result<(), CommandError> {
        let Some(actor) = self.members.run(running.task, running.attempt) else { return self.ensure_run(running) };
        // Never answered: the end of the actor ends the wait. One that takes longer goes on without being waited for.
        let _ = ractor::call_t!(actor, RunMessage::LookAgain, END_WAIT_MS);
        Ok(())
    }

    /// A run whose actor is gone gets another one.
    fn ensure_run(&self, running: &Running) -> Result<(), CommandError> {
        let asked = self.supervisor.cast(SupervisorMessage::Run(running.clone()));
        asked.map_err(|_| CommandError::Unavailable("the workspace is stopping: nothing was done, try again".into()))
    }
}
