//! The workspace's writer: the one place where its log grows.
//!
//! ```text
//! intake ─ recall keys ─ check bases ─ complete ─┬─ one transaction ─┬─ answer ─ publish
//!   ▲ the next batch gathers while this one commits ┘                 └─ failed: stop; come back from the log
//! ```
//!
//! The workspace's state runs ahead of the commit, seen by nobody. A commit that was refused wrote nothing: the state
//! is read anew from the log. One whose outcome is unknown, or that was fenced, takes the whole writer down.

mod draft;
mod intake;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::sync::{mpsc, watch};

use crate::{
    domain::{
        event::{ConversationEvent, Event, TaskEvent, WorkspaceEvent},
        ids::{Subject, WorkspaceId},
        model::SNAPSHOT_SCHEMA,
        workspace::{Schedule, Workspace},
    },
    persistence::log::{self, Head, Lease, Snapshot},
};

use draft::Draft;
pub(super) use intake::{Intake, Item, ItemOutcome, Outcome, Proposal, ProposalError, WriterHandle};

use super::{
    context::Context,
    feed::{Batch, Committed},
    presence,
    workspace::Members,
};

/// What the writer is willing to have waiting.
pub(super) const INTAKE_MAX: usize = 4_096;
/// The most proposals of one commit.
const BATCH_MAX: usize = 256;
/// No commit takes longer; after it the outcome is unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Events between two snapshots of the workspace's own state.
const SNAPSHOT_EVERY: u64 = 2_000;
/// Above this many remembered versions, the older half is forgotten.
const VERSIONS_MAX: usize = 50_000;

/// What the writer is told.
#[derive(RactorMessage)]
pub(super) enum WriterMessage {
    /// Something was handed in.
    Wake,
}

pub(super) struct WriterArguments {
    pub context: Arc<Context>,
    pub workspace: WorkspaceId,
    pub members: Arc<Members>,
    pub schedule: watch::Sender<Arc<Schedule>>,
}

pub(super) struct Writer;

pub(super) struct WriterState {
    context: Arc<Context>,
    workspace: WorkspaceId,
    members: Arc<Members>,
    schedule: watch::Sender<Arc<Schedule>>,
    intake: mpsc::Receiver<Intake>,
    awake: Arc<AtomicBool>,
    open: Option<Open>,
    /// After a batch that the database will never take, each proposal commits alone, so that the culprit fails alone.
    alone: bool,
}

/// What is known once the log was read.
struct Open {
    lease: Lease,
    head: Head,
    state: Workspace,
    /// The newest event of each subject that was written since `floor`.
    versions: HashMap<Subject, u64>,
    /// A subject that is not in `versions` may have events up to here.
    floor: u64,
    snapshot_at: u64,
}

impl Open {
    /// Returns the offset up to which a decision has to know a subject's events.
    fn newest(&self, subject: &Subject) -> u64 {
        self.versions.get(subject).copied().unwrap_or(self.floor)
    }

    fn wrote(&mut self, subject: Subject, offset: u64) {
        self.versions.insert(subject, offset);
        if self.versions.len() > VERSIONS_MAX {
            let mut offsets: Vec<u64> = self.versions.values().copied().collect();
            let (_, middle, _) = offsets.select_nth_unstable(VERSIONS_MAX / 2);
            self.floor = self.floor.max(*middle);
            let floor = self.floor;
            self.versions.retain(|_, newest| *newest > floor);
        }
    }
}

/// Spawns the writer below its supervisor.
pub(super) async fn spawn(
    arguments: WriterArguments,
    supervisor: ractor::ActorCell,
) -> Result<WriterHandle, ractor::SpawnErr> {
    let (intake, receiver) = mpsc::channel(INTAKE_MAX);
    let awake = Arc::new(AtomicBool::new(false));
    let (actor, _) = Actor::spawn_linked(None, Writer, (arguments, receiver, awake.clone()), supervisor).await?;
    Ok(WriterHandle { intake, awake, actor })
}

impl Actor for Writer {
    type Msg = WriterMessage;
    type State = WriterState;
    type Arguments = (WriterArguments, mpsc::Receiver<Intake>, Arc<AtomicBool>);

    async fn pre_start(
        &self,
        _: ActorRef<WriterMessage>,
        (arguments, intake, awake): Self::Arguments,
    ) -> Result<WriterState, ActorProcessingErr> {
        let WriterArguments { context, workspace, members, schedule } = arguments;
        Ok(WriterState { context, workspace, members, schedule, intake, awake, open: None, alone: false })
    }

