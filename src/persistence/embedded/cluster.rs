//! The files of the database below Link's data directory, and the lock that gives them one owner.
//!
//! ```text
//! root/postgres/      passable for the database's user, owned by Link's
//!   lock              held as long as the server, with the pid of the holder
//!   server.log
//!   data.new/         initdb at work: without value until it is renamed
//!   data/             whole or absent, 0700
//!   sock/             0700; elsewhere if the path is too long for a socket
//! ```

use super::{account::Account, command, error::Error, find::Binaries, kernel, leftover, log::Log};
use aws_lc_rs::digest::{SHA256, digest};
use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    mem::{offset_of, size_of},
    os::unix::ffi::OsStrExt,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tracing::{debug, warn};

const INITDB_WITHIN: Duration = Duration::from_secs(120);
/// A child that is being forked holds its parent's lock until it has executed its program.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
const LOCK_POLL: Duration = Duration::from_millis(10);
/// For a holder that has locked but not yet written its pid.
const HOLDER_WITHIN: Duration = Duration::from_millis(200);
const SOCKET: &str = ".s.PGSQL.5432";
/// 107 on Linux, 103 on macOS: the last byte of `sun_path` ends the text.
const SOCKET_PATH_BYTES_MAX: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// The directories of one cluster, ours as long as this lives.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) account: Account,
    pub(super) data: PathBuf,
    pub(super) log: Log,
    home: PathBuf,
    /// Unlocked by the kernel when it is closed, even by SIGKILL. Opened close-on-exec, so the server never holds it.
    _lock: File,
}

impl Cluster {
    /// Makes the directories and takes the lock.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let home = std::path::absolute(root).map_err(Error::io("resolve", root))?.join("postgres");
        let account = Account::of(&home.join("data"))?;
        let home = account.make_passable(&home)?;
        let lock = lock(&home)?;
        let log = Log::open(home.join("server.log"))?;
        Ok(Self { account, data: home.join("data"), log, home, _lock: lock })
    }

    /// Returns the major version that made the cluster, if there is one.
    pub(super) fn made_by(&self) -> Result<Option<u32>, Error> {
        let file = self.data.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(version) => {
                let major = version.trim().split('.').next().and_then(|major| major.parse().ok());
                major.map(Some).ok_or_else(|| Error::NotACluster { path: self.data.clone() })
            }
            // An empty directory, such as a fresh mount point, is as good as none.
            Err(_) if !self.data.exists() || fs::remove_dir(&self.data).is_ok() => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NotACluster { path: self.data.clone() })
            }
            Err(error) => Err(Error::io("read", &file)(error)),
        }
    }

    /// Ends whatever an earlier owner left running, and removes what would keep a new server from starting.
    pub(super) fn clear(&self, sockets: &Path) -> Result<(), Error> {
        leftover::stop_all(&self.data)?;
        leftover::remove_if_misleading(&self.data.join("postmaster.pid"))?;
        leftover::remove_if_misleading(&sockets.join(format!("{SOCKET}.lock")))
    }

    /// Runs initdb beside the place of the cluster, then renames: a killed initdb never looks like a cluster.
    pub(super) fn create(&self, binaries: &Binaries) -> Result<(), Error> {
        let fresh = self.home.join("data.new");
        if fresh.exists() {
            warn!(path = %fresh.display(), "removing a half-made database cluster");
            leftover::stop_all(&fresh)?;
            fs::remove_dir_all(&fresh).map_err(Error::io("remove", &fresh))?;
        }
        self.account.make_private(&fresh)?;
        let mut initdb = command::command(&binaries.initdb(), self.account);
        initdb
            .args(["--username=link", "--auth=trust", "--encoding=UTF8", "--lc-collate=C", "--no-sync", "-D"])
            .arg(&fresh)
            .stdout(self.log.stdio()?)
            .stderr(self.log.stdio()?);
        // Killed, not asked: an initdb that cleans up after itself would do so in the directory of the next one.
        kernel::tie_to_this_thread(&mut initdb, kernel::Signal::Kill);
        let failed = |cause| Error::Initdb { cause, log: self.log.path().to_owned(), tail: self.log.tail() };
        let ended = command::run(&mut initdb, INITDB_WITHIN).map_err(|error| failed(error.to_string()))?;
        if !ended.status.success() {
            return Err(failed(ended.status.to_string()));
        }
        fs::rename(&fresh, &self.data).map_err(Error::io("rename", &fresh))
    }

    /// Writes the new cluster to disk beside the start, which would take seconds otherwise. Only a crash of the whole
    /// machine in these seconds could hurt; from its first statement on, the server syncs by itself.
    pub(super) fn sync_in_background(&self) {
        let home = self.home.clone();
        let sync = move || {
            if let Err(error) = File::open(&home).and_then(|dir| kernel::sync_file_system(&dir)) {
                warn!(%error, path = %home.display(), "the new database cluster may not be on disk yet");
            }
        };
        if let Err(error) = thread::Builder::new().name("postgres-sync".to_owned()).spawn(sync) {
            warn!(%error, "the new database cluster is left for the kernel to write to disk");
        }
    }

    /// Makes the directory of the socket; access to it is the only credential of the database.
    pub(super) fn make_socket_dir(&self) -> Result<PathBuf, Error> {
        let near = self.home.join("sock");
        if fits(&near) {
            self.account.make_private(&near)?;
            return Ok(near);
        }
        let far = short_dir(&self.home, self.account);
        debug!(instead_of = %near.display(), socket = %far.display(), "socket path too long, using a short one");
        self.account.make_private(&far)?;
        Ok(far)
    }

    /// Removes the socket's directory if it is not one of ours below the data directory.
    pub(super) fn remove_short_dir(&self, sockets: &Path) {
        if !sockets.starts_with(&self.home) {
            // An empty directory left in /tmp does no harm.
            let _ = fs::remove_dir(sockets);
        }
    }
}

fn lock(home: &Path) -> Result<File, Error> {
    let path = home.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::io("open the lock", &path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { home: home.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io("write our pid to", &path))?;
    Ok(file)
}

fn holder(lock: &mut File) -> String {
    let deadline = Instant::now() + HOLDER_WITHIN;
    loop {
        let mut pid = String::new();
        let read = lock.rewind().and_then(|()| lock.read_to_string(&mut pid));
        if read.is_ok() && pid.ends_with('\n') {
            return format!("pid {}", pid.trim());
        }
        if Instant::now() > deadline {
            return "of unknown pid".to_owned();
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn fits(dir: &Path) -> bool {
    dir.join(SOCKET).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// The same for every start of one cluster, so that a later start finds what an earlier one left.
fn short_dir(home: &Path, account: Account) -> PathBuf {
    let hash = digest(&SHA256, home.as_os_str().as_bytes());
    let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let runtime = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        // Root's own is closed to the database's user.
        .filter(|dir| !account.is_other() && dir.is_absolute() && dir.is_dir())
        .map(|dir| dir.join(format!("link-{name}")));
    runtime.filter(|dir| fits(dir)).unwrap_or_else(|| Path::new("/tmp").join(format!("link-{name}")))
}
