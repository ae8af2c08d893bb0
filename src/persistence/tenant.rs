//! One workspace's rows, and no others: connections whose database role sees only what row-level security shows it.
//!
//! A call is let in by the decision in `domain/access.rs`. This is the second wall, for the day on which the first has
//! a hole: whatever a query asks for by id, rows of another workspace are not there.

use sqlx::{PgPool, Postgres, pool::PoolConnection};

use crate::domain::{
    event::Recorded,
    ids::{Subject, WorkspaceId},
};

use super::log::{self, Head, Memory};

/// The role that connections of tenants take on; see migrations.
pub const ROLE: &str = "link_tenant";

/// Reads of one workspace.
#[derive(Clone, Debug)]
pub struct Tenant {
    pool: PgPool,
    workspace: WorkspaceId,
}

impl Tenant {
    /// Reads of a workspace, over connections that took on the role.
    pub fn new(pool: PgPool, workspace: WorkspaceId) -> Self {
        Self { pool, workspace }
    }

    /// Returns whose rows there are.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Returns a connection that sees this workspace. Each use says so anew: what the last one saw does not matter.
    pub(super) async fn open(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        sqlx::query("SELECT set_config('link.workspace', $1, false)")
            .bind(self.workspace.to_string())
            .execute(&mut *connection)
            .await?;
        Ok(connection)
    }

    /// Returns the end of the log.
    pub async fn head(&self) -> Result<Head, log::Error> {
        log::head(&mut *self.open().await?, self.workspace).await
    }

    /// Reads the events after an offset, oldest first, at most `limit`, and no more than about so many bytes of them, but
    /// one at least.
    pub async fn page(&self, after: u64, limit: i64, bytes_max: usize) -> Result<Vec<Recorded>, log::Error> {
        log::piece(&mut *self.open().await?, self.workspace, after, limit, bytes_max).await
    }

    /// Reads the events about a subject and about what belongs to it, after an offset, oldest first.
    pub async fn about(&self, subject: Subject, after: u64, limit: i64) -> Result<Vec<Recorded>, log::Error> {
        log::about(&mut *self.open().await?, self.workspace, subject, after, limit).await
    }

    /// Looks up what is remembered of a command.
    pub async fn recall(&self, key: &String) -> Result<Option<Memory>, sqlx::Error> {
        let mut known = log::recall(&mut *self.open().await?, self.workspace, std::slice::from_ref(key)).await?;
        Ok(known.remove(key))
    }
}
