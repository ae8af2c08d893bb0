//! One actor per instance: asks it again and again whether it lives, and says so when the answer changes.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;

use crate::{
    agents::{Failure, Health},
    domain::{
        agent::AgentCommand,
        ids::{AgentId, InstanceId, Subject},
        model::Command,
        principal::{Principal, Service},
        workspace::Runner,
    },
};

use super::{
    context::runtime_name,
    driving,
    request::{CommandError, Meta, Receipt},
    workspace::WorkspaceHandle,
};

/// Between two questions to an instance that answers.
const EVERY: Duration = Duration::from_secs(5);
/// Between two questions to one that did not.
pub(super) const EVERY_WHILE_SILENT: Duration = Duration::from_secs(1);
/// An instance counts as dead after this many questions without an answer.
const MISSES_MAX: u32 = 2;

/// What a probe is told.
#[derive(RactorMessage)]
pub(super) enum ProbeMessage {
    /// Ask now.
    Ask,
    /// Panic: how tests see what a bug would do.
    Panic,
}

pub(super) struct Probe;

pub(super) struct ProbeState {
    handle: WorkspaceHandle,
    instance: InstanceId,
    runner: Runner,
    misses: u32,
}

/// Spawns a probe below the workspace's supervisor.
pub(super) async fn spawn(
    handle: WorkspaceHandle,
    instance: InstanceId,
    runner: Runner,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<ProbeMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Probe, (handle, instance, runner), supervisor).await?;
    Ok(actor)
}

impl Actor for Probe {
    type Msg = ProbeMessage;
    type State = ProbeState;
    type Arguments = (WorkspaceHandle, InstanceId, Runner);

    async fn pre_start(
        &self,
        myself: ActorRef<ProbeMessage>,
        (handle, instance, runner): Self::Arguments,
    ) -> Result<ProbeState, ActorProcessingErr> {
        myself.cast(ProbeMessage::Ask)?;
        Ok(ProbeState { handle, instance, runner, misses: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<ProbeMessage>,
        message: ProbeMessage,
        state: &mut ProbeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ProbeMessage::Ask => {}
            ProbeMessage::Panic => panic!("asked to panic"),
        }
        state.ask().await;
        let pause = if state.misses == 0 { EVERY } else { EVERY_WHILE_SILENT };
        myself.send_after(pause, || ProbeMessage::Ask);
        Ok(())
    }
}

impl ProbeState {
    async fn ask(&mut self) {
        let Some(health) = ask(&self.handle, self.instance, &self.runner).await else { return };
        self.misses = if health.is_ok() { 0 } else { self.misses + 1 };
        if health.is_err() && self.misses < MISSES_MAX {
            return;
        }
        if let Err(error) = record(&self.handle, self.instance, self.runner.agent, &health, None).await {
            tracing::debug!(%error, "probe result not recorded; the next one will be");
        }
    }
}

/// Asks an instance once whether it lives; nothing when this node cannot drive its runtime.
#[tracing::instrument(name = "actors.probe.ask", skip_all, fields(%instance))]
pub(super) async fn ask(
    handle: &WorkspaceHandle,
    instance: InstanceId,
    runner: &Runner,
) -> Option<Result<Health, Failure>> {
    let context = &handle.context;
    let runtime = context.runtime(runner.runtime)?;
    let credentials = context.vault.open(&context.pool, instance).await.unwrap_or_default();
    let endpoint = driving::endpoint(instance, runner, credentials);
    let health = runtime.probe(&endpoint).await;
    handle.members.asked.insert(instance, context.clock.now());
    let outcome = if health.is_ok() { "ok" } else { "failed" };
    let name = runtime_name(runner.runtime);
    metrics::counter!("link_probes_total", "runtime" => name, "outcome" => outcome).increment(1);
    Some(health)
}

/// Writes down what an instance answered, where it differs from what it answered before.
pub(super) async fn record(
    handle: &WorkspaceHandle,
    instance: InstanceId,
    agent: AgentId,
    health: &Result<Health, Failure>,
    on_behalf_of: Option<Principal>,
) -> Result<Receipt, CommandError> {
    let (healthy, boot, cause) = match health {
        Ok(health) => (true, health.boot.clone(), None),
        Err(failure) => (false, None, Some(failure.message.clone())),
    };
    let command = Command::Agent(AgentCommand::Probed { instance, healthy, boot, cause });
    let meta = Meta { on_behalf_of, ..handle.meta(Principal::Service(Service::Probe), None) };
    handle.execute(Subject::Agent(agent), command, meta).await
}
