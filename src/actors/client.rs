//! The actor of one connected client: its subscriptions, each with one cursor into a workspace's log.
//!
//! An event is sent when its offset follows the cursor; anything else is either known already or read from the log.
//! So a subscription sees each event once and in order, whatever comes in whichever order from the feed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::RactorMessage;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    domain::{
        access::{self, Rights, Viewer},
        event::Recorded,
        ids::WorkspaceId,
    },
    persistence::{log, queries},
};

use super::{
    context::Context,
    feed::{Batch, Committed, Signal, Topics},
    presence::{self, Connection},
    subscription::{Subscription, removes},
};

pub use super::subscription::{Outgoing, Refusal, Told, Wanted};

/// Frames that may wait for a socket.
pub const OUTBOX_MAX: usize = 1_024;
/// Subscriptions of one client.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Events that are read from the log at a time.
const PAGE: i64 = 500;
/// A replay leaves this much of the outbox to what happens meanwhile.
const REPLAY_LEAVES: usize = OUTBOX_MAX * 3 / 4;
/// How long a full outbox is waited for.
const OUTBOX_PATIENCE: Duration = Duration::from_secs(10);
/// How long one page may take to be sent: meanwhile this actor's mailbox fills.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer is waited for: the actor may be in the middle of a page.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);
/// How long the log is left alone when it could not be read.
const RETRY: Duration = Duration::from_millis(500);
/// Cursors are sent at most this often.
const CURSOR_EVERY: Duration = Duration::from_millis(500);

/// What a client actor is told.
#[derive(RactorMessage)]
pub enum ClientMessage {
    /// Subscribe to a workspace, from after an offset or from now on.
    Subscribe(Wanted, RpcReplyPort<Result<u64, Refusal>>),
    /// Hear nothing more of a workspace; said under this name to be done, after everything that was heard of it.
    Unsubscribe(WorkspaceId, Value, RpcReplyPort<()>),
    /// A batch was committed.
    Committed(Arc<Batch>),
    /// The log is this long; said when batches may have been committed without being handed out.
    Head(WorkspaceId, u64),
    /// Something ephemeral happened.
    Signalled(Arc<Signal>),
    /// Read on in the log for a subscription.
    Replay(WorkspaceId),
}

/// A cheap handle on a client.
#[derive(Clone)]
pub struct ClientHandle {
    actor: ActorRef<ClientMessage>,
}

impl ClientHandle {
    /// Starts a client; frames come out of the receiver.
    pub async fn start(
        context: Arc<Context>,
        viewer: Viewer,
    ) -> Result<(Self, mpsc::Receiver<Outgoing>), ractor::SpawnErr> {
        let (outbox, frames) = mpsc::channel(OUTBOX_MAX);
        let (actor, _) = Actor::spawn(None, Client, (context, viewer, outbox)).await?;
        Ok((Self { actor }, frames))
    }

    /// Subscribes; the answer is the head of the log, and events follow by themselves. The request is on its way when
    /// this returns. Who waits for the answer has to read the frames meanwhile: a replay may be waiting for that.
    pub fn subscribe(&self, wanted: Wanted) -> impl Future<Output = Result<u64, Refusal>> + Send + 'static {
        let (reply, answer) = ractor::concurrency::oneshot();
        let sent = self.actor.cast(ClientMessage::Subscribe(wanted, reply.into()));
        async move {
            sent.map_err(|_| Refusal::Unavailable)?;
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
            answer.map_err(|_| Refusal::Unavailable)?.map_err(|_| Refusal::Unavailable)?
        }
    }

    /// Ends a subscription; the future ends when that is among the frames. The request is on its way when this returns.
    pub fn unsubscribe(&self, workspace: WorkspaceId, id: Value) -> impl Future<Output = ()> + Send + 'static {
        let (reply, answer) = ractor::concurrency::oneshot();
        // A client that is gone has no frames either.
        let _ = self.actor.cast(ClientMessage::Unsubscribe(workspace, id, reply.into()));
        tokio::time::timeout(ANSWER_TIMEOUT, answer).map(drop)
    }

    /// Names the connection, for as long as it lives.
    pub fn connection(&self) -> Connection {
        Connection(self.actor.get_cell())
    }

    /// Ends the client.
    pub fn stop(&self) {
        self.actor.stop(None);
    }
}

struct Client;

struct ClientState {
    context: Arc<Context>,
    viewer: Viewer,
    outbox: mpsc::Sender<Outgoing>,
    subscriptions: HashMap<WorkspaceId, Subscription>,
}

impl Actor for Client {
    type Msg = ClientMessage;
    type State = ClientState;
    type Arguments = (Arc<Context>, Viewer, mpsc::Sender<Outgoing>);

    async fn pre_start(
        &self,
        _: ActorRef<ClientMessage>,
        (context, viewer, outbox): Self::Arguments,
    ) -> Result<ClientState, ActorProcessingErr> {
        metrics::gauge!("link_clients_connected").increment(1.0);
        Ok(ClientState { context, viewer, outbox, subscriptions: HashMap::new() })
    }

