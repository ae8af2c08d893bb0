//! Random commands about delegations: mostly what would come next, sometimes with wrong ids, fences and order.

use serde_json::{Value, json};

use crate::domain::{
    failure::FailureClass,
    ids::*,
    model::Command,
    principal::{Principal, Service},
    routing::Bulkheads,
    run::{InterruptKind, Usage},
    task::{
        Expiry, Lapse, Made, NewDelegation, Report, Review, Reviewers, Route, Standstill, TaskCommand, Terms, Verdict,
    },
    text::{Label, Prose},
};

use super::{
    ledger::{Phase, Try},
    plan::{Kind, choose, person},
    world::{Ask, World},
};

const CONDUCTOR: Principal = Principal::Service(Service::Conductor);

pub(super) fn task_ask(task: TaskId, by: Principal, command: TaskCommand) -> Ask {
    Ask { subject: Subject::Task(task), by, command: Command::Task(Box::new(command)) }
}

pub(super) fn is_report(ask: &Ask) -> bool {
    matches!(&ask.command, Command::Task(command) if matches!(**command, TaskCommand::Report { .. }))
}

/// A new delegation; rarely one whose id was there before.
pub(super) fn delegate(world: &World, task: Option<TaskId>, pick: &[usize; 3]) -> TaskCommand {
    let [_, b, c] = *pick;
    let own = world.ledger.delegations.iter().filter(|(_, known)| Some(known.task) == task);
    let again = choose(own, c).map(|(id, _)| *id).filter(|_| b % 20 == 0);
    TaskCommand::Delegate(NewDelegation {
        id: again.unwrap_or_else(|| world.fresh().into()),
        agent: choose(world.ledger.agents.keys().copied(), b / 3).filter(|_| b % 3 != 0),
        team: choose(world.ledger.teams.keys().copied(), c).filter(|_| b % 3 == 0 && c % 2 == 0),
        instructions: Prose::fitted("please"),
        review: review_wanted(b, c),
        terms: terms(c),
    })
}

/// Some of two skills.
pub(super) fn skills(pick: usize) -> impl Iterator<Item = Label> {
    ["cooking", "sewing"]
        .into_iter()
        .enumerate()
        .filter(move |(n, _)| pick >> n & 1 == 1)
        .map(|(_, it)| Label::fitted(it))
}

/// Questions of every sixth delegation expire.
fn terms(c: usize) -> Terms {
    let then = [Lapse::Deny, Lapse::Escalate, Lapse::Answer(json!("so\0")), Lapse::Escalate][c / 3 % 4].clone();
    let skills = skills(c / 12).filter(|_| c.is_multiple_of(5)).collect();
    Terms { expiry: c.is_multiple_of(6).then_some(Expiry { after_secs: 1, then }), skills }
}

/// At most two approvals, now and then of people who were named.
fn review_wanted(b: usize, c: usize) -> Review {
    let named = [0, c / 5, c / 7].map(|n| Principal::User(person(n)));
    Review {
        approvals: (b % 4).min(2) as u8,
        by: [Reviewers::Others, Reviewers::Anyone][c % 2],
        approvers: named.into_iter().filter(|_| c.is_multiple_of(5) && !b.is_multiple_of(4)).collect(),
    }
}

/// What the agenda says, as the conductor would.
pub(super) fn dispatch(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let offer =
        choose(world.workspace.schedule().agenda(world.now, pick[1] as u64, Bulkheads::default()).dispatch, pick[0])?;
    Some(task_ask(
        offer.task,
        CONDUCTOR,
        TaskCommand::Dispatch {
            delegation: offer.delegation,
            attempt: world.fresh().into(),
            agent: offer.agent,
            instance: offer.instance,
            route: offer.route,
        },
    ))
}

