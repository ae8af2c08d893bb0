//! The second reading of who may be writing where.

use crate::domain::{
    claim::{Claims, clash},
    event::TaskEvent,
    ids::*,
};

use super::ledger::Doctor;

/// An agent that may be writing, to all that its task has claimed since its attempt began.
#[derive(Clone)]
pub(super) struct Writer {
    task: TaskId,
    project: ProjectId,
    paths: Claims,
}

impl Doctor {
    pub(super) fn claimed(&mut self, offset: u64, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::Updated { claims: Some(claims), .. } => {
                if let Some(card) = self.card(task) {
                    card.claims.clone_from(claims);
                }
                let mut at_work = false;
                for writer in self.writers.values_mut().filter(|writer| writer.task == task) {
                    at_work = true;
                    writer.paths.extend(claims.iter().cloned());
                }
                if at_work {
                    self.must_be_alone(offset, task);
                }
            }
            E::AttemptStarted { attempt, .. } => {
                let Some(card) = self.tasks.get(&task) else { return };
                let writer = Writer { task, project: card.project, paths: card.claims.clone() };
                self.writers.insert(*attempt, writer);
                self.must_be_alone(offset, task);
            }
            E::AttemptSucceeded { attempt }
            | E::AttemptFailed { attempt, .. }
            | E::AttemptLost { attempt, .. }
            | E::AttemptCancelled { attempt, .. }
            | E::AttemptSuperseded { attempt }
                if !event.leaves_an_agent_at_work() =>
            {
                self.writers.remove(attempt);
            }
            E::AttemptReleased { attempt, .. } => drop(self.writers.remove(attempt)),
            _ => {}
        }
    }

    fn must_be_alone(&mut self, offset: u64, task: TaskId) {
        let own = |writer: &&Writer| writer.task == task;
        let clashing = self.writers.values().filter(own).find_map(|writer| {
            let mut others = self.writers.values().filter(|other| other.task != task);
            others.find(|other| other.project == writer.project && clash(&writer.paths, &other.paths).is_some())
        });
        if let Some(other) = clashing.map(|other| other.task) {
            self.found("I27", offset, format!("agents of the tasks {task} and {other} may write to the same path"));
        }
    }
}