    async fn post_stop(
        &self,
        myself: ActorRef<ClientMessage>,
        state: &mut ClientState,
    ) -> Result<(), ActorProcessingErr> {
        metrics::gauge!("link_clients_connected").decrement(1.0);
        for workspace in state.subscriptions.keys() {
            state.context.feed.leave(*workspace, &myself);
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<ClientMessage>,
        message: ClientMessage,
        state: &mut ClientState,
    ) -> Result<(), ActorProcessingErr> {
        let flow = match message {
            ClientMessage::Subscribe(wanted, reply) => {
                let answer = state.subscribe(&myself, wanted).await;
                if !reply.is_closed() {
                    let _ = reply.send(answer);
                }
                Ok(())
            }
            ClientMessage::Unsubscribe(workspace, id, reply) => {
                state.subscriptions.remove(&workspace);
                state.context.feed.leave(workspace, &myself);
                let told = state.tell(Told::Unsubscribed { id }).await;
                let _ = reply.send(());
                told
            }
            ClientMessage::Committed(batch) => state.committed(&myself, &batch).await,
            ClientMessage::Signalled(signal) => {
                state.signalled(signal).await;
                Ok(())
            }
            ClientMessage::Head(workspace, offset) => {
                state.head(&myself, workspace, offset);
                Ok(())
            }
            ClientMessage::Replay(workspace) => state.replay(&myself, workspace).await,
        };
        if let Err(TooSlow) = flow {
            // The socket's writer sees that the channel is closed.
            myself.stop(Some("too slow".into()));
        }
        Ok(())
    }
}

/// The socket does not take what it is sent.
#[derive(Debug)]
struct TooSlow;

impl ClientState {
    async fn subscribe(&mut self, myself: &ActorRef<ClientMessage>, wanted: Wanted) -> Result<u64, Refusal> {
        let Wanted { id, workspace, topics, after } = wanted;
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX && !self.subscriptions.contains_key(&workspace) {
            return Err(Refusal::TooMany);
        }
        let rights = self.rights(workspace).await.map_err(|_| Refusal::Unavailable)?.ok_or(Refusal::NotFound)?;
        // Listening begins before the head is read: nothing can fall between.
        self.context.feed.listen(workspace, myself.clone());
        match self.begin(id, workspace, topics, rights, after).await {
            Ok(head) => {
                let _ = myself.cast(ClientMessage::Replay(workspace));
                Ok(head)
            }
            Err(refusal) => {
                if !self.subscriptions.contains_key(&workspace) {
                    self.context.feed.leave(workspace, myself);
                }
                Err(refusal)
            }
        }
    }

    async fn begin(
        &mut self,
        id: Value,
        workspace: WorkspaceId,
        topics: Topics,
        rights: Rights,
        after: Option<u64>,
    ) -> Result<u64, Refusal> {
        let head = self.context.tenant(workspace).head().await.map_err(|_| Refusal::Unavailable)?.offset;
        self.tell(Told::Subscribed { id, workspace, head }).await.map_err(|_| Refusal::Unavailable)?;
        let cursor = after.unwrap_or(head);
        if cursor > head {
            let reason = "the offset is beyond the log: read the state anew and subscribe after its head";
            self.tell(Told::Reset { workspace, head, reason }).await.map_err(|_| Refusal::Unavailable)?;
        }
        let (cursor, cursor_sent) = (cursor.min(head), Instant::now());
        let chains = HashMap::new();
        let subscription =
            Subscription { topics, rights, chains, cursor, replaying: true, caught_up: false, cursor_sent };
        self.subscriptions.insert(workspace, subscription);
        Ok(head)
    }

    async fn rights(&self, workspace: WorkspaceId) -> Result<Option<Rights>, log::Error> {
        Ok(queries::rights(&self.context.pool, workspace, self.viewer).await?)
    }

