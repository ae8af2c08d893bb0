//! The second reading: what a log says of tasks, delegations, attempts and agents, checked event by event.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::{
    event::{AgentEvent, Event, Recorded, TaskEvent},
    failure::Strategy,
    ids::*,
    principal::Principal,
    task::{QueueReason, Review, Reviewers, TaskStatus, Terms, Verdict},
    workspace::Gate,
};

use super::Finding;

/// The longest pause that nobody asked for.
const PAUSE_MAX: TimeDelta = TimeDelta::seconds(31);
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
            (_, Event::Workspace(event)) => self.right(event),
            _ => {}
        }
    }

    /// Returns what is wrong.
    pub fn finish(mut self) -> Vec<Finding> {
        self.look_at_gates();
        self.look_at_delegations();
        self.findings
    }

    /// Returns the states of tasks and delegations, for comparison with what readers see.
    pub fn states(&self) -> impl Iterator<Item = (uuid::Uuid, &'static str)> {
        let tasks = self.tasks.iter().map(|(id, card)| (id.0, card.status.name()));
        tasks.chain(self.delegations.iter().map(|(id, mandate)| (id.0, mandate.status)))
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
        if let TaskEvent::Created { status, depends_on, .. } = event {
            let gates = depends_on.iter().map(|id| (*id, Gate::Blocks)).collect();
            let (fence, open, used, steps, retry_after) = Default::default();
            let card = Card { status: *status, gates, split: false, fence, open, used, steps, retry_after };
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
        self.attempted(offset, id, event);
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

    fn delegated(&mut self, recorded: &Recorded, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        let offset = recorded.offset;
        let (id, status) = match event {
            E::DelegationQueued { delegation, .. } => (delegation, "queued"),
            E::AttemptStarted { delegation, .. } => (delegation, "dispatching"),
            E::DelegationRunning { delegation } => (delegation, "running"),
            E::DelegationAwaiting { delegation, .. } => (delegation, "awaiting"),
            E::DelegationPaused { delegation } => (delegation, "paused"),
            E::DelegationSubmitted { delegation, .. } | E::DelegationReviewing { delegation, .. } => {
                (delegation, "reviewing")
            }
            E::DelegationReviewed { delegation, .. }
            | E::DelegationReviewStuck { delegation, .. }
            | E::DelegationApproversSet { delegation, .. }
            | E::DelegationOverdue { delegation, .. }
            | E::DelegationRecovering { delegation, .. } => (delegation, ""),
            E::DelegationEscalated { delegation, .. } => (delegation, "escalated"),
            E::DelegationCancelling { delegation, .. } => (delegation, "cancelling"),
            E::DelegationCompleted { delegation } => (delegation, "completed"),
            E::DelegationCancelled { delegation, .. } => (delegation, "cancelled"),
            E::DelegationFailed { delegation, .. } => (delegation, "failed"),
            _ => return,
        };
        if let E::DelegationQueued { delegator, review, terms, .. } = event {
            self.queued(recorded, task, event);
            let known = self.delegations.entry(*id).or_insert_with(|| Mandate {
                status: "queued",
                delegator: *delegator,
                review: review.clone(),
                terms: terms.clone(),
                overdue: false,
                reminded: 0,
                approvals: BTreeSet::new(),
                evidence: 0,
                cancelling: false,
                live: None,
            });
            (known.review, known.evidence) = (review.clone(), 0);
            known.approvals.clear();
        }
        let over = matches!(status, "completed" | "cancelled" | "failed");
        let open = self.tasks.get(&task).and_then(|card| card.open);
        if open.is_some_and(|open| open != *id) {
            self.found("I2", offset, format!("task {task} has two open delegations"));
        }
        if let Some(card) = self.card(task) {
            card.open = Some(*id).filter(|_| !over);
        }
        let Some(known) = self.delegations.get_mut(id) else {
            return self.found("I1", offset, format!("delegation {id} was never queued"));
        };
        if matches!(known.status, "completed" | "cancelled" | "failed") {
            let was = known.status;
            return self.found("I1", offset, format!("delegation {id} was {was} and is {status}"));
        }
        if !status.is_empty() {
            known.status = status;
        }
        // Whatever comes next, it waits anew.
        if !status.is_empty() {
            known.reminded = 0;
        }
        let told = std::mem::take(&mut known.overdue);
        known.overdue = told && status.is_empty();
        match event {
            E::DelegationOverdue { .. } => {
                known.overdue = true;
                let fine = known.status == "queued" && !told;
                if !fine {
                    self.found("I9", offset, format!("delegation {id} was said to be overdue twice, or is not queued"));
                }
            }
            E::DelegationSubmitted { evidence, .. } => known.evidence = evidence.len(),
            E::DelegationReviewed { reviewer, verdict: Verdict::Approve, .. } => {
                known.approvals.insert(*reviewer);
            }
            E::DelegationApproversSet { review, approvals, .. } => {
                known.review.clone_from(review);
                known.approvals = approvals.iter().copied().collect();
            }
            E::DelegationCancelling { .. } => known.cancelling = true,
            E::DelegationCompleted { .. } => {
                let may = |who: &Principal| {
                    let named = known.review.approvers.is_empty() || known.review.approvers.contains(who);
                    let other = known.review.by == Reviewers::Anyone || *who != known.delegator;
                    who.user().is_some() && named && other
                };
                let approved = known.approvals.len() >= usize::from(known.review.approvals);
                let fine = known.evidence > 0 && approved && known.approvals.iter().all(may);
                let cancelled = known.cancelling;
                if !fine {
                    self.found("I10", offset, format!("delegation {id} was completed without what it needs"));
                }
                if cancelled {
                    self.found("I17", offset, format!("delegation {id} was cancelled and then completed"));
                }
            }
            _ => {}
        }
    }

    fn queued(&mut self, recorded: &Recorded, task: TaskId, event: &TaskEvent) {
        let TaskEvent::DelegationQueued { tries, reason, step, not_before, .. } = event else { return };
        let (offset, at, by) = (recorded.offset, recorded.at, recorded.actor);
        let Some(card) = self.tasks.get_mut(&task) else { return };
        let (used, retry_after) = (card.used, card.retry_after);
        let mut wrong = vec![];
        if *tries < used && !(*tries == 0 && by.user().is_some()) {
            wrong.push(("I13", format!("{by} gave task {task} tries back")));
        }
        card.used = *tries;
        if *reason != QueueReason::Retry && *tries == 0 {
            card.steps.clear();
        }
        let taken = step.as_ref().filter(|step| !step.strategy.needs_a_person());
        if let Some(step) = taken
            && !card.steps.insert((step.fingerprint.clone(), step.strategy))
        {
            wrong.push(("I15", format!("task {task}: {:?} was tried against this failure before", step.strategy)));
        }
        if not_before.is_some_and(|time| time - at > PAUSE_MAX + retry_after) {
            wrong.push(("I14", format!("task {task} waits too long for its next attempt")));
        }
        for (invariant, detail) in wrong {
            self.found(invariant, offset, detail);
        }
    }

    fn look_at_gates(&mut self) {
        let closing = |card: &Card| -> Vec<TaskId> {
            let gates = card.gates.iter().filter(|(_, gate)| matches!(gate, Gate::Blocks | Gate::ReviewReadyOk));
            gates.map(|(id, _)| *id).collect()
        };
        let mut left: BTreeMap<TaskId, Vec<TaskId>> =
            self.tasks.iter().map(|(id, card)| (*id, closing(card))).collect();
        // What waits for nothing that is left is taken away, until nothing changes: a rest is a circle.
        loop {
            let free: Vec<TaskId> = left
                .iter()
                .filter(|(_, gates)| !gates.iter().any(|id| left.contains_key(id)))
                .map(|(id, _)| *id)
                .collect();
            if free.is_empty() {
                break;
            }
            for id in free {
                left.remove(&id);
            }
        }
        if let Some(id) = left.keys().next() {
            self.found("I6", 0, format!("task {id} and {} other(s) wait in a circle", left.len() - 1));
        }
        let stuck: Vec<TaskId> =
            self.tasks.iter().filter(|(_, card)| card.status == TaskStatus::Blocked).map(|(id, _)| *id).collect();
        let stuck: Vec<TaskId> = stuck.into_iter().filter(|id| self.gates_are_open(*id)).collect();
        for id in stuck {
            self.found("I28", 0, format!("task {id} is blocked and every gate is open"));
        }
    }

    fn look_at_delegations(&mut self) {
        let open = |attempt: AttemptId| self.questions.values().any(|(of, open)| *of == attempt && *open);
        let mut wrong = vec![];
        for (id, mandate) in &self.delegations {
            let asked = mandate.live.is_some_and(open);
            let fine = match mandate.status {
                "queued" | "paused" | "reviewing" | "escalated" => mandate.live.is_none(),
                "dispatching" | "running" | "cancelling" => mandate.live.is_some(),
                "awaiting" => mandate.live.is_some() && asked,
                _ => mandate.live.is_none(),
            };
            if !fine {
                wrong.push(("I9", format!("delegation {id} is {} and nothing moves it on", mandate.status)));
            }
        }
        for (id, (attempt, _)) in self.questions.iter().filter(|(_, (_, open))| *open) {
            if !self.attempts.get(attempt).is_some_and(|known| known.live) {
                wrong.push(("I12", format!("question {id} is open and its attempt is over")));
            }
        }
        for (invariant, detail) in wrong {
            self.found(invariant, 0, detail);
        }
    }
}
