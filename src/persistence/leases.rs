//! Who may write a shard: one row each, with an epoch that only rises.

use std::time::Duration;

use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::log::Lease;

/// Why a shard or a name could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another live node has it.
    #[error("shard {shard} is held by node `{node}`")]
    Held {
        /// The shard.
        shard: i32,
        /// Who has it.
        node: String,
    },
    /// Another live process runs under this node's name.
    #[error(
        "another process runs as node `{0}` on this database and was seen seconds ago: give each node its own \
         LINK_NODE, or wait until it is gone"
    )]
    NameInUse(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Takes a shard: when it is free, when its lease has run out, or when this node had it in an earlier life.
pub async fn take(pool: &PgPool, shard: i32, node: &str, ttl: Duration) -> Result<Lease, Error> {
    let row = sqlx::query(
        "INSERT INTO shard_leases AS held (shard, node, epoch, expires_at) VALUES ($1, $2, 1, now() + $3)
         ON CONFLICT (shard) DO UPDATE
         SET node = excluded.node, epoch = held.epoch + 1, expires_at = excluded.expires_at
         WHERE held.node = excluded.node OR held.expires_at < now()
         RETURNING epoch",
    )
    .bind(shard)
    .bind(node)
    .bind(ttl)
    .fetch_optional(pool)
    .await?;
    if let Some(row) = row {
        return Ok(Lease { shard, node: node.to_owned(), epoch: row.try_get(0)? });
    }
    let holder =
        sqlx::query_scalar("SELECT node FROM shard_leases WHERE shard = $1").bind(shard).fetch_optional(pool).await?;
    Err(Error::Held { shard, node: holder.unwrap_or_default() })
}

/// Renews leases and returns the shards that are still this node's under their epochs.
pub async fn renew(pool: &PgPool, leases: &[Lease], ttl: Duration) -> Result<Vec<i32>, sqlx::Error> {
    let Some(first) = leases.first() else { return Ok(vec![]) };
    sqlx::query_scalar(
        "UPDATE shard_leases AS held SET expires_at = now() + $1
         FROM unnest($2::integer[], $3::bigint[]) AS mine(shard, epoch)
         WHERE held.shard = mine.shard AND held.epoch = mine.epoch AND held.node = $4
         RETURNING held.shard",
    )
    .bind(ttl)
    .bind(leases.iter().map(|lease| lease.shard).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.epoch).collect::<Vec<_>>())
    .bind(&first.node)
    .fetch_all(pool)
    .await
}

/// Gives leases back, so that another node need not wait.
pub async fn release(pool: &PgPool, leases: &[Lease]) -> Result<(), sqlx::Error> {
    let Some(first) = leases.first() else { return Ok(()) };
    sqlx::query(
        "UPDATE shard_leases AS held SET expires_at = now() - interval '1 second'
         FROM unnest($1::integer[], $2::bigint[]) AS mine(shard, epoch)
         WHERE held.shard = mine.shard AND held.epoch = mine.epoch AND held.node = $3",
    )
    .bind(leases.iter().map(|lease| lease.shard).collect::<Vec<_>>())
    .bind(leases.iter().map(|lease| lease.epoch).collect::<Vec<_>>())
    .bind(&first.node)
    .execute(pool)
    .await?;
    Ok(())
}

/// Registers this process under the node's name. A name whose process was seen within `alive` is refused.
pub async fn register(pool: &PgPool, node: &str, incarnation: Uuid, addr: &str, alive: Duration) -> Result<(), Error> {
    let row = sqlx::query(
        "INSERT INTO nodes AS known (node, incarnation, addr, seen_at) VALUES ($1, $2, $3, now())
         ON CONFLICT (node) DO UPDATE
         SET incarnation = excluded.incarnation, addr = excluded.addr, seen_at = excluded.seen_at
         WHERE known.incarnation = excluded.incarnation OR known.seen_at < now() - $4
         RETURNING node",
    )
    .bind(node)
    .bind(incarnation)
    .bind(addr)
    .bind(alive)
    .fetch_optional(pool)
    .await?;
    row.map(|_| ()).ok_or_else(|| Error::NameInUse(node.to_owned()))
}

/// Says that this process lives; `false` when another one took its name.
pub async fn heartbeat(pool: &PgPool, node: &str, incarnation: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE nodes SET seen_at = now() WHERE node = $1 AND incarnation = $2")
        .bind(node)
        .bind(incarnation)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes this process off the list, so that its name is free at once.
pub async fn deregister(pool: &PgPool, node: &str, incarnation: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM nodes WHERE node = $1 AND incarnation = $2")
        .bind(node)
        .bind(incarnation)
        .execute(pool)
        .await?;
    Ok(())
}
