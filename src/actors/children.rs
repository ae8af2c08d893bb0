//! What a workspace's supervisor watches over, and what becomes of those that fail.

use std::time::Duration;

use ractor::{ActorId, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::domain::{
    failure::FailureClass,
    ids::{DocumentId, InstanceId, Subject, WebhookId},
    task::Report,
    workspace::{Running, RunningTurn},
};

use super::{
    supervision::Intensity,
    supervisor::{SupervisorMessage, SupervisorState},
    turn,
};

/// A run whose actor fails more often than this within a minute is given up.
const RUN_FAILURES_MAX: usize = 8;

/// What a workspace's supervisor watches over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Child {
    Entity(Subject),
    Run(Running),
    Turn(RunningTurn),
    Probe(InstanceId),
    Courier(WebhookId),
    Peer(InstanceId),
    Document(DocumentId),
    Conductor,
}

impl std::hash::Hash for Running {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.attempt.hash(state);
    }
}
impl Eq for Running {}

impl Child {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Entity(_) => "entity",
            Self::Run(_) => "run",
            Self::Turn(_) => "turn",
            Self::Probe(_) => "probe",
            Self::Courier(_) => "courier",
            Self::Peer(_) => "peer",
            Self::Document(_) => "document",
            Self::Conductor => "conductor",
        }
    }
}

impl SupervisorState {
    pub(super) fn forget(&mut self, child: &Child, actor: ActorId) {
        let members = &self.handle.members;
        match child {
            Child::Entity(subject) => {
                members.entities.remove_if(subject, |_, known| known.actor_id() == actor);
            }
            Child::Run(running) => {
                if let Some(mut runs) = members.runs.get_mut(&running.task) {
                    runs.retain(|(_, known)| known.get_id() != actor);
                }
                members.runs.remove_if(&running.task, |_, runs| runs.is_empty());
            }
            Child::Turn(running) => {
                members.turns.remove_if(&running.turn, |_, (_, known)| known.get_id() == actor);
            }
            Child::Probe(id) => {
                self.probes.remove(id);
            }
            Child::Courier(id) => {
                self.couriers.remove(id);
                members.couriers.remove(id);
            }
            Child::Peer(_) => {
                self.peers.remove(&actor);
            }
            Child::Document(id) => {
                members.documents.remove_if(id, |_, (known, _)| *known == actor);
            }
            Child::Conductor => {}
        }
    }

    pub(super) fn failed(&mut self, child: &Child) -> Duration {
        let now = Instant::now();
        self.failing.retain(|_, (_, _, until)| now < *until + Intensity::WINDOW);
        let (intensity, times, until) = self.failing.entry(child.clone()).or_insert((Intensity::default(), 0, now));
        let pause = intensity.failed(now);
        (*times, *until) = (*times + 1, now + pause);
        pause
    }

    pub(super) fn parked(&self, child: &Child) -> Option<Instant> {
        self.failing.get(child).map(|(_, _, until)| *until).filter(|until| *until > Instant::now())
    }

    /// Entities and documents come back when they are asked; the others have to be brought back.
    pub(super) async fn recover(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        child: Child,
        pause: Duration,
        error: String,
    ) -> Result<(), ActorProcessingErr> {
        let times = self.failing.get(&child).map_or(0, |(_, times, _)| *times);
        match child {
            Child::Entity(_) | Child::Probe(_) | Child::Courier(_) | Child::Peer(_) | Child::Document(_) => {}
            Child::Run(running) if times > RUN_FAILURES_MAX => {
                let handle = self.handle.clone();
                let message = format!("the actor that drives the attempt keeps failing: {error}");
                tokio::spawn(async move {
                    let report = Report::Failed { class: FailureClass::Unknown, message, retry_after_ms: None };
                    let key = format!("attempt:{}:given-up", running.attempt);
                    if let Err(error) = handle.report(&running, Some(key), report).await {
                        tracing::error!(attempt = %running.attempt, %error, "a failing attempt could not be ended");
                    }
                });
            }
            Child::Run(running) => {
                myself.send_after(pause + Duration::from_millis(1), move || SupervisorMessage::Run(running));
            }
            Child::Turn(running) if times > RUN_FAILURES_MAX => {
                let handle = self.handle.clone();
                let name = turn::agent_name(&self.schedule.borrow(), &running);
                tokio::spawn(async move {
                    let reason = "what drives it keeps failing";
                    if let Err(error) = turn::give_up(&handle, &running, &name, FailureClass::Unknown, reason).await {
                        tracing::error!(turn = %running.turn, %error, "a failing turn could not be ended");
                    }
                });
            }
            Child::Turn(running) => {
                myself.send_after(pause + Duration::from_millis(1), move || SupervisorMessage::Turn(running));
            }
            // Its place in the table of members is taken for good: with it gone, the workspace starts anew.
            Child::Conductor => return Err(format!("the conductor failed: {error}").into()),
        }
        Ok(())
    }
}
