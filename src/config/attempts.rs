//! How much of a workspace's work may run at the same time.

use super::{Error, parsed};

/// Attempts of one workspace at the same time, unless set otherwise.
pub const ATTEMPTS_MAX: u32 = 256;

/// Attempts of one workspace at the same time; more wait in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// All of them: `LINK_ATTEMPTS_MAX`.
    pub max: u32,
    /// Those for tasks that are neither `high` nor `urgent`: `LINK_BACKGROUND_ATTEMPTS_MAX`.
    pub background_max: u32,
}

impl Attempts {
    /// Reads how much may run at the same time: at least one of each, or nothing would ever run.
    pub(super) fn read(
        env: &dyn Fn(&str) -> Option<String>,
        max: Option<u32>,
        background: Option<u32>,
    ) -> Result<Self, Error> {
        let max = parsed("LINK_ATTEMPTS_MAX", env, max.unwrap_or(ATTEMPTS_MAX))?.max(1);
        // A quarter stays free for what somebody waits for.
        let rest = background.unwrap_or(max - max / 4);
        let background_max = parsed("LINK_BACKGROUND_ATTEMPTS_MAX", env, rest)?.max(1);
        Ok(Self { max, background_max })
    }
}
