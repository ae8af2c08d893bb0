//! The second reading: what a log says of tasks, delegations, attempts and agents, checked event by event.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::{
    claim::Claims,
    event::{AgentEvent, Event, Recorded, TaskEvent},
    failure::Strategy,
    ids::*,
    principal::Principal,
    task::{Review, TaskStatus, Terms},
    workspace::Gate,
};

use super::{Finding, checkpoints::Kept, claims::Writer, fuse::Fuses, hand_offs::Offer, rooms::Room};

/// How many findings are listed.
const FINDINGS_MAX: usize = 200;

/// Reads a workspace's log from its first event on.
#[derive(Clone, Default)]
pub struct Doctor {
    head: u64,
    pub(super) tasks: BTreeMap<TaskId, Card>,
    pub(super) delegations: BTreeMap<DelegationId, Mandate>,
    pub(super) attempts: BTreeMap<AttemptId, Try>,
    pub(super) questions: BTreeMap<InterruptId, (AttemptId, bool)>,
    /// How often people were reminded of a question.
    pub(super) reminded: BTreeMap<InterruptId, u32>,
    pub(super) bounds: BTreeMap<AgentId, u32>,
    pub(super) slots: BTreeMap<InstanceId, u32>,
    pub(super) artifacts: BTreeSet<(AttemptId, String, String)>,
    /// What agents may decide on somebody's behalf, with the uses that are left.
    pub(super) rights: BTreeMap<RightId, (AgentId, u32)>,
    /// Where an agent said last that it decides on somebody's behalf.
    pub(super) decided: u64,
    pub(super) fuses: Fuses,
    /// Who may be writing where.
    pub(super) writers: BTreeMap<AttemptId, Writer>,
    pub(super) offers: BTreeMap<DelegationId, Offer>,
    pub(super) rooms: BTreeMap<ConversationId, Room>,
    /// The last update of each document.
    pub(super) updates: BTreeMap<DocumentId, u64>,
    pub(super) checkpoints: BTreeMap<TaskId, BTreeMap<CheckpointId, Kept>>,
    pub(super) findings: Vec<Finding>,
}

#[derive(Clone)]
pub(super) struct Card {
    pub status: TaskStatus,
    pub gates: BTreeMap<TaskId, Gate>,
    /// It is split into parts that are not joined yet.
    pub split: bool,
    pub fence: u64,
    pub open: Option<DelegationId>,
    /// Attempts since a person last had a say.
    pub used: u32,
    pub steps: BTreeSet<(String, Strategy)>,
    pub retry_after: TimeDelta,
    pub project: ProjectId,
    pub claims: Claims,
    /// The agents that have handed it on since a person last had a say.
    pub handed_on: Vec<AgentId>,
}

#[derive(Clone)]
pub(super) struct Mandate {
    pub status: &'static str,
    pub delegator: Principal,
    pub review: Review,
    pub terms: Terms,
    /// It was said that it has been in the queue for too long.
    pub overdue: bool,
    pub reminded: u32,
    pub approvals: BTreeSet<Principal>,
    pub evidence: usize,
    pub cancelling: bool,
    pub live: Option<AttemptId>,
}

#[derive(Clone)]
pub(super) struct Try {
    pub delegation: DelegationId,
    pub agent: AgentId,
    pub instance: InstanceId,
    pub live: bool,
    pub stopping: bool,
}

impl Doctor {
    /// Reads the next event.
    pub fn event(&mut self, recorded: &Recorded) {
        let offset = recorded.offset;
        if offset != self.head + 1 {
            self.found("I4", offset, format!("offset {offset} comes after {}", self.head));
        }
        self.head = offset;
        match (&recorded.subject, &recorded.event) {
            (Subject::Task(id), Event::Task(event)) => self.task(recorded, *id, event),
            (Subject::Agent(id), Event::Agent(event)) => self.agent(*id, event),
            (Subject::Conversation(id), Event::Conversation(event)) => self.said(recorded, *id, event),
            (Subject::Document(id), Event::Document(event)) => self.written(offset, *id, event),
            (_, Event::Workspace(event)) => self.right(event),
            _ => {}
        }
        self.heard(recorded);
    }

    /// Returns what is wrong.
    pub fn finish(mut self) -> Vec<Finding> {
        self.look_at_gates();
        self.look_at_delegations();
        self.findings
    }

    /// Returns the states of tasks and delegations and the last updates of documents, as readers have to see them.
    pub fn states(&self) -> impl Iterator<Item = (uuid::Uuid, String)> {
        let tasks = self.tasks.iter().map(|(id, card)| (id.0, card.status.name().to_owned()));
        let delegations = self.delegations.iter().map(|(id, mandate)| (id.0, mandate.status.to_owned()));
        let documents = self.updates.iter().map(|(id, last)| (id.0, last.to_string()));
        tasks.chain(delegations).chain(documents)
    }

