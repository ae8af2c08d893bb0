//! The actor of one connected client: its subscriptions, each with one cursor into a workspace's log.
//!
//! An event is sent when its offset follows the cursor; anything else is either known already or read from the log.
//! So a subscription sees each event once and in order, whatever comes in whichever order from the feed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::RactorMessage;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    domain::{
        event::{Event, WorkspaceEvent},
        ids::{UserId, WorkspaceId},
        principal::Principal,
    },
    persistence::{
        log,
        queries::{self, Scope},
    },
};

use super::{
    context::Context,
    feed::{Batch, Committed, Signal, Topics},
};

/// Frames that may wait for a socket.
pub const OUTBOX_MAX: usize = 1_024;
/// Subscriptions of one client.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Events that are read from the log at a time.
const PAGE: i64 = 500;
/// How long a full outbox is waited for during a replay.
const REPLAY_PATIENCE: Duration = Duration::from_secs(10);
/// Cursors are sent at most this often.
const CURSOR_EVERY: Duration = Duration::from_millis(500);

/// What goes out on a socket.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A frame, as JSON text.
    Frame(Arc<str>),
    /// The end.
    Close {
        /// The close code.
        code: u16,
        /// Why.
        reason: String,
    },
}

/// What a client actor is told.
#[derive(RactorMessage)]
pub enum ClientMessage {
    /// Subscribe to a workspace, from after an offset or from now on.
    Subscribe(Wanted, RpcReplyPort<Result<u64, Refusal>>),
    /// Hear nothing more of a workspace.
    Unsubscribe(WorkspaceId),
    /// A batch was committed.
    Committed(Arc<Batch>),
    /// Something ephemeral happened.
    Signalled(Arc<Signal>),
    /// Read on in the log for a subscription.
    Replay(WorkspaceId),
}

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The client's name for it.
    pub id: Value,
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which events.
    pub topics: Topics,
    /// From after which offset; `None` means from now on.
    pub after: Option<u64>,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The workspace is not known to this client.
    NotFound,
    /// Too many subscriptions.
    TooMany,
    /// The database did not answer.
    Unavailable,
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
        user: UserId,
    ) -> Result<(Self, mpsc::Receiver<Outgoing>), ractor::SpawnErr> {
        let (outbox, frames) = mpsc::channel(OUTBOX_MAX);
        let (actor, _) = Actor::spawn(None, Client, (context, user, outbox)).await?;
        Ok((Self { actor }, frames))
    }

    /// Subscribes; answers with the head of the log. Events follow by themselves.
    pub async fn subscribe(&self, wanted: Wanted) -> Result<u64, Refusal> {
        let answer = ractor::call_t!(self.actor, ClientMessage::Subscribe, 10_000, wanted);
        answer.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, workspace: WorkspaceId) {
        let _ = self.actor.cast(ClientMessage::Unsubscribe(workspace));
    }

    /// Ends the client.
    pub fn stop(&self) {
        self.actor.stop(None);
    }
}

struct Client;

struct ClientState {
    context: Arc<Context>,
    user: UserId,
    outbox: mpsc::Sender<Outgoing>,
    subscriptions: HashMap<WorkspaceId, Subscription>,
}

struct Subscription {
    topics: Topics,
    /// The last offset that was sent or passed over.
    cursor: u64,
    /// While the log is read, live batches need not be kept: the log has them.
    replaying: bool,
    cursor_sent: Instant,
}

impl Actor for Client {
    type Msg = ClientMessage;
    type State = ClientState;
    type Arguments = (Arc<Context>, UserId, mpsc::Sender<Outgoing>);

    async fn pre_start(
        &self,
        _: ActorRef<ClientMessage>,
        (context, user, outbox): Self::Arguments,
    ) -> Result<ClientState, ActorProcessingErr> {
        metrics::gauge!("link_clients_connected").increment(1.0);
        Ok(ClientState { context, user, outbox, subscriptions: HashMap::new() })
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
            ClientMessage::Unsubscribe(workspace) => {
                state.subscriptions.remove(&workspace);
                state.context.feed.leave(workspace, &myself);
                Ok(())
            }
            ClientMessage::Committed(batch) => state.committed(&myself, &batch),
            ClientMessage::Signalled(signal) => {
                state.signalled(&signal);
                Ok(())
            }
            ClientMessage::Replay(workspace) => state.replay(&myself, workspace).await,
        };
        if let Err(TooSlow) = flow {
            metrics::counter!("link_clients_too_slow_total").increment(1);
            // The outbox is full; the socket's writer sees that the channel is closed.
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
        if !self.may_see(workspace).await? {
            return Err(Refusal::NotFound);
        }
        // Listening begins before the head is read: nothing can fall between.
        self.context.feed.listen(workspace, myself.clone());
        let head = log::head(&self.context.pool, workspace).await.map_err(|_| Refusal::Unavailable)?.offset;
        let subscribed = json!({"t": "subscribed", "id": id, "workspace": workspace, "head": head});
        self.push(&subscribed).map_err(|_| Refusal::Unavailable)?;
        let cursor = after.unwrap_or(head);
        if cursor > head {
            let reason = "the offset is beyond the log: read the state anew and subscribe after its head";
            let reset = json!({"t": "reset", "workspace": workspace, "head": head, "reason": reason});
            self.push(&reset).map_err(|_| Refusal::Unavailable)?;
        }
        let cursor = cursor.min(head);
        let subscription = Subscription { topics, cursor, replaying: true, cursor_sent: Instant::now() };
        self.subscriptions.insert(workspace, subscription);
        let _ = myself.cast(ClientMessage::Replay(workspace));
        Ok(head)
    }

