//! What time alone brings is told to the tasks that it concerns. It keeps nothing: killed at any moment, the next look
//! finds the same, and a task says no to what it has heard before.

use chrono::{DateTime, Utc};

use crate::domain::{
    ids::{Subject, TaskId},
    model::Command,
    principal::{Principal, Service},
    task::TaskCommand,
    workspace::{Due, Reminder, Schedule},
};

use super::{context::Context, request::CommandError, workspace::WorkspaceHandle};

/// Does what is due.
#[tracing::instrument(name = "actors.clocks.look", skip_all, fields(workspace = %handle.id))]
pub(super) async fn look(handle: &WorkspaceHandle, schedule: &Schedule, now: DateTime<Utc>) {
    let Context { patience, bulkheads, .. } = &*handle.context;
    let Due { reminders, expired, overdue } = schedule.due(now, patience);
    for (task, delegation, interrupt) in expired {
        if tell(handle, task, TaskCommand::Expire { delegation, interrupt }).await {
            metrics::counter!("link_questions_expired_total").increment(1);
        }
    }
    for (task, delegation) in overdue {
        let Some(held) = schedule.held(delegation, now, *bulkheads) else { continue };
        if tell(handle, task, TaskCommand::SayOverdue { delegation, reason: held.reason }).await {
            metrics::counter!("link_delegations_overdue_total").increment(1);
        }
    }
    for Reminder { task, delegation, interrupt, matter, nth } in reminders {
        if tell(handle, task, TaskCommand::Remind { delegation, interrupt, matter, nth }).await {
            metrics::counter!("link_reminders_total", "matter" => matter.name()).increment(1);
        }
    }
}

async fn tell(handle: &WorkspaceHandle, task: TaskId, command: TaskCommand) -> bool {
    let meta = handle.meta(Principal::Service(Service::Conductor), None);
    match handle.execute(Subject::Task(task), Command::Task(Box::new(command)), meta).await {
        Ok(_) => true,
        // The schedule moved on since it was read: it is not due any more.
        Err(CommandError::Rejected(_)) => false,
        Err(error) => {
            tracing::warn!(%error, "what is due was not told; the next look tries again");
            false
        }
    }
}
