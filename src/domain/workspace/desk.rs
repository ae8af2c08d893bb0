//! What waits for people, since when, and how often they were told: enough to say at any time whom to remind, which
//! question expires, and what has been in the queue for too long.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    event::TaskEvent,
    ids::{DelegationId, InterruptId, TaskId},
    principal::Principal,
    rejection::Rejection,
    task::{Matter, Review, Verdict},
};

use super::schedule::Schedule;

/// The most reminders of one thing.
pub const REMINDERS_MAX: u32 = 6;
/// The longest time between two of them.
const PAUSE_MAX: TimeDelta = TimeDelta::days(7);

/// What waits for people, by delegation. Every delegation that has not ended has its folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Desk(pub(super) BTreeMap<DelegationId, Folder>);

/// What is known of one delegation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Folder {
    pub(super) task: TaskId,
    pub(super) delegator: Principal,
    pub(super) review: Review,
    /// Who has approved what was handed in last.
    pub(super) approved: BTreeSet<Principal>,
    /// Everyone was told that the approvals cannot come together.
    pub(super) stuck: bool,
    /// Since when it is in the queue, while it is.
    queued_at: Option<DateTime<Utc>>,
    /// What a person has to decide about it as a whole.
    matter: Option<(Matter, Wait)>,
    questions: BTreeMap<InterruptId, Wait>,
}

/// How long something waits for a person.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Wait {
    /// Since when, or since they were last reminded.
    last: DateTime<Utc>,
    reminded: u32,
    expires_at: Option<DateTime<Utc>>,
}

/// After how long people are reminded for the first time, and how long the queue may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Of a question.
    pub question: TimeDelta,
    /// Of a review.
    pub review: TimeDelta,
    /// Of an escalation, and of a delegation that has been in the queue for too long.
    pub escalation: TimeDelta,
    /// Longer than this no delegation is in the queue without its owner hearing of it.
    pub queue: TimeDelta,
}

impl Default for Patience {
    fn default() -> Self {
        let [question, review, escalation, queue] = [1, 4, 1, 2].map(TimeDelta::hours);
        Self { question, review, escalation, queue }
    }
}

/// What time has brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    /// Whom to remind of what.
    pub reminders: Vec<Reminder>,
    /// Questions that nobody has answered in time.
    pub expired: Vec<(TaskId, DelegationId, InterruptId)>,
    /// Delegations that have been in the queue for too long.
    pub overdue: Vec<(TaskId, DelegationId)>,
}

/// A reminder that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reminder {
    /// Of which task.
    pub task: TaskId,
    /// Of which delegation.
    pub delegation: DelegationId,
    /// Of which question, where it is one.
    pub interrupt: Option<InterruptId>,
    /// What of.
    pub matter: Matter,
    /// The how manyth.
    pub nth: u32,
}

impl Wait {
    fn from(at: DateTime<Utc>) -> Self {
        Self { last: at, reminded: 0, expires_at: None }
    }

    /// Each pause is twice as long as the one before.
    fn is_due(&self, now: DateTime<Utc>, first: TimeDelta) -> bool {
        let pause = first.checked_mul(1 << self.reminded.min(16)).unwrap_or(PAUSE_MAX).min(PAUSE_MAX.max(first));
        self.reminded < REMINDERS_MAX && now - self.last >= pause
    }
}

impl Patience {
    fn first(&self, matter: Matter) -> TimeDelta {
        match matter {
            Matter::Question => self.question,
            Matter::Review => self.review,
            Matter::Escalation | Matter::Queue => self.escalation,
        }
    }
}

impl Schedule {
    /// Returns what time has brought at `now`.
    pub fn due(&self, now: DateTime<Utc>, patience: &Patience) -> Due {
        let mut due = Due::default();
        for (id, folder) in &self.desk.0 {
            let (task, delegation) = (folder.task, *id);
            if folder.is_overdue(now, patience.queue) {
                due.overdue.push((task, delegation));
            }
            let whole = folder.matter.iter().map(|(matter, wait)| (None, *matter, wait));
            let questions = folder.questions.iter().map(|(id, wait)| (Some(*id), Matter::Question, wait));
            for (interrupt, matter, wait) in whole.chain(questions) {
                match interrupt.filter(|_| wait.expires_at.is_some_and(|time| time <= now)) {
                    Some(interrupt) => due.expired.push((task, delegation, interrupt)),
                    None if wait.is_due(now, patience.first(matter)) => {
                        let nth = wait.reminded + 1;
                        due.reminders.push(Reminder { task, delegation, interrupt, matter, nth });
                    }
                    None => {}
                }
            }
        }
        due
    }
}

impl Folder {
    /// Tells whether reviewers have to decide.
    pub(super) fn is_under_review(&self) -> bool {
        matches!(self.matter, Some((Matter::Review, _)))
    }

