//! The workspace's writer: the one place where its log grows.
//!
//! ```text
//! intake ─ recall keys ─ check bases ─ complete ─┬─ one transaction ─┬─ answer ─ publish
//!   ▲ the next batch gathers while this one commits ┘                 └─ failed: stop; come back from the log
//! ```
//!
//! The workspace's state runs ahead of the commit, seen by nobody; a commit that fails in any way takes the whole
//! writer down with it, so that what was never committed is never seen.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    domain::{
        event::{Event, Recorded, TaskEvent},
        ids::{Subject, WorkspaceId},
        model::{Command, SNAPSHOT_SCHEMA},
        rejection::Rejection,
        workspace::{Completed, Fact, Schedule, Workspace},
    },
    persistence::log::{self, Head, Lease, Memory, Remembered, Snapshot},
};

use super::{
    context::Context,
    feed::{Batch, Committed},
    request::{CommandError, Envelope, Meta, Receipt},
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
/// Above this many remembered versions, old ones are forgotten.
const VERSIONS_MAX: usize = 50_000;

/// What an entity wants committed.
pub(super) struct Proposal {
    pub subject: Subject,
    /// The last event of the subject that the decisions are based on.
    pub base: u64,
    pub items: Vec<Item>,
    pub reply: oneshot::Sender<Result<Outcome, ProposalError>>,
}

/// One decided command.
pub(super) struct Item {
    pub events: Vec<Event>,
    pub meta: Arc<Meta>,
}

/// What became of a proposal.
pub(super) struct Outcome {
    pub items: Vec<ItemOutcome>,
    /// The committed events of the proposal's own subject.
    pub events: Vec<Arc<Committed>>,
}

/// What became of one decided command.
pub(super) enum ItemOutcome {
    Committed(Receipt),
    /// It was committed before, under the same key.
    Known(Receipt),
    Refused(CommandError),
    /// An item before it did not commit: decide it again.
    Again,
}

/// Why a whole proposal was not committed.
#[derive(Debug)]
pub(super) enum ProposalError {
    /// The subject has newer events than the base.
    Stale,
    /// The outcome is unknown, or the workspace is elsewhere.
    Unavailable(String),
    /// The database will never take it: a bug of Link's.
    Poison,
}

/// What comes in.
pub(super) enum Intake {
    Proposal(Proposal),
    /// A command for the workspace itself.
    Command(Envelope),
}

/// A cheap handle on the writer.
#[derive(Clone)]
pub(super) struct WriterHandle {
    intake: mpsc::Sender<Intake>,
    awake: Arc<AtomicBool>,
    actor: ActorRef<WriterMessage>,
}

impl WriterHandle {
    /// Hands something in; `Err` gives it back when the writer is full or gone.
    pub fn hand_in(&self, intake: Intake) -> Result<(), mpsc::error::TrySendError<Intake>> {
        self.intake.try_send(intake)?;
        self.wake();
        Ok(())
    }

    /// Makes the writer look, which also loads it.
    pub fn wake(&self) {
        if !self.awake.swap(true, Ordering::AcqRel) {
            let _ = self.actor.cast(WriterMessage::Wake);
        }
    }
}

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
}