    /// Reads one page of the log; a client that is an hour behind costs one page of memory.
    async fn replay(&mut self, myself: &ActorRef<ClientMessage>, workspace: WorkspaceId) -> Result<(), TooSlow> {
        let Some(subscription) = self.subscriptions.get(&workspace).filter(|known| known.replaying) else {
            return Ok(());
        };
        let page = self.context.tenant(workspace).page(subscription.cursor, PAGE).await;
        // Asked after the page was read: what may be seen now may be seen of everything that is in it.
        let (page, rights) = match (page, self.rights(workspace).await) {
            (Ok(page), Ok(rights)) => (page, rights),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%workspace, %error, "replay interrupted; it goes on in a moment");
                myself.send_after(RETRY, move || ClientMessage::Replay(workspace));
                return Ok(());
            }
        };
        let Some(rights) = rights else { return self.revoke(myself, workspace).await };
        if let Some(subscription) = self.subscriptions.get_mut(&workspace) {
            subscription.rights = rights;
        }
        let full = page.len() as i64 == PAGE;
        let send = tokio::time::timeout(PAGE_PATIENCE, self.send_page(workspace, page)).await;
        send.map_err(|_| TooSlow)??;
        if full {
            let _ = myself.cast(ClientMessage::Replay(workspace));
            return Ok(());
        }
        let Some(subscription) = self.subscriptions.get_mut(&workspace) else { return Ok(()) };
        subscription.replaying = false;
        if std::mem::replace(&mut subscription.caught_up, true) {
            return Ok(());
        }
        let offset = subscription.cursor;
        let here = presence::state(&self.context, workspace, &subscription.topics).await;
        let seen = match &here {
            Some(here) => subscription.sees(&self.context, here).await,
            None => false,
        };
        self.tell(Told::CaughtUp { workspace, offset }).await?;
        match here.filter(|_| seen) {
            Some(here) => self.tell(Told::Signal(here)).await,
            None => Ok(()),
        }
    }

    async fn send_page(&mut self, workspace: WorkspaceId, page: Vec<Recorded>) -> Result<(), TooSlow> {
        let Some(subscription) = self.subscriptions.get_mut(&workspace) else { return Ok(()) };
        for recorded in page {
            subscription.cursor = recorded.offset;
            let event = Committed::new(workspace, recorded);
            if event.matches(&subscription.topics) && subscription.rights.see(&event.recorded) {
                let room = tokio::time::timeout(OUTBOX_PATIENCE, self.outbox.reserve_many(REPLAY_LEAVES)).await;
                let mut room = room.map_err(|_| TooSlow)?.map_err(|_| TooSlow)?;
                if let Some(place) = room.next() {
                    place.send(Outgoing::Told(Told::Event(Arc::new(event))));
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, myself: &ActorRef<ClientMessage>, workspace: WorkspaceId, offset: u64) {
        let Some(subscription) = self.subscriptions.get_mut(&workspace) else { return };
        if !subscription.replaying && offset > subscription.cursor {
            subscription.replaying = true;
            let _ = myself.cast(ClientMessage::Replay(workspace));
        }
    }

    async fn committed(&mut self, myself: &ActorRef<ClientMessage>, batch: &Batch) -> Result<(), TooSlow> {
        let (first, last) = batch.span();
        let Some(subscription) = self.subscriptions.get_mut(&batch.workspace) else { return Ok(()) };
        if subscription.replaying || last <= subscription.cursor {
            return Ok(());
        }
        if first > subscription.cursor + 1 {
            // Something was missed: the log has it.
            subscription.replaying = true;
            let _ = myself.cast(ClientMessage::Replay(batch.workspace));
            return Ok(());
        }
        let mut sent = false;
        for event in &batch.events {
            if event.recorded.offset <= subscription.cursor {
                continue;
            }
            let removed = removes(&event.recorded.event, self.viewer.principal);
            if !removed && access::changes(&event.recorded.event, self.viewer.principal) {
                // From here on the log is read again: what it shows is decided after it was read.
                subscription.replaying = true;
                let _ = myself.cast(ClientMessage::Replay(batch.workspace));
                return Ok(());
            }
            if event.matches(&subscription.topics) && subscription.rights.see(&event.recorded) {
                if self.outbox.try_send(Outgoing::Told(Told::Event(event.clone()))).is_err() {
                    // The socket is behind. The log keeps the rest until there is room.
                    subscription.replaying = true;
                    let _ = myself.cast(ClientMessage::Replay(batch.workspace));
                    return Ok(());
                }
                sent = true;
            }
            subscription.cursor = event.recorded.offset;
            if removed {
                return self.revoke(myself, batch.workspace).await;
            }
        }
        if !sent && subscription.cursor_sent.elapsed() >= CURSOR_EVERY {
            subscription.cursor_sent = Instant::now();
            let offset = subscription.cursor;
            return self.tell(Told::Cursor { workspace: batch.workspace, offset }).await;
        }
        Ok(())
    }

    async fn signalled(&mut self, signal: Arc<Signal>) {
        // A signal that does not fit is lost: that is what a signal is.
        if let Some(subscription) = self.subscriptions.get_mut(&signal.workspace)
            && !subscription.replaying
            && signal.concerns(self.viewer.principal, &subscription.topics)
            && self.outbox.capacity() > OUTBOX_MAX / 2
            && subscription.sees(&self.context, &signal).await
        {
            let _ = self.outbox.try_send(Outgoing::Told(Told::Signal(signal)));
        }
    }

    /// A member who was removed sees nothing that was committed after.
    async fn revoke(&mut self, myself: &ActorRef<ClientMessage>, workspace: WorkspaceId) -> Result<(), TooSlow> {
        self.subscriptions.remove(&workspace);
        self.context.feed.leave(workspace, myself);
        self.put(Outgoing::Close { code: 4003, reason: "no longer a member of the workspace" }).await
    }

    async fn tell(&self, told: Told) -> Result<(), TooSlow> {
        self.put(Outgoing::Told(told)).await
    }

    async fn put(&self, outgoing: Outgoing) -> Result<(), TooSlow> {
        let put = tokio::time::timeout(OUTBOX_PATIENCE, self.outbox.send(outgoing)).await;
        put.map_err(|_| TooSlow)?.map_err(|_| TooSlow)
    }
}
