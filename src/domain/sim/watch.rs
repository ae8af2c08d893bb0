//! Whoever watches: reads each event as it is committed, keeps books of its own, and counts what it has looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    doctor::{Doctor, is_over, standing},
    event::{Event, Recorded, TaskEvent},
    ids::*,
    principal::Principal,
    routing::Bulkheads,
    task::{Review, Reviewers},
};

use super::report::Tally;

/// What may run at the same time in a simulated workspace.
pub(super) const BULKHEADS: Bulkheads = Bulkheads { workspace: 12, background: 9 };

/// A delegation that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub task: TaskId,
    pub status: &'static str,
    pub delegator: Principal,
    /// The person who answers for it: whoever delegated it, or has the task.
    pub owner: Principal,
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
    pub cards: BTreeMap<DelegationId, Card>,
    /// Questions that nobody has answered.
    pub questions: BTreeMap<InterruptId, (DelegationId, AttemptId)>,
    /// What an instance has taken on.
    pub bound: BTreeSet<AttemptId>,
    /// Attempts that count, with their tasks.
    live: BTreeMap<AttemptId, DelegationId>,
    keys: BTreeSet<String>,
    /// Who has each task.
    assignees: BTreeMap<TaskId, Principal>,
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
            let running = self.live.len();
            let bound = BULKHEADS.workspace as usize;
            self.kept("I20", running < bound, || format!("{running} attempts run and one more starts"));
        }
        match event {
            TaskEvent::Created { assignee, .. } => self.assignees.extend(assignee.map(|who| (task, who))),
            TaskEvent::FanOutOpened { parts, .. } => self.tally.parts += parts.len() as u64,
            _ => {}
        }
        self.attempted(event);
        self.moved(task, event, now, life)
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
        let (id, _) = standing(event).filter(|(_, status)| !status.is_empty())?;
        let status = self.doctor.stands(id)?;
        if is_over(status) {
            return self.over(id, status, now);
        }
        if let TaskEvent::DelegationQueued { delegator, review, .. } = event {
            let (delegator, review) = (*delegator, review.clone());
            let people = [Some(delegator), self.assignees.get(&task).copied()].into_iter().flatten();
            let owner = people.into_iter().find(|who| who.user().is_some()).unwrap_or(delegator);
            let new = || Card {
                task,
                status,
                delegator,
                owner,
                review,
                attempt: None,
                stuck: None,
                next_since: None,
                cancelling: None,
            };
            self.cards.entry(id).or_insert_with(new);
        }
        let card = self.cards.get_mut(&id)?;
        (card.status, card.next_since) = (status, None);
        if status == "cancelling" {
            card.cancelling = Some((now, life));
        }
        Some(id)
    }

    fn over(&mut self, id: DelegationId, how: &'static str, now: u64) -> Option<DelegationId> {
        if let Some(card) = self.cards.remove(&id) {
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
        let named = &card.review.approvers;
        let may = |user: &&UserId| {
            let other = card.review.by == Reviewers::Anyone || card.delegator.user() != Some(**user);
            other && (named.is_empty() || named.contains(&Principal::User(**user)))
        };
        people.iter().filter(may).count() >= usize::from(card.review.approvals)
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
        E::DelegationQueued { .. } => &["I1", "I2", "I13", "I14", "I15", "I21"],
        E::DelegationCompleted { .. } => &["I1", "I2", "I10", "I17"],
        E::AttemptStarted { .. } => &["I1", "I2", "I7", "I13", "I18", "I19", "I20", "I27"],
        E::Updated { claims: Some(_), .. } => &["I27"],
        E::HandOffOffered { .. } | E::HandOffAccepted { .. } | E::HandOffDeclined { .. } | E::HandOffLapsed { .. } => {
            &["I26"]
        }
        E::FanOutOpened { .. } => &["I21"],
        E::Checkpointed { .. } => &["I18", "I21", "I25"],
        E::RolledBack { .. } => &["I25"],
        E::DecisionMade { .. } => &["I11", "I21"],
        E::AttemptSucceeded { .. }
        | E::AttemptFailed { .. }
        | E::AttemptLost { .. }
        | E::AttemptCancelled { .. }
        | E::AttemptSuperseded { .. }
        | E::AttemptAccepted { .. }
        | E::Progress { .. }
        | E::AttemptTool { .. }
        | E::AttemptNudged { .. }
        | E::AttemptUsage { .. }
        | E::ArtifactRecorded { .. } => &["I3"],
        E::InterruptOpened { .. } => &["I3", "I18"],
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
