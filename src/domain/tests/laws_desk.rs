//! What waits for people never hangs in silence.

use proptest::prelude::*;

use crate::domain::{
    principal::Principal,
    rejection::Rejection,
    task::{NewDelegation, Review, Reviewers, TaskCommand, TaskStatus, Verdict},
    text::Prose,
};

use super::{
    ledger::{Ledger, Mandate, Phase},
    plan::{plans, play},
    scene::{Scene, user},
    tries,
};

/// Returns how many approvals cannot come together, as far as roles say: grants only ever make it fewer here.
fn missing(ledger: &Ledger, mandate: &Mandate) -> usize {
    let counts = |who: &&Principal| {
        let named = mandate.review.approvers.is_empty() || mandate.review.approvers.contains(who);
        named && (mandate.review.by == Reviewers::Anyone || **who != mandate.delegator)
    };
    let people: Vec<Principal> = ledger.members.keys().copied().map(Principal::User).collect();
    let left = people.iter().filter(counts).filter(|who| !mandate.approvals.contains(who)).count();
    usize::from(mandate.review.approvals).saturating_sub(mandate.approvals.len() + left)
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn a_review_that_its_approvers_can_no_longer_end_is_said_to_be_stuck(plan in plans(150)) {
        play(&plan, |world| {
            for (id, mandate) in &world.ledger.delegations {
                if mandate.phase == Phase::Reviewing && missing(&world.ledger, mandate) > 0 {
                    assert!(mandate.stuck, "{id} hangs: {mandate:?}");
                }
            }
        });
    }
}

fn delegated(scene: &mut Scene, review: Review) -> Result<crate::domain::ids::DelegationId, Rejection> {
    let (id, task) = (scene.world.fresh().into(), scene.task());
    let (agent, instructions) = (Some(scene.agent), Prose::fitted("please"));
    scene.run(task, 0, TaskCommand::Delegate(NewDelegation { id, agent, instructions, review })).map(|_| id)
}

fn named(approvals: u8, approvers: &[usize]) -> Review {
    Review { approvals, by: Reviewers::Others, approvers: approvers.iter().map(|n| user(*n)).collect() }
}

#[test]
fn a_review_that_nobody_could_end_is_refused() {
    let mut scene = Scene::new();
    assert!(
        matches!(delegated(&mut scene, named(2, &[0, 1])), Err(Rejection::Busy(_))),
        "who delegates does not count"
    );
    assert!(matches!(delegated(&mut scene, named(1, &[5])), Err(Rejection::NotFound("member"))));
    assert!(matches!(delegated(&mut scene, Review::by(3, Reviewers::Others)), Err(Rejection::Busy(_))));
    delegated(&mut scene, named(2, &[1, 2])).unwrap();
}

#[test]
fn only_named_approvers_review_and_so_many_of_them_as_was_agreed() {
    let mut scene = Scene::new();
    let delegation = delegated(&mut scene, named(1, &[1])).unwrap();
    let task = scene.world.ledger.delegations[&delegation].task;
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    for verdict in [Verdict::Approve, Verdict::RequestChanges, Verdict::Reject] {
        assert!(matches!(scene.review(task, user(2), delegation, verdict), Err(Rejection::Forbidden(_))));
    }
    let name = |approvers: &[usize]| TaskCommand::SetApprovers {
        delegation,
        approvers: approvers.iter().map(|n| user(*n)).collect(),
    };
    assert!(matches!(scene.run(task, 2, name(&[2])), Err(Rejection::Forbidden(_))), "not themselves");
    assert!(matches!(scene.run(task, 0, name(&[0])), Err(Rejection::Forbidden(_))));
    scene.run(task, 0, name(&[2])).unwrap();
    assert!(matches!(scene.review(task, user(1), delegation, Verdict::Approve), Err(Rejection::Forbidden(_))));
    scene.review(task, user(2), delegation, Verdict::Approve).unwrap();
    assert_eq!(scene.status(task), TaskStatus::Done);
}
