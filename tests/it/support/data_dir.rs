//! A data directory for a database of Link's own, and who works in it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use link::persistence::embedded::{Durability, Settings};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory that is removed with everything that still runs in it.
pub struct Root(pub PathBuf);

impl Root {
    pub fn new() -> Self {
        Self::below("/tmp")
    }

    pub fn below(parent: impl AsRef<Path>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("link-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(parent.as_ref().join(name))
    }

    pub fn settings(&self) -> Settings {
        Settings { root: self.0.clone(), bin_dir: None, durability: Durability::None }
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("postgres/data")
    }

    pub fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("a server runs");
        file.lines().next().and_then(|line| line.parse().ok()).expect("its first line is the pid")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A server that was dropped, not stopped, is still writing its files.
        wait_until("the server is gone", || processes_in(&self.data()).is_empty());
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn processes_in(dir: &Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("Linux").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir))
        .collect()
}

/// Ends every process that works in a directory with SIGKILL. Some end by themselves before it is their turn, because the
/// first one has.
pub fn kill_all_in(dir: &Path) {
    assert!(!processes_in(dir).is_empty(), "nobody works in {}", dir.display());
    wait_until("all of them have ended", || {
        let left = processes_in(dir);
        for pid in &left {
            let kill = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
            kill.expect("kill is installed");
        }
        left.is_empty()
    });
}

pub fn runs_as_root() -> bool {
    fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// Polls, because the end of a process that is not our child cannot be awaited.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
