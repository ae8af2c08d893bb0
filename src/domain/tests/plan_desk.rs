//! Random commands about what waits for people.

use chrono::TimeDelta;

use crate::domain::{
    ids::Subject,
    model::Command,
    principal::{Principal, Service},
    task::TaskCommand,
    workspace::{Due, Patience, Reminder, Role, WorkspaceCommand},
};

use super::{
    ledger::Phase,
    plan::{choose, person},
    plan_work::task_ask,
    world::{Ask, World},
};

pub(super) fn desk(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    match pick[0] % 6 {
        0 => approvers(world, pick),
        1 | 2 => leaves(world, pick),
        _ => time(world, pick),
    }
}

/// Patience that go as fast as the plans do.
pub(super) fn patience() -> Patience {
    let [question, review, escalation, queue] = [1, 2, 1, 3].map(TimeDelta::seconds);
    Patience { question, review, escalation, queue }
}

/// What time has brought, as the conductor would say it; or what it has not.
fn time(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let later = if c % 8 == 0 { TimeDelta::hours(1) } else { TimeDelta::zero() };
    let Due { reminders, expired, overdue } = world.workspace.schedule().due(world.now + later, &patience());
    let remind = |r: Reminder| {
        let nth = if c % 9 == 1 { r.nth + 1 } else { r.nth };
        let Reminder { task, delegation, interrupt, matter, .. } = r;
        (task, TaskCommand::Remind { delegation, interrupt, matter, nth })
    };
    let reminders = reminders.into_iter().map(remind);
    let expired =
        expired.into_iter().map(|(task, delegation, interrupt)| (task, TaskCommand::Expire { delegation, interrupt }));
    let overdue = overdue
        .into_iter()
        .map(|(task, delegation)| (task, TaskCommand::SayOverdue { delegation, reason: "nobody can\0".into() }));
    let (task, command) = match b % 3 {
        0 => choose(reminders, a)?,
        1 => choose(expired.chain(overdue), a)?,
        _ => choose(reminders.chain(expired).chain(overdue), a)?,
    };
    Some(task_ask(task, Principal::Service(Service::Conductor), command))
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
