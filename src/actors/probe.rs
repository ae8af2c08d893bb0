//! One actor per instance: asks it again and again whether it lives, and says so when the answer changes.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;

use crate::{
    agents::Endpoint,
    domain::{
        agent::AgentCommand,
        ids::{InstanceId, Subject},
        model::Command,
        principal::{Principal, Service},
        workspace::Runner,
    },
};

use super::{context::runtime_name, workspace::WorkspaceHandle};

/// Between two questions to an instance that answers.
const EVERY: Duration = Duration::from_secs(5);
/// Between two questions to one that did not.
const EVERY_WHILE_SILENT: Duration = Duration::from_secs(1);
/// An instance counts as dead after this many questions without an answer.
const MISSES_MAX: u32 = 2;

/// What a probe is told.
#[derive(RactorMessage)]
pub(super) enum ProbeMessage {
    /// Ask now.
    Ask,
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
        ProbeMessage::Ask: ProbeMessage,
        state: &mut ProbeState,
    ) -> Result<(), ActorProcessingErr> {
        state.ask().await;
        let pause = if state.misses == 0 { EVERY } else { EVERY_WHILE_SILENT };
        myself.send_after(pause, || ProbeMessage::Ask);
        Ok(())
    }
}

impl ProbeState {
    #[tracing::instrument(name = "actors.probe.ask", skip_all, fields(instance = %self.instance))]
    async fn ask(&mut self) {
        let context = &self.handle.context;
        let Some(runtime) = context.runtime(self.runner.runtime) else { return };
        let credentials = context.vault.open(&context.pool, self.instance).await.unwrap_or_default();
        let endpoint = Endpoint {
            instance: self.instance,
            url: self.runner.url.clone(),
            credentials,
            model: self.runner.model.clone(),
            turns_max: self.runner.turns_max,
        };
        let health = runtime.probe(&endpoint).await;
        let (healthy, boot, cause) = match health {
            Ok(health) => {
                self.misses = 0;
                (true, health.boot, None)
            }
            Err(failure) => {
                self.misses += 1;
                (false, None, Some(failure.message))
            }
        };
        let name = runtime_name(self.runner.runtime);
        let outcome = if healthy { "ok" } else { "failed" };
        metrics::counter!("link_probes_total", "runtime" => name, "outcome" => outcome).increment(1);
        if !healthy && self.misses < MISSES_MAX {
            return;
        }
        let command = AgentCommand::Probed { instance: self.instance, healthy, boot, cause };
        let meta = self.handle.meta(Principal::Service(Service::Probe), None);
        let subject = Subject::Agent(self.runner.agent);
        if let Err(error) = self.handle.execute(subject, Command::Agent(command), meta).await {
            tracing::debug!(%error, "probe result not recorded; the next one will be");
        }
    }
}