    async fn handle(
        &self,
        _: ActorRef<WriterMessage>,
        WriterMessage::Wake: WriterMessage,
        state: &mut WriterState,
    ) -> Result<(), ActorProcessingErr> {
        // Acquires as well: what was handed in before a wake-up that is swallowed here has to be seen below.
        state.awake.swap(false, Ordering::AcqRel);
        state.open().await?;
        let mut batch = Vec::new();
        while let Ok(intake) = state.intake.try_recv() {
            batch.push(intake);
            let most = if state.alone { 1 } else { BATCH_MAX };
            while batch.len() < most
                && let Ok(intake) = state.intake.try_recv()
            {
                batch.push(intake);
            }
            // After a refused commit the state is read anew.
            state.open().await?;
            state.commit(std::mem::take(&mut batch)).await?;
        }
        state.alone = false;
        Ok(())
    }
}

/// Why the writer stops; it comes back from the log.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Lease(#[from] crate::persistence::leases::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("the commit took longer than {COMMIT_TIMEOUT:?}; its outcome is unknown")]
    TimedOut,
    #[error("completing a proposal panicked")]
    Panicked,
}

/// Without a writer nobody here knows where the log ends.
impl Drop for WriterState {
    fn drop(&mut self) {
        self.context.feed.known.closed(self.workspace);
    }
}

impl WriterState {
    /// Makes sure that the log was read.
    async fn open(&mut self) -> Result<(), Stop> {
        if self.open.is_some() {
            return Ok(());
        }
        match self.load().await {
            Ok(open) => {
                self.schedule.send_replace(Arc::new(open.state.schedule().clone()));
                // What was committed with an unknown outcome is in the log now, and nobody has told the clients.
                self.context.feed.opened(self.workspace, open.head.offset);
                presence::look_again(&self.context, self.workspace).await;
                self.open = Some(open);
                self.members.look();
                Ok(())
            }
            Err(error) => {
                self.refuse_all(&error.to_string());
                Err(error)
            }
        }
    }

    #[tracing::instrument(name = "actors.writer.load", skip_all, fields(workspace = %self.workspace), err)]
    async fn load(&self) -> Result<Open, Stop> {
        let lease = self.context.membership.lease(self.workspace).await?;
        let pool = &self.context.writes;
        let head = log::head(pool, self.workspace).await?;
        let subject = Subject::Workspace(self.workspace);
        let saved = log::load_snapshot(pool, self.workspace, subject).await.map_err(log::Error::from)?;
        let saved = saved.filter(|snapshot| snapshot.schema == SNAPSHOT_SCHEMA && snapshot.offset <= head.offset);
        let saved = saved.and_then(|s| Some((rmp_serde::from_slice::<Workspace>(&s.state).ok()?, s.offset)));
        let (mut state, snapshot_at) = saved.unwrap_or_default();
        let mut at = snapshot_at;
        while at < head.offset {
            for event in log::page(pool, self.workspace, at, 2_000).await? {
                state.apply(event.offset, event.at, &event.subject, &event.event);
                at = event.offset;
            }
        }
        tracing::debug!(head = head.offset, epoch = lease.epoch, "workspace loaded");
        let floor = head.offset;
        Ok(Open { lease, head, state, versions: HashMap::new(), floor, snapshot_at })
    }

    fn refuse_all(&mut self, reason: &str) {
        while let Ok(intake) = self.intake.try_recv() {
            intake.refuse(reason);
        }
    }

