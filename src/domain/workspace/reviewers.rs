//! Who may approve, and whether that is enough: a review that nobody could ever end is refused, and one whose approvers
//! have gone does not hang in silence.

use std::collections::BTreeSet;

use crate::domain::{
    event::TaskEvent,
    ids::{DelegationId, Subject, TaskId},
    permission::Permission,
    principal::Principal,
    rejection::Rejection,
    task::{Matter, Review},
};

use super::{Fact, MemberRole, Workspace, desk::Folder};

/// From this reminder on those who let people in hear of it too.
const ADMINS_FROM: u32 = 3;
/// So many of each kind are told.
const TOLD_MAX: usize = 20;

impl Workspace {
    /// Refuses a review that could never end.
    pub(super) fn must_be_reviewable(
        &self,
        task: TaskId,
        review: &Review,
        delegator: Principal,
        approved: &BTreeSet<Principal>,
    ) -> Result<(), Rejection> {
        review.approvers.iter().try_for_each(|who| self.must_know(Some(who)))?;
        if review.approvals == 0 && !review.approvers.is_empty() {
            return Err(Rejection::Busy("approvers are named and nobody has to approve: say how many have to"));
        }
        match self.missing(task, review, delegator, approved) {
            0 => Ok(()),
            _ => Err(Rejection::Busy("fewer people may review this task than have to approve: say others, or fewer")),
        }
    }

    pub(super) fn must_have_reviewers(
        &self,
        task: TaskId,
        delegation: DelegationId,
        review: &Review,
        approvals: &[Principal],
    ) -> Result<(), Rejection> {
        let Some(folder) = self.schedule.desk.0.get(&delegation) else { return Ok(()) };
        self.must_be_reviewable(task, review, folder.delegator, &approvals.iter().copied().collect())
    }

    /// Returns how many approvals would be missing if everyone approved who may.
    fn missing(&self, task: TaskId, review: &Review, delegator: Principal, approved: &BTreeSet<Principal>) -> usize {
        let needed = usize::from(review.approvals).saturating_sub(approved.len());
        let left = self.reviewers(task, review, delegator).filter(|who| !approved.contains(who));
        needed - left.take(needed).count()
    }

    /// Returns whose approvals count.
    pub(super) fn reviewers(
        &self,
        task: TaskId,
        review: &Review,
        delegator: Principal,
    ) -> impl Iterator<Item = Principal> {
        let members = self.members.keys().copied().map(Principal::User);
        let counts = move |who: &Principal| {
            let may = self.decision(*who, Subject::Task(task)).map(|decision| decision.may);
            review.excludes(*who, delegator).is_none() && may.is_some_and(|may| may.contains(Permission::Review))
        };
        members.filter(counts)
    }

    /// Says of a review which its approvers can no longer end that somebody has to name others.
    pub(super) fn stuck(&self, delegation: DelegationId) -> Option<Fact> {
        let folder = self.schedule.desk.0.get(&delegation)?;
        let Folder { task, delegator, review, approved, stuck, .. } = folder;
        if !folder.is_under_review() || *stuck {
            return None;
        }
        let missing = u8::try_from(self.missing(*task, review, *delegator, approved)).unwrap_or(u8::MAX);
        let owner = Some(*delegator).filter(|who| who.user().is_some());
        let event = TaskEvent::DelegationReviewStuck { delegation, missing, owner };
        (missing > 0).then(|| Fact { subject: Subject::Task(*task), event: event.into() })
    }

    /// Returns who is told of a reminder: whose turn it is, and from the third one on, or where there is nobody, those
    /// who let people in.
    pub(super) fn reminded(
        &self,
        folder: &Folder,
        matter: Matter,
        nth: u32,
        owner: &BTreeSet<Principal>,
    ) -> BTreeSet<Principal> {
        let Folder { task, delegator, review, approved, stuck, .. } = folder;
        let is_here = |who: &&Principal| who.user().is_some_and(|user| self.members.contains_key(&user));
        let mut to: BTreeSet<Principal> = match matter {
            Matter::Review if !stuck => {
                let left = self.reviewers(*task, review, *delegator).filter(|who| !approved.contains(who));
                left.take(TOLD_MAX).collect()
            }
            _ => owner.iter().filter(is_here).copied().collect(),
        };
        if nth >= ADMINS_FROM || to.is_empty() {
            let leads = |role: &MemberRole| self.permissions(*role).contains(Permission::ManageMembers);
            let admins = self.members.iter().filter(|(_, role)| leads(role)).map(|(user, _)| Principal::User(*user));
            to.extend(admins.take(TOLD_MAX));
        }
        to
    }

    /// The same of every review.
    pub(super) fn all_stuck(&self) -> Vec<Fact> {
        self.schedule.desk.0.keys().filter_map(|delegation| self.stuck(*delegation)).collect()
    }
}
