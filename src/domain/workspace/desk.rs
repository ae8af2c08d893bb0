//! What waits for people: delegations under review, with whose approval is still needed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    event::TaskEvent,
    ids::{DelegationId, TaskId},
    principal::Principal,
    task::{Review, Verdict},
};

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
    pub(super) under_review: bool,
    /// Everyone was told that the approvals cannot come together.
    pub(super) stuck: bool,
}

impl Desk {
    pub(super) fn apply(&mut self, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::DelegationQueued { delegation, delegator, review, .. } => {
                let (delegator, review) = (*delegator, review.clone());
                let (approved, under_review, stuck) = (BTreeSet::new(), false, false);
                self.0.insert(*delegation, Folder { task, delegator, review, approved, under_review, stuck });
            }
            E::DelegationReviewing { delegation, .. } => self.change(delegation, |folder| folder.under_review = true),
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
            E::DelegationEscalated { delegation, .. } => self.change(delegation, |folder| folder.under_review = false),
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
}
