//! Read models: a pure function from events to changes of rows, and two statements per table that carry them out,
//! however many events the batch has.

mod agents;
mod desk;
mod documents;
mod people;
mod rows;
mod tables;
mod talk;
mod webhooks;
mod work;

use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::{Event, Recorded},
    ids::WorkspaceId,
};

use super::log;
pub use rows::{Changes, Row};
pub use tables::{TABLES, Table};

/// Writes what the events mean for the read models.
pub async fn project(
    tx: &mut PgTransaction<'_>,
    workspace: WorkspaceId,
    events: &[Recorded],
) -> Result<(), sqlx::Error> {
    let mut changes = Changes::new(workspace);
    for event in events {
        describe(&mut changes, event);
    }
    changes.carry_out(tx).await
}

/// Says what one event changes. Pure: the same log gives the same rows.
fn describe(changes: &mut Changes, recorded: &Recorded) {
    match &recorded.event {
        Event::Workspace(event) => people::workspace(changes, recorded, event),
        Event::Conversation(event) => talk::conversation(changes, recorded, event),
        Event::Project(event) => work::project(changes, recorded, event),
        Event::Task(event) => work::task(changes, recorded, event),
        Event::Document(event) => documents::document(changes, recorded, event),
        Event::Agent(event) => agents::agent(changes, recorded, event),
        Event::Webhook(event) => webhooks::webhook(changes, recorded, event),
        Event::Session(event) => work::session(changes, recorded, event),
    }
}

/// Events of one step of a rebuild.
const REBUILD_BATCH: i64 = 500;

/// Makes a workspace's read models again from its log, in one transaction; returns the offset they show. Commits of
/// its shard wait meanwhile, and give up after five seconds.
pub async fn rebuild(pool: &PgPool, workspace: WorkspaceId, shard: i32) -> Result<u64, log::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT 1 FROM shard_leases WHERE shard = $1 FOR UPDATE").bind(shard).execute(&mut *tx).await?;
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    for table in TABLES {
        table.clear(&mut tx, workspace).await?;
    }
    let mut head = 0;
    loop {
        let events = log::page(pool, workspace, head, REBUILD_BATCH).await?;
        let Some(last) = events.last() else { break };
        head = last.offset;
        project(&mut tx, workspace, &events).await?;
    }
    tx.commit().await.map_err(log::Error::Unknown)?;
    Ok(head)
}

/// Returns every workspace that has a log.
pub async fn workspaces(pool: &PgPool) -> Result<Vec<WorkspaceId>, sqlx::Error> {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar(r#"SELECT workspace_id FROM events WHERE "offset" = 1 ORDER BY workspace_id"#)
            .fetch_all(pool)
            .await?;
    Ok(ids.into_iter().map(WorkspaceId).collect())
}
