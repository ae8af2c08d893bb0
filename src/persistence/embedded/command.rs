//! Commands of Postgres: run as the right user, in a clean environment, and never for ever.

use super::account::Account;
use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(2);
/// Sorts by bytes, so no upgrade of the C library can corrupt an index, and still knows letters beyond ASCII.
const LOCALE: &str = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };

/// Returns a command that inherits nothing that could redirect Postgres.
pub(super) fn command(program: &Path, account: Account) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).current_dir("/").env("LC_ALL", LOCALE);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    if let Account::Other { uid, gid } = account {
        // As root, std also clears the supplementary groups.
        command.gid(gid).uid(uid);
    }
    command
}

/// Runs to the end, or kills at the limit. Piped output must be small.
pub(super) fn run(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.spawn()?;
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not finished after {limit:?}")));
        }
        thread::sleep(POLL);
    }
    child.wait_with_output()
}