    async fn may_see(&self, workspace: WorkspaceId) -> Result<bool, Refusal> {
        let access = queries::access(&self.context.pool, Scope::Workspace, workspace.0, self.user).await;
        Ok(access.map_err(|_| Refusal::Unavailable)?.is_some())
    }

    /// Reads one page of the log; a client that is an hour behind costs one page of memory.
    async fn replay(&mut self, myself: &ActorRef<ClientMessage>, workspace: WorkspaceId) -> Result<(), TooSlow> {
        if !self.may_see(workspace).await.unwrap_or(true) {
            return self.revoke(myself, workspace);
        }
        let Some(subscription) = self.subscriptions.get_mut(&workspace) else { return Ok(()) };
        let page = log::page(&self.context.pool, workspace, subscription.cursor, PAGE).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%workspace, %error, "replay interrupted; it goes on in a moment");
                myself.send_after(Duration::from_millis(500), move || ClientMessage::Replay(workspace));
                return Ok(());
            }
        };
        let full = page.len() as i64 == PAGE;
        for recorded in page {
            subscription.cursor = recorded.offset;
            let event = Committed::new(workspace, recorded);
            if event.matches(&subscription.topics) && event.visible_to(Principal::User(self.user)) {
                let send = self.outbox.send(Outgoing::Frame(event.json()));
                tokio::time::timeout(REPLAY_PATIENCE, send).await.map_err(|_| TooSlow)?.map_err(|_| TooSlow)?;
            }
        }
        if full {
            let _ = myself.cast(ClientMessage::Replay(workspace));
            return Ok(());
        }
        subscription.replaying = false;
        let caught_up = json!({"t": "caught_up", "workspace": workspace, "offset": subscription.cursor});
        self.push(&caught_up)
    }

    fn committed(&mut self, myself: &ActorRef<ClientMessage>, batch: &Batch) -> Result<(), TooSlow> {
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
            subscription.cursor = event.recorded.offset;
            if event.matches(&subscription.topics) && event.visible_to(Principal::User(self.user)) {
                self.outbox.try_send(Outgoing::Frame(event.json())).map_err(|_| TooSlow)?;
                sent = true;
            }
            if removes(&event.recorded.event, self.user) {
                return self.revoke(myself, batch.workspace);
            }
        }
        if !sent && subscription.cursor_sent.elapsed() >= CURSOR_EVERY {
            subscription.cursor_sent = Instant::now();
            let cursor = json!({"t": "cursor", "workspace": batch.workspace, "offset": subscription.cursor});
            return self.push(&cursor);
        }
        Ok(())
    }

    fn signalled(&mut self, signal: &Signal) {
        let Some(subscription) = self.subscriptions.get(&signal.workspace) else { return };
        let wanted = match &subscription.topics {
            Topics::All => true,
            Topics::Some(subjects) => subjects.contains(&signal.topic),
        };
        if wanted && !subscription.replaying {
            // A signal that does not fit is lost: that is what a signal is.
            if let Ok(text) = serde_json::to_string(signal)
                && self.outbox.capacity() > OUTBOX_MAX / 2
            {
                let _ = self.outbox.try_send(Outgoing::Frame(text.into()));
            }
        }
    }

    /// A member who was removed sees nothing that was committed after.
    fn revoke(&mut self, myself: &ActorRef<ClientMessage>, workspace: WorkspaceId) -> Result<(), TooSlow> {
        self.subscriptions.remove(&workspace);
        self.context.feed.leave(workspace, myself);
        let close = Outgoing::Close { code: 4003, reason: "no longer a member of the workspace".into() };
        self.outbox.try_send(close).map_err(|_| TooSlow)
    }

    fn push(&self, frame: &Value) -> Result<(), TooSlow> {
        self.outbox.try_send(Outgoing::Frame(frame.to_string().into())).map_err(|_| TooSlow)
    }
}

fn removes(event: &Event, user: UserId) -> bool {
    matches!(event, Event::Workspace(WorkspaceEvent::MemberRemoved { user: removed }) if *removed == user)
}
