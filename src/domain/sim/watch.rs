//! Whoever watches: reads each event as it is committed, keeps books of its own, and counts what it has looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    claim::{Claims, clash},
    doctor::Doctor,
    event::{Event, Recorded, TaskEvent},
    ids::*,
    principal::Principal,
    routing::Bulkheads,
    task::{Review, Reviewers},
};

use super::{fuse::Fuses, report::Tally};

/// What may run at the same time in a simulated workspace.
pub(super) const BULKHEADS: Bulkheads = Bulkheads { workspace: 12, background: 9 };

/// A delegation that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub task: TaskId,
    pub status: &'static str,
    pub delegator: Principal,
    pub review: Review,
    pub attempt: Option<(AttemptId, InstanceId)>,
    /// Since when nothing moves it on, and whether one fault alone did that.
    pub stuck: Option<Stuck>,
    /// Since when nothing is in the way of handing it out.
    pub next_since: Option<u64>,
    /// Since when it is to be stopped, and of which node that is known.
    pub cancelling: Option<(u64, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    pub since: u64,
    pub single: bool,
    pub told: bool,
}

/// All books.
#[derive(Default)]
pub(super) struct Watch {
    pub doctor: Doctor,
    fuses: Fuses,
    pub cards: BTreeMap<DelegationId, Card>,
    /// Questions that nobody has answered.
    pub questions: BTreeMap<InterruptId, (DelegationId, AttemptId)>,
    /// What an instance has taken on.
    pub bound: BTreeSet<AttemptId>,
    /// Attempts that count, with their tasks.
    live: BTreeMap<AttemptId, DelegationId>,
    keys: BTreeSet<String>,
    /// What each task claims, and which attempts may still write there.
    claims: BTreeMap<TaskId, Claims>,
    writers: BTreeMap<AttemptId, TaskId>,
    pub tally: Tally,
}

impl Watch {
    /// Looks at a promise once.
    pub fn kept(&mut self, invariant: &'static str, fine: bool, detail: impl FnOnce() -> String) {
        self.tally.looked(invariant, 1);
        if !fine {
            self.tally.found(invariant, detail());
        }
    }

    /// A command was carried out under a key.
    pub fn carried_out(&mut self, key: &str) {
        let new = self.keys.insert(key.to_owned());
        self.kept("I18", new, || format!("{key} was carried out twice"));
    }

    /// Reads the next event, committed at `now`; returns the delegation that it is about.
    pub fn read(&mut self, recorded: &Recorded, now: u64, life: u32) -> Option<DelegationId> {
        self.doctor.event(recorded);
        self.tally.events += 1;
        self.tally.looked("I4", 1);
        let (Subject::Task(task), Event::Task(event)) = (recorded.subject, &recorded.event) else { return None };
        looked_at(event).iter().for_each(|invariant| self.tally.looked(invariant, 1));
        if matches!(event, TaskEvent::AttemptStarted { .. }) {
            self.tally.looked("I19", 1);
            let running = self.live.len();
            let bound = BULKHEADS.workspace as usize;
            self.kept("I20", running < bound, || format!("{running} attempts run and one more starts"));
        }
        if let Some(wrong) = self.fuses.event(recorded, event) {
            self.tally.found("I19", wrong);
        }
        self.claimed(task, event);
        self.attempted(event);
        self.moved(task, event, now, life)
    }

