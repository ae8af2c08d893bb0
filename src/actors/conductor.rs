//! The conductor: whatever the schedule says has to be done next, it has done. It decides nothing and keeps
//! nothing; killed at any moment, the next one sees the same schedule.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::{sync::watch, task::AbortHandle};

use crate::domain::{
    ids::Subject,
    model::Command,
    principal::{Principal, Service},
    task::TaskCommand,
    workspace::{Dispatch, Schedule},
};

use super::{request::CommandError, supervisor::SupervisorMessage, workspace::WorkspaceHandle};

/// How often it looks without being told: what was missed is caught here.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Delegations that are handed out at the same time.
const DISPATCHES_MAX: usize = 32;

/// What the conductor is told.
#[derive(RactorMessage)]
pub(super) enum ConductorMessage {
    /// The schedule changed, or time passed.
    Look,
}

pub(super) struct Conductor;

pub(super) struct ConductorState {
    handle: WorkspaceHandle,
    schedule: watch::Receiver<Arc<Schedule>>,
    /// The one timer for the next delegation that waits.
    timer: Option<AbortHandle>,
}

/// Spawns the conductor below the workspace's supervisor.
pub(super) async fn spawn(
    handle: WorkspaceHandle,
    schedule: watch::Receiver<Arc<Schedule>>,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<ConductorMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Conductor, (handle, schedule), supervisor).await?;
    Ok(actor)
}

impl Actor for Conductor {
    type Msg = ConductorMessage;
    type State = ConductorState;
    type Arguments = (WorkspaceHandle, watch::Receiver<Arc<Schedule>>);

    async fn pre_start(
        &self,
        myself: ActorRef<ConductorMessage>,
        (handle, schedule): Self::Arguments,
    ) -> Result<ConductorState, ActorProcessingErr> {
        myself.send_interval(LOOK_EVERY, || ConductorMessage::Look);
        Ok(ConductorState { handle, schedule, timer: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<ConductorMessage>,
        ConductorMessage::Look: ConductorMessage,
        state: &mut ConductorState,
    ) -> Result<(), ActorProcessingErr> {
        let schedule = state.schedule.borrow_and_update().clone();
        let members = &state.handle.members;
        for running in schedule.running() {
            if !members.has_run(running.task, running.attempt) {
                state.handle.supervisor.cast(SupervisorMessage::Run(running.clone()))?;
            }
        }
        let runners = schedule.runners().map(|(id, runner)| (id, runner.clone())).collect();
        state.handle.supervisor.cast(SupervisorMessage::Probe(runners))?;
        state.handle.supervisor.cast(SupervisorMessage::Deliver(schedule.hooks.enabled().collect()))?;
        let now = state.handle.context.clock.now();
        let agenda = schedule.agenda(now, state.handle.context.clock.seed());
        for chunk in agenda.dispatch.chunks(DISPATCHES_MAX) {
            join_all(chunk.iter().map(|dispatch| state.dispatch(dispatch))).await;
        }
        if let Some(time) = agenda.look_again {
            let pause = (time - now).to_std().unwrap_or_default() + Duration::from_millis(5);
            if pause < LOOK_EVERY {
                let timer = myself.send_after(pause, || ConductorMessage::Look).abort_handle();
                if let Some(before) = state.timer.replace(timer) {
                    before.abort();
                }
            }
        }
        Ok(())
    }
}

impl ConductorState {
    #[tracing::instrument(name = "actors.conductor.dispatch", skip_all, fields(delegation = %dispatch.delegation))]
    async fn dispatch(&self, dispatch: &Dispatch) {
        let command = TaskCommand::Dispatch {
            delegation: dispatch.delegation,
            attempt: self.handle.context.clock.id(),
            agent: dispatch.agent,
            instance: dispatch.instance,
            route: dispatch.route.clone(),
        };
        let meta = self.handle.meta(Principal::Service(Service::Conductor), None);
        let subject = Subject::Task(dispatch.task);
        match self.handle.execute(subject, Command::Task(Box::new(command)), meta).await {
            Ok(_) => metrics::counter!("link_dispatches_total").increment(1),
            // The schedule moved on since it was read; the next look sees why.
            Err(CommandError::Rejected(_)) => {}
            Err(error) => tracing::warn!(%error, "delegation not handed out; the next look tries again"),
        }
    }
}
