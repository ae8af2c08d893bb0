//! Tasks that were split into parts: what came of the parts so far, and when that is enough, or never will be.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    event::{Event, TaskEvent},
    ids::*,
    principal::Principal,
    rejection::Rejection,
    task::{ChildPolicy, DEPTH_MAX, Join, JoinOutcome, Part, PartResult, PartStatus, QueueReason, Review, TaskStatus},
};

use super::{
    Fact, Workspace,
    agenda::{Agenda, Chore, Errand},
    schedule::Schedule,
};

/// The joins of a workspace that are not decided yet, and the parts that have to be ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Fans {
    open: BTreeMap<TaskId, Fan>,
    /// Parts of these, with what they are parts of.
    parts: BTreeMap<TaskId, TaskId>,
    /// Parts that nobody waits for any more.
    winding: BTreeMap<TaskId, ChildPolicy>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fan {
    id: FanOutId,
    join: Join,
    policy: ChildPolicy,
    owner: Option<Principal>,
    expires_at: Option<DateTime<Utc>>,
    parts: Vec<PartResult>,
}

impl Fan {
    fn outcome(&self) -> Option<JoinOutcome> {
        let count = |status| self.parts.iter().filter(|part| part.status == status).count();
        let needs = self.join.needs(self.parts.len());
        match (count(PartStatus::Done), count(PartStatus::Open)) {
            (done, _) if done >= needs => Some(JoinOutcome::Enough),
            (done, open) if done + open < needs => Some(JoinOutcome::Impossible),
            _ => None,
        }
    }
}

impl Fans {
    fn joined(&self, task: TaskId, outcome: JoinOutcome) -> Option<TaskEvent> {
        let fan = self.open.get(&task)?;
        let (fan_out, owner, parts) = (fan.id, fan.owner, fan.parts.clone());
        Some(TaskEvent::FanOutJoined { fan_out, outcome, owner, parts })
    }

    /// Returns the joins that an event, already folded in, decides: its own, and that of what it is a part of.
    fn decided(&self, task: TaskId, event: &TaskEvent) -> Vec<(TaskId, TaskEvent)> {
        let ends = match event {
            TaskEvent::Transitioned { to, .. } => to.is_closed(),
            TaskEvent::DelegationCancelled { .. } | TaskEvent::DelegationFailed { .. } => true,
            _ => return vec![],
        };
        let own = self.joined(task, JoinOutcome::Ended).filter(|_| ends).map(|event| (task, event));
        let whole = self.parts.get(&task).and_then(|whole| {
            let outcome = self.open.get(whole)?.outcome()?;
            Some((*whole, self.joined(*whole, outcome)?))
        });
        own.into_iter().chain(whole).collect()
    }

    pub fn apply(&mut self, task: TaskId, event: &TaskEvent) {
        match event {
            TaskEvent::FanOutOpened { fan_out, parts, join, policy, owner, expires_at, .. } => {
                self.parts.extend(parts.iter().map(|part| (part.task, task)));
                let parts = parts.iter().map(|part| PartResult {
                    task: part.task,
                    delegation: part.delegation,
                    status: PartStatus::Open,
                    agent: part.agent,
                    attempt: None,
                    artifacts: vec![],
                });
                let (id, join, policy, owner) = (*fan_out, *join, *policy, *owner);
                let fan = Fan { id, join, policy, owner, expires_at: *expires_at, parts: parts.collect() };
                self.open.insert(task, fan);
            }
            TaskEvent::FanOutJoined { .. } => {
                let Some(fan) = self.open.remove(&task) else { return };
                for part in fan.parts {
                    self.parts.remove(&part.task);
                    if fan.policy != ChildPolicy::Abandon && part.status == PartStatus::Open {
                        self.winding.insert(part.task, fan.policy);
                    }
                }
            }
            TaskEvent::Transitioned { to, .. } if to.is_closed() => drop(self.winding.remove(&task)),
            _ => {}
        }
        let Some(part) = self.part_mut(task) else { return };
        match event {
            TaskEvent::Transitioned { to: TaskStatus::Done, .. } => part.status = PartStatus::Done,
            TaskEvent::Transitioned { to: TaskStatus::Failed | TaskStatus::Cancelled, .. }
            | TaskEvent::DelegationFailed { .. }
            | TaskEvent::DelegationCancelled { .. } => part.status = PartStatus::Failed,
            TaskEvent::Transitioned { from, .. } if from.is_closed() => part.status = PartStatus::Open,
            TaskEvent::DelegationQueued { delegation, .. } => {
                (part.status, part.delegation) = (PartStatus::Open, *delegation);
            }
            TaskEvent::AttemptStarted { agent, .. } => part.agent = Some(*agent),
            TaskEvent::DelegationSubmitted { attempt, evidence, .. } => {
                (part.attempt, part.artifacts) = (Some(*attempt), evidence.clone());
            }
            _ => {}
        }
    }

