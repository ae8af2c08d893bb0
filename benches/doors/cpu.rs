//! Processor time that the kernel has counted for processes.

use std::{
    fs,
    ops::{AddAssign, Sub},
};

/// `USER_HZ`, which is 100 on every Linux that there is a Rust for.
const TICKS_A_SECOND: f64 = 100.0;

/// Whose time is read.
pub struct Cpu {
    /// The process that is Link.
    pub link: u32,
    /// The postmaster; the backends are its children.
    pub postgres: u32,
}

/// Time in µs.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    pub link_us: f64,
    postgres_us: f64,
}

impl Spent {
    pub fn all_us(self) -> f64 {
        self.link_us + self.postgres_us
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.link_us += other.link_us;
        self.postgres_us += other.postgres_us;
    }
}

impl Sub for Spent {
    type Output = Self;
    fn sub(self, before: Self) -> Self {
        Self { link_us: self.link_us - before.link_us, postgres_us: self.postgres_us - before.postgres_us }
    }
}

impl Cpu {
    /// Reads what was spent so far.
    pub fn read(&self) -> Spent {
        let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
        let backends = pids.filter_map(stat).filter(|stat| stat.parent == self.postgres).map(|stat| stat.own_us);
        let postmaster = stat(self.postgres).expect("Postgres runs");
        Spent {
            link_us: stat(self.link).expect("the server runs").own_us,
            postgres_us: backends.sum::<f64>() + postmaster.own_us + postmaster.ended_us,
        }
    }
}

struct Stat {
    parent: u32,
    own_us: f64,
    /// Of children that have ended.
    ended_us: f64,
}

/// Reads /proc/PID/stat: proc_pid_stat(5), fields 4 and 14 to 17.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses, field 2, may hold anything.
    let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let us = |field: usize| Some(rest.get(field - 3)?.parse::<u64>().ok()? as f64 * 1e6 / TICKS_A_SECOND);
    Some(Stat { parent: rest.get(1)?.parse().ok()?, own_us: us(14)? + us(15)?, ended_us: us(16)? + us(17)? })
}