/// What is known once the log was read.
struct Open {
    lease: Lease,
    head: Head,
    state: Workspace,
    versions: HashMap<Subject, u64>,
    snapshot_at: u64,
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
        Ok(WriterState { context, workspace, members, schedule, intake, awake, open: None })
    }

    async fn handle(
        &self,
        _: ActorRef<WriterMessage>,
        WriterMessage::Wake: WriterMessage,
        state: &mut WriterState,
    ) -> Result<(), ActorProcessingErr> {
        state.awake.store(false, Ordering::Release);
        if state.open.is_none() {
            match state.load().await {
                Ok(open) => {
                    state.schedule.send_replace(Arc::new(open.state.schedule().clone()));
                    state.open = Some(open);
                    state.members.look();
                }
                Err(error) => {
                    state.refuse_all(&error.to_string());
                    return Err(error.into());
                }
            }
        }
        let mut batch = Vec::new();
        while let Ok(intake) = state.intake.try_recv() {
            batch.push(intake);
            while batch.len() < BATCH_MAX
                && let Ok(intake) = state.intake.try_recv()
            {
                batch.push(intake);
            }
            state.commit(std::mem::take(&mut batch)).await?;
        }
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

impl WriterState {
    #[tracing::instrument(name = "actors.writer.load", skip_all, fields(workspace = %self.workspace), err)]
    async fn load(&self) -> Result<Open, Stop> {
        let lease = self.context.membership.lease(self.workspace).await?;
        let pool = &self.context.pool;
        let head = log::head(pool, self.workspace).await?;
        let subject = Subject::Workspace(self.workspace);
        let saved = log::load_snapshot(pool, self.workspace, subject).await.map_err(log::Error::from)?;
        let saved = saved.filter(|snapshot| snapshot.schema == SNAPSHOT_SCHEMA && snapshot.offset <= head.offset);
        let saved = saved.and_then(|s| Some((rmp_serde::from_slice::<Workspace>(&s.state).ok()?, s.offset)));
        let (mut state, snapshot_at) = saved.unwrap_or_default();
        let mut at = snapshot_at;
        while at < head.offset {
            for event in log::page(pool, self.workspace, at, 2_000).await? {
                state.apply(event.offset, &event.subject, &event.event);
                at = event.offset;
            }
        }
        tracing::debug!(head = head.offset, epoch = lease.epoch, "workspace loaded");
        Ok(Open { lease, head, state, versions: HashMap::new(), snapshot_at })
    }

    fn refuse_all(&mut self, reason: &str) {
        while let Ok(intake) = self.intake.try_recv() {
            match intake {
                Intake::Proposal(proposal) => {
                    let _ = proposal.reply.send(Err(ProposalError::Unavailable(reason.into())));
                }
                Intake::Command(envelope) => envelope.answer(Err(CommandError::Unavailable(reason.into()))),
            }
        }
    }

    #[tracing::instrument(name = "actors.writer.commit", skip_all, fields(workspace = %self.workspace, proposals = batch.len()))]
    async fn commit(&mut self, batch: Vec<Intake>) -> Result<(), Stop> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let keys: Vec<String> = batch.iter().flat_map(keys_of).map(str::to_owned).collect();
        let known = match keys.is_empty() {
            true => HashMap::new(),
            false => log::recall(&self.context.pool, self.workspace, &keys).await.map_err(log::Error::from)?,
        };
        let mut draft = Draft {
            context: &self.context,
            known,
            events: vec![],
            remembered: vec![],
            replies: vec![],
            others: vec![],
        };
        for intake in batch {
            match intake {
                Intake::Proposal(proposal) => draft.take_proposal(open, proposal)?,
                Intake::Command(envelope) => draft.take_command(open, self.workspace, envelope)?,
            }
        }
        let Draft { events, remembered, replies, others, .. } = draft;
        let begun = std::time::Instant::now();
        if !events.is_empty() {
            let append = log::append(&self.context.pool, &open.lease, self.workspace, &open.head, &events, &remembered);
            let appended = tokio::time::timeout(COMMIT_TIMEOUT, append).await;
            open.head = match appended.map_err(|_| Stop::TimedOut).and_then(|result| result.map_err(Stop::Log)) {
                Ok(head) => head,
                Err(stop) => {
                    if matches!(stop, Stop::Log(log::Error::Fenced)) {
                        self.context.membership.lost(&open.lease);
                    }
                    tracing::error!(error = %stop, "commit failed; the workspace starts again from its log");
                    // Alone in its batch, the proposal itself is what the database does not take; others may try again.
                    let poison = replies.len() == 1 && matches!(&stop, Stop::Log(error) if error.is_poison());
                    replies.into_iter().for_each(|reply| reply.fail(&stop.to_string(), poison));
                    return Err(stop);
                }
            };
            metrics::histogram!("link_commit_seconds").record(begun.elapsed());
            metrics::histogram!("link_commit_events").record(events.len() as f64);
            metrics::counter!("link_events_total").increment(events.len() as u64);
        }
        let committed: Vec<Arc<Committed>> =
            events.into_iter().map(|event| Arc::new(Committed::new(self.workspace, event))).collect();
        others.into_iter().for_each(|subject| self.members.outdate(subject));
        for reply in replies {
            reply.succeed(&committed);
        }
        self.tell(committed);
        self.save_snapshot();
        Ok(())
    }

    /// After the commit: the feed, the running sessions, the conductor.
    fn tell(&self, events: Vec<Arc<Committed>>) {
        let Some(open) = &self.open else { return };
        if events.is_empty() {
            return;
        }
        if events.iter().any(|event| moves_work(&event.recorded.event)) {
            self.schedule.send_replace(Arc::new(open.state.schedule().clone()));
            self.members.look();
        }
        for event in &events {
            self.members.tell_sessions(event);
        }
        self.context.feed.publish(&Arc::new(Batch { workspace: self.workspace, events }));
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

fn keys_of(intake: &Intake) -> Vec<&str> {
    match intake {
        Intake::Proposal(proposal) => {
            proposal.items.iter().filter_map(|item| item.meta.key.as_ref()).map(|key| key.text.as_str()).collect()
        }
        Intake::Command(envelope) => envelope.meta.key.iter().map(|key| key.text.as_str()).collect(),
    }
}

/// Tells whether an event can change what has to be done next.
fn moves_work(event: &Event) -> bool {
    match event {
        Event::Agent(_) => true,
        Event::Task(event) => !matches!(
            event,
            TaskEvent::Progress { .. }
                | TaskEvent::AttemptTool { .. }
                | TaskEvent::AttemptUsage { .. }
                | TaskEvent::ArtifactRecorded { .. }
                | TaskEvent::Created { .. }
                | TaskEvent::Updated { .. }
                | TaskEvent::Moved { .. }
        ),
        Event::Workspace(_) | Event::Project(_) | Event::Conversation(_) | Event::Session(_) => false,
    }
}

/// A batch on its way into one transaction.
struct Draft<'a> {
    context: &'a Context,
    known: HashMap<String, Memory>,
    events: Vec<Recorded>,
    remembered: Vec<Remembered>,
    replies: Vec<Reply>,
    /// Entities that got events by another one's proposal.
    others: Vec<Subject>,
}

/// What is said once the commit is known.
enum Reply {
    Proposal { proposal: oneshot::Sender<Result<Outcome, ProposalError>>, items: Vec<ItemOutcome>, own: Vec<usize> },
    Command { envelope: Envelope, result: Result<Receipt, CommandError> },
}

impl Reply {
    fn succeed(self, committed: &[Arc<Committed>]) {
        match self {
            Self::Proposal { proposal, items, own } => {
                let events = own.into_iter().filter_map(|index| committed.get(index).cloned()).collect();
                let _ = proposal.send(Ok(Outcome { items, events }));
            }
            Self::Command { envelope, result } => envelope.answer(result),
        }
    }

    fn fail(self, reason: &str, poison: bool) {
        match self {
            Self::Proposal { proposal, .. } if poison => {
                let _ = proposal.send(Err(ProposalError::Poison));
            }
            Self::Proposal { proposal, .. } => {
                let _ = proposal.send(Err(ProposalError::Unavailable(reason.into())));
            }
            Self::Command { envelope, .. } if poison => envelope.answer(Err(CommandError::Bug)),
            Self::Command { envelope, .. } => envelope.answer(Err(CommandError::Unavailable(reason.into()))),
        }
    }
}

impl Draft<'_> {
    fn take_proposal(&mut self, open: &mut Open, proposal: Proposal) -> Result<(), Stop> {
        let Proposal { subject, base, items, reply } = proposal;
        if open.versions.get(&subject).is_some_and(|newest| *newest > base) {
            let _ = reply.send(Err(ProposalError::Stale));
            return Ok(());
        }
        let (mut outcomes, mut own, mut broken) = (Vec::with_capacity(items.len()), vec![], false);
        for item in items {
            if broken {
                outcomes.push(ItemOutcome::Again);
                continue;
            }
            let facts = item.events.into_iter().map(|event| Fact { subject, event }).collect();
            let outcome = self.take_facts(open, subject, facts, &item.meta, &mut own)?;
            broken = !matches!(outcome, ItemOutcome::Committed(_));
            outcomes.push(outcome);
        }
        self.replies.push(Reply::Proposal { proposal: reply, items: outcomes, own });
        Ok(())
    }

    fn take_command(&mut self, open: &mut Open, workspace: WorkspaceId, envelope: Envelope) -> Result<(), Stop> {
        let subject = Subject::Workspace(workspace);
        let decided = match envelope.command.clone() {
            Command::Workspace(command) => open.state.decide(workspace, envelope.meta.by, command),
            _ => Err(Rejection::Invalid { path: "command", message: "is for another kind of entity".into() }),
        };
        // A repeated command is answered as the first time, whatever the state says by now.
        let again = self.memory(&envelope.meta);
        let result = match (again, decided) {
            (Some(again), _) => again,
            (None, Err(rejection)) => Err(rejection.into()),
            (None, Ok(events)) if events.is_empty() => Ok(Receipt { subject, offset: open.head.offset }),
            (None, Ok(events)) => {
                let facts = events.into_iter().map(|event| Fact { subject, event: Event::Workspace(event) }).collect();
                match self.take_facts(open, subject, facts, &envelope.meta, &mut vec![])? {
                    ItemOutcome::Committed(receipt) | ItemOutcome::Known(receipt) => Ok(receipt),
                    ItemOutcome::Refused(error) => Err(error),
                    ItemOutcome::Again => Err(CommandError::Overloaded),
                }
            }
        };
        self.replies.push(Reply::Command { envelope, result });
        Ok(())
    }

    /// Returns what was answered to the same key, in the log or earlier in this batch.
    fn memory(&self, meta: &Meta) -> Option<Result<Receipt, CommandError>> {
        let key = meta.key.as_ref()?;
        let here = self.remembered.iter().find(|known| known.key == key.text);
        let (hash, answer) = match (self.known.get(&key.text), here) {
            (Some(known), _) => (&known.request_hash, &known.answer),
            (None, Some(here)) => (&here.request_hash, &here.answer),
            (None, None) => return None,
        };
        if *hash != key.request_hash {
            return Some(Err(CommandError::KeyReused));
        }
        let receipt = serde_json::from_value(answer.clone());
        Some(receipt.map_err(|error| CommandError::Unavailable(format!("an old receipt cannot be read: {error}"))))
    }

    fn take_facts(
        &mut self,
        open: &mut Open,
        subject: Subject,
        facts: Vec<Fact>,
        meta: &Meta,
        own: &mut Vec<usize>,
    ) -> Result<ItemOutcome, Stop> {
        match self.memory(meta) {
            Some(Ok(receipt)) => return Ok(ItemOutcome::Known(receipt)),
            Some(Err(error)) => return Ok(ItemOutcome::Refused(error)),
            None => {}
        }
        let head = open.head.offset + self.events.len() as u64;
        // A panic may leave the workspace's state half changed: then all of it comes back from the log.
        let completed = catch_unwind(AssertUnwindSafe(|| open.state.complete(head, facts)));
        let completed = match completed.map_err(|_| Stop::Panicked)? {
            Ok(completed) => completed,
            Err(rejection) => return Ok(ItemOutcome::Refused(rejection.into())),
        };
        let offset = head + completed.len() as u64;
        for (nth, Completed { fact, refs, audience }) in completed.into_iter().enumerate() {
            if fact.subject == subject {
                own.push(self.events.len());
            } else {
                self.others.push(fact.subject);
            }
            let event_offset = head + 1 + nth as u64;
            open.versions.insert(fact.subject, event_offset);
            self.events.push(Recorded {
                offset: event_offset,
                id: self.context.clock.id(),
                subject: fact.subject,
                refs,
                actor: meta.by,
                on_behalf_of: meta.on_behalf_of,
                at: meta.now,
                cause: if nth == 0 { meta.cause } else { Some(head + 1) },
                trace: meta.trace.clone(),
                audience,
                event: fact.event,
            });
        }
        if open.versions.len() > VERSIONS_MAX {
            let old = offset.saturating_sub(VERSIONS_MAX as u64);
            open.versions.retain(|_, newest| *newest > old);
        }
        let receipt = Receipt { subject, offset };
        if let Some(key) = &meta.key {
            let answer = serde_json::json!(receipt);
            self.remembered.push(Remembered { key: key.text.clone(), request_hash: key.request_hash.clone(), answer });
        }
        Ok(ItemOutcome::Committed(receipt))
    }
}