    fn part_mut(&mut self, task: TaskId) -> Option<&mut PartResult> {
        let whole = self.parts.get(&task)?;
        self.open.get_mut(whole)?.parts.iter_mut().find(|part| part.task == task)
    }
}

impl Schedule {
    /// Says which joins are out of time, and which parts have to be ended.
    pub(super) fn join_parts(&self, now: DateTime<Utc>, agenda: &mut Agenda) {
        for (task, fan) in &self.fans.open {
            match fan.expires_at {
                Some(time) if time <= now => {
                    agenda.errands.push(Errand { task: *task, chore: Chore::TimeOut(fan.id) });
                }
                Some(time) => agenda.look_again = [agenda.look_again, Some(time)].into_iter().flatten().min(),
                None => {}
            }
        }
        let winding = self.fans.winding.iter();
        agenda.errands.extend(winding.map(|(task, policy)| Errand { task: *task, chore: Chore::Wind(*policy) }));
    }
}

impl Workspace {
    pub(super) fn admit_fan_out(
        &self,
        id: TaskId,
        parts: &[Part],
        review: &Review,
        by: Principal,
    ) -> Result<(), Rejection> {
        if let Some(project) = self.graph.project_of(id) {
            self.must_be_active(&project)?;
        }
        if self.graph.depth_of(id) >= DEPTH_MAX {
            return Err(Rejection::Busy("parts of parts are split five times at most: do it in one piece"));
        }
        self.must_be_reviewable(id, review, by, &Default::default())?;
        for part in parts {
            if self.graph.knows(part.task) {
                return Err(Rejection::Exists(Subject::Task(part.task)));
            }
            self.schedule.must_take_work(part.agent)?;
            self.schedule.must_have_a_worker(part.team)?;
        }
        Ok(())
    }

    /// Fills in what came of the parts.
    pub(super) fn fill_in_parts(&self, id: TaskId, event: &mut TaskEvent) {
        if let (TaskEvent::FanOutJoined { owner, parts, .. }, Some(fan)) = (event, self.schedule.fans.open.get(&id)) {
            (*owner, *parts) = (fan.owner, fan.parts.clone());
        }
    }

    /// Makes the parts, and hands each to its agent.
    pub(super) fn parts_of(&self, id: TaskId, event: &TaskEvent) -> Vec<Fact> {
        let TaskEvent::FanOutOpened { parts, review, owner, by, .. } = event else { return vec![] };
        let Some(project) = self.graph.project_of(id) else { return vec![] };
        let Some(numbering) = self.projects.get(&project) else { return vec![] };
        let facts = parts.iter().zip(numbering.last + 1..).flat_map(|(part, number)| {
            let created = TaskEvent::Created {
                project,
                number,
                identifier: format!("{}-{number}", numbering.key),
                title: part.title.clone(),
                description: crate::domain::text::Prose::fitted(&part.instructions),
                status: TaskStatus::Ready,
                priority: self.graph.priority_of(id),
                assignee: *owner,
                parent: Some(id),
                depends_on: Default::default(),
                claims: part.claims.clone(),
                skills: Default::default(),
            };
            let fact = |event: TaskEvent| Fact { subject: Subject::Task(part.task), event: Event::Task(event) };
            [fact(created), fact(queued(part, *by, review.clone()))]
        });
        facts.collect()
    }

    /// Returns the joins that an event, already folded in, decides.
    pub(super) fn joins_decided(&self, id: TaskId, event: &TaskEvent) -> Vec<Fact> {
        let decided = self.schedule.fans.decided(id, event).into_iter();
        decided.map(|(task, event)| Fact { subject: Subject::Task(task), event: Event::Task(event) }).collect()
    }
}

impl Schedule {
    /// Returns the queued delegation of a task.
    pub(super) fn queued_of(&self, task: TaskId) -> Option<DelegationId> {
        self.queue.iter().find(|(_, waiting)| waiting.task == task).map(|(delegation, _)| *delegation)
    }
}

fn queued(part: &Part, delegator: Principal, review: Review) -> TaskEvent {
    TaskEvent::DelegationQueued {
        delegation: part.delegation,
        agent: part.agent,
        team: part.team,
        instructions: Default::default(),
        delegator,
        review,
        not_before: None,
        tries: 0,
        round: 0,
        reason: QueueReason::Created,
        step: None,
        terms: Default::default(),
    }
}
