//! The host of one document: takes what sockets and operations want, a batch at a time.

mod commits;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use yrs::{
    StateVector,
    sync::{AwarenessUpdate, Message, SyncMessage},
    updates::{decoder::Decode, encoder::Encode},
};

use crate::{
    actors::workspace::WorkspaceHandle,
    domain::{access::Viewer, ids::DocumentId, permission::Permission, principal::Principal},
    persistence::{
        documents,
        queries::{self, Scope},
    },
};

use super::{
    DocumentHandle, REQUESTS_MAX, Request, SocketId,
    awareness::Awareness,
    outbox::{Farewell, Inbox, Outbox, outbox},
    text::{Text, TextError},
};

/// Requests that are taken at a time.
const BATCH_MAX: usize = 128;
/// Updates that are read from the log at a time.
const PAGE: i64 = 500;
/// A snapshot is kept after so many updates.
const SNAPSHOT_EVERY: u64 = 200;

/// What a host's actor is told.
#[derive(RactorMessage)]
pub(in crate::actors) enum HostMessage {
    /// Its work has ended: nobody needs it, the document could not be read, or it panicked.
    Ended(Result<(), String>),
}

struct Host;

/// Spawns the host of a document below the workspace's supervisor.
pub(in crate::actors) async fn spawn(
    handle: WorkspaceHandle,
    id: DocumentId,
    supervisor: ractor::ActorCell,
) -> Result<(ActorRef<HostMessage>, DocumentHandle), ractor::SpawnErr> {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let (actor, _) = Actor::spawn_linked(None, Host, (handle, id, requests), supervisor).await?;
    Ok((actor, DocumentHandle { requests: sender.into() }))
}

impl Actor for Host {
    type Msg = HostMessage;
    /// Dropped with the actor.
    type State = AbortOnDropHandle<()>;
    type Arguments = (WorkspaceHandle, DocumentId, mpsc::Receiver<Request>);

    async fn pre_start(
        &self,
        myself: ActorRef<HostMessage>,
        (handle, id, requests): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let work = tokio::spawn(async move {
            let walk = AssertUnwindSafe(walk(handle, id, requests)).catch_unwind().await;
            let end = walk.unwrap_or_else(|_| Err("the document's host panicked".into()));
            let _ = myself.cast(HostMessage::Ended(end));
        });
        Ok(AbortOnDropHandle::new(work))
    }

    async fn handle(
        &self,
        myself: ActorRef<HostMessage>,
        HostMessage::Ended(end): HostMessage,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        myself.stop(Some("nobody needs the document".into()));
        Ok(end?)
    }
}

async fn walk(handle: WorkspaceHandle, id: DocumentId, mut requests: mpsc::Receiver<Request>) -> Result<(), String> {
    let idle = handle.context.entity_idle;
    let mut state = State::new(handle, id);
    state.load().await.map_err(|error| error.to_string())?;
    loop {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        match tokio::time::timeout(idle, requests.recv_many(&mut batch, BATCH_MAX)).await {
            Ok(0) => return Ok(()),
            Ok(_) => state.serve(batch).await.map_err(|error| error.to_string())?,
            // What comes in from here on finds the channel closed, and asks for another host.
            Err(_) if state.sockets.is_empty() && requests.is_empty() => return Ok(()),
            Err(_) => {}
        }
    }
}

struct Socket {
    viewer: Viewer,
    writes: bool,
    outbox: Outbox,
}

/// Updates of one author that were merged and are not committed yet.
struct Pending {
    author: Principal,
    sockets: Vec<SocketId>,
    updates: Vec<Vec<u8>>,
}

struct State {
    handle: WorkspaceHandle,
    id: DocumentId,
    text: Text,
    /// The last update in the text that is committed, and its offset.
    seq: u64,
    offset: u64,
    snapshot_seq: u64,
    sockets: BTreeMap<SocketId, Socket>,
    next_socket: u64,
    awareness: Awareness,
    /// What [`crate::actors::knowledge::Knowledge::changes`] said when the sockets' rights were asked for.
    rights_of: Option<u64>,
    pending: Vec<Pending>,
    /// Who wants to know what they lack, once everything is committed.
    asked: Vec<(SocketId, StateVector)>,
}

