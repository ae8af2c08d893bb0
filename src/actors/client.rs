//! The actor of one connected client: its subscriptions, each with one cursor into a workspace's log.
//!
//! ```text
//! subscribe ─▶ relay ─┬─ has what was missed ─▶ live: the relay writes to the socket, nothing comes through here
//!                     └─ behind ─▶ this actor reads the log, page by page ─▶ relay
//! ```
//!
//! An event is sent when its offset follows the cursor; the cursor is with the relay or here, never with both. So a
//! subscription sees each event once and in order, whatever comes in whichever order from the feed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::RactorMessage;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    domain::{access::Viewer, ids::WorkspaceId},
    persistence::{
        log,
        queries::{self, Entrance},
    },
};

use super::{
    client_handle::{ClientHandle, ClientId},
    context::Context,
    ear::{Ear, TooSlow},
    feed::{Signal, Topics},
    greeting::{self, ReadAgents, Time},
    knowledge::Standing,
    member::Member,
    outlet::{Ending, TOO_SLOW},
    replay::PAGE_MAX,
    subscription::{Refusal, Subscription, Told, Wanted},
};

/// Subscriptions of one client.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// When it is tried again to tell who is here, where the database did not answer.
const GREET_AGAIN: Duration = Duration::from_millis(500);
/// The member was removed.
const REMOVED: Ending = Ending { code: 4003, reason: "no longer a member of the workspace" };

/// What a client actor is told.
#[derive(RactorMessage)]
pub enum ClientMessage {
    /// Subscribe to a workspace, from after an offset or from now on.
    Subscribe(Wanted, RpcReplyPort<Result<u64, Refusal>>),
    /// Hear nothing more of a workspace; said under this name to be done, after everything that was heard of it.
    Unsubscribe(WorkspaceId, Value, RpcReplyPort<()>),
    /// The relay has let a subscription go: what follows is in the log.
    Behind(WorkspaceId, u64, Reached),
    /// A subscription hears what happens from here on, and is to be told who is here: the first time or again.
    Greet(WorkspaceId, u64, Time),
    /// A subscription ends: its person is no longer a member.
    Removed(WorkspaceId, u64),
    /// Something ephemeral happened, which not everybody may hear of.
    Signalled(Arc<Signal>),
    /// Read on in the log for a subscription.
    Replay(WorkspaceId, u64),
    /// Fall asleep, if nothing else was said.
    Sleep,
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// The last offset that was sent or passed over.
    pub cursor: u64,
    /// Whether the end of the replay was announced.
    pub caught_up: bool,
}

/// The actor.
pub(super) struct Client;

/// A client that is awake.
pub(super) struct Awake {
    handle: ClientHandle,
    /// `None` once it has fallen asleep.
    state: Option<Box<ClientState>>,
}

/// What a client is, awake or asleep.
pub(super) struct ClientState {
    pub(super) context: Arc<Context>,
    pub(super) viewer: Viewer,
    pub(super) ear: Ear,
    pub(super) subscriptions: HashMap<WorkspaceId, Subscription>,
    /// Subscriptions so far.
    generation: u64,
    id: ClientId,
}

/// However it ends, also by a failure: its socket ends, it hears nothing more, and nothing else ends.
impl Drop for ClientState {
    fn drop(&mut self) {
        self.subscriptions.keys().for_each(|workspace| self.context.feed.leave(*workspace, self.id));
        metrics::gauge!("link_clients_connected").decrement(1.0);
        if let Some(outlet) = self.ear.socket() {
            outlet.end(Ending { code: 1011, reason: "the connection's actor has ended: reconnect" });
        }
    }
}

impl Actor for Client {
    type Msg = ClientMessage;
    type State = Awake;
    type Arguments = (ClientHandle, Box<ClientState>);

    async fn pre_start(
        &self,
        _: ActorRef<ClientMessage>,
        (handle, state): Self::Arguments,
    ) -> Result<Awake, ActorProcessingErr> {
        Ok(Awake { handle, state: Some(state) })
    }

    async fn handle(
        &self,
        myself: ActorRef<ClientMessage>,
        message: ClientMessage,
        Awake { handle, state: state_of }: &mut Awake,
    ) -> Result<(), ActorProcessingErr> {
        // Who listens, has read the log and knows who is here has nothing more to do; after other messages more may come.
        use ClientMessage::{Behind, Greet, Replay, Sleep, Subscribe};
        let subscribes = matches!(message, Subscribe(..));
        let rests = subscribes || matches!(message, Behind(..) | Greet(..) | Replay(..) | Sleep);
        if !matches!(message, ClientMessage::Sleep) {
            handle.heard();
        }
        if let Some(state) = state_of
            && let Err(TooSlow) = state.hear(handle, message).await
        {
            state.give_up(&myself);
            // It ends: a door hears that from the end of its state, which must not fall asleep.
            *state_of = None;
            return Ok(());
        }
        if subscribes {
            // What the relay has to say to that comes first.
            tokio::task::yield_now().await;
        }
        if rests && handle.fall_asleep(state_of) {
            myself.stop(None);
        }
        Ok(())
    }
}

