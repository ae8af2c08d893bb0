//! Examples of events about what waits for people.

use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use crate::domain::{
    event::{Event, TaskEvent, WorkspaceEvent},
    ids::{Subject, UserId},
    principal::{Principal, Service},
    right::{Decides, Risk, Stakes},
    run::InterruptKind,
    task::{Expiry, Lapse, Matter, QueueReason, Review, Reviewers, Terms},
    text::{Label, Prose},
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
            team: None,
            instructions: Prose::default(),
            delegator: person,
            review: Review::by(1, Reviewers::Others),
            not_before: None,
            tries: 0,
            round: 0,
            reason: QueueReason::Created,
            step: None,
            terms: Terms { expiry: Some(answered.clone()), ..Terms::default() },
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

/// What came after those.
pub(super) fn more() -> Vec<Event> {
    let [delegation, right, agent, interrupt] = [20, 70, 5, 40].map(Uuid::from_u128);
    let (right, agent, grantor) = (right.into(), agent.into(), UserId(Uuid::from_u128(3)));
    let on_behalf_of = Principal::User(grantor);
    let queued = TaskEvent::DelegationQueued {
        delegation: delegation.into(),
        agent: None,
        team: None,
        instructions: Prose::default(),
        delegator: on_behalf_of,
        review: Review::by(1, Reviewers::Others),
        not_before: None,
        tries: 0,
        round: 0,
        reason: QueueReason::Created,
        step: None,
        terms: Terms { expiry: None, skills: [Label::fitted("cooking")].into() },
    };
    let made = TaskEvent::DecisionMade {
        delegation: delegation.into(),
        interrupt: Some(interrupt.into()),
        right,
        agent,
        on_behalf_of,
        decides: Decides::Approval,
        stakes: Stakes { cost_usd: Some(0.5), risk: Some(Risk::Low) },
        nth: 3,
    };
    let given = WorkspaceEvent::RightGiven {
        right,
        agent,
        grantor,
        subject: Subject::Project(Uuid::from_u128(2).into()),
        decides: [Decides::Question, Decides::Review].into(),
        cost_usd_max: Some(2.5),
        risk_max: Some(Risk::Medium),
        uses_max: 10,
        expires_at: DateTime::UNIX_EPOCH,
    };
    let revoked = WorkspaceEvent::RightRevoked { right, agent, grantor };
    vec![Event::Task(queued), Event::Task(made), Event::Workspace(given), Event::Workspace(revoked)]
}