impl State {
    fn new(handle: WorkspaceHandle, id: DocumentId) -> Self {
        Self {
            handle,
            id,
            text: Text::default(),
            seq: 0,
            offset: 0,
            snapshot_seq: 0,
            sockets: BTreeMap::new(),
            next_socket: 0,
            awareness: Awareness::default(),
            rights_of: None,
            pending: vec![],
            asked: vec![],
        }
    }

    /// Makes the text anew from what is committed.
    #[tracing::instrument(name = "actors.documents.load", skip_all, fields(document = %self.id))]
    async fn load(&mut self) -> Result<(), sqlx::Error> {
        let begun = std::time::Instant::now();
        // An update was merged once before it was committed; one that breaks the text here all the same is left out.
        let mut broken = BTreeSet::new();
        while let Some(offset) = self.read(&broken).await? {
            broken.insert(offset);
        }
        metrics::histogram!("link_document_load_seconds").record(begun.elapsed());
        Ok(())
    }

    /// Reads snapshot and updates; returns the offset of an update that breaks the text.
    async fn read(&mut self, broken: &BTreeSet<u64>) -> Result<Option<u64>, sqlx::Error> {
        let pool = &self.handle.context.pool;
        let snapshot = documents::snapshot(pool, self.id).await?.unwrap_or_default();
        (self.seq, self.offset, self.snapshot_seq) = (snapshot.seq, snapshot.offset, snapshot.seq);
        self.text = Text::default();
        merge(&mut self.text, &snapshot.state);
        loop {
            let page = documents::updates(pool, self.handle.id, self.id, self.offset, PAGE).await?;
            for update in &page {
                if !broken.contains(&update.offset) && !merge(&mut self.text, &update.update) {
                    return Ok(Some(update.offset));
                }
                (self.seq, self.offset) = (update.seq, update.offset);
            }
            if (page.len() as i64) < PAGE {
                return Ok(None);
            }
        }
    }

    async fn serve(&mut self, batch: Vec<Request>) -> Result<(), sqlx::Error> {
        for request in batch {
            match request {
                Request::Said(socket, message) => self.said(socket, &message).await?,
                Request::Leave(socket) => self.left(socket),
                Request::Join(viewer, reply) => {
                    self.settle().await?;
                    // Whoever no longer waits is let go with the next message.
                    let _ = reply.send(self.join(viewer).await?);
                }
                Request::Work(meta, work, reply) => {
                    self.settle().await?;
                    let done = self.work(*meta, work).await?;
                    let _ = reply.send(done);
                }
                Request::Read(reply) => {
                    self.settle().await?;
                    let _ = reply.send((self.text.words(), self.seq));
                }
            }
        }
        self.settle().await
    }

    async fn join(&mut self, viewer: Viewer) -> Result<Option<(SocketId, Inbox)>, sqlx::Error> {
        if self.sockets.is_empty() {
            self.rights_of = self.handle.context.feed.known.changes(self.handle.id);
        }
        let Some(writes) = self.rights(viewer).await? else { return Ok(None) };
        let (outbox, inbox) = outbox();
        self.next_socket += 1;
        let id = SocketId(self.next_socket);
        // The client answers with what this side lacks; what it lacks itself it asks for.
        let hello = [
            Some(Message::Sync(SyncMessage::SyncStep1(self.text.known()))),
            self.awareness.all().map(Message::Awareness),
        ];
        for message in hello.into_iter().flatten() {
            outbox.send(&Bytes::from(message.encode_v1()));
        }
        self.sockets.insert(id, Socket { viewer, writes, outbox });
        metrics::gauge!("link_document_sockets").increment(1.0);
        Ok(Some((id, inbox)))
    }

