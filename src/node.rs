//! The composition root: puts the parts of a node together, in order, and takes them apart again.

mod credentials;
pub mod keys;

use std::{
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::Context as _;
use chrono::TimeDelta;
use futures::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::{
        Context, Directory,
        context::{Hosting, Runtimes, runtime_name},
        liveness::Silence,
        webhooks::Postman,
    },
    agents::{
        AgentRuntime,
        peer::{Pace, Peers},
    },
    api::{
        Api, Services,
        known_keys::KnownKeys,
        limits::{self, Limits},
        revocations::Revocations,
        tokens::Passwords,
    },
    clock::Clock,
    cluster::{ALIVE, HEARTBEAT, Identity, Membership, Standing},
    config::{self, Attempts, Config, Rates},
    domain::{agent::RuntimeKind, routing::Bulkheads, workspace::Patience},
    oidc::Provider,
    persistence::{Pools, deliveries, embedded, log, logins, oidc, revocations, secrets::Vault},
    telemetry,
    transport::{
        self, Doors,
        listener::{self, Bounds},
    },
};

use credentials::Credentials;

/// How long open requests may take when the node stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Commands' keys are remembered this long.
const KEYS_LIVE: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Deliveries of webhooks that are over are kept this long.
const DELIVERIES_LIVE: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// And no more of them per webhook.
const DELIVERIES_KEPT: i64 = 10_000;
/// A sealed text that nothing names is kept this long: what names it may be on its way.
const SEALED_LIVE: chrono::TimeDelta = chrono::TimeDelta::hours(1);

static METRICS: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| telemetry::metrics().ok());

/// A running node.
pub struct Node {
    addr: SocketAddr,
    api: Api,
    stopping: CancellationToken,
    doomed: CancellationToken,
    sockets: TaskTracker,
    http: JoinHandle<()>,
    chores: Vec<JoinHandle<()>>,
    directory: (Directory, JoinHandle<()>),
    database: Option<embedded::Server>,
}

impl Node {
    /// Starts a node: database, schema, key, cluster, workspaces with open work, doors.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_with(config, Clock::default()).await
    }

    /// Starts a node whose clock can be moved.
    pub async fn start_with(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let begun = std::time::Instant::now();
        let (options, database) = database(&config).await?;
        let pools = Pools::open(options).await?;
        let (key_file, (keys, keys_text)) = (keys::KeyFile::of(&config), keys::read(&config)?);
        let vault = Vault::new(&keys.vault()).ok().context("making the vault for credentials")?;
        let cluster_addr = config.cluster_addr.to_string();
        // The lock on its own database already proves that no other process has this node's name.
        let alive = if database.is_some() { Duration::ZERO } else { ALIVE };
        let identity = Identity { node: config.node.clone(), incarnation: clock.id(), addr: cluster_addr };
        let membership = Membership::join(pools.writes.clone(), identity, alive).await?;
        let postman = Postman::new(config.webhooks_allow_private).context("making the client of webhooks")?;
        let http = http()?;
        let runtimes = runtimes(http.clone(), config.peers);
        let Attempts { max: workspace, background_max: background } = config.attempts;
        let bulkheads = Bulkheads { workspace, background };
        let (patience, silence) = (patience(config.clocks), silence(config.clocks));
        let hosting = Hosting { entity_idle: config.entity_idle, bulkheads, patience, silence };
        let context = Arc::new(Context::new(pools, clock, membership, vault, postman, runtimes, hosting));
        let (directory, directory_task) = Directory::start(context.clone()).await?;
        let Rates { reads, writes, credentials } = config.rates;
        let limits = Limits::new(limits::Rates { reads, writes, credentials });
        let revocations = Revocations::default();
        revocations.follow(&context.pool, context.clock.now()).await;
        let passwords = Passwords::default();
        let known_keys = KnownKeys::default();
        let oidc = config.oidc.map(|settings| Provider::new(http, settings));
        let services =
            Services { directory: directory.clone(), keys, known_keys, revocations, passwords, oidc, limits };
        let services = Arc::new(services);
        let api = Api::new(services.clone());
        let (stopping, doomed) = (CancellationToken::new(), CancellationToken::new());
        let sockets = TaskTracker::new();
        let listener = TcpListener::bind(config.http_addr)
            .await
            .with_context(|| format!("listening on {}: choose another LINK_HTTP_ADDR", config.http_addr))?;
        let addr = listener.local_addr()?;
        let origins: Result<Vec<_>, _> = config.cors_origins.iter().map(|origin| origin.parse()).collect();
        let origins = origins.context("reading LINK_CORS_ORIGINS")?;
        let doors = Doors {
            api: api.clone(),
            metrics: Arc::new(|| METRICS.as_ref().map(PrometheusHandle::render).unwrap_or_default()),
            stopping: stopping.clone(),
            sockets: sockets.clone(),
            heartbeat: config.connections.heartbeat,
            node: config.node.clone(),
            trusted_proxies: config.trusted_proxies.into(),
            cors_origins: origins.into(),
        };
        LazyLock::force(&METRICS);
        let bounds = Bounds { connections_max: config.connections.max, idle: config.connections.idle };
        let http = tokio::spawn(listener::serve(listener, transport::router(doors), bounds, stopping.clone()));
        let chores = vec![
            tokio::spawn(beat(context.clone(), stopping.clone(), doomed.clone())),
            tokio::spawn(tidy(context.clone(), stopping.clone())),
            tokio::spawn(Credentials::new(services, key_file, keys_text).keep()),
        ];
        if let Some(database) = &database {
            let (ended, stopping, doomed) = (database.ended(), stopping.clone(), doomed.clone());
            tokio::spawn(async move {
                let status = ended.await;
                if !stopping.is_cancelled() {
                    tracing::error!(status, "the database ended by itself: stopping");
                    doomed.cancel();
                }
            });
        }
        let open = directory.pick_up().await.context("looking for open work")?;
        tracing::info!(%addr, node = config.node, workspaces_with_open_work = open, elapsed_ms = begun.elapsed().as_millis() as u64, "node ready");
        let directory = (directory, directory_task);
        Ok(Self { addr, api, stopping, doomed, sockets, http, chores, directory, database })
    }

    /// Returns where the node listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the operations, for what runs in the same process.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Ends when this node cannot go on: another process has its name, or its own database has ended by itself.
    /// What started the process shall stop it and start it anew; nothing that was acknowledged is lost.
    pub async fn doomed(&self) {
        self.doomed.cancelled().await;
    }

    /// Stops: no new work, open requests end, sockets close with 1012, leases go back, the database stops.
    pub async fn stop(self) {
        self.stopping.cancel();
        if tokio::time::timeout(DRAIN, self.http).await.is_err() {
            tracing::warn!("open requests did not end in time");
        }
        self.sockets.close();
        if tokio::time::timeout(DRAIN, self.sockets.wait()).await.is_err() {
            tracing::warn!("open sockets did not end in time");
        }
        self.chores.iter().for_each(JoinHandle::abort);
        let (directory, task) = self.directory;
        directory.stop();
        let _ = tokio::time::timeout(DRAIN, task).await;
        let context = directory.context();
        match tokio::time::timeout(DRAIN, context.membership.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "leases not given back; they run out by themselves"),
            Err(_) => tracing::warn!("leases not given back in time; they run out by themselves"),
        }
        let pools = [&context.pool, &context.tenants, &context.writes];
        if tokio::time::timeout(DRAIN, join_all(pools.map(PgPool::close))).await.is_err() {
            tracing::warn!("connections to the database did not end in time; it cuts them");
        }
        if let Some(database) = self.database
            && let Err(error) = database.stop().await
        {
            tracing::warn!(%error, "the database did not stop cleanly; its next start recovers");
        }
        tracing::info!("node stopped");
    }
}

