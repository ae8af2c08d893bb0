//! Examples of events about what waits for people.

use uuid::Uuid;

use crate::domain::{
    event::TaskEvent,
    ids::UserId,
    principal::Principal,
    task::{Review, Reviewers},
};

pub(super) fn desk() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let delegation = Uuid::from_u128(20).into();
    let [person, other] = [3, 4].map(|n| Principal::User(UserId(Uuid::from_u128(n))));
    let review = Review { approvals: 2, by: Reviewers::Others, approvers: [person, other].into() };
    vec![
        E::DelegationReviewStuck { delegation, missing: 1, owner: Some(person) },
        E::DelegationApproversSet { delegation, review, approvals: vec![other] },
    ]
}