    fn claimed(&mut self, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::Created { claims, .. } | E::Updated { claims: Some(claims), .. } => {
                self.claims.insert(task, claims.clone());
            }
            E::AttemptStarted { attempt, .. } => {
                let own = self.claims.get(&task).cloned().unwrap_or_default();
                let mut others = self.writers.values().filter(|other| **other != task);
                let clashes =
                    others.any(|other| self.claims.get(other).is_some_and(|held| clash(&own, held).is_some()));
                self.kept("I27", !clashes, || format!("attempt {attempt} may write where another one does"));
                self.writers.insert(*attempt, task);
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

    fn attempted(&mut self, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::AttemptStarted { attempt, delegation, instance, .. } => {
                self.tally.attempts += 1;
                self.live.insert(*attempt, *delegation);
                if let Some(card) = self.cards.get_mut(delegation) {
                    card.attempt = Some((*attempt, *instance));
                }
            }
            E::AttemptAccepted { attempt } => drop(self.bound.insert(*attempt)),
            E::AttemptSucceeded { attempt }
            | E::AttemptFailed { attempt, .. }
            | E::AttemptLost { attempt, .. }
            | E::AttemptCancelled { attempt, .. }
            | E::AttemptSuperseded { attempt } => {
                let card = self.live.remove(attempt).and_then(|of| self.cards.get_mut(&of));
                if let Some(card) = card {
                    card.attempt = None;
                }
            }
            E::InterruptOpened { interrupt, attempt, .. } => {
                let of = self.live.get(attempt).copied();
                self.questions.extend(of.map(|of| (*interrupt, (of, *attempt))));
            }
            E::InterruptResolved { interrupt, .. } | E::InterruptClosed { interrupt, .. } => {
                self.questions.remove(interrupt);
            }
            _ => {}
        }
    }

    fn moved(&mut self, task: TaskId, event: &TaskEvent, now: u64, life: u32) -> Option<DelegationId> {
        use TaskEvent as E;
        let (id, status) = match event {
            E::DelegationQueued { delegation, .. } => (delegation, "queued"),
            E::AttemptStarted { delegation, .. } => (delegation, "dispatching"),
            E::DelegationRunning { delegation } => (delegation, "running"),
            E::DelegationAwaiting { delegation, .. } => (delegation, "awaiting"),
            E::DelegationPaused { delegation } => (delegation, "paused"),
            E::DelegationReviewing { delegation, .. } => (delegation, "reviewing"),
            E::DelegationEscalated { delegation, .. } => (delegation, "escalated"),
            E::DelegationCancelling { delegation, .. } => (delegation, "cancelling"),
            E::DelegationCompleted { delegation } => return self.over(delegation, "completed", now),
            E::DelegationCancelled { delegation, .. } => return self.over(delegation, "cancelled", now),
            E::DelegationFailed { delegation, .. } => return self.over(delegation, "failed", now),
            _ => return None,
        };
        if let E::DelegationQueued { delegator, review, .. } = event {
            let (delegator, review) = (*delegator, review.clone());
            let new = || Card {
                task,
                status,
                delegator,
                review,
                attempt: None,
                stuck: None,
                next_since: None,
                cancelling: None,
            };
            self.cards.entry(*id).or_insert_with(new);
        }
        let card = self.cards.get_mut(id)?;
        (card.status, card.next_since) = (status, None);
        if status == "cancelling" {
            card.cancelling = Some((now, life));
        }
        Some(*id)
    }

    fn over(&mut self, id: &DelegationId, how: &'static str, now: u64) -> Option<DelegationId> {
        if let Some(card) = self.cards.remove(id) {
            self.went_on(card.stuck, now);
            *self.tally.ends.entry(how).or_default() += 1;
        }
        None
    }

    /// Something moves a delegation on again.
    pub fn went_on(&mut self, stuck: Option<Stuck>, now: u64) {
        self.tally.recoveries.extend(stuck.filter(|stuck| stuck.single).map(|stuck| now - stuck.since));
    }

    /// Tells whether there is anybody who can review the work.
    pub fn has_reviewer(card: &Card, people: &[UserId]) -> bool {
        let others = people.iter().filter(|user| card.delegator.user() != Some(**user)).count();
        match card.review.by {
            Reviewers::Others => others >= usize::from(card.review.approvals),
            Reviewers::Anyone => people.len() >= usize::from(card.review.approvals),
        }
    }

    /// Lets the doctor look at what there is as a whole, and takes over what it has found.
    pub fn examine(&mut self) {
        for (invariant, many) in [("I6", 1), ("I9", self.cards.len()), ("I12", self.questions.len()), ("I28", 1)] {
            self.tally.looked(invariant, many as u64);
        }
        for finding in self.doctor.clone().finish() {
            self.tally.found(finding.invariant, format!("offset {}: {}", finding.offset, finding.detail));
        }
    }
}

/// Which promises the doctor looks at when it reads an event.
fn looked_at(event: &TaskEvent) -> &'static [&'static str] {
    use TaskEvent as E;
    match event {
        E::Created { .. } => &["I1", "I18"],
        E::Transitioned { .. } => &["I1"],
        E::Ready { .. } => &["I8"],
        E::DelegationQueued { .. } => &["I1", "I2", "I13", "I14", "I15"],
        E::DelegationCompleted { .. } => &["I1", "I2", "I10", "I17"],
        E::AttemptStarted { .. } => &["I1", "I2", "I7", "I13", "I18", "I20"],
        E::AttemptSucceeded { .. }
        | E::AttemptFailed { .. }
        | E::AttemptLost { .. }
        | E::AttemptCancelled { .. }
        | E::AttemptSuperseded { .. }
        | E::AttemptAccepted { .. }
        | E::Progress { .. }
        | E::AttemptTool { .. }
        | E::AttemptUsage { .. }
        | E::InterruptOpened { .. }
        | E::ArtifactRecorded { .. } => &["I3"],
        E::InterruptResolved { .. } => &["I11"],
        E::DelegationRunning { .. }
        | E::DelegationAwaiting { .. }
        | E::DelegationPaused { .. }
        | E::DelegationSubmitted { .. }
        | E::DelegationReviewing { .. }
        | E::DelegationReviewed { .. }
        | E::DelegationRecovering { .. }
        | E::DelegationEscalated { .. }
        | E::DelegationCancelling { .. }
        | E::DelegationCancelled { .. }
        | E::DelegationFailed { .. } => &["I1", "I2"],
        _ => &[],
    }
}