impl ClientState {
    /// Nobody has subscribed to anything yet.
    pub(super) fn new(id: ClientId, context: Arc<Context>, viewer: Viewer, ear: Ear) -> Self {
        metrics::gauge!("link_clients_connected").increment(1.0);
        Self { context, viewer, ear, subscriptions: HashMap::new(), generation: 0, id }
    }

    /// Does what a client that sleeps can do without waiting for anything; gives back what it has to wake up for.
    pub(super) fn at_once(&mut self, myself: &ClientHandle, message: ClientMessage) -> Option<ClientMessage> {
        match message {
            ClientMessage::Subscribe(wanted, reply) => match self.at_hand(wanted.workspace) {
                Some(standing) => {
                    let answer = self.begin(myself, wanted, standing).map_err(|TooSlow| Refusal::Unavailable);
                    let _ = reply.send(answer);
                    None
                }
                None => Some(ClientMessage::Subscribe(wanted, reply)),
            },
            other => Some(other),
        }
    }

    /// Returns what this client may see of a workspace that it does not listen to, where that is known, and it takes
    /// what it is told.
    fn at_hand(&self, workspace: WorkspaceId) -> Option<Standing> {
        let outlet = self.ear.socket()?;
        let fresh = !self.subscriptions.contains_key(&workspace) && self.subscriptions.len() < SUBSCRIPTIONS_MAX;
        if !fresh || outlet.is_behind() {
            return None;
        }
        // From here on everything is relayed.
        self.context.feed.listen(workspace);
        self.context.feed.known.standing(workspace, self.viewer)
    }

    /// What seldom happens is in a box: each message moves a future that has room for all that may be.
    async fn hear(&mut self, myself: &ClientHandle, message: ClientMessage) -> Result<(), TooSlow> {
        match message {
            // Whoever asked has given up, and was told so.
            ClientMessage::Subscribe(_, reply) if reply.is_closed() => Ok(()),
            ClientMessage::Subscribe(wanted, reply) => {
                let answer = self.subscribe(myself, wanted).await;
                if !reply.is_closed() {
                    let _ = reply.send(answer);
                }
                Ok(())
            }
            ClientMessage::Unsubscribe(workspace, id, reply) => {
                self.subscriptions.remove(&workspace);
                self.context.feed.left(workspace, myself.id()).await;
                let told = self.ear.tell(Told::Unsubscribed { id }).await;
                let _ = reply.send(());
                told
            }
            ClientMessage::Behind(workspace, generation, reached) => match self.current(workspace, generation) {
                Some(subscription) => {
                    (subscription.cursor, subscription.caught_up) = (reached.cursor, reached.caught_up);
                    // How the agents were when it began is long ago.
                    subscription.agents.take_if(|_| reached.caught_up);
                    Box::pin(self.replay(myself, workspace)).await
                }
                None => Ok(()),
            },
            ClientMessage::Greet(workspace, generation, time) => {
                Box::pin(self.greet(myself, workspace, generation, time)).await
            }
            ClientMessage::Removed(workspace, generation) => {
                if self.current(workspace, generation).is_some() {
                    self.revoke(myself, workspace).await;
                }
                Ok(())
            }
            ClientMessage::Signalled(signal) => {
                Box::pin(self.signalled(&signal)).await;
                Ok(())
            }
            ClientMessage::Replay(workspace, generation) => match self.current(workspace, generation) {
                Some(_) => Box::pin(self.replay(myself, workspace)).await,
                None => Ok(()),
            },
            ClientMessage::Sleep => Ok(()),
        }
    }

    /// The socket does not take what it is sent.
    fn give_up(&self, myself: &ActorRef<ClientMessage>) {
        if let Some(outlet) = self.ear.socket() {
            outlet.end(TOO_SLOW);
        }
        // At a door, its end says it.
        myself.stop(Some("too slow".into()));
    }

