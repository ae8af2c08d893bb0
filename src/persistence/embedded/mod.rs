//! The database that comes with Link: finds an installed Postgres, makes a cluster below the data directory and runs
//! the server as a child. Refuses to share a cluster: one Link owns it, and the server ends with its owner.
//!
//! ```text
//! lock ─ find binaries ─ stop what was left behind ─ initdb (once) ─ spawn ─ "ready" ─ CREATE DATABASE link (once)
//! ```
//!
//! There is no port and no password: whoever may enter the socket's directory (mode 0700) is the superuser.

mod account;
mod cluster;
mod command;
mod error;
mod find;
mod kernel;
mod leftover;
mod log;
mod process;

pub use error::Error;

use cluster::Cluster;
use process::Process;
use sqlx::{
    ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tracing::info;

const READY_WITHIN: Duration = Duration::from_secs(30);
const USER: &str = "link";
const DATABASE: &str = "link";
/// Part of the socket's name only.
const PORT: u16 = 5432;

/// Where the database lives and how it runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Data directory of Link; the database uses `postgres/` in it.
    pub root: PathBuf,
    /// Directory of `postgres` and `initdb`, from LINK_PG_BIN; searched for if absent.
    pub bin_dir: Option<PathBuf>,
    /// What a crash may cost.
    pub durability: Durability,
}

/// What a crash of the machine may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Full,
    /// Everything: fsync is off, for throw-away clusters of tests.
    None,
}

/// A running database that this process owns. Dropping it begins a fast shutdown; [`Server::stop`] also waits for it.
#[derive(Debug)]
pub struct Server {
    // Fields drop in this order: the lock, in `cluster`, outlives the signal.
    process: Process,
    sockets: PathBuf,
    cluster: Cluster,
}

impl Server {
    /// Starts the database, making it first if there is none, and returns when it accepts connections.
    #[tracing::instrument(name = "persistence.embedded.start", skip_all, fields(root = %settings.root.display()))]
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let begun = Instant::now();
        let span = tracing::Span::current();
        let launched = tokio::task::spawn_blocking(move || span.in_scope(|| launch(&settings))).await;
        let (server, version) = launched.map_err(|error| Error::CutShort { cause: error.to_string() })??;
        let refused = |cause| Error::Refused { cause, log: server.cluster.log.path().to_owned() };
        tokio::time::timeout(READY_WITHIN, server.create_database())
            .await
            .map_err(|_| refused(format!("no answer within {READY_WITHIN:?}")))?
            .map_err(|error| refused(error.to_string()))?;
        info!(
            version,
            pid = server.process.pid(),
            socket = %server.sockets.display(),
            elapsed_ms = begun.elapsed().as_millis(),
            "database started"
        );
        Ok(server)
    }

    /// Returns how to connect to one of its databases; `link` and `postgres` exist.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.sockets)
            .port(PORT)
            .username(USER)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Returns the same as a URL, for psql and for DATABASE_URL.
    pub fn url(&self, database: &str) -> String {
        let (database, sockets) = (escaped(database.as_bytes()), escaped(self.sockets.as_os_str().as_bytes()));
        // The port is spelled out, because PGPORT would change the name of the socket.
        format!("postgres://{USER}@localhost:{PORT}/{database}?host={sockets}")
    }

    /// Returns a future that ends when the server has ended, with how.
    pub fn ended(&self) -> impl Future<Output = String> + use<> {
        let mut end = self.process.end();
        async move {
            let status = end.wait_for(Option::is_some).await;
            status.ok().and_then(|status| status.clone()).unwrap_or_default()
        }
    }

    /// Disconnects everyone and returns when the server is gone; if it resists, without a checkpoint.
    #[tracing::instrument(name = "persistence.embedded.stop", skip_all)]
    pub async fn stop(self) -> Result<(), Error> {
        let begun = Instant::now();
        let Self { process, sockets, cluster } = self;
        process.stop().await?;
        cluster.remove_short_dir(&sockets);
        info!(elapsed_ms = begun.elapsed().as_millis(), "database stopped");
        Ok(())
    }

    async fn create_database(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.options("postgres").connect().await?;
        let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await?;
        if found.is_none() {
            sqlx::query("CREATE DATABASE link").execute(&mut connection).await?;
        }
        connection.close().await
    }
}

/// Everything that blocks. Also returns the version of the server.
fn launch(settings: &Settings) -> Result<(Server, String), Error> {
    let cluster = Cluster::open(&settings.root)?;
    let made_by = cluster.made_by()?;
    let binaries = find::binaries(settings.bin_dir.as_deref(), cluster.account, &cluster.data, made_by)?;
    let sockets = cluster.make_socket_dir()?;
    cluster.clear(&sockets)?;
    if made_by.is_none() {
        cluster.create(&binaries)?;
        if settings.durability == Durability::Full {
            cluster.sync_in_background();
        }
    }
    let mut postgres = command::command(&binaries.postgres(), cluster.account);
    postgres
        .arg("-D")
        .arg(&cluster.data)
        .args(arguments(&sockets, settings.durability))
        .stdout(cluster.log.stdio()?)
        .stderr(cluster.log.stdio()?);
    let process = Process::spawn(postgres, &cluster.log)?;
    process.await_ready(&cluster.data.join("postmaster.pid"), READY_WITHIN, &cluster.log)?;
    Ok((Server { process, sockets, cluster }, binaries.version))
}

fn arguments(sockets: &Path, durability: Durability) -> Vec<OsString> {
    // The setting is a list; quotes keep a comma in the path from ending an entry, and are doubled within.
    let quoted = sockets.as_os_str().as_bytes().split(|byte| *byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
    let directories = OsString::from_vec([b"unix_socket_directories=\"", quoted.as_slice(), b"\""].concat());
    let always = [
        "listen_addresses=",
        "port=5432",
        "max_connections=100",
        "shared_buffers=64MB",
        "log_destination=stderr",
        "logging_collector=off",
    ];
    let by_durability: &[&str] = match durability {
        Durability::Full => &["fsync=on", "full_page_writes=on"],
        Durability::None => &["fsync=off", "synchronous_commit=off", "full_page_writes=off"],
    };
    let plain = always.iter().chain(by_durability).map(OsString::from);
    plain.chain([directories]).flat_map(|setting| [OsString::from("-c"), setting]).collect()
}

/// Percent-encodes what means something in a URL.
fn escaped(text: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.iter().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_path_survives_its_way_through_a_url() {
        assert_eq!(escaped(b"/tmp/a b+c?d"), "/tmp/a%20b%2Bc%3Fd");
    }
}
