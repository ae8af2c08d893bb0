//! Why the database did not start or stop. Every message says the cause and the next step.

use std::{fmt::Display, io, path::Path, path::PathBuf, time::Duration};

/// Returned by [`super::Server`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory that was searched holds `postgres` and `initdb`.
    #[error(
        "PostgreSQL is not installed (looked in {searched}); run `apt-get install postgresql` (macOS: `brew install \
         postgresql`), or set LINK_PG_BIN to the directory of `postgres` and `initdb`, or set DATABASE_URL to a \
         server that already runs"
    )]
    NotInstalled {
        /// Where the search went.
        searched: String,
    },
    /// A binary is there but does not run.
    #[error("{} does not run: {cause}; reinstall it, or set LINK_PG_BIN to another installation", .binary.display())]
    Broken {
        /// The binary.
        binary: PathBuf,
        /// What happened instead.
        cause: String,
    },
    /// The cluster was made by another major version than the installed ones.
    #[error(
        "{} was made by PostgreSQL {made_by}, but installed is {installed}; install `postgresql-{made_by}`, or set \
         LINK_PG_BIN to its directory, or upgrade the cluster with pg_upgrade", .cluster.display()
    )]
    Version {
        /// The data directory.
        cluster: PathBuf,
        /// Its major version.
        made_by: u32,
        /// Versions that were found instead.
        installed: String,
    },
    /// Another Link holds the data directory.
    #[error("another Link ({holder}) already runs on {}; stop it, or give this one its own LINK_DATA_DIR", .home.display())]
    InUse {
        /// The directory it holds.
        home: PathBuf,
        /// `pid <number>` of the other Link.
        holder: String,
    },
    /// The user that runs the database cannot get to a directory.
    #[error(
        "{} is not reachable for uid {uid}, which runs the database ({} is mode {mode:o}); run `chmod o+x {}`, or \
         choose a place that others may enter: LINK_DATA_DIR for the data, LINK_PG_BIN for the binaries",
        .path.display(), .closed.display(), .closed.display()
    )]
    Unreachable {
        /// Where it must get to.
        path: PathBuf,
        /// The ancestor that keeps it out.
        closed: PathBuf,
        /// Permissions of that ancestor.
        mode: u32,
        /// The user.
        uid: u32,
    },
    /// A directory belongs to somebody else.
    #[error(
        "{} belongs to uid {owner}, but the database would run as uid {uid}; start Link as that user, or choose \
         another LINK_DATA_DIR", .path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who needs it.
        uid: u32,
    },
    /// `data` is there, but Postgres did not make it.
    #[error("{} holds files but no cluster (PG_VERSION is missing); move it away and start again", .path.display())]
    NotACluster {
        /// The directory.
        path: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb failed: {cause}; correct what its log {} says and start again. It ends with:\n{tail}", .log.display())]
    Initdb {
        /// Exit status, or why there is none.
        cause: String,
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server exited, or was not ready in time.
    #[error(
        "the database did not start: {cause}; correct what its log {} says and start again. It ends with:\n{tail}",
        .log.display()
    )]
    NotReady {
        /// Exit status or time limit.
        cause: String,
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A server that a killed Link left behind does not go away.
    #[error("pid {pid}, left behind on {}, survives SIGKILL; end it or restart the machine", .cluster.display())]
    LeftBehind {
        /// One of its processes.
        pid: u32,
        /// The data directory.
        cluster: PathBuf,
    },
    /// The server ignores every signal.
    #[error("the database (pid {pid}) did not stop within {within:?}, not even by SIGKILL; see its state with `ps`")]
    NotStopped {
        /// The postmaster.
        pid: u32,
        /// All the time it got.
        within: Duration,
    },
    /// The server runs but its database cannot be prepared.
    #[error("the database runs but refuses its first statements: {cause}; its log is {}", .log.display())]
    Refused {
        /// From the driver, or the time limit.
        cause: String,
        /// The log.
        log: PathBuf,
    },
    /// The file system or the kernel refused something.
    #[error("cannot {action} {}: {cause}; check the permissions and the disk, or choose another LINK_DATA_DIR", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The thread that starts the database panicked, or the runtime is shutting down.
    #[error("the start of the database was cut short: {cause}; start Link again, and report it if it was a panic")]
    CutShort {
        /// From the runtime.
        cause: String,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }

    pub(super) fn not_ready(cause: impl Display, log: &super::log::Log) -> Self {
        Self::NotReady { cause: cause.to_string(), log: log.path().to_owned(), tail: log.tail() }
    }
}
