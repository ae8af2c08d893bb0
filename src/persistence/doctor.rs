//! A look at a whole workspace as it is stored: its log, read once more, and what readers see beside it.

use std::collections::BTreeMap;

use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::{
    doctor::{Doctor, Finding},
    ids::WorkspaceId,
};

use super::{
    audit::{self, Verdict},
    log,
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
    let shown: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, status FROM tasks WHERE workspace_id = $1
         UNION ALL SELECT id, status FROM agent_assignments WHERE workspace_id = $1",
    )
    .bind(workspace.0)
    .fetch_all(&mut *tx)
    .await?;
    let artifacts: i64 = sqlx::query_scalar("SELECT count(*) FROM artifacts WHERE workspace_id = $1")
        .bind(workspace.0)
        .fetch_one(&mut *tx)
        .await?;
    tx.rollback().await?;
    let mut shown: BTreeMap<Uuid, String> = shown.into_iter().collect();
    let mut findings = vec![];
    let mut found = |invariant, detail: String| findings.push(Finding { invariant, offset: 0, detail });
    for (id, status) in doctor.states() {
        match shown.remove(&id) {
            Some(seen) if seen == status => {}
            seen => found("I5", format!("{id} is {status} and shown as {}", seen.as_deref().unwrap_or("nothing"))),
        }
    }
    for id in shown.keys() {
        found("I5", format!("{id} is shown and not in the log"));
    }
    if usize::try_from(artifacts).ok() != Some(doctor.made()) {
        found("I16", format!("{} things were made and {artifacts} can be reached", doctor.made()));
    }
    if let Verdict::Broken { offset } = audit::verify(pool, workspace).await? {
        findings.push(Finding { invariant: "I23", offset, detail: "the chain of hashes breaks here".into() });
    }
    findings.extend(doctor.finish());
    Ok(findings)
}
