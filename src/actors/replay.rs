//! Reading the log for one client: page by page, no faster than its socket takes it.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{access, ids::WorkspaceId},
    persistence::{log, queries},
};

use super::{
    client::{ClientMessage, ClientState},
    client_handle::ClientHandle,
    ear::{Ear, TooSlow},
    feed::Committed,
    outlet::Taken,
    subscription::Subscription,
    tail::committed,
};

/// Events that are read from the log at a time, where there is room for them.
pub(super) const PAGE_MAX: usize = 500;
/// The fewest.
const PAGE_MIN: usize = 16;
/// About the most bytes of them: two such pages are remembered for others who lack the same.
const PAGE_BYTES: usize = 256 * 1024;
/// How long the log is left alone when it could not be read.
const RETRY: Duration = Duration::from_millis(500);

impl ClientState {
    /// Reads one page of the log; a client that is an hour behind costs one page of memory, and one that takes nothing
    /// costs none.
    pub(super) async fn replay(&mut self, myself: &ClientHandle, workspace: WorkspaceId) -> Result<(), TooSlow> {
        let Some(subscription) = self.subscriptions.get(&workspace) else { return Ok(()) };
        let (cursor, limit, generation) = (subscription.cursor, subscription.page, subscription.generation);
        // Who lacks little lacks what others lack, too.
        let shared = limit == PAGE_MAX && subscription.rights_at - cursor.min(subscription.rights_at) < PAGE_MAX as u64;
        self.ear.room().await?;
        // From here on everything is relayed: between the page and the relay nothing can fall.
        let room = self.context.feed.listen(workspace);
        let tenant = self.context.tenant(workspace);
        let page = tenant.page(cursor, limit as i64, PAGE_BYTES);
        let page = match shared {
            true => room.tail.after(workspace, cursor, page).await,
            false => page.await.map(|page| committed(workspace, page)),
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.try_later(myself, (workspace, generation), &error),
        };
        let (read, end) = (page.len(), page.last().map_or(cursor, |event| event.recorded.offset));
        match self.rights_for(workspace, &page).await {
            Ok(true) => {}
            Ok(false) => {
                self.revoke(myself, workspace).await;
                return Ok(());
            }
            Err(error) => return self.try_later(myself, (workspace, generation), &error),
        }
        let Some(subscription) = self.subscriptions.get_mut(&workspace) else { return Ok(()) };
        subscription.rights_at = subscription.rights_at.max(end);
        // The log is at least as long as the rights know; what was remembered of it may end earlier.
        let is_last = read == 0 || (read < limit && end >= subscription.rights_at);
        let whole = subscription.send(&self.ear, page)?;
        if whole && is_last {
            self.join(myself, workspace, end);
        } else {
            let _ = myself.cast(ClientMessage::Replay(workspace, generation));
        }
        Ok(())
    }

    /// Makes sure that the rights are those after the end of a page: what may be seen now may be seen of everything
    /// that is in it. Returns whether there are any.
    async fn rights_for(&mut self, workspace: WorkspaceId, page: &[Arc<Committed>]) -> Result<bool, log::Error> {
        let Some(subscription) = self.subscriptions.get(&workspace) else { return Ok(true) };
        let news = page.iter().map(|event| &event.recorded).filter(|event| event.offset > subscription.rights_at);
        let mut news = news.filter(|event| access::changes(&event.event, self.viewer.principal));
        if news.next().is_none() {
            return Ok(true);
        }
        let Some(rights) = queries::rights(&self.context.pool, workspace, self.viewer).await? else { return Ok(false) };
        if let Some(subscription) = self.subscriptions.get_mut(&workspace) {
            subscription.rights = Arc::new(rights);
        }
        Ok(true)
    }

    /// A long page may be what takes too long: the next one is shorter.
    fn try_later(
        &mut self,
        myself: &ClientHandle,
        (workspace, generation): (WorkspaceId, u64),
        error: &log::Error,
    ) -> Result<(), TooSlow> {
        tracing::warn!(%workspace, %error, "replay interrupted; it goes on in a moment");
        if let Some(subscription) = self.current(workspace, generation) {
            subscription.page = (subscription.page / 2).max(PAGE_MIN);
        }
        myself.cast_after(RETRY, ClientMessage::Replay(workspace, generation));
        Ok(())
    }
}

impl Subscription {
    /// Sends what may be seen of a page, and moves the cursor; returns whether there was room for all of it.
    fn send(&mut self, ear: &Ear, page: Vec<Arc<Committed>>) -> Result<bool, TooSlow> {
        let mut sent = 0;
        for event in page {
            let offset = event.recorded.offset;
            if event.matches(&self.topics) && self.rights.see(&event.recorded) {
                match ear.replay(&event) {
                    Taken::Yes => sent += 1,
                    Taken::Full => {
                        // The next page is as long as there was room for, or a little more.
                        self.page = (sent * 2).clamp(PAGE_MIN, PAGE_MAX);
                        return Ok(false);
                    }
                    Taken::Gone => return Err(TooSlow),
                }
            }
            self.cursor = offset;
        }
        self.page = (self.page * 2).min(PAGE_MAX);
        Ok(true)
    }
}