    fn is_overdue(&self, now: DateTime<Utc>, limit: TimeDelta) -> bool {
        self.matter.is_none() && self.queued_at.is_some_and(|since| now - since >= limit)
    }
}

impl Desk {
    /// Refuses a reminder that was sent before, or that nothing waits for any more.
    pub(super) fn must_be_due(
        &self,
        delegation: DelegationId,
        interrupt: Option<InterruptId>,
        matter: Matter,
        nth: u32,
    ) -> Result<&Folder, Rejection> {
        const OVER: Rejection = Rejection::Busy("nothing waits for this reminder any more");
        let folder = self.0.get(&delegation).ok_or(OVER)?;
        let wait = match interrupt {
            Some(interrupt) if matter == Matter::Question => folder.questions.get(&interrupt),
            Some(_) => None,
            None => folder.matter.as_ref().filter(|(known, _)| *known == matter).map(|(_, wait)| wait),
        };
        wait.filter(|wait| nth == wait.reminded + 1 && nth <= REMINDERS_MAX).map(|_| folder).ok_or(OVER)
    }

    /// Returns since when a delegation is in the queue, where nobody has been told yet.
    pub(super) fn must_be_overdue(&self, delegation: DelegationId) -> Result<DateTime<Utc>, Rejection> {
        let folder = self.0.get(&delegation).filter(|folder| folder.matter.is_none());
        folder.and_then(|folder| folder.queued_at).ok_or(Rejection::Busy("its owner has been told already"))
    }

    pub(super) fn apply(&mut self, task: TaskId, at: DateTime<Utc>, event: &TaskEvent) {
        use TaskEvent as E;
        let whole = |matter| Some((matter, Wait::from(at)));
        match event {
            E::DelegationQueued { delegation, delegator, review, .. } => {
                let (delegator, review) = (*delegator, review.clone());
                let (approved, stuck, matter, questions) = Default::default();
                let queued_at = Some(at);
                let folder = Folder { task, delegator, review, approved, stuck, queued_at, matter, questions };
                self.0.insert(*delegation, folder);
            }
            E::AttemptStarted { delegation, .. } | E::DelegationPaused { delegation } => {
                self.change(delegation, |folder| (folder.queued_at, folder.matter) = (None, None));
            }
            E::DelegationOverdue { delegation, .. } => {
                self.change(delegation, |folder| folder.matter = whole(Matter::Queue));
            }
            E::DelegationReviewing { delegation, .. } => {
                self.change(delegation, |folder| folder.matter = whole(Matter::Review));
            }
            E::DelegationEscalated { delegation, .. } => {
                self.change(delegation, |folder| (folder.queued_at, folder.matter) = (None, whole(Matter::Escalation)));
            }
            E::DelegationReviewed { delegation, reviewer, verdict: Verdict::Approve, .. } => {
                self.change(delegation, |folder| {
                    folder.approved.insert(*reviewer);
                });
            }
            E::DelegationReviewStuck { delegation, .. } => self.change(delegation, |folder| folder.stuck = true),
            E::DelegationApproversSet { delegation, review, approvals } => {
                self.change(delegation, |folder| {
                    folder.review.clone_from(review);
                    (folder.approved, folder.stuck) = (approvals.iter().copied().collect(), false);
                });
            }
            E::InterruptOpened { interrupt, expires_at, .. } => self.of_task(task, |folder| {
                folder.questions.insert(*interrupt, Wait { expires_at: *expires_at, ..Wait::from(at) });
            }),
            E::InterruptResolved { interrupt, .. } | E::InterruptClosed { interrupt, .. } => {
                self.of_task(task, |folder| {
                    folder.questions.remove(interrupt);
                });
            }
            E::ReminderSent { delegation, interrupt, nth, .. } => self.change(delegation, |folder| {
                let wait = match interrupt {
                    Some(interrupt) => folder.questions.get_mut(interrupt),
                    None => folder.matter.as_mut().map(|(_, wait)| wait),
                };
                if let Some(wait) = wait {
                    (wait.last, wait.reminded) = (at, *nth);
                }
            }),
            E::DelegationCompleted { delegation }
            | E::DelegationCancelled { delegation, .. }
            | E::DelegationFailed { delegation, .. } => drop(self.0.remove(delegation)),
            _ => {}
        }
    }

    fn change(&mut self, delegation: &DelegationId, change: impl FnOnce(&mut Folder)) {
        if let Some(folder) = self.0.get_mut(delegation) {
            change(folder);
        }
    }

    /// A task has one open delegation.
    fn of_task(&mut self, task: TaskId, change: impl FnOnce(&mut Folder)) {
        if let Some(folder) = self.0.values_mut().find(|folder| folder.task == task) {
            change(folder);
        }
    }
}
