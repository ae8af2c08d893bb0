//! What a killed Link leaves behind: a server that still runs, or files that claim so. Only called under the lock.
//!
//! A pid file proves nothing: its pid may be a zombie or a stranger. A process belongs to a cluster if it is Postgres
//! and works in the cluster's directory.

use super::{
    error::Error,
    kernel::{self, ESCALATION, Signal},
};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tracing::warn;

const POLL: Duration = Duration::from_millis(10);

/// Stops every process of the cluster, politely first.
pub(super) fn stop_all(cluster: &Path) -> Result<(), Error> {
    let mut found = processes(cluster);
    if found.is_empty() {
        return Ok(());
    }
    for (signal, patience) in ESCALATION {
        warn!(pids = ?found, ?signal, cluster = %cluster.display(), "stopping a database that a killed Link left behind");
        // Once asked, the postmaster stops its children; without one they are on their own.
        let asked = match named_in(&cluster.join("postmaster.pid")) {
            Some(postmaster) if found.contains(&postmaster) && signal != Signal::Kill => vec![postmaster],
            _ => found,
        };
        for pid in asked {
            // It may be gone by now, which is what is wanted.
            let _ = kernel::send(pid, signal);
            let _ = kernel::send(pid, Signal::Continue);
        }
        let deadline = Instant::now() + patience;
        loop {
            found = processes(cluster);
            if found.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                break;
            }
            thread::sleep(POLL);
        }
    }
    Err(Error::LeftBehind { pid: found[0], cluster: cluster.to_owned() })
}

/// Removes a pid or lock file of a dead server when its pid exists again, as a zombie or as somebody else.
///
/// Postgres would take that for a running server. All other stale files it handles itself, and better.
pub(super) fn remove_if_misleading(file: &Path) -> Result<(), Error> {
    let Some(pid) = named_in(file) else { return Ok(()) };
    if !exists(pid) {
        return Ok(());
    }
    warn!(pid, file = %file.display(), "removing a stale file that names a process which is not the database");
    fs::remove_file(file).map_err(Error::io("remove", file))
}

/// Reads the pid in the first line, which is negative for a server in single-user mode.
pub(super) fn named_in(file: &Path) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().next()?.trim().trim_start_matches('-').parse().ok()
}

#[cfg(target_os = "linux")]
fn processes(cluster: &Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| belongs(*pid, cluster)).collect()
}

#[cfg(target_os = "linux")]
fn belongs(pid: u32, cluster: &Path) -> bool {
    use std::{io, os::unix::fs::MetadataExt};
    // Somebody's shell may stand in the directory too.
    let is_postgres =
        |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.contains("postgres"));
    if !is_postgres(pid) {
        return false;
    }
    let Ok(wanted) = fs::metadata(cluster) else { return false };
    match fs::metadata(format!("/proc/{pid}/cwd")) {
        Ok(found) => (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()),
        // Root in a container often may not look (CAP_SYS_PTRACE); the command line of the postmaster is public.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            started_for(pid, cluster)
                || parent(pid).is_some_and(|parent| is_postgres(parent) && started_for(parent, cluster))
        }
        // A zombie has no directory.
        Err(_) => false,
    }
}

#[cfg(target_os = "linux")]
fn started_for(pid: u32, cluster: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == cluster.as_os_str().as_encoded_bytes())
}

#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state parent …`, where a name may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(not(target_os = "linux"))]
fn processes(cluster: &Path) -> Vec<u32> {
    let Some(pid) = named_in(&cluster.join("postmaster.pid")) else { return Vec::new() };
    let ours = ps(pid, "command=").is_some_and(|line| line.contains(&*cluster.to_string_lossy()));
    if ours { vec![pid] } else { Vec::new() }
}

#[cfg(not(target_os = "linux"))]
fn exists(pid: u32) -> bool {
    ps(pid, "pid=").is_some_and(|line| !line.trim().is_empty())
}

#[cfg(not(target_os = "linux"))]
fn ps(pid: u32, column: &str) -> Option<String> {
    let answer = std::process::Command::new("ps").args(["-ww", "-o", column, "-p", &pid.to_string()]).output().ok()?;
    String::from_utf8(answer.stdout).ok()
}
