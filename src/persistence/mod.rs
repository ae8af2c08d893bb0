//! Postgres is the authority: the log, its snapshots, its projections, leases, people. All SQL of Link is here.

pub mod api_keys;
pub mod audit;
pub mod deliveries;
pub mod embedded;
pub mod leases;
pub mod log;
pub mod logins;
pub mod migrations;
pub mod oidc;
pub mod penguins;
pub mod people;
pub mod projections;
pub mod queries;
pub mod revocations;
pub mod secrets;
pub mod views;
pub mod webhooks;

use std::time::Duration;

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

/// Connections per node for reads.
pub const READERS_MAX: u32 = 12;
/// Connections per node for commits and leases, of their own: a flood of slow reads must not cost a lease. Group
/// commit needs few.
pub const WRITERS_MAX: u32 = 6;
/// No statement of Link's takes longer; a longer one is stuck.
const STATEMENT_TIMEOUT: &str = "10s";
/// A transaction that its client forgot must not hold a lease's row.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "2s";

/// A connection that was idle for longer is asked whether it lives before it is used; a younger one that died fails
/// its one statement, as it would if it died a moment later.
const ASK_AFTER_IDLE: Duration = Duration::from_secs(1);

/// A node's connections.
#[derive(Clone, Debug)]
pub struct Pools {
    /// For reads.
    pub reads: PgPool,
    /// For commits and leases.
    pub writes: PgPool,
}

impl Pools {
    /// Opens both.
    pub async fn open(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let writes = connect(options.clone(), WRITERS_MAX).await?;
        Ok(Self { reads: connect(options, READERS_MAX).await?, writes })
    }
}

/// Opens a pool.
pub async fn connect(options: PgConnectOptions, connections_max: u32) -> Result<PgPool, sqlx::Error> {
    let options = options.application_name("link").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
        ("lock_timeout", "5s"),
    ]);
    PgPoolOptions::new()
        .max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                // An error drops the connection, and the pool takes another one.
                if known.idle_for > ASK_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Tells whether the database answers.
pub async fn answers(pool: &PgPool) -> bool {
    sqlx::query("SELECT 1").execute(pool).await.is_ok()
}