/// What the agenda may not have said.
pub(super) fn dispatch_anywhere(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let (delegation, mandate) = choose(&world.ledger.delegations, a)?;
    let (agent, staff) = choose(&world.ledger.agents, b)?;
    let reused = choose(world.ledger.attempts.values().filter(|known| known.task == mandate.task), c);
    let attempt = reused.filter(|_| c % 3 == 0).map_or_else(|| world.fresh().into(), |known| known.id);
    let instance = choose(staff.slots.keys().copied(), c)?;
    let (delegation, agent, route) = (*delegation, *agent, Route::default());
    let command = TaskCommand::Dispatch { delegation, attempt, agent, instance, route };
    Some(task_ask(mandate.task, CONDUCTOR, command))
}

/// A report, mostly of a live attempt with its own fence.
pub(super) fn report(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let live = world.ledger.live();
    let attempt = match choose(live, a) {
        Some(live) if c % 12 != 0 => live,
        _ => choose(world.ledger.attempts.values(), a)?,
    };
    let fence = match c % 20 {
        1 => attempt.fence - 1,
        2 => attempt.fence + 1,
        _ => attempt.fence,
    };
    let report = any_report(world, attempt, b, c / 20);
    let command = TaskCommand::Report { attempt: attempt.id, fence, report };
    Some(task_ask(attempt.task, Principal::Agent(attempt.agent), command))
}

/// How many kinds of report [`any_report`] makes.
pub(super) const REPORTS: usize = 28;
/// The first of those that end an attempt.
pub(super) const FINAL: usize = 20;
/// The first of those that end it without a result.
pub(super) const FAILED: usize = 24;

pub(super) fn any_report(world: &World, attempt: &Try, kind: usize, n: usize) -> Report {
    let asked = world.ledger.questions.iter().filter(|(_, asked)| asked.attempt == attempt.id);
    let (interrupt, key) = match choose(asked, n) {
        Some((id, asked)) => (*id, asked.key.clone()),
        None => (world.fresh().into(), "q0".to_owned()),
    };
    match kind % REPORTS {
        0..=2 => Report::Accepted,
        3 | 4 => Report::Progress {
            percent: (!n.is_multiple_of(5)).then_some((n * 7 % 130) as u8),
            phase: "test\0".into(),
            message: n.is_multiple_of(2).then(|| "half".into()),
        },
        5 if n.is_multiple_of(3) => Report::Nudged {
            why: [Standstill::Silent, Standstill::Circling][n / 3 % 2],
            since: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes((n / 6 % 3) as i64),
            untold: n.is_multiple_of(2).then(|| "deaf\0".into()),
        },
        5 => Report::Tool { tool: "sh\0".into(), ok: n.is_multiple_of(2), summary: "ran".into() },
        6 | 7 => Report::Artifact(Made {
            artifact: choose(attempt.artifacts.iter().copied(), n)
                .filter(|_| n.is_multiple_of(3))
                .unwrap_or_else(|| world.fresh().into()),
            kind: Label::fitted("file"),
            name: crate::domain::event::ArtifactName::fitted("a.rs"),
            content: Some("fn\0".into()),
            details: json!({"a\0": ["b\0", n]}),
        }),
        8 => Report::Usage(Usage {
            input_tokens: n as u64 % 50,
            output_tokens: n as u64 % 30,
            cost_usd: [0.5, f64::NAN, n as f64, f64::INFINITY][n % 4],
        }),
        9..=16 => Report::Asked {
            interrupt: if n.is_multiple_of(6) { interrupt } else { world.fresh().into() },
            key: if n.is_multiple_of(5) { key } else { format!("q{}", n % 4) },
            kind: [InterruptKind::Approval, InterruptKind::Question][n / 4 % 2],
            prompt: "may\0 I?".into(),
            details: json!(["\0"]),
        },
        17 => Report::Delivered(interrupt),
        18 | 19 => Report::Withdrawn { key },
        FINAL..=22 => Report::Submitted { text: Prose::fitted("done"), artifact: world.fresh().into() },
        23 => Report::Submitted { text: Prose::fitted(" "), artifact: world.fresh().into() },
        FAILED..=26 => Report::Failed {
            class: CLASSES[n % CLASSES.len()],
            message: ["broke\0", "broke at line 7", "no"][n % 3].into(),
            retry_after_ms: n.is_multiple_of(4).then_some(n as u64 * 100),
        },
        _ => Report::Stopped,
    }
}

