//! A look at a whole workspace as it is stored: its log, read once more, and what readers see beside it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{
    checkpoint::{CheckpointPart, Manifest},
    doctor::{Doctor, Finding},
    ids::{CheckpointId, ConversationId, Subject, TaskId, WorkspaceId},
};

use super::{
    audit::{self, Verdict},
    log,
    tenant::ROLE,
};

/// Events that are read at once.
const PAGE: i64 = 1_000;

/// Examines a workspace, also one that is at work: everything is read as it was at one moment.
///
/// # Errors
/// When the database, or an event in it, cannot be read.
pub async fn examine(pool: &PgPool, workspace: WorkspaceId) -> Result<Vec<Finding>, log::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *tx).await?;
    let (mut doctor, mut head) = (Doctor::default(), 0);
    loop {
        let page = log::page(&mut *tx, workspace, head, PAGE).await?;
        let Some(last) = page.last() else { break };
        head = last.offset;
        page.iter().for_each(|recorded| doctor.event(recorded));
    }
    let mut findings = shown(&mut tx, workspace, &doctor).await?;
    findings.extend(bare(&mut tx).await?);
    tx.rollback().await?;
    // What comes to the log meanwhile comes after every checkpoint that was read.
    for (task, checkpoints) in doctor.checkpoints() {
        findings.extend(restored(pool, workspace, task, checkpoints.collect()).await?);
    }
    if let Verdict::Broken { offset } = audit::verify(pool, workspace).await? {
        findings.push(Finding { invariant: "I23", offset, detail: "the chain of hashes breaks here".into() });
    }
    findings.extend(doctor.finish());
    Ok(findings)
}

fn at_the_end(invariant: &'static str, detail: String) -> Finding {
    Finding { invariant, offset: 0, detail }
}

/// Compares what readers see with what the log says.
async fn shown(tx: &mut PgConnection, workspace: WorkspaceId, doctor: &Doctor) -> Result<Vec<Finding>, sqlx::Error> {
    let shown: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, status FROM tasks WHERE workspace_id = $1
         UNION ALL SELECT id, status FROM agent_assignments WHERE workspace_id = $1
         UNION ALL SELECT id, seq::text FROM documents WHERE workspace_id = $1",
    )
    .bind(workspace.0)
    .fetch_all(&mut *tx)
    .await?;
    let asked: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM interrupts WHERE workspace_id = $1 AND status = 'open'")
        .bind(workspace.0)
        .fetch_all(&mut *tx)
        .await?;
    let artifacts: i64 = sqlx::query_scalar("SELECT count(*) FROM artifacts WHERE workspace_id = $1")
        .bind(workspace.0)
        .fetch_one(&mut *tx)
        .await?;
    let mut shown: BTreeMap<Uuid, String> = shown.into_iter().collect();
    let mut findings = vec![];
    let mut found = |invariant, detail: String| findings.push(at_the_end(invariant, detail));
    for (id, is) in doctor.states() {
        match shown.remove(&id) {
            Some(seen) if seen == is => {}
            seen => found("I5", format!("{id} is {is} and shown as {}", seen.as_deref().unwrap_or("nothing"))),
        }
    }
    for id in shown.keys() {
        found("I5", format!("{id} is shown and not in the log"));
    }
    let open: BTreeSet<Uuid> = doctor.open_questions().map(|id| id.0).collect();
    for id in open.symmetric_difference(&asked.into_iter().collect()) {
        found("I5", format!("question {id} is open for readers or in the log, not both"));
    }
    if usize::try_from(artifacts).ok() != Some(doctor.made()) {
        found("I16", format!("{} things were made and {artifacts} can be reached", doctor.made()));
    }
    Ok(findings)
}

/// Finds tables of tenants that are not behind the wall: their rows are seen by all.
async fn bare(tx: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
             AND (c.relname = 'workspaces' OR EXISTS (SELECT 1 FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped))
             AND NOT (c.relrowsecurity AND EXISTS (SELECT 1 FROM pg_policy p
                 WHERE p.polrelid = c.oid AND $1::regrole::oid = ANY (p.polroles)))
         ORDER BY c.relname",
    )
    .bind(ROLE)
    .fetch_all(tx)
    .await?;
    let found = |table| at_the_end("I22", format!("the table {table} is not behind the wall"));
    Ok(bare.into_iter().map(found).collect())
}

/// Reads a task's checkpoints back: each has to be what it says.
async fn restored(
    pool: &PgPool,
    workspace: WorkspaceId,
    task: TaskId,
    checkpoints: Vec<(CheckpointId, u64, &Manifest)>,
) -> Result<Vec<Finding>, log::Error> {
    let own = log::load(pool, workspace, Subject::Task(task), 0).await?;
    let mut talks = BTreeMap::new();
    let marks = checkpoints.iter().flat_map(|(_, _, manifest)| &manifest.conversations);
    for id in marks.map(|mark| mark.conversation).collect::<BTreeSet<ConversationId>>() {
        talks.insert(id, log::load(pool, workspace, Subject::Conversation(id), 0).await?);
    }
    let broken = checkpoints.into_iter().filter_map(|(id, offset, manifest)| {
        let part: CheckpointPart = manifest.restored(&own, &talks).err()?;
        let detail = format!("checkpoint {id} of task {task}: the {} is not what it says", part.name());
        Some(Finding { invariant: "I25", offset, detail })
    });
    Ok(broken.collect())
}
