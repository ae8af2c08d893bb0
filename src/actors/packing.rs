//! What an attempt is told: read from the log as it was when the attempt began, so that a restart tells the same.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{
    domain::{
        checkpoint::{in_force, is_in},
        event::{Event, Recorded, TaskEvent},
        ids::Subject,
        pack::{Links, Material, Pack, TOKENS_MAX, before, joined_parts, pack},
        session::SessionCommand,
        workspace::Running,
    },
    persistence::{log, talks},
};

use super::workspace::WorkspaceHandle;

/// How far up the parts of parts are followed.
const GOALS_MAX: usize = 5;
/// The most tasks that were waited for which are read.
const NEEDS_MAX: usize = 20;
/// The most conversations that are read.
const TALKS_MAX: i64 = 8;

/// Puts together what an attempt is told.
#[tracing::instrument(name = "actors.run.pack", skip_all, fields(attempt = %running.attempt))]
pub(super) async fn packed(handle: &WorkspaceHandle, running: &Running) -> Result<Pack, log::Error> {
    let begun = std::time::Instant::now();
    let pool = &handle.context.pool;
    let load = async |subject| log::load(pool, handle.id, subject, 0).await;
    let mut task = load(Subject::Task(running.task)).await?;
    let began = task.iter().find_map(|recorded| match &recorded.event {
        Event::Task(TaskEvent::AttemptStarted { attempt, .. }) if *attempt == running.attempt => Some(recorded.offset),
        _ => None,
    });
    let began = began.unwrap_or(u64::MAX);
    let links = Links::of(before(&task, began));
    let (mut parents, mut above) = (vec![], links.parent);
    while let Some(parent) = above.filter(|_| parents.len() < GOALS_MAX) {
        let parent = load(Subject::Task(parent)).await?;
        above = Links::of(before(&parent, began)).parent;
        parents.push(parent);
    }
    let mut needs = vec![];
    for need in links.needs.iter().take(NEEDS_MAX) {
        needs.push(load(Subject::Task(*need)).await?);
    }
    let mut talks = vec![];
    for talk in talks::about_task(pool, handle.id, running.task, TALKS_MAX).await? {
        talks.push(load(Subject::Conversation(talk)).await?);
    }
    // What was rolled back is not told.
    let told = in_force(&task, began);
    task.retain(|recorded| is_in(&told, recorded.offset));
    talks.iter_mut().for_each(|talk: &mut Vec<Recorded>| talk.retain(|recorded| is_in(&told, recorded.offset)));
    let mut parts = vec![];
    for part in joined_parts(before(&task, began)) {
        parts.push(load(Subject::Task(part)).await?);
    }
    let [parents, needs, parts, talks] = [&parents, &needs, &parts, &talks].map(|logs| cut(logs, began));
    let mut material = Material::of(running.attempt, before(&task, began), &parents, &needs, &parts, &talks);
    material.claims = links.claims;
    let packed = pack(&material, TOKENS_MAX);
    metrics::histogram!("link_pack_seconds").record(begun.elapsed());
    Ok(packed)
}

fn cut(logs: &[Vec<Recorded>], began: u64) -> Vec<&[Recorded]> {
    logs.iter().map(|log| before(log, began)).collect()
}

/// Notes what an attempt is told.
pub(super) fn noted(packed: &Pack) -> SessionCommand {
    let hash = digest(&SHA256, packed.text.as_bytes());
    let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    SessionCommand::Pack { hash, tokens: packed.tokens as u64, left_out: packed.left_out.clone() }
}
