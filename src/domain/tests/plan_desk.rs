//! Random commands about what waits for people.

use chrono::TimeDelta;
use serde_json::json;

use crate::domain::{
    ids::Subject,
    model::Command,
    principal::{Principal, Service},
    right::{Decides, Right},
    task::{Choice, TaskCommand, Verdict},
    text::Prose,
    workspace::{Due, Patience, Reminder, RightCommand, Role, WorkspaceCommand},
};

use super::{
    ledger::Phase,
    plan::{choose, person},
    plan_work::task_ask,
    world::{Ask, World},
};

pub(super) fn desk(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    match pick[0] % 10 {
        6 | 7 => give(world, pick),
        8 | 9 => decides(world, pick),
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

/// A right to decide, given by somebody who may or may not; or one that is revoked.
fn give(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let command = if b % 7 == 0 {
        RightCommand::Revoke(choose(world.ledger.rights.keys().copied(), a)?)
    } else {
        let projects = world.ledger.projects.keys().map(|id| Subject::Project(*id));
        let tasks = world.ledger.tasks.keys().map(|id| Subject::Task(*id));
        let all = [Decides::Question, Decides::Approval, Decides::Review];
        RightCommand::Give(Right {
            id: world.fresh().into(),
            agent: choose(world.ledger.agents.keys().copied(), a)?,
            grantor: person(c),
            subject: choose(projects.clone().chain(projects).chain(tasks), b)?,
            decides: all
                .into_iter()
                .enumerate()
                .filter(|(n, _)| (b + 1) >> n & 1 == 1 || c % 2 == 0)
                .map(|(_, it)| it)
                .collect(),
            cost_usd_max: (c % 3 == 0).then_some(1.0),
            risk_max: None,
            uses_max: 1 + a as u32 % 4,
            expires_at: world.now + TimeDelta::seconds(5 + a as i64 % 20),
        })
    };
    let by = Principal::User(person(if c % 11 == 0 { 0 } else { c }));
    Some(Ask {
        subject: Subject::Workspace(world.id),
        by,
        command: Command::Workspace(WorkspaceCommand::Rights(command)),
    })
}

/// An agent that decides on somebody's behalf, mostly one that may.
fn decides(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let (right, _) = choose(world.ledger.rights.values(), a)?;
    let agent = if c % 9 == 0 { choose(world.ledger.agents.keys().copied(), b)? } else { right.agent };
    let open = choose(world.ledger.questions.iter().filter(|(_, asked)| asked.open), b);
    let reviewing = choose(world.ledger.delegations.iter().filter(|(_, known)| known.phase == Phase::Reviewing), b);
    let (delegation, choice) = match (open, reviewing) {
        (Some((interrupt, asked)), _) if c % 2 == 0 => {
            (asked.delegation, Choice::Answer { interrupt: *interrupt, answer: json!("yes") })
        }
        (_, Some((delegation, _))) => {
            let verdict = [Verdict::Approve, Verdict::RequestChanges, Verdict::Approve][c % 3];
            (*delegation, Choice::Review { verdict, comment: Prose::fitted("hm") })
        }
        (Some((interrupt, asked)), None) => {
            (asked.delegation, Choice::Answer { interrupt: *interrupt, answer: json!("no") })
        }
        (None, None) => return None,
    };
    let (right, grantor) = (right.id, if c % 13 == 0 { person(b) } else { right.grantor });
    let command = TaskCommand::Decide { delegation, right, grantor, choice };
    Some(task_ask(world.ledger.delegations[&delegation].task, Principal::Agent(agent), command))
}