    #[tracing::instrument(name = "actors.writer.commit", skip_all, fields(workspace = %self.workspace, proposals = batch.len()))]
    async fn commit(&mut self, batch: Vec<Intake>) -> Result<(), Stop> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let keys: Vec<String> = batch.iter().flat_map(Intake::keys).map(str::to_owned).collect();
        let known = match keys.is_empty() {
            true => Ok(HashMap::new()),
            false => log::recall(&self.context.writes, self.workspace, &keys).await,
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => {
                // Nothing was decided yet: the callers may try again, and the state is as it was.
                let reason = error.to_string();
                batch.into_iter().for_each(|intake| intake.refuse(&reason));
                return Ok(());
            }
        };
        let mut draft = Draft::new(&self.context, known);
        for intake in batch {
            draft.take(open, self.workspace, intake)?;
        }
        let Draft { events, remembered, replies, others, .. } = draft;
        let begun = std::time::Instant::now();
        if !events.is_empty() || !remembered.is_empty() {
            let append =
                log::append(&self.context.writes, &open.lease, self.workspace, &open.head, &events, &remembered);
            let appended = tokio::time::timeout(COMMIT_TIMEOUT, append).await;
            match appended.map_err(|_| Stop::TimedOut).and_then(|result| result.map_err(Stop::Log)) {
                Ok(head) => open.head = head,
                Err(stop) => return self.not_committed(stop, replies),
            }
            metrics::histogram!("link_commit_seconds").record(begun.elapsed());
            metrics::histogram!("link_commit_events").record(events.len() as f64);
            metrics::counter!("link_events_total").increment(events.len() as u64);
        }
        let committed: Vec<Arc<Committed>> =
            events.into_iter().map(|event| Arc::new(Committed::new(self.workspace, event))).collect();
        let batch = Arc::new(Batch { workspace: self.workspace, events: committed });
        // Whoever is answered and asks for the end of the log is told the new one.
        self.context.feed.known.committed(&batch);
        others.into_iter().for_each(|subject| self.members.outdate(subject));
        for reply in replies {
            reply.succeed(&batch.events);
        }
        self.tell(&batch);
        self.save_snapshot();
        Ok(())
    }

    /// What was refused was not written: the state that ran ahead is dropped and the writer goes on. Whatever else
    /// happened, nobody knows what was written, or somebody else writes: the writer stops.
    fn not_committed(&mut self, stop: Stop, replies: Vec<draft::Reply>) -> Result<(), Stop> {
        let open = self.open.take();
        self.context.feed.known.closed(self.workspace);
        let (refused, poison) = match &stop {
            Stop::Log(error) => (matches!(error, log::Error::Refused(_)), error.is_poison()),
            _ => (false, false),
        };
        tracing::error!(error = %stop, refused, poison, "commit failed; the workspace's state is read anew from its log");
        self.alone = self.alone || poison;
        // Alone in its batch, the proposal itself is what the database does not take; others may try again.
        let culprit = poison && replies.len() == 1;
        replies.into_iter().for_each(|reply| reply.fail(&stop.to_string(), culprit));
        if refused {
            return Ok(());
        }
        if let (Some(open), Stop::Log(log::Error::Fenced)) = (open, &stop) {
            self.context.membership.lost(&open.lease);
        }
        Err(stop)
    }

    /// After the commit: the feed, the running sessions, the conductor.
    fn tell(&self, batch: &Arc<Batch>) {
        let (Some(open), events) = (&self.open, &batch.events) else { return };
        if events.is_empty() {
            return;
        }
        if events.iter().any(|event| moves_work(&event.recorded.event)) {
            self.schedule.send_replace(Arc::new(open.state.schedule().clone()));
            self.members.look();
        }
        for event in events {
            self.members.tell_sessions(event);
        }
        for event in events {
            presence::follow(&self.context, self.workspace, &event.recorded);
        }
        self.members.wake_couriers();
        self.context.feed.publish(batch);
    }

    fn save_snapshot(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.head.offset < open.snapshot_at + SNAPSHOT_EVERY {
            return;
        }
        open.snapshot_at = open.head.offset;
        let Ok(state) = rmp_serde::to_vec_named(&open.state) else { return };
        let snapshot = Snapshot { offset: open.head.offset, schema: SNAPSHOT_SCHEMA, state };
        self.context.save_snapshot(self.workspace, Subject::Workspace(self.workspace), snapshot);
    }
}

/// Tells whether an event can change what has to be done next.
fn moves_work(event: &Event) -> bool {
    match event {
        Event::Agent(_) | Event::Webhook(_) => true,
        Event::Task(event) => !matches!(
            event,
            TaskEvent::Progress { .. }
                | TaskEvent::AttemptTool { .. }
                | TaskEvent::AttemptNudged { .. }
                | TaskEvent::AttemptUsage { .. }
                | TaskEvent::ArtifactRecorded { .. }
                | TaskEvent::Created { .. }
                | TaskEvent::Updated { claims: None, .. }
                | TaskEvent::Moved { .. }
        ),
        Event::Conversation(event) => matches!(
            event,
            ConversationEvent::TurnQueued { .. }
                | ConversationEvent::TurnStarted { .. }
                | ConversationEvent::TurnEnded { .. }
        ),
        Event::Workspace(event) => {
            use WorkspaceEvent as E;
            matches!(event, E::TeamFormed { .. } | E::TeamUpdated { .. } | E::TeamDissolved { .. })
        }
        Event::Project(_) | Event::Document(_) | Event::Session(_) => false,
    }
}
