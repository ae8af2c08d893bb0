//! The five system calls that std lacks. All `unsafe` of the launcher is in this file.

use std::{fs::File, io, os::fd::AsRawFd, os::unix::process::CommandExt, process::Command, time::Duration};

/// What a postmaster understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Signal {
    /// Fast shutdown: disconnect everyone, write a checkpoint, exit.
    Fast = libc::SIGINT,
    /// Immediate shutdown: exit without a checkpoint; the next start replays the log.
    Immediate = libc::SIGQUIT,
    /// Not to be refused, not even by a stopped process.
    Kill = libc::SIGKILL,
    /// Wakes a stopped process, so that it sees its other signals.
    Continue = libc::SIGCONT,
}

/// From polite to final, each with the time it gets.
pub(super) const ESCALATION: [(Signal, Duration); 3] = [
    (Signal::Fast, Duration::from_secs(15)),
    (Signal::Immediate, Duration::from_secs(5)),
    (Signal::Kill, Duration::from_secs(5)),
];

/// Sends a signal to one process.
#[expect(unsafe_code, reason = "std can only send SIGKILL; Postgres shuts down cleanly on SIGINT")]
pub(super) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    if pid <= 1 {
        // 0 would mean our own process group, and 1 is init.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill reads its two integers and touches no memory of ours.
    checked(unsafe { libc::kill(pid.cast_signed(), signal as i32) })
}

/// Returns the user this process acts as.
#[expect(unsafe_code, reason = "std has no geteuid; it decides whether privileges must be dropped")]
pub(super) fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Blocks until the child has exited, and leaves it to be reaped: until then its pid cannot be reused.
#[expect(unsafe_code, reason = "std's wait reaps; a signal sent meanwhile could hit a stranger with the same pid")]
pub(super) fn await_exit(pid: u32) {
    loop {
        // SAFETY: an all-zero siginfo_t is a valid value of this plain C struct.
        let mut status: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `status` outlives the call, which writes only there.
        let outcome =
            checked(unsafe { libc::waitid(libc::P_PID, pid, &raw mut status, libc::WEXITED | libc::WNOWAIT) });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// Gives the command a session of its own, and sends it `at_end` when the thread that spawns it ends.
#[expect(
    unsafe_code,
    reason = "the death signal is lost when privileges are dropped, so it is set between that and exec"
)]
pub(super) fn tie_to_this_thread(command: &mut Command, at_end: Signal) {
    let parent = std::process::id();
    #[cfg(not(target_os = "linux"))]
    let _ = at_end; // Elsewhere a left-over server is only stopped by the next start.
    let before_exec = move || {
        // SAFETY: setsid has no preconditions.
        checked(unsafe { libc::setsid() })?;
        #[cfg(target_os = "linux")]
        // SAFETY: PR_SET_PDEATHSIG reads one integer.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, at_end as libc::c_ulong) })?;
        // A parent that died before the line above can no longer cause the signal.
        // SAFETY: getppid has no preconditions and cannot fail.
        if unsafe { libc::getppid() } != parent.cast_signed() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: after fork the closure only makes system calls: no locks, no allocation.
    unsafe { command.pre_exec(before_exec) };
}

/// Writes the whole file system that holds `dir` to disk.
#[expect(unsafe_code, reason = "one syncfs replaces the thousand fsyncs of initdb")]
pub(super) fn sync_file_system(dir: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open for as long as `dir` is borrowed.
    return checked(unsafe { libc::syncfs(dir.as_raw_fd()) });
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the descriptor is open for as long as `dir` is borrowed.
    return checked(unsafe { libc::fsync(dir.as_raw_fd()) });
}

fn checked(outcome: i32) -> io::Result<()> {
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
