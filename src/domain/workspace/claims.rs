//! Who may write where: a path is held by one task of a project at a time, from the moment its attempt begins until the
//! agent has stopped. Who is in the queue for a path gets it in the order of the queue.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::domain::{
    claim::{Claims, clash},
    event::TaskEvent,
    ids::{AttemptId, ProjectId, TaskId},
    rejection::Rejection,
};

/// What is claimed, and what of it is held.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Claimed {
    /// What each task claims. Shared by the schedules that are published: it changes seldom.
    wanted: Arc<BTreeMap<TaskId, Wanted>>,
    /// Where each agent may be writing: all that its task has claimed since the attempt began.
    held: BTreeMap<AttemptId, (TaskId, Wanted)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wanted {
    project: ProjectId,
    paths: Claims,
}

impl Wanted {
    fn clashes(&self, other: &Self) -> bool {
        self.project == other.project && clash(&self.paths, &other.paths).is_some()
    }
}

/// Those that come before others in a look at the queue.
#[derive(Default)]
pub(super) struct Line<'a>(Vec<(TaskId, &'a Wanted)>);

impl Claimed {
    /// Tells whether a task claims anything.
    pub fn wants(&self, task: TaskId) -> bool {
        self.wanted.contains_key(&task)
    }

    /// Returns the task that keeps another one from its paths: one whose agent may write there, or that comes before it.
    pub fn in_the_way_of(&self, task: TaskId, line: &Line<'_>) -> Option<TaskId> {
        let own = self.wanted.get(&task)?;
        let held = self.held.values().map(|(holder, held)| (*holder, held));
        let mut others = held.chain(line.0.iter().copied());
        others.find(|(other, theirs)| *other != task && own.clashes(theirs)).map(|(other, _)| other)
    }

    /// Puts a task into the line, behind those that are in it.
    pub fn join<'a>(&'a self, line: &mut Line<'a>, task: TaskId) {
        line.0.extend(self.wanted.get(&task).map(|own| (task, own)));
    }

    /// An attempt begins only where nobody else writes.
    pub fn must_be_free_for(&self, task: TaskId) -> Result<(), Rejection> {
        match self.in_the_way_of(task, &Line::default()) {
            None => Ok(()),
            Some(_) => {
                Err(Rejection::Busy("an agent writes to a path that the task claims: it is next when that one ends"))
            }
        }
    }

    /// What an agent at work gets in addition, nobody else may have.
    pub fn must_be_free(&self, task: TaskId, paths: &Claims) -> Result<(), Rejection> {
        let own = self.held.values().find(|(holder, _)| *holder == task);
        let taken = own.is_some_and(|(_, held)| {
            let wanted = Wanted { project: held.project, paths: paths.clone() };
            self.held.values().any(|(other, theirs)| *other != task && wanted.clashes(theirs))
        });
        match taken {
            false => Ok(()),
            true => Err(Rejection::Busy(
                "the task's agent is at work, and another one writes to a path that would be claimed: wait until one of them ends",
            )),
        }
    }

    pub fn apply(&mut self, task: TaskId, project: Option<ProjectId>, event: &TaskEvent) {
        match event {
            TaskEvent::Created { project, claims, .. } if !claims.is_empty() => {
                let wanted = Wanted { project: *project, paths: claims.clone() };
                Arc::make_mut(&mut self.wanted).insert(task, wanted);
            }
            TaskEvent::Updated { claims: Some(claims), .. } => {
                let known = Arc::make_mut(&mut self.wanted);
                match project.filter(|_| !claims.is_empty()) {
                    Some(project) => drop(known.insert(task, Wanted { project, paths: claims.clone() })),
                    None => drop(known.remove(&task)),
                }
                for (_, held) in self.held.values_mut().filter(|(holder, _)| *holder == task) {
                    held.paths.extend(claims.iter().cloned());
                }
            }
            TaskEvent::AttemptStarted { attempt, .. } => {
                if let Some(project) = project {
                    let paths = self.wanted.get(&task).map(|own| own.paths.clone()).unwrap_or_default();
                    self.held.insert(*attempt, (task, Wanted { project, paths }));
                }
            }
            TaskEvent::AttemptSucceeded { attempt }
            | TaskEvent::AttemptFailed { attempt, .. }
            | TaskEvent::AttemptLost { attempt, .. }
            | TaskEvent::AttemptCancelled { attempt, .. }
            | TaskEvent::AttemptSuperseded { attempt }
                if !event.leaves_an_agent_at_work() =>
            {
                self.held.remove(attempt);
            }
            TaskEvent::AttemptReleased { attempt, .. } => drop(self.held.remove(attempt)),
            _ => {}
        }
    }
}
