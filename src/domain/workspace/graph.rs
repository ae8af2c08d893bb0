//! Which task waits for which, and what opens when one is done.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    event::TaskEvent,
    ids::{ProjectId, TaskId},
    rejection::Rejection,
    task::{Priority, TaskStatus},
};

/// How one task depends on another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The other one must be done.
    #[default]
    Blocks,
    /// The other one must be done or in review.
    ReviewReadyOk,
    /// They belong together; neither waits.
    Relates,
    /// They are the same; neither waits.
    Duplicates,
}

impl Gate {
    fn closes(self) -> bool {
        matches!(self, Self::Blocks | Self::ReviewReadyOk)
    }

    fn opened_by(self, status: TaskStatus) -> bool {
        match self {
            Self::Blocks => status == TaskStatus::Done,
            Self::ReviewReadyOk => matches!(status, TaskStatus::Done | TaskStatus::InReview),
            Self::Relates | Self::Duplicates => true,
        }
    }
}

/// The most tasks that one task can wait for.
pub const DEPENDENCIES_MAX: usize = 200;

/// All tasks of a workspace, as far as gates need them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    tasks: BTreeMap<TaskId, Node>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    project: ProjectId,
    status: TaskStatus,
    #[serde(default)]
    priority: Priority,
    delegated: bool,
    gates: BTreeMap<TaskId, Gate>,
    dependents: BTreeSet<TaskId>,
    /// The parts that it waits for until they are joined: a gate of its own.
    #[serde(default)]
    parts: BTreeSet<TaskId>,
    /// How many tasks it is a part of, one within the other.
    #[serde(default)]
    depth: u32,
}

impl Graph {
    pub(super) fn knows(&self, id: TaskId) -> bool {
        self.tasks.contains_key(&id)
    }

    pub(super) fn project_of(&self, id: TaskId) -> Option<ProjectId> {
        self.tasks.get(&id).map(|node| node.project)
    }

    pub(super) fn status_of(&self, id: TaskId) -> Option<TaskStatus> {
        self.tasks.get(&id).map(|node| node.status)
    }

    pub(super) fn depth_of(&self, id: TaskId) -> u32 {
        self.tasks.get(&id).map(|node| node.depth).unwrap_or_default()
    }

    pub(super) fn priority_of(&self, id: TaskId) -> Priority {
        self.tasks.get(&id).map(|node| node.priority).unwrap_or_default()
    }

    /// Returns the tasks whose gates an event can have opened or closed.
    pub(super) fn touched_by(&self, id: TaskId, event: &TaskEvent) -> Vec<TaskId> {
        match event {
            TaskEvent::Transitioned { .. } => {
                self.tasks.get(&id).map(|node| node.dependents.iter().copied().collect()).unwrap_or_default()
            }
            TaskEvent::DependencyAdded { .. }
            | TaskEvent::DependencyRemoved { .. }
            | TaskEvent::FanOutOpened { .. }
            | TaskEvent::FanOutJoined { .. }
            | TaskEvent::DelegationQueued { .. } => vec![id],
            _ => vec![],
        }
    }

