//! Commands that run a node or look after its database: they read the settings and hand over.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::json;
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cluster,
    config::Config,
    domain::ids::WorkspaceId,
    node::{self, Node},
    persistence::{
        self,
        audit::{self, Verdict},
        embedded, migrations, projections,
    },
    telemetry,
};

use super::{
    Ending,
    error::Error,
    output::{self, Format},
};

/// Connections for commands that do one thing at a time.
const CONNECTIONS: u32 = 2;

/// Runs a node until it is told to stop.
pub(super) async fn serve(given: &ArgMatches) -> Result<Ending, Error> {
    let config = settings(given)?;
    telemetry::logs(&config.log, false);
    // Listened for from the beginning: a signal during the start, or right after, must end things in order too.
    let mut told = std::pin::pin!(told_to_stop());
    let node = tokio::select! {
        biased;
        () = &mut told => return Ok(Ending::Done),
        node = Node::start(config) => node?,
    };
    let doomed = tokio::select! {
        () = told => false,
        () = node.doomed() => true,
    };
    node.stop().await;
    Ok(if doomed { Ending::Failed } else { Ending::Done })
}

/// Ends at Ctrl-C or SIGTERM.
pub(super) async fn told_to_stop() {
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => drop(term.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

/// Reads the settings; flags win.
pub(super) fn settings(given: &ArgMatches) -> Result<Config, Error> {
    let flag = |name: &str| given.try_get_one::<String>(name).ok().flatten().cloned();
    let mut config = Config::load().context("reading the settings")?;
    if let Some(addr) = flag("http-addr") {
        let parsed: Result<SocketAddr, _> = addr.parse();
        config.http_addr = parsed.map_err(|error| Error::Usage(format!("--http-addr {addr}: {error}")))?;
    }
    config.data_dir = flag("data-dir").map_or(config.data_dir, Into::into);
    config.database_url = flag("database-url").or(config.database_url);
    config.node = flag("node").unwrap_or(config.node);
    Ok(config)
}

/// Prints the settings, secrets masked.
pub(super) fn config(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let config = settings(given)?;
    let secret = |given: &Option<String>, absent: &str| given.as_ref().map_or(absent, |_| "(set)").to_owned();
    let pg_bin = config.pg_bin.as_ref().map_or("searched for".to_owned(), |dir| dir.display().to_string());
    let oidc = config.oidc.as_ref();
    let text = |given: Option<&str>| given.unwrap_or("none").to_owned();
    let oidc_secret = secret(&oidc.and_then(|it| it.client_secret.clone()), "none");
    let oidc_domains = listed(oidc.map_or(&[][..], |it| &it.allowed_domains));
    let shown = [
        ("http_addr", "LINK_HTTP_ADDR", config.http_addr.to_string()),
        ("cluster_addr", "LINK_CLUSTER_ADDR", config.cluster_addr.to_string()),
        ("node", "LINK_NODE", config.node.clone()),
        ("database_url", "DATABASE_URL", secret(&config.database_url, "own PostgreSQL in the data directory")),
        ("data_dir", "LINK_DATA_DIR", config.data_dir.display().to_string()),
        ("pg_bin", "LINK_PG_BIN", pg_bin),
        ("jwt_key", "LINK_JWT_KEY", secret(&config.jwt_key, "kept in the data directory")),
        ("entity_idle_secs", "LINK_ENTITY_IDLE_SECS", config.entity_idle.as_secs().to_string()),
        ("attempts_max", "LINK_ATTEMPTS_MAX", config.attempts.max.to_string()),
        ("background_attempts_max", "LINK_BACKGROUND_ATTEMPTS_MAX", config.attempts.background_max.to_string()),
        ("remind_question_secs", "LINK_REMIND_QUESTION_SECS", config.clocks.question.as_secs().to_string()),
        ("remind_review_secs", "LINK_REMIND_REVIEW_SECS", config.clocks.review.as_secs().to_string()),
        ("remind_escalation_secs", "LINK_REMIND_ESCALATION_SECS", config.clocks.escalation.as_secs().to_string()),
        ("queue_limit_secs", "LINK_QUEUE_LIMIT_SECS", config.clocks.queue.as_secs().to_string()),
        ("connections_max", "LINK_CONNECTIONS_MAX", config.connections.max.to_string()),
        ("connection_idle_secs", "LINK_CONNECTION_IDLE_SECS", config.connections.idle.as_secs().to_string()),
        ("heartbeat_secs", "LINK_HEARTBEAT_SECS", config.connections.heartbeat.as_secs().to_string()),
        ("rate_reads", "LINK_RATE_READS", config.rates.reads.to_string()),
        ("rate_writes", "LINK_RATE_WRITES", config.rates.writes.to_string()),
        ("rate_credentials", "LINK_RATE_CREDENTIALS", config.rates.credentials.to_string()),
        ("trusted_proxies", "LINK_TRUSTED_PROXIES", listed(&config.trusted_proxies)),
        ("cors_origins", "LINK_CORS_ORIGINS", listed(&config.cors_origins)),
        ("oidc_issuer", "LINK_OIDC_ISSUER", text(oidc.map(|it| it.issuer.as_str()))),
        ("oidc_client_id", "LINK_OIDC_CLIENT_ID", text(oidc.map(|it| it.client_id.as_str()))),
        ("oidc_client_secret", "LINK_OIDC_CLIENT_SECRET", oidc_secret),
        ("oidc_redirect_url", "LINK_OIDC_REDIRECT_URL", text(oidc.map(|it| it.redirect_url.as_str()))),
        ("oidc_allowed_domains", "LINK_OIDC_ALLOWED_DOMAINS", oidc_domains),
        (
            "oidc_return_url",
            "LINK_OIDC_RETURN_URL",
            text(oidc.and_then(|it| it.return_url.as_ref()).map(|it| it.as_str())),
        ),
        ("log", "RUST_LOG", config.log.clone()),
    ];
    let items: Vec<_> =
        shown.iter().map(|(name, env, value)| json!({"name": name, "env": env, "value": value})).collect();
    output::answer(&json!({"items": items}), format)?;
    Ok(Ending::Done)
}

fn listed<T: ToString>(items: &[T]) -> String {
    if items.is_empty() { "none".into() } else { items.iter().map(T::to_string).collect::<Vec<_>>().join(",") }
}

/// Brings the database up to date.
pub(super) async fn migrate(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    with_database(given, async |_| {
        match format {
            Format::Json => output::answer(&json!({"ok": true}), format)?,
            Format::Table => output::write("the database is up to date\n")?,
        }
        Ok(Ending::Done)
    })
    .await
}

/// Makes the read models again.
pub(super) async fn rebuild(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let only = given.get_one::<String>("workspace").map(|id| id.parse::<WorkspaceId>()).transpose();
    let only = only.map_err(|error| Error::Usage(format!("--workspace: {error}")))?;
    with_database(given, async |pool| {
        let mut items = vec![];
        for workspace in workspaces(pool).await? {
            if only.is_some_and(|only| only != workspace) {
                continue;
            }
            let offset =
                projections::rebuild(pool, workspace, cluster::shard_of(workspace)).await.context("rebuilding")?;
            items.push(json!({"workspace": workspace, "rebuilt_to": offset}));
        }
        output::answer(&json!({"items": items}), format)?;
        Ok(Ending::Done)
    })
    .await
}

/// Checks the chains of hashes.
pub(super) async fn verify(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    with_database(given, async |pool| {
        let (mut items, mut ending) = (vec![], Ending::Done);
        for workspace in workspaces(pool).await? {
            items.push(match audit::verify(pool, workspace).await.context("reading the log")? {
                Verdict::Whole { head } => json!({"workspace": workspace, "log": "whole", "head": head}),
                Verdict::Broken { offset } => {
                    ending = Ending::Failed;
                    json!({"workspace": workspace, "log": "BROKEN", "broken_at": offset})
                }
            });
        }
        output::answer(&json!({"items": items}), format)?;
        Ok(ending)
    })
    .await
}

pub(super) async fn workspaces(pool: &PgPool) -> Result<Vec<WorkspaceId>, Error> {
    Ok(projections::workspaces(pool).await.context("listing the workspaces")?)
}

/// Works on the database of the settings, up to date, and leaves it as it was found: running or not.
pub(super) async fn with_database(
    given: &ArgMatches,
    work: impl AsyncFnOnce(&PgPool) -> Result<Ending, Error>,
) -> Result<Ending, Error> {
    let config = settings(given)?;
    telemetry::logs("warn", false);
    let (options, server) = node::database(&config).await?;
    let pool = persistence::connect(options, CONNECTIONS).await.context("connecting to the database")?;
    let migrated = migrations::migrate(&pool).await.context("bringing the database up to date");
    let ending = match migrated {
        Ok(()) => work(&pool).await,
        Err(error) => Err(error.into()),
    };
    pool.close().await;
    if let Some(server) = server {
        embedded::Server::stop(server).await.context("stopping the database")?;
    }
    ending
}
