//! Examples of events about what waits for people.

use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use crate::domain::{
    event::TaskEvent,
    ids::UserId,
    principal::{Principal, Service},
    run::InterruptKind,
    task::{Expiry, Lapse, Matter, QueueReason, Review, Reviewers, Terms},
    text::Prose,
};

pub(super) fn desk() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let delegation = Uuid::from_u128(20).into();
    let [person, other] = [3, 4].map(|n| Principal::User(UserId(Uuid::from_u128(n))));
    let review = Review { approvals: 2, by: Reviewers::Others, approvers: [person, other].into() };
    let (interrupt, since) = (Uuid::from_u128(40).into(), DateTime::UNIX_EPOCH);
    let answered = Expiry { after_secs: 60, then: Lapse::Answer(json!("salt")) };
    vec![
        E::DelegationReviewStuck { delegation, missing: 1, owner: Some(person) },
        E::DelegationApproversSet { delegation, review, approvals: vec![other] },
        E::DelegationOverdue { delegation, owner: Some(person), reason: "the agent is paused".into(), since },
        E::ReminderSent {
            delegation,
            interrupt: Some(interrupt),
            matter: Matter::Question,
            nth: 2,
            to: [other].into(),
        },
        E::ReminderSent { delegation, interrupt: None, matter: Matter::Review, nth: 1, to: [person].into() },
        E::DelegationQueued {
            delegation,
            agent: None,
            instructions: Prose::default(),
            delegator: person,
            review: Review::by(1, Reviewers::Others),
            not_before: None,
            tries: 0,
            round: 0,
            reason: QueueReason::Created,
            step: None,
            terms: Terms { expiry: Some(answered.clone()) },
        },
        E::InterruptOpened {
            interrupt,
            attempt: Uuid::from_u128(30).into(),
            key: "q3".into(),
            kind: InterruptKind::Question,
            prompt: "which?".into(),
            details: json!(null),
            expires_at: Some(since),
        },
        E::InterruptResolved {
            interrupt,
            answer: json!("salt"),
            by: Principal::Service(Service::Conductor),
            policy: Some(answered),
        },
        E::InterruptClosed {
            interrupt,
            reason: "nobody answered in time".into(),
            policy: Some(Expiry { after_secs: 60, then: Lapse::Escalate }),
        },
    ]
}
