//! The newest events of a workspace, in memory: whoever was away for a moment only needs these.

use std::{collections::VecDeque, sync::Arc};

use super::feed::Committed;

/// The most events that are held.
const EVENTS_MAX: usize = 1_000;
/// About the most bytes that they take, as JSON.
const BYTES_MAX: usize = 512 * 1024;

/// Events without a gap, oldest first.
#[derive(Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Committed>>,
    bytes: usize,
}

impl Ring {
    /// Adds the next event; after a gap, what was before is no longer of use.
    pub fn push(&mut self, event: Arc<Committed>) {
        let follows = self.events.back().is_none_or(|last| last.recorded.offset + 1 == event.recorded.offset);
        if !follows {
            self.clear();
        }
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.weight();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        (self.events, self.bytes) = (VecDeque::new(), 0);
    }

    /// Returns everything after an offset, or nothing when some of that is not here.
    pub fn after(&self, cursor: u64) -> Option<impl Iterator<Item = &Arc<Committed>>> {
        let first = self.events.front()?.recorded.offset;
        let skipped = (cursor + 1).checked_sub(first)?;
        Some(self.events.iter().skip(usize::try_from(skipped).ok()?))
    }
}
