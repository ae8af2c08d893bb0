//! A server as a process of its own on a core of its own, and what it costs.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Ticks of the kernel's clock per second, as `/proc` counts.
const TICKS: f64 = 100.0;

/// A running server.
pub struct Process {
    child: Child,
}

/// Processor time in seconds.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

impl Process {
    /// Starts it and waits until it takes connections; then it is bound to a core. What it has started by then, such as
    /// a database, is not.
    pub async fn start(mut command: Command, port: u16, core: usize, log: &Path) -> Result<Self> {
        let log = std::fs::File::options().append(true).create(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let mut process = Self { child: child.with_context(|| format!("{command:?}"))? };
        for _ in 0..1_200 {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                pin(process.child.id(), core)?;
                return Ok(process);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{command:?} takes no connections")
    }

    /// Returns what it has used so far.
    pub fn cpu(&self) -> Cpu {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let field = |n: usize| after_name.split_whitespace().nth(n).and_then(|ticks| ticks.parse::<f64>().ok());
        Cpu { user: field(11).unwrap_or_default() / TICKS, system: field(12).unwrap_or_default() / TICKS }
    }

    /// Returns what it holds in memory.
    pub fn resident_bytes(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() * 1024.0
    }

    /// Asks it to stop and waits for that.
    pub async fn stop(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds all threads of a process to a core.
pub fn pin(process: u32, core: usize) -> Result<()> {
    let done = Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .status()
        .context("taskset is part of util-linux")?;
    anyhow::ensure!(done.success(), "a process cannot be bound to core {core}");
    Ok(())
}
