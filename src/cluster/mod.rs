//! Which node may write which workspace: shards, leases and this node's own sign of life.
//!
//! A workspace hashes to one of [`SHARDS`] shards; the row in `shard_leases` says who writes it. Everything here may
//! be wrong or late without harm: each commit checks the epoch again.

use std::time::Duration;

use dashmap::DashMap;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    domain::ids::WorkspaceId,
    persistence::{leases, log::Lease},
};

/// The number of shards; fixed for the life of an installation.
pub const SHARDS: i32 = 256;
/// How long a lease lives without being renewed.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
/// How often leases and the sign of life are renewed.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A node that was seen within this time counts as alive.
pub const ALIVE: Duration = Duration::from_secs(3);

/// Returns the shard of a workspace.
pub fn shard_of(workspace: WorkspaceId) -> i32 {
    // FNV-1a: the same on every machine and in every version of Link.
    let hash = workspace
        .0
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    // Its low bits mix badly, its high bits well.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    i32::try_from(mixed % SHARDS as u64).unwrap_or(0)
}

/// This node as the cluster sees it, and the shards that it holds.
pub struct Membership {
    pool: PgPool,
    node: String,
    incarnation: Uuid,
    held: DashMap<i32, Lease>,
    /// One taker at a time, so that a burst of commands takes a shard once.
    taking: tokio::sync::Mutex<()>,
}

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name; the same after a restart.
    pub node: String,
    /// New at every start.
    pub incarnation: Uuid,
    /// Where other nodes reach it.
    pub addr: String,
}

/// Whether this process may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Good,
    /// Another process took its name: this one has to stop.
    Replaced,
}

impl Membership {
    /// Registers this process under its name. A name that was seen within `alive` belongs to a live process, or to
    /// one that has just crashed: it is waited for.
    ///
    /// # Errors
    /// [`leases::Error::NameInUse`] when another live process has the name.
    pub async fn join(pool: PgPool, identity: Identity, alive: Duration) -> Result<Self, leases::Error> {
        let Identity { node, incarnation, addr } = identity;
        let begun = tokio::time::Instant::now();
        loop {
            match leases::register(&pool, &node, incarnation, &addr, alive).await {
                Err(leases::Error::NameInUse(_)) if begun.elapsed() < alive + HEARTBEAT => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        Ok(Self { pool, node, incarnation, held: DashMap::new(), taking: tokio::sync::Mutex::new(()) })
    }

    /// Returns this node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Returns the lease on a workspace's shard, taking it when this node has none.
    pub async fn lease(&self, workspace: WorkspaceId) -> Result<Lease, leases::Error> {
        let shard = shard_of(workspace);
        if let Some(lease) = self.held.get(&shard) {
            return Ok(lease.clone());
        }
        let _one_at_a_time = self.taking.lock().await;
        if let Some(lease) = self.held.get(&shard) {
            return Ok(lease.clone());
        }
        let lease = leases::take(&self.pool, shard, &self.node, LEASE_TTL).await?;
        tracing::info!(shard, epoch = lease.epoch, "shard taken");
        self.held.insert(shard, lease.clone());
        Ok(lease)
    }

    /// Forgets a lease that a commit found to be gone.
    pub fn lost(&self, lease: &Lease) {
        self.held.remove_if(&lease.shard, |_, held| held.epoch == lease.epoch);
    }

    /// Renews everything once.
    pub async fn beat(&self) -> Result<Standing, sqlx::Error> {
        if !leases::heartbeat(&self.pool, &self.node, self.incarnation).await? {
            return Ok(Standing::Replaced);
        }
        let mine: Vec<Lease> = self.held.iter().map(|lease| lease.clone()).collect();
        let kept = leases::renew(&self.pool, &mine, LEASE_TTL).await?;
        for lease in mine.iter().filter(|lease| !kept.contains(&lease.shard)) {
            tracing::warn!(shard = lease.shard, epoch = lease.epoch, "shard lost");
            self.lost(lease);
        }
        Ok(Standing::Good)
    }

    /// Gives everything back.
    pub async fn leave(&self) -> Result<(), sqlx::Error> {
        let mine: Vec<Lease> = self.held.iter().map(|lease| lease.clone()).collect();
        leases::release(&self.pool, &mine).await?;
        leases::deregister(&self.pool, &self.node, self.incarnation).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_workspace_never_changes() {
        let id = WorkspaceId(Uuid::from_u128(0x0190_f3c2_7b1e_7000_8000_0000_0000_0001));
        assert_eq!(shard_of(id), shard_of(id));
        assert!((0..SHARDS).contains(&shard_of(id)));
        let spread: std::collections::BTreeSet<i32> =
            (0..2_000u128).map(|n| shard_of(WorkspaceId(Uuid::from_u128(n << 64 | n)))).collect();
        assert!(spread.len() > 200, "{} shards are used", spread.len());
    }
}