    /// Returns how a delegation stands.
    pub fn stands(&self, id: DelegationId) -> Option<&'static str> {
        self.delegations.get(&id).map(|mandate| mandate.status)
    }

    /// Returns the questions that are open.
    pub fn open_questions(&self) -> impl Iterator<Item = InterruptId> {
        self.questions.iter().filter(|(_, (_, open))| *open).map(|(id, _)| *id)
    }

    /// Returns how many things attempts made, each name once.
    pub fn made(&self) -> usize {
        self.artifacts.len()
    }

    pub(super) fn found(&mut self, invariant: &'static str, offset: u64, detail: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { invariant, offset, detail: detail.into() });
        }
    }

    fn agent(&mut self, id: AgentId, event: &AgentEvent) {
        match event {
            AgentEvent::Registered { max_concurrency, .. }
            | AgentEvent::Updated { max_concurrency: Some(max_concurrency), .. } => {
                self.bounds.insert(id, *max_concurrency);
            }
            AgentEvent::InstanceAdded { instance, slots, .. } => drop(self.slots.insert(*instance, *slots)),
            _ => {}
        }
    }

    fn task(&mut self, recorded: &Recorded, id: TaskId, event: &TaskEvent) {
        let offset = recorded.offset;
        if let TaskEvent::Created { status, depends_on, project, claims, .. } = event {
            let gates = depends_on.iter().map(|id| (*id, Gate::Blocks)).collect();
            let (fence, open, used, steps, retry_after, handed_on) = Default::default();
            let (status, project, claims, split) = (*status, *project, claims.clone(), false);
            let card = Card { status, gates, split, fence, open, used, steps, retry_after, project, claims, handed_on };
            if self.tasks.insert(id, card).is_some() {
                self.found("I18", offset, format!("task {id} was made twice"));
            }
            return;
        }
        if !self.tasks.contains_key(&id) {
            return self.found("I1", offset, format!("task {id} was never made"));
        }
        self.moved(offset, id, event);
        self.delegated(recorded, id, event);
        if let Some(wrong) = self.fuses.event(recorded, event) {
            self.found("I19", offset, wrong);
        }
        self.claimed(offset, id, event);
        self.attempted(offset, id, event);
        self.handed_on(offset, id, event);
        self.remembered(offset, id, event);
        self.asked(recorded, event);
    }

    pub(super) fn card(&mut self, id: TaskId) -> Option<&mut Card> {
        self.tasks.get_mut(&id)
    }

    pub(super) fn gates_are_open(&self, id: TaskId) -> bool {
        let Some(card) = self.tasks.get(&id) else { return false };
        !card.split
            && card.gates.iter().all(|(other, gate)| match (gate, self.tasks.get(other).map(|other| other.status)) {
                (Gate::Relates | Gate::Duplicates, _) | (_, None | Some(TaskStatus::Done)) => true,
                (Gate::ReviewReadyOk, Some(status)) => status == TaskStatus::InReview,
                (Gate::Blocks, Some(_)) => false,
            })
    }

    fn moved(&mut self, offset: u64, id: TaskId, event: &TaskEvent) {
        let Some(status) = self.tasks.get(&id).map(|card| card.status) else { return };
        match event {
            TaskEvent::Transitioned { from, to, .. } => {
                if *from != status || !from.may_become(*to) {
                    self.found("I1", offset, format!("task {id} went from {from} to {to}, and it was {status}"));
                }
                if let Some(card) = self.card(id) {
                    card.status = *to;
                }
            }
            TaskEvent::Ready { .. } => {
                if status != TaskStatus::Blocked || !self.gates_are_open(id) {
                    self.found("I8", offset, format!("task {id} was said to be ready while it was {status}"));
                }
                if let Some(card) = self.card(id) {
                    card.status = TaskStatus::Ready;
                }
            }
            TaskEvent::FanOutOpened { .. } | TaskEvent::FanOutJoined { .. } => {
                if let Some(card) = self.card(id) {
                    card.split = matches!(event, TaskEvent::FanOutOpened { .. });
                }
            }
            TaskEvent::DependencyAdded { depends_on, gate } => {
                if let Some(card) = self.card(id) {
                    card.gates.insert(*depends_on, *gate);
                }
            }
            TaskEvent::DependencyRemoved { depends_on } => {
                if let Some(card) = self.card(id) {
                    card.gates.remove(depends_on);
                }
            }
            _ => {}
        }
    }
}