pub(super) const CLASSES: [FailureClass; 10] = [
    FailureClass::StreamCut,
    FailureClass::InstanceLost,
    FailureClass::SessionNotFound,
    FailureClass::ProviderAuth,
    FailureClass::EvidenceMissing,
    FailureClass::Refused,
    FailureClass::AgentBlocked,
    FailureClass::Unknown,
    FailureClass::LoopDetected,
    FailureClass::ContextOverflow,
];

/// The end of an attempt that no longer counts.
pub(super) fn release(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let left = world.ledger.attempts.values().filter(|attempt| attempt.stopping);
    let attempt = choose(left, a).or_else(|| choose(world.ledger.attempts.values(), a))?;
    let late_result = b.is_multiple_of(3).then(|| Prose::fitted("late"));
    let command = TaskCommand::Release { attempt: attempt.id, stopped: c % 2 == 0, late_result };
    Some(task_ask(attempt.task, Principal::Agent(attempt.agent), command))
}

/// An answer, mostly of a person to an open question.
pub(super) fn answer(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let open = choose(world.ledger.questions.iter().filter(|(_, asked)| asked.open), a);
    let (interrupt, asked) = open.filter(|_| c % 6 != 0).or_else(|| choose(&world.ledger.questions, a))?;
    let by = match b % 8 {
        0 => Principal::Agent(world.ledger.attempts[&asked.attempt].agent),
        1 => CONDUCTOR,
        _ => Principal::User(person(b)),
    };
    let answer = [json!("yes"), Value::Null, json!({"allow": "no\0"})][c % 3].clone();
    let command = TaskCommand::Answer { delegation: asked.delegation, interrupt: *interrupt, answer };
    Some(task_ask(world.ledger.attempts[&asked.attempt].task, by, command))
}

/// A verdict, mostly on work that waits for one.
pub(super) fn review(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let reviewing = world.ledger.delegations.iter().filter(|(_, known)| known.phase == Phase::Reviewing);
    let (delegation, mandate) =
        choose(reviewing, a).filter(|_| c % 10 != 0).or_else(|| choose(&world.ledger.delegations, a))?;
    let agent = choose(world.ledger.agents.keys().copied(), b)?;
    let by = if b % 8 == 0 { Principal::Agent(agent) } else { Principal::User(person(b)) };
    let verdict =
        [Verdict::Approve, Verdict::Approve, Verdict::RequestChanges, Verdict::RequestChanges, Verdict::Reject][c % 5];
    let command = TaskCommand::Review { delegation: *delegation, verdict, comment: Prose::fitted("hm") };
    Some(task_ask(mandate.task, by, command))
}

/// What a person does with a delegation, mostly with one that has not ended.
pub(super) fn manage(world: &World, kind: Kind, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let fits = |phase: Phase| match kind {
        Kind::Resume => matches!(phase, Phase::Paused | Phase::Escalated),
        _ => !phase.is_over(),
    };
    let open = world.ledger.delegations.iter().filter(|(_, known)| fits(known.phase));
    let (delegation, mandate) =
        choose(open, a).filter(|_| c % 8 != 0).or_else(|| choose(&world.ledger.delegations, a))?;
    let delegation = *delegation;
    let command = match kind {
        Kind::Pause => TaskCommand::Pause(delegation),
        Kind::Resume => TaskCommand::Resume(delegation),
        Kind::Reassign => {
            let agent = choose(world.ledger.agents.keys().copied(), b)?;
            TaskCommand::Reassign { delegation, agent }
        }
        _ => TaskCommand::Cancel { delegation, reason: "enough\0".into() },
    };
    Some(task_ask(mandate.task, Principal::User(person(c)), command))
}
