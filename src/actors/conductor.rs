//! The conductor: whatever the schedule says has to be done next, it has done. It decides nothing and keeps
//! nothing; killed at any moment, the next one sees the same schedule.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::{sync::watch, task::AbortHandle};

use crate::domain::{
    agent::AgentCommand,
    conversation::ConversationCommand,
    failure::FailureClass,
    ids::{AgentId, InstanceId, Subject},
    model::Command,
    principal::{Principal, Service},
    rejection::Rejection,
    routing::{Hold, Standing},
    task::TaskCommand,
    workspace::{Agenda, Dispatch, Errand, LapsedTurn, NextTurn, RunningTurn, Schedule},
};

use super::{
    clocks, context::Context, request::CommandError, supervisor::SupervisorMessage, turn, workspace::WorkspaceHandle,
};

/// How often it looks without being told: what was missed is caught here.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Delegations that are handed out at the same time, and news of agents that are told at the same time.
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
    gauges: Gauges,
}

/// What this conductor adds to the gauges of the node; it goes with it.
#[derive(Default)]
struct Gauges(BTreeMap<(&'static str, &'static str, &'static str), f64>);

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
        Ok(ConductorState { handle, schedule, timer: None, gauges: Gauges::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<ConductorMessage>,
        ConductorMessage::Look: ConductorMessage,
        state: &mut ConductorState,
    ) -> Result<(), ActorProcessingErr> {
        let schedule = state.schedule.borrow_and_update().clone();
        let members = &state.handle.members;
        for running in schedule.running().chain(schedule.stopping()) {
            if !members.has_run(running.task, running.attempt) {
                state.handle.supervisor.cast(SupervisorMessage::Run(running.clone()))?;
            }
        }
        for turn in schedule.turns().filter(|known| !members.turns.contains_key(&known.turn)) {
            state.handle.supervisor.cast(SupervisorMessage::Turn(turn.clone()))?;
        }
        let runners = schedule.runners().map(|(id, runner)| (id, runner.clone())).collect();
        state.handle.supervisor.cast(SupervisorMessage::Probe(runners))?;
        state.handle.supervisor.cast(SupervisorMessage::Deliver(schedule.hooks.enabled().collect()))?;
        let now = state.handle.context.clock.now();
        for chunk in schedule.news(now).chunks(DISPATCHES_MAX) {
            join_all(chunk.iter().map(|(agent, news)| state.tell(*agent, news))).await;
        }
        let Context { clock, bulkheads, .. } = &*state.handle.context;
        let agenda = schedule.agenda(now, clock.seed(), *bulkheads);
        state.gauges.show(&schedule, &agenda, now);
        for chunk in agenda.turns.chunks(DISPATCHES_MAX) {
            join_all(chunk.iter().map(|next| state.begin(&schedule, next))).await;
        }
        for lapsed in &agenda.lapsed {
            state.give_up(&schedule, lapsed).await;
        }
        for chunk in agenda.errands.chunks(DISPATCHES_MAX) {
            join_all(chunk.iter().map(|errand| state.run(errand))).await;
        }
        for chunk in agenda.dispatch.chunks(DISPATCHES_MAX) {
            join_all(chunk.iter().map(|dispatch| state.dispatch(dispatch))).await;
        }
        clocks::look(&state.handle, &schedule, now).await;
        if let Some(time) = agenda.look_again.filter(|time| *time > now) {
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
    /// Tells everyone that an agent or an instance got worse, or well again.
    #[tracing::instrument(name = "actors.conductor.tell", skip_all, fields(%agent))]
    async fn tell(&self, agent: AgentId, news: &AgentCommand) {
        let meta = self.handle.meta(Principal::Service(Service::Conductor), None);
        match (self.handle.execute(Subject::Agent(agent), Command::Agent(news.clone()), meta).await, news) {
            (Ok(_), AgentCommand::Stand { instance, standing, cause }) => {
                let name = standing.name();
                metrics::counter!("link_instance_standings_total", "standing" => name).increment(1);
                tracing::info!(%instance, standing = name, cause, "an instance stands otherwise");
            }
            (Ok(_), AgentCommand::Fare { worse: true, .. }) => {
                metrics::counter!("link_skill_alarms_total").increment(1);
            }
            (Ok(_), _) => {}
            (Err(error), _) => tracing::debug!(%error, "news of an agent not told; the next look tries again"),
        }
    }

    #[tracing::instrument(name = "actors.conductor.begin", skip_all, fields(turn = %next.turn.turn))]
    async fn begin(&self, schedule: &Schedule, next: &NextTurn) {
        let NextTurn { turn: RunningTurn { turn, conversation, agent, instance }, route } = next.clone();
        let command = ConversationCommand::StartTurn { turn, agent, instance, route };
        let meta = self.handle.meta(Principal::Service(Service::Conductor), None);
        match self.handle.execute(Subject::Conversation(conversation), Command::Conversation(command), meta).await {
            Ok(_) => metrics::counter!("link_turns_total").increment(1),
            Err(CommandError::Rejected(Rejection::Forbidden(why))) => {
                self.give_up(schedule, &LapsedTurn { turn, conversation, agent, why }).await;
            }
            // The schedule moved on since it was read; the next look sees why.
            Err(CommandError::Rejected(_)) => {}
            Err(error) => tracing::warn!(%error, "turn not begun; the next look tries again"),
        }
    }

    async fn give_up(&self, schedule: &Schedule, lapsed: &LapsedTurn) {
        let LapsedTurn { turn, conversation, agent, why } = *lapsed;
        // It never had an instance.
        let waiting = RunningTurn { turn, conversation, agent, instance: InstanceId(uuid::Uuid::nil()) };
        let name = turn::agent_name(schedule, &waiting);
        match turn::give_up(&self.handle, &waiting, &name, FailureClass::Misconfigured, why).await {
            Ok(()) | Err(CommandError::Rejected(_)) => {}
            Err(error) => tracing::warn!(%error, "turn not given up; the next look tries again"),
        }
    }

    /// Has decided what is due.
    #[tracing::instrument(name = "actors.conductor.run", skip_all, fields(task = %errand.task, chore = errand.chore.name()))]
    async fn run(&self, errand: &Errand) {
        let command = Command::Task(Box::new(errand.chore.clone().command()));
        let meta = self.handle.meta(Principal::Service(Service::Conductor), None);
        match self.handle.execute(Subject::Task(errand.task), command, meta).await {
            Ok(_) => metrics::counter!("link_errands_total", "chore" => errand.chore.name()).increment(1),
            // Somebody else was faster; the next look sees what.
            Err(CommandError::Rejected(_)) => {}
            Err(error) => tracing::warn!(%error, "not decided; the next look tries again"),
        }
    }

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

impl Gauges {
    fn show(&mut self, schedule: &Schedule, agenda: &Agenda, now: DateTime<Utc>) {
        let mut stand = BTreeMap::<Standing, u32>::new();
        for (instance, _) in schedule.runners() {
            *stand.entry(schedule.standing(instance, now)).or_default() += 1;
        }
        for standing in Standing::ALL {
            let count = stand.get(&standing).copied().unwrap_or(0);
            self.set("link_instances", "standing", standing.name(), count.into());
        }
        for why in Hold::ALL {
            let count = agenda.waiting.get(&why).copied().unwrap_or(0);
            self.set("link_delegations_queued", "why", why.name(), count.into());
        }
    }

    /// Other workspaces add to the same gauge, so only the difference goes there.
    fn set(&mut self, gauge: &'static str, label: &'static str, value: &'static str, to: f64) {
        let before = self.0.insert((gauge, label, value), to).unwrap_or(0.0);
        if before != to {
            metrics::gauge!(gauge, label => value).increment(to - before);
        }
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        for ((gauge, label, value), count) in &self.0 {
            metrics::gauge!(*gauge, *label => *value).decrement(*count);
        }
    }
}