/// Finds the database that the settings name, or starts the own one.
pub async fn database(config: &Config) -> anyhow::Result<(PgConnectOptions, Option<embedded::Server>)> {
    if let Some(url) = &config.database_url {
        // The parser's error may quote the URL, and with it the password.
        let options = PgConnectOptions::from_str(url).ok().context("DATABASE_URL is no postgres:// URL")?;
        return Ok((options, None));
    }
    let settings = embedded::Settings {
        root: config.data_dir.clone(),
        bin_dir: config.pg_bin.clone(),
        durability: embedded::Durability::Full,
    };
    let server = embedded::Server::start(settings).await?;
    Ok((server.options("link"), Some(server)))
}

/// The node's one client, but for webhooks, which go to strangers.
fn http() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("link/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none());
    Ok(builder.build()?)
}

fn runtimes(http: reqwest::Client, peers: config::Peers) -> Runtimes {
    let penguin: Arc<dyn AgentRuntime> = Arc::new(crate::agents::penguin::Penguin::new(http));
    let scripted: Arc<dyn AgentRuntime> = Arc::new(crate::agents::scripted::Scripted);
    let called = [(runtime_name(RuntimeKind::Penguin), penguin), (runtime_name(RuntimeKind::Scripted), scripted)];
    let config::Peers { heartbeat, suspect, lost } = peers;
    Runtimes { called: called.into(), peers: Arc::new(Peers::new(Pace { heartbeat, suspect, lost })) }
}

/// Renews leases and the sign of life, until the node stops or is replaced.
async fn beat(context: Arc<Context>, stopping: CancellationToken, doomed: CancellationToken) {
    let mut tick = tokio::time::interval(HEARTBEAT);
    while !stopping.is_cancelled() {
        tick.tick().await;
        match tokio::time::timeout(HEARTBEAT * 3, context.membership.beat()).await {
            Ok(Ok(Standing::Good)) => {}
            Ok(Ok(Standing::Replaced)) => {
                tracing::error!("another process has taken this node's name: stopping");
                doomed.cancel();
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "heartbeat failed; the next one follows"),
            Err(_) => tracing::warn!("heartbeat took too long; the next one follows"),
        }
    }
}

/// Forgets what nobody can ask for any more.
async fn tidy(context: Arc<Context>, stopping: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(600));
    while !stopping.is_cancelled() {
        tick.tick().await;
        let now = context.clock.now();
        let keys = log::forget_commands(&context.pool, now - KEYS_LIVE).await;
        let logins = logins::forget(&context.pool, now).await;
        let revocations = revocations::forget(&context.pool, now).await;
        let on_their_way = oidc::forget(&context.pool, now).await;
        if let Err(error) = keys.map(|_| ()).and(logins).and(revocations).and(on_their_way) {
            tracing::warn!(%error, "old keys and tokens not forgotten; the next time they are");
        }
        let (old, unnamed) = (now - DELIVERIES_LIVE, now - SEALED_LIVE);
        if let Err(error) = deliveries::forget(&context.pool, old, DELIVERIES_KEPT, unnamed).await {
            tracing::warn!(%error, "old deliveries not forgotten; the next time they are");
        }
    }
}

fn time(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

fn silence(settings: config::Clocks) -> Silence {
    let (nudge, max) = (time(settings.nudge), time(settings.silence));
    Silence { nudge, max: max.max(nudge) }
}

fn patience(settings: config::Clocks) -> Patience {
    let config::Clocks { question, review, escalation, queue, .. } = settings;
    Patience { question: time(question), review: time(review), escalation: time(escalation), queue: time(queue) }
}
