//! What an agent does, as others see it.

use crate::domain::{
    agent::{AgentStatus, Availability, RuntimeKind},
    event::{AgentEvent, TaskEvent},
    ids::{AgentId, InstanceId},
};

use super::{
    schedule::{Runner, Schedule},
    worker::Worker,
};

impl Schedule {
    /// Returns the agent's new status when a task's event, already folded in, changed it.
    pub(super) fn status_after(&self, event: &TaskEvent) -> Option<(AgentId, AgentEvent)> {
        let agent = match event {
            TaskEvent::AttemptStarted { agent, .. } => vec![*agent],
            TaskEvent::AttemptSucceeded { .. }
            | TaskEvent::AttemptFailed { .. }
            | TaskEvent::AttemptLost { .. }
            | TaskEvent::AttemptCancelled { .. }
            | TaskEvent::AttemptSuperseded { .. } => self.agents.keys().copied().collect(),
            _ => vec![],
        };
        agent.into_iter().find_map(|id| self.changed_status(id).map(|event| (id, event)))
    }

    pub(super) fn changed_status(&self, id: AgentId) -> Option<AgentEvent> {
        let worker = self.agents.get(&id)?;
        let (status, cause) = self.status_of(id, worker);
        (status != worker.status).then(|| AgentEvent::Status { status, cause: cause.into() })
    }

    fn status_of(&self, id: AgentId, worker: &Worker) -> (AgentStatus, &'static str) {
        let works = self.running.values().any(|running| running.agent == id);
        let talks = self.turns.running().any(|running| running.agent == id);
        // Whoever calls Link is not there before the first call.
        let untried = worker.instances.is_empty() && worker.runtime != RuntimeKind::Peer;
        let answers = untried || worker.instances.values().any(Runner::usable);
        let sound =
            |(instance, runner): (&InstanceId, &Runner)| runner.usable() && !worker.standings.contains_key(instance);
        let degraded = !worker.instances.is_empty() && !worker.instances.iter().any(sound);
        match worker.availability {
            Availability::Retired => (AgentStatus::Retired, "retired by a person"),
            Availability::Draining => (AgentStatus::Draining, "drained by a person"),
            Availability::Paused => (AgentStatus::Paused, "paused by a person"),
            Availability::Active if !answers => (AgentStatus::Offline, "no instance answers"),
            Availability::Active if degraded => {
                (AgentStatus::Degraded, "every instance that answers got slower or fails")
            }
            Availability::Active if !worker.worse.is_empty() => (AgentStatus::Degraded, "its work got worse"),
            Availability::Active if works => (AgentStatus::Working, "an attempt runs"),
            Availability::Active if talks => (AgentStatus::Working, "it answers in a conversation"),
            Availability::Active => (AgentStatus::Idle, "no attempt runs"),
        }
    }
}
