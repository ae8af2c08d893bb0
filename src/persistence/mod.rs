//! Postgres is the authority: the log, its snapshots, its projections, leases, people. All SQL of Link is here.

pub mod access;
pub mod api_keys;
pub mod attendance;
pub mod audit;
pub mod checkpoints;
pub mod deliveries;
pub mod doctor;
pub mod documents;
pub mod embedded;
mod inbox;
mod instances;
pub mod leases;
pub mod log;
pub mod logins;
pub mod migrations;
pub mod oidc;
pub mod peers;
pub mod penguins;
pub mod people;
pub mod projections;
pub mod queries;
pub mod revocations;
pub mod rights;
pub mod secrets;
pub mod talks;
pub mod tenant;
pub mod views;
pub mod webhooks;
mod work_views;

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

/// Connections per node for what belongs to no single workspace: who may do what, people, logs of actors.
pub const READERS_MAX: u32 = 8;
/// Connections per node for reads of one workspace at a time, behind row-level security.
pub const TENANTS_MAX: u32 = 10;
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
    /// For reads across workspaces, and those of the node itself.
    pub reads: PgPool,
    /// For reads of one workspace, through [`tenant::Tenant`].
    pub tenants: PgPool,
    /// For commits and leases.
    pub writes: PgPool,
}

impl Pools {
    /// Opens those that the node itself uses, brings the schema up to date, and then opens those of the tenants,
    /// whose role the schema makes.
    pub async fn open(options: PgConnectOptions) -> Result<Self, OpenError> {
        let writes = connect(options.clone(), WRITERS_MAX).await?;
        migrations::migrate(&writes).await?;
        let reads = connect(options.clone(), READERS_MAX).await?;
        Ok(Self { reads, tenants: connect_tenants(options).await?, writes })
    }
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not answer, or refuses.
    #[error("connecting to the database")]
    Connect(#[from] sqlx::Error),
    /// The schema is not, and does not become, the one of this version.
    #[error("bringing the database up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Opens a pool.
pub async fn connect(options: PgConnectOptions, connections_max: u32) -> Result<PgPool, sqlx::Error> {
    pool(connections_max).connect_with(named(options)).await
}

/// Opens the pool of connections that see one workspace at a time.
pub async fn connect_tenants(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    let take_on = format!("SET ROLE {}", tenant::ROLE);
    let pool = pool(TENANTS_MAX).after_connect(move |connection, _| {
        let take_on = take_on.clone();
        Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(take_on)).execute(connection).await.map(drop) })
    });
    pool.connect_with(named(options)).await
}

fn named(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("link").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
        ("lock_timeout", "5s"),
    ])
}

fn pool(connections_max: u32) -> PgPoolOptions {
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
}

/// Tells whether the database answers.
pub async fn answers(pool: &PgPool) -> bool {
    sqlx::query("SELECT 1").execute(pool).await.is_ok()
}
