//! The end of a workspace's log as it was last read: when many come back at once, after a restart of the node, one of them
//! reads what all of them lack.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::{event::Recorded, ids::WorkspaceId};

use super::{feed::Committed, ring::Ring};

/// A piece of the log without a gap. The log only grows: what is here stays right, and ends earlier and earlier.
#[derive(Default)]
pub(super) struct Tail(Mutex<Ring>);

impl Tail {
    /// Returns events after an offset: those that are here, or else what is read, which is then here for the next ones.
    /// Whoever asks meanwhile waits for it.
    pub async fn after<E>(
        &self,
        workspace: WorkspaceId,
        cursor: u64,
        read: impl Future<Output = Result<Vec<Recorded>, E>>,
    ) -> Result<Vec<Arc<Committed>>, E> {
        let mut known = self.0.lock().await;
        let here: Vec<_> = known.after(cursor).into_iter().flatten().cloned().collect();
        if !here.is_empty() {
            return Ok(here);
        }
        let page = committed(workspace, read.await?);
        page.iter().for_each(|event| known.push(event.clone()));
        Ok(page)
    }
}

/// Wraps what was read.
pub(super) fn committed(workspace: WorkspaceId, page: Vec<Recorded>) -> Vec<Arc<Committed>> {
    page.into_iter().map(|recorded| Arc::new(Committed::new(workspace, recorded))).collect()
}