    /// Tells whether every gate of the task is open.
    pub(super) fn is_open(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|node| self.lets(node))
    }

    fn lets(&self, node: &Node) -> bool {
        node.parts.is_empty() && self.all_open(&node.gates)
    }

    fn all_open(&self, gates: &BTreeMap<TaskId, Gate>) -> bool {
        gates.iter().all(|(id, gate)| self.tasks.get(id).is_none_or(|node| gate.opened_by(node.status)))
    }

    /// A task that is born ready is blocked when a gate is closed.
    pub(super) fn status_at_birth(
        &self,
        wanted: TaskStatus,
        depends_on: &BTreeSet<TaskId>,
    ) -> Result<TaskStatus, Rejection> {
        if depends_on.len() > DEPENDENCIES_MAX {
            return Err(too_many());
        }
        if depends_on.iter().any(|id| !self.knows(*id)) {
            return Err(Rejection::NotFound("a task in depends_on"));
        }
        let gates = depends_on.iter().map(|id| (*id, Gate::Blocks)).collect();
        let blocked = wanted == TaskStatus::Ready && !self.all_open(&gates);
        Ok(if blocked { TaskStatus::Blocked } else { wanted })
    }

    /// A task that would become ready becomes blocked when a gate is closed. One that comes from where the table
    /// has no such step becomes ready first, and the block follows (see [`Self::consequences`]).
    pub(super) fn gated(&self, id: TaskId, from: TaskStatus, to: &mut TaskStatus) {
        if *to == TaskStatus::Ready && from.may_become(TaskStatus::Blocked) && !self.is_open(id) {
            *to = TaskStatus::Blocked;
        }
    }

    pub(super) fn must_stay_acyclic(&self, id: TaskId, depends_on: TaskId, gate: Gate) -> Result<(), Rejection> {
        let node = self.tasks.get(&id).ok_or(Rejection::NotFound("task"))?;
        if !self.knows(depends_on) {
            return Err(Rejection::NotFound("the task in depends_on"));
        }
        if node.gates.contains_key(&depends_on) {
            return Err(Rejection::Busy("the dependency exists already"));
        }
        if node.gates.len() >= DEPENDENCIES_MAX {
            return Err(too_many());
        }
        if id == depends_on || (gate.closes() && self.reaches(depends_on, id)) {
            return Err(Rejection::Cycle);
        }
        Ok(())
    }

    pub(super) fn must_be_linked(&self, id: TaskId, depends_on: TaskId) -> Result<(), Rejection> {
        let linked = self.tasks.get(&id).is_some_and(|node| node.gates.contains_key(&depends_on));
        if linked { Ok(()) } else { Err(Rejection::NotFound("dependency")) }
    }

    /// Follows closing gates, and joins, from one task to another.
    fn reaches(&self, from: TaskId, to: TaskId) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(id) = next.pop() {
            if id == to {
                return true;
            }
            if !seen.insert(id) {
                continue;
            }
            if let Some(node) = self.tasks.get(&id) {
                next.extend(node.gates.iter().filter(|(_, gate)| gate.closes()).map(|(id, _)| *id));
                next.extend(&node.parts);
            }
        }
        false
    }

    /// Returns what an event, already folded in, means for other tasks and for its own gates. It is asked when all
    /// that was decided is folded in, so that it speaks of where the tasks are, not of where they passed through.
    pub(super) fn consequences(&self, id: TaskId, event: &TaskEvent) -> Vec<(TaskId, TaskEvent)> {
        match event {
            TaskEvent::Transitioned { from, to, .. } => {
                self.dependents_after(id, *from, *to).into_iter().chain(self.blocked_now(id)).collect()
            }
            // What was in the queue had started; without its delegation it has not.
            TaskEvent::DependencyAdded { .. }
            | TaskEvent::FanOutOpened { .. }
            | TaskEvent::DelegationCompleted { .. }
            | TaskEvent::DelegationCancelled { .. }
            | TaskEvent::DelegationFailed { .. } => self.blocked_now(id).into_iter().collect(),
            TaskEvent::DependencyRemoved { .. } | TaskEvent::FanOutJoined { .. } => {
                self.ready_now(id, None).or_else(|| self.blocked_now(id)).into_iter().collect()
            }
            _ => vec![],
        }
    }

    fn dependents_after(&self, id: TaskId, from: TaskStatus, to: TaskStatus) -> Vec<(TaskId, TaskEvent)> {
        let Some(node) = self.tasks.get(&id) else { return vec![] };
        let touched = node.dependents.iter().filter(|dependent| {
            let gate = self.tasks.get(dependent).and_then(|node| node.gates.get(&id));
            gate.is_some_and(|gate| gate.opened_by(from) != gate.opened_by(to))
        });
        touched
            .filter_map(|dependent| self.ready_now(*dependent, Some(id)).or_else(|| self.blocked_now(*dependent)))
            .collect()
    }

    fn ready_now(&self, id: TaskId, by: Option<TaskId>) -> Option<(TaskId, TaskEvent)> {
        let node = self.tasks.get(&id)?;
        let ready = node.status == TaskStatus::Blocked && self.lets(node);
        ready.then_some((id, TaskEvent::Ready { by }))
    }

    /// What has started goes on; what has not must wait again.
    fn blocked_now(&self, id: TaskId) -> Option<(TaskId, TaskEvent)> {
        let node = self.tasks.get(&id)?;
        let blocked = node.status == TaskStatus::Ready && !node.delegated && !self.lets(node);
        let (from, to) = (TaskStatus::Ready, TaskStatus::Blocked);
        blocked.then(|| (id, TaskEvent::Transitioned { from, to, reason: "waits for other tasks".into() }))
    }

    pub(super) fn apply(&mut self, id: TaskId, event: &TaskEvent) {
        match event {
            TaskEvent::Created { project, status, priority, depends_on, parent, .. } => {
                let gates = depends_on.iter().map(|id| (*id, Gate::Blocks)).collect();
                for blocker in depends_on {
                    if let Some(node) = self.tasks.get_mut(blocker) {
                        node.dependents.insert(id);
                    }
                }
                let (project, status, priority) = (*project, *status, *priority);
                let depth = parent.map_or(0, |parent| self.depth_of(parent) + 1);
                let (delegated, dependents, parts) = (false, BTreeSet::new(), BTreeSet::new());
                let node = Node { project, status, priority, delegated, gates, dependents, parts, depth };
                self.tasks.insert(id, node);
            }
            TaskEvent::Updated { priority: Some(priority), .. } => self.change(id, |node| node.priority = *priority),
            TaskEvent::RolledBack { state, .. } => self.change(id, |node| node.priority = state.priority),
            TaskEvent::Transitioned { to, .. } => self.change(id, |node| node.status = *to),
            TaskEvent::Ready { .. } => self.change(id, |node| node.status = TaskStatus::Ready),
            TaskEvent::DependencyAdded { depends_on, gate } => {
                self.change(id, |node| {
                    node.gates.insert(*depends_on, *gate);
                });
                self.change(*depends_on, |node| {
                    node.dependents.insert(id);
                });
            }
            TaskEvent::DependencyRemoved { depends_on } => {
                self.change(id, |node| {
                    node.gates.remove(depends_on);
                });
                self.change(*depends_on, |node| {
                    node.dependents.remove(&id);
                });
            }
            TaskEvent::FanOutOpened { parts, .. } => {
                self.change(id, |node| node.parts = parts.iter().map(|part| part.task).collect());
            }
            TaskEvent::FanOutJoined { .. } => self.change(id, |node| node.parts.clear()),
            TaskEvent::DelegationQueued { .. } => self.change(id, |node| node.delegated = true),
            TaskEvent::DelegationCompleted { .. }
            | TaskEvent::DelegationCancelled { .. }
            | TaskEvent::DelegationFailed { .. } => self.change(id, |node| node.delegated = false),
            _ => {}
        }
    }

    fn change(&mut self, id: TaskId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.tasks.get_mut(&id) {
            change(node);
        }
    }
}

fn too_many() -> Rejection {
    Rejection::Invalid { path: "depends_on", message: format!("a task can wait for at most {DEPENDENCIES_MAX} others") }
}
