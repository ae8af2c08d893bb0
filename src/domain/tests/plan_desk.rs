//! Random commands about what waits for people.

use crate::domain::{
    ids::Subject,
    model::Command,
    principal::Principal,
    task::TaskCommand,
    workspace::{Role, WorkspaceCommand},
};

use super::{
    ledger::Phase,
    plan::{choose, person},
    plan_work::task_ask,
    world::{Ask, World},
};

pub(super) fn desk(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    match pick[0] % 2 {
        0 => approvers(world, pick),
        _ => leaves(world, pick),
    }
}

/// Somebody whose approval is needed may no longer give it.
fn leaves(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let under_review = world.ledger.delegations.values().filter(|known| known.phase == Phase::Reviewing);
    let mandate = choose(under_review, pick[0])?;
    let members = world.ledger.members.keys().map(|user| Principal::User(*user));
    let needed = members.filter(|who| {
        *who != mandate.delegator && (mandate.review.approvers.is_empty() || mandate.review.approvers.contains(who))
    });
    let user = choose(needed, pick[1])?.user()?;
    let command = WorkspaceCommand::UpdateMember { user, role: Role::Guest.into() };
    let (subject, by) = (Subject::Workspace(world.id), Principal::User(person(0)));
    Some(Ask { subject, by, command: Command::Workspace(command) })
}

/// Other approvers, mostly of work that waits for some.
fn approvers(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let under_review = world.ledger.delegations.iter().filter(|(_, known)| known.phase == Phase::Reviewing);
    let (delegation, mandate) =
        choose(under_review, a).filter(|_| c % 5 != 0).or_else(|| choose(&world.ledger.delegations, a))?;
    let approvers = [0, b, c].map(|n| Principal::User(person(n))).into();
    let command = TaskCommand::SetApprovers { delegation: *delegation, approvers };
    Some(task_ask(mandate.task, Principal::User(person(b + c)), command))
}