    pub(super) fn current(&mut self, workspace: WorkspaceId, generation: u64) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(&workspace).filter(|known| known.generation == generation)
    }

    async fn subscribe(&mut self, myself: &ClientHandle, wanted: Wanted) -> Result<u64, Refusal> {
        let workspace = wanted.workspace;
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX && !self.subscriptions.contains_key(&workspace) {
            return Err(Refusal::TooMany);
        }
        // Between the look at the log and the relay nothing takes long.
        self.ear.room().await.map_err(|TooSlow| Refusal::Unavailable)?;
        let standing = self
            .standing(workspace, &wanted.topics)
            .await
            .map_err(|_| Refusal::Unavailable)?
            .ok_or(Refusal::NotFound)?;
        if self.subscriptions.remove(&workspace).is_some() {
            // Of the one before nothing may come after the answer to this one.
            self.context.feed.left(workspace, myself.id()).await;
        }
        self.begin(myself, wanted, standing).map_err(|TooSlow| Refusal::Unavailable)
    }

    fn begin(
        &mut self,
        myself: &ClientHandle,
        Wanted { id, workspace, topics, after }: Wanted,
        Standing { rights, head, agents }: Standing,
    ) -> Result<u64, TooSlow> {
        self.ear.say(Told::Subscribed { id, workspace, head })?;
        let cursor = after.unwrap_or(head);
        if cursor > head {
            let reason = "the offset is beyond the log: read the state anew and subscribe after its head";
            self.ear.say(Told::Reset { workspace, head, reason })?;
        }
        self.generation += 1;
        let subscription = Subscription {
            topics: Arc::new(topics),
            rights,
            rights_at: head,
            generation: self.generation,
            chains: HashMap::new(),
            agents,
            cursor: cursor.min(head),
            page: PAGE_MAX,
            caught_up: false,
        };
        self.subscriptions.insert(workspace, subscription);
        self.join(myself, workspace, head);
        Ok(head)
    }

    /// Hands a subscription over to the relay, which hands it back when it does not know what follows.
    pub(super) fn join(&self, myself: &ClientHandle, workspace: WorkspaceId, known: u64) {
        let Some(subscription) = self.subscriptions.get(&workspace) else { return };
        let member = Member {
            client: myself.clone(),
            ear: self.ear.clone(),
            who: self.viewer.principal,
            topics: subscription.topics.clone(),
            rights: subscription.rights.clone(),
            rights_at: subscription.rights_at,
            generation: subscription.generation,
            cursor: subscription.cursor,
            caught_up: subscription.caught_up,
            cursor_told: Instant::now(),
            missed: vec![],
            lost: false,
            greeted: None,
        };
        self.context.feed.join(workspace, member, known);
    }

    /// Returns what this client may see, and how long the log was then at the earliest: nothing can fall between.
    async fn standing(&self, workspace: WorkspaceId, topics: &Topics) -> Result<Option<Standing>, log::Error> {
        let feed = &self.context.feed;
        // From here on everything is relayed.
        feed.listen(workspace);
        if let Some(standing) = feed.known.standing(workspace, self.viewer) {
            return Ok(Some(standing));
        }
        let (changes, head) = (feed.known.changes(workspace), feed.known.head(workspace));
        let of_agents = feed.known.changes_of_agents(workspace);
        let told = self.ear.socket().is_some() && greeting::concerns(workspace, topics);
        let asks = told && feed.known.agents(workspace).is_none();
        let found = Box::pin(queries::entrance(&self.context.pool, workspace, self.viewer, asks)).await?;
        let Some(Entrance { rights, head: read, agents }) = found else { return Ok(None) };
        let (rights, head) = (Arc::new(rights), head.unwrap_or(read));
        feed.known.remember(workspace, self.viewer, &rights, changes);
        let agents = asks.then(|| ReadAgents::new(&feed.known, workspace, agents, of_agents));
        // Where it is remembered for all, the relay tells it.
        let agents = agents.filter(|_| feed.known.agents(workspace).is_none());
        Ok(Some(Standing { rights, head, agents }))
    }

    /// Tells who is here, to who has just begun to listen.
    async fn greet(
        &mut self,
        myself: &ClientHandle,
        workspace: WorkspaceId,
        generation: u64,
        time: Time,
    ) -> Result<(), TooSlow> {
        let context = self.context.clone();
        let Some(subscription) = self.current(workspace, generation) else { return Ok(()) };
        let read = subscription.agents.take();
        // What was replayed goes first; with too much before it, it would be lost.
        self.ear.room().await?;
        if let Err(error) = greeting::greet(&context, workspace, (myself.id(), time), read).await {
            tracing::warn!(%workspace, %error, "a client is not told who is here; it is tried again in a moment");
            myself.cast_after(GREET_AGAIN, ClientMessage::Greet(workspace, generation, time));
        }
        Ok(())
    }

    async fn signalled(&mut self, signal: &Arc<Signal>) {
        if let Some(subscription) = self.subscriptions.get_mut(&signal.workspace)
            && signal.concerns(self.viewer.principal, &subscription.topics)
            && subscription.sees(&self.context, signal).await
            && let Some(outlet) = self.ear.socket()
        {
            self.ear.signal(outlet.frame(&Told::Signal(signal.clone())));
        }
    }

    /// A member who was removed sees nothing that was committed after.
    pub(super) async fn revoke(&mut self, myself: &ClientHandle, workspace: WorkspaceId) {
        self.subscriptions.remove(&workspace);
        self.context.feed.leave(workspace, myself.id());
        self.ear.end(REMOVED).await;
    }
}
