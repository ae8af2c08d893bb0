//! Reviews: who approves what was handed in, and who may be asked to.

use std::collections::BTreeSet;

use crate::domain::{event::TaskEvent, ids::DelegationId, principal::Principal, text::Prose};

use super::{
    delegation::{escalated, no_step, with_changes},
    *,
};

/// The most rounds of requested changes before a person has to decide.
pub const ROUNDS_MAX: u32 = 5;

impl Task {
    pub(super) fn review(
        &self,
        cx: Circumstance,
        id: DelegationId,
        verdict: Verdict,
        comment: Prose,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        if open.status != DelegationStatus::Reviewing {
            return Err(no_step(open.status, "reviewed"));
        }
        if let Some(why) = open.review.excludes(cx.by, open.delegator) {
            return Err(Rejection::Forbidden(why));
        }
        if verdict == Verdict::Approve && open.approvals.contains(&cx.by) {
            return Ok(vec![]);
        }
        let mut events =
            vec![TaskEvent::DelegationReviewed { delegation: id, reviewer: cx.by, verdict, comment: comment.clone() }];
        match verdict {
            Verdict::Approve if open.approvals.len() + 1 < usize::from(open.review.approvals) => {}
            Verdict::Approve => {
                events.push(TaskEvent::DelegationCompleted { delegation: id });
                events.extend(self.brought_to(TaskStatus::Done, "approved"));
            }
            Verdict::RequestChanges if open.round + 1 > ROUNDS_MAX => {
                events.push(escalated(id, format!("{ROUNDS_MAX} rounds of changes were not enough")));
                // It is no longer with the reviewers: they could not even decide any more.
                let (from, to) = (TaskStatus::InProgress, TaskStatus::AwaitingInput);
                events.extend(self.brought_to(from, "changes requested"));
                events.push(TaskEvent::Transitioned { from, to, reason: "a person has to decide".into() });
            }
            Verdict::RequestChanges => {
                events.push(with_changes(open, &comment));
                events.extend(self.brought_to(TaskStatus::InProgress, "changes requested"));
            }
            Verdict::Reject => {
                events.push(TaskEvent::DelegationFailed { delegation: id, reason: "rejected in review".into() });
                events.extend(self.released("the work was rejected"));
            }
        }
        Ok(events)
    }

    /// Names other approvers. How many of them have to approve stays as it was agreed.
    pub(super) fn set_approvers(
        &self,
        cx: Circumstance,
        id: DelegationId,
        approvers: BTreeSet<Principal>,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        if cx.by.user().is_none() {
            return Err(Rejection::Forbidden("only a person can say who has to approve"));
        }
        if open.review.approvals == 0 {
            return Err(Rejection::Busy("nobody has to approve: it was delegated without a review"));
        }
        if approvers == open.review.approvers {
            return Ok(vec![]);
        }
        if approvers.contains(&cx.by) && open.review.excludes(cx.by, open.delegator).is_some() {
            return Err(Rejection::Forbidden("nobody can make themselves an approver: ask another member"));
        }
        let review = Review { approvers, ..open.review.clone() };
        let counts = |who: &Principal| review.excludes(*who, open.delegator).is_none();
        let approvals = open.approvals.iter().copied().filter(counts).collect();
        Ok(vec![TaskEvent::DelegationApproversSet { delegation: id, review, approvals }])
    }
}
