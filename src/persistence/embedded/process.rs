//! The postmaster as our child: a thread of its own starts it, waits for it and reaps it.

use super::{
    error::Error,
    kernel::{self, ESCALATION, Signal},
    leftover::named_in,
    log::Log,
};
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::{error, warn};

const READY_POLL: Duration = Duration::from_millis(5);
/// Line of postmaster.pid that says whether connections are accepted.
const STATUS_LINE: usize = 8;

/// A running postmaster. Dropping it asks for a fast shutdown, without waiting.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    shared: Arc<Shared>,
    /// How it ended, as text.
    ended: watch::Receiver<Option<String>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held while signalling, so that the pid is still the child's.
    reaped: Mutex<bool>,
    /// Whether an exit now would be a surprise that nobody else reports.
    serving: AtomicBool,
}

impl Process {
    /// Starts the command on a thread that lives as long as the server, because the death signal is tied to it.
    pub(super) fn spawn(mut command: Command, log: &Log) -> Result<Self, Error> {
        kernel::tie_to_this_thread(&mut command, Signal::Fast);
        let shared = Arc::new(Shared::default());
        let (started, has_started) = mpsc::channel();
        let (ending, ended) = watch::channel(None);
        let body = {
            let (shared, log) = (shared.clone(), log.clone());
            move || attend(command, &started, &ending, &shared, &log)
        };
        thread::Builder::new().name("postgres".to_owned()).spawn(body).map_err(|cause| Error::not_ready(cause, log))?;
        let pid = has_started
            .recv()
            .map_err(|_| Error::not_ready("its thread panicked", log))?
            .map_err(|cause| Error::not_ready(cause, log))?;
        Ok(Self { pid, shared, ended })
    }

    /// Blocks until postmaster.pid says `ready`, the server exits or the time is over.
    pub(super) fn await_ready(&self, pid_file: &Path, within: Duration, log: &Log) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        while !self.is_ready(pid_file) {
            if let Some(status) = &*self.ended.borrow() {
                return Err(Error::not_ready(status, log));
            }
            if Instant::now() > deadline {
                return Err(Error::not_ready(format!("not ready after {within:?}"), log));
            }
            thread::sleep(READY_POLL);
        }
        self.shared.serving.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Stops the server by ever stronger signals and waits for it each time.
    pub(super) async fn stop(self) -> Result<(), Error> {
        let mut ended = self.ended.clone();
        for (signal, patience) in ESCALATION {
            self.signal(signal);
            // An error means that the thread is gone, and with it the child.
            if tokio::time::timeout(patience, ended.wait_for(Option::is_some)).await.is_ok() {
                return Ok(());
            }
            warn!(pid = self.pid, ?signal, ?patience, "the database does not stop");
        }
        Err(Error::NotStopped { pid: self.pid, within: ESCALATION.iter().map(|(_, patience)| *patience).sum() })
    }

    /// Returns what to wait on for the server's end, however it comes.
    pub(super) fn end(&self) -> watch::Receiver<Option<String>> {
        self.ended.clone()
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn is_ready(&self, pid_file: &Path) -> bool {
        // A file of an earlier server names another pid.
        named_in(pid_file) == Some(self.pid)
            && fs::read_to_string(pid_file)
                .is_ok_and(|text| text.lines().nth(STATUS_LINE - 1).is_some_and(|status| status.trim() == "ready"))
    }

    fn signal(&self, signal: Signal) {
        self.shared.serving.store(false, Ordering::Relaxed);
        let reaped = self.shared.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped && let Err(error) = kernel::send(self.pid, signal) {
            warn!(pid = self.pid, ?signal, %error, "cannot signal the database");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Fast);
    }
}

fn attend(
    mut command: Command,
    started: &mpsc::Sender<std::io::Result<u32>>,
    ending: &watch::Sender<Option<String>>,
    shared: &Shared,
    log: &Log,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        // The receiver waits for exactly this one message.
        Err(error) => return drop(started.send(Err(error))),
    };
    drop(started.send(Ok(child.id())));
    kernel::await_exit(child.id());
    let status = {
        let mut reaped = shared.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        *reaped = true;
        child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    };
    if shared.serving.load(Ordering::Relaxed) {
        error!(pid = child.id(), %status, log = %log.path().display(), tail = %log.tail(), "the database stopped by itself");
    }
    ending.send_replace(Some(status));
}