    /// Returns whether somebody may write; nothing when they may not even read.
    async fn rights(&self, viewer: Viewer) -> Result<Option<bool>, sqlx::Error> {
        let found = queries::access(&self.handle.context.pool, Scope::Document, self.id.0, viewer).await?;
        let decision = found.filter(|found| found.workspace == self.handle.id).map(|found| found.decision());
        Ok(decision
            .filter(|decision| decision.visible && decision.may.contains(Permission::Read))
            .map(|decision| decision.may.contains(Permission::Work)))
    }

    fn left(&mut self, socket: SocketId) {
        if self.sockets.remove(&socket).is_some() {
            metrics::gauge!("link_document_sockets").decrement(1.0);
        }
        self.asked.retain(|(who, _)| *who != socket);
        if let Some(gone) = self.awareness.left(socket) {
            self.tell(&Message::Awareness(gone), None);
        }
    }

    fn dismiss(&mut self, socket: SocketId, why: Farewell) {
        if let Some(known) = self.sockets.remove(&socket) {
            metrics::gauge!("link_document_sockets").decrement(1.0);
            known.outbox.farewell(why);
        }
        self.left(socket);
    }

    /// Takes in one frame of a socket. Bytes from outside never take more down with them than their own socket.
    async fn said(&mut self, socket: SocketId, frame: &[u8]) -> Result<(), sqlx::Error> {
        // As the stock server does, one message is read of each frame.
        let Some(message) = catch_unwind(|| Message::decode_v1(frame).ok()).ok().flatten() else {
            self.dismiss(socket, Farewell::Unreadable);
            return Ok(());
        };
        match message {
            Message::Sync(SyncMessage::SyncStep1(known)) => {
                // Asked twice, the newer question counts.
                self.asked.retain(|(who, _)| *who != socket);
                self.asked.push((socket, known));
            }
            Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                self.take(socket, update).await?;
            }
            Message::Awareness(update) => {
                self.check_rights().await?;
                self.aware(socket, update);
            }
            Message::AwarenessQuery => {
                if let Some(all) = self.awareness.all() {
                    self.answer(socket, &Message::Awareness(all));
                }
            }
            // Nobody needs them: whoever may not do something is told, and there are no other kinds here.
            Message::Auth(_) | Message::Custom(..) => {}
        }
        Ok(())
    }

    fn aware(&mut self, socket: SocketId, update: AwarenessUpdate) {
        if self.sockets.contains_key(&socket)
            && let Some(new) = self.awareness.said(socket, update)
        {
            // It comes back to who said it, too: to the stock client that is the sign of life it waits for.
            self.tell(&Message::Awareness(new), None);
        }
    }

    fn answer(&mut self, socket: SocketId, message: &Message) {
        let bytes = Bytes::from(message.encode_v1());
        if self.sockets.get(&socket).is_some_and(|known| !known.outbox.send(&bytes)) {
            self.dismiss(socket, Farewell::TooSlow);
        }
    }

    /// Encodes once, and hands the same bytes to all but one.
    fn tell(&mut self, message: &Message, but: Option<SocketId>) {
        let bytes = Bytes::from(message.encode_v1());
        let others = self.sockets.iter().filter(|(id, _)| Some(**id) != but);
        let slow: Vec<SocketId> = others.filter(|(_, socket)| !socket.outbox.send(&bytes)).map(|(id, _)| *id).collect();
        metrics::counter!("link_document_deliveries_total").increment(self.sockets.len() as u64);
        slow.into_iter().for_each(|socket| self.dismiss(socket, Farewell::TooSlow));
    }
}

/// Merges what is committed; `false` when that broke the text. What cannot be merged is skipped and named: the rest of
/// the document must stay readable.
fn merge(text: &mut Text, update: &[u8]) -> bool {
    if update.is_empty() {
        return true;
    }
    match text.merge(update) {
        Ok(_) => true,
        Err(error) => {
            tracing::error!(%error, "a committed update cannot be merged and is skipped");
            error != TextError::Broken
        }
    }
}
