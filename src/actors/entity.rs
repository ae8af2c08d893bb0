//! The host of one entity: a state machine, its place in the log, and the commands that wait for it.
//!
//! Commands are decided one after another on a copy, committed together, and folded in only then. A refused command
//! is answered; a stale base is caught up; an unknown outcome stops the actor, which comes back from the log. A panic
//! in `decide` fails that one command, lets the others through, and restarts the actor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    domain::{
        ids::{Subject, WorkspaceId},
        model::{Model, SNAPSHOT_SCHEMA},
    },
    persistence::log::{self, Snapshot},
};

use super::{
    context::Context,
    request::{CommandError, Envelope, Receipt},
    writer::{Intake, Item, ItemOutcome, Outcome, Proposal, ProposalError, WriterHandle},
};

/// Commands that may wait for one entity.
const INTAKE_MAX: usize = 512;
/// The most commands that are decided together.
const BATCH_MAX: usize = 64;
/// How often one command is decided again before the caller has to.
const AGAIN_MAX: u32 = 16;
/// How long the writer may take.
const WRITER_TIMEOUT: Duration = Duration::from_secs(15);
/// Events between two snapshots.
const SNAPSHOT_EVERY: u64 = 200;

/// A cheap handle on an entity.
#[derive(Clone)]
pub(super) struct EntityHandle {
    intake: mpsc::Sender<Envelope>,
    awake: Arc<AtomicBool>,
    outdated: Arc<AtomicBool>,
    actor: ActorRef<EntityMessage>,
}

impl EntityHandle {
    /// Hands a command in; gives it back when the entity is full or gone.
    pub fn hand_in(&self, envelope: Envelope) -> Result<(), mpsc::error::TrySendError<Envelope>> {
        self.intake.try_send(envelope)?;
        if !self.awake.swap(true, Ordering::AcqRel) {
            let _ = self.actor.cast(EntityMessage::Wake);
        }
        Ok(())
    }

    /// Says that someone else's command wrote events of this entity. Said before that command is answered, so that
    /// whoever heard the answer meets the new state.
    pub fn outdate(&self) {
        self.outdated.store(true, Ordering::Release);
    }

    /// Asks an idle entity to leave the memory.
    pub fn sweep(&self) {
        let _ = self.actor.cast(EntityMessage::Sweep);
    }

    /// Returns which actor it is.
    pub fn actor_id(&self) -> ractor::ActorId {
        self.actor.get_id()
    }
}

/// What an entity is told.
#[derive(RactorMessage)]
pub(super) enum EntityMessage {
    /// Something was handed in.
    Wake,
    /// Leave the memory if nothing was asked for a while.
    Sweep,
}

pub(super) struct EntityArguments {
    pub context: Arc<Context>,
    pub workspace: WorkspaceId,
    pub subject: Subject,
    pub writer: WriterHandle,
}

pub(super) struct Entity;

pub(super) struct EntityState {
    arguments: EntityArguments,
    intake: mpsc::Receiver<Envelope>,
    flags: Flags,
    loaded: Option<Loaded>,
    last_asked: Instant,
}

/// What a handle tells its entity without a message.
#[derive(Clone, Default)]
pub(super) struct Flags {
    /// A wake-up is on its way.
    awake: Arc<AtomicBool>,
    /// The log has newer events of this entity than its state.
    outdated: Arc<AtomicBool>,
}

/// A state and the last event in it.
pub(super) struct Loaded {
    pub model: Model,
    /// The last event in the state.
    pub offset: u64,
    /// The state knows every event of the entity up to this offset of the log.
    seen: u64,
    snapshot_at: u64,
}

/// Spawns an entity below its supervisor.
pub(super) async fn spawn(
    arguments: EntityArguments,
    supervisor: ractor::ActorCell,
) -> Result<EntityHandle, ractor::SpawnErr> {
    let (intake, receiver) = mpsc::channel(INTAKE_MAX);
    let flags = Flags::default();
    let (actor, _) = Actor::spawn_linked(None, Entity, (arguments, receiver, flags.clone()), supervisor).await?;
    Ok(EntityHandle { intake, awake: flags.awake, outdated: flags.outdated, actor })
}

/// Builds an entity's state from its snapshot and the log.
pub(super) async fn load(
    context: &Context,
    workspace: WorkspaceId,
    subject: Subject,
) -> Result<Option<Loaded>, log::Error> {
    let begun = std::time::Instant::now();
    let snapshot = log::load_snapshot(&context.pool, workspace, subject).await?;
    let snapshot = snapshot.filter(|snapshot| snapshot.schema == SNAPSHOT_SCHEMA);
    let saved = snapshot.and_then(|s| Some((Model::from_snapshot(subject, &s.state).ok()??, s.offset)));
    let (model, offset) = match saved {
        Some(saved) => saved,
        None => match Model::empty(subject) {
            Some(model) => (model, 0),
            None => return Ok(None),
        },
    };
    let mut loaded = Loaded { model, offset, seen: offset, snapshot_at: offset };
    loaded.catch_up(context, workspace, subject).await?;
    metrics::histogram!("link_activation_seconds", "kind" => subject.kind()).record(begun.elapsed());
    Ok(Some(loaded))
}

impl Loaded {
    async fn catch_up(
        &mut self,
        context: &Context,
        workspace: WorkspaceId,
        subject: Subject,
    ) -> Result<(), log::Error> {
        // The head is read first: whatever comes after it, a later catch-up finds.
        let head = log::head(&context.pool, workspace).await?.offset;
        for event in log::load(&context.pool, workspace, subject, self.offset).await? {
            self.model.apply(event.offset, &event.event);
            self.offset = event.offset;
        }
        self.seen = self.seen.max(head).max(self.offset);
        Ok(())
    }
}

impl Actor for Entity {
    type Msg = EntityMessage;
    type State = EntityState;
    type Arguments = (EntityArguments, mpsc::Receiver<Envelope>, Flags);

    async fn pre_start(
        &self,
        _: ActorRef<EntityMessage>,
        (arguments, intake, flags): Self::Arguments,
    ) -> Result<EntityState, ActorProcessingErr> {
        Ok(EntityState { arguments, intake, flags, loaded: None, last_asked: Instant::now() })
    }

    async fn handle(
        &self,
        myself: ActorRef<EntityMessage>,
        message: EntityMessage,
        state: &mut EntityState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EntityMessage::Wake => {
                // Acquires as well: what was handed in before a wake-up that is swallowed here has to be seen below.
                state.flags.awake.swap(false, Ordering::AcqRel);
                state.last_asked = Instant::now();
                state.work().await
            }
            EntityMessage::Sweep if state.last_asked.elapsed() >= state.arguments.context.entity_idle => {
                // Nothing more gets in; what got in is worked off; then nobody waits for this actor.
                state.intake.close();
                state.work().await?;
                state.save_snapshot();
                myself.stop(Some("idle".into()));
                Ok(())
            }
            EntityMessage::Sweep => Ok(()),
        }
    }
}

/// One command of a batch, decided or not.
enum Decided {
    /// It says nothing new, or was refused: answered when the commit of the ones before it is known.
    Answer(Envelope, Result<Receipt, CommandError>),
    /// Its events are in the proposal.
    Proposed(Envelope),
}

impl EntityState {
    #[tracing::instrument(name = "actors.entity.work", skip_all, fields(subject = %self.arguments.subject))]
    async fn work(&mut self) -> Result<(), ActorProcessingErr> {
        let EntityArguments { context, workspace, subject, .. } = &self.arguments;
        if self.loaded.is_none() {
            self.loaded = load(context, *workspace, *subject).await?;
        }
        let (mut waiting, mut panicked): (Vec<Envelope>, bool) = (vec![], false);
        loop {
            while waiting.len() < BATCH_MAX
                && let Ok(envelope) = self.intake.try_recv()
            {
                waiting.push(envelope);
            }
            if waiting.is_empty() {
                break;
            }
            waiting = self.round(waiting, &mut panicked).await?;
        }
        self.save_snapshot_if_due();
        if panicked { Err("a command panicked in decide".into()) } else { Ok(()) }
    }

    /// Decides and commits; returns what has to be decided again.
    async fn round(
        &mut self,
        waiting: Vec<Envelope>,
        panicked: &mut bool,
    ) -> Result<Vec<Envelope>, ActorProcessingErr> {
        let EntityArguments { context, workspace, subject, writer } = &self.arguments;
        let Some(loaded) = &mut self.loaded else { return Err("a workspace has no model of its own".into()) };
        if self.flags.outdated.swap(false, Ordering::AcqRel) {
            loaded.catch_up(context, *workspace, *subject).await?;
        }
        let (decided, items) = decide(*subject, loaded, waiting, panicked);
        if items.is_empty() {
            settle(decided, vec![]);
            return Ok(vec![]);
        }
        let (reply, outcome) = oneshot::channel();
        let proposal = Proposal { subject: *subject, seen: loaded.seen, items, reply };
        if writer.hand_in(Intake::Proposal(proposal)).is_err() {
            refuse(decided, &CommandError::Overloaded);
            return Ok(vec![]);
        }
        let outcome = tokio::time::timeout(WRITER_TIMEOUT, outcome).await;
        match outcome.map_err(|_| "the writer did not answer in time").and_then(|o| o.map_err(|_| "the writer stopped"))
        {
            Ok(Ok(Outcome { items, events })) => {
                for event in &events {
                    loaded.model.apply(event.recorded.offset, &event.recorded.event);
                    loaded.offset = event.recorded.offset;
                    loaded.seen = loaded.seen.max(event.recorded.offset);
                }
                Ok(settle(decided, items))
            }
            Ok(Err(ProposalError::Stale)) => {
                loaded.catch_up(context, *workspace, *subject).await?;
                Ok(again(decided.into_iter().map(|(Decided::Answer(e, _) | Decided::Proposed(e))| e)))
            }
            Ok(Err(ProposalError::Poison)) => {
                refuse(decided, &CommandError::Bug);
                Err("the database does not take what was decided".into())
            }
            Ok(Err(ProposalError::Unavailable(reason))) => {
                refuse(decided, &CommandError::Unavailable(reason.clone()));
                Err(reason.into())
            }
            Err(reason) => {
                refuse(decided, &CommandError::Unavailable(reason.into()));
                Err(reason.into())
            }
        }
    }

    fn save_snapshot_if_due(&mut self) {
        if self.loaded.as_ref().is_some_and(|loaded| loaded.offset >= loaded.snapshot_at + SNAPSHOT_EVERY) {
            self.save_snapshot();
        }
    }

    fn save_snapshot(&mut self) {
        let Some(loaded) = &mut self.loaded else { return };
        if loaded.offset == loaded.snapshot_at {
            return;
        }
        loaded.snapshot_at = loaded.offset;
        let Ok(state) = loaded.model.to_snapshot() else { return };
        let snapshot = Snapshot { offset: loaded.offset, schema: SNAPSHOT_SCHEMA, state };
        self.arguments.context.save_snapshot(self.arguments.workspace, self.arguments.subject, snapshot);
    }
}

fn decide(subject: Subject, loaded: &Loaded, waiting: Vec<Envelope>, panicked: &mut bool) -> (Vec<Decided>, Vec<Item>) {
    let mut ahead = loaded.model.clone();
    let (mut decided, mut items) = (vec![], vec![]);
    for envelope in waiting {
        let cx = envelope.meta.circumstance();
        let command = envelope.command.clone();
        let decision = catch_unwind(AssertUnwindSafe(|| ahead.decide(cx, command)));
        decided.push(match decision {
            Err(_) => {
                *panicked = true;
                tracing::error!(%subject, trace = envelope.meta.trace, "a command panicked in decide");
                metrics::counter!("link_entity_panics_total", "kind" => subject.kind()).increment(1);
                Decided::Answer(envelope, Err(CommandError::Bug))
            }
            // Whether a rejected command was done before, under its key, is for its caller to look up.
            Ok(Err(rejection)) => Decided::Answer(envelope, Err(rejection.into())),
            // Under a key even "nothing to do" is remembered: the same request hears it again, whatever comes between.
            Ok(Ok(events)) if events.is_empty() && envelope.meta.key.is_none() => {
                Decided::Answer(envelope, Ok(Receipt { subject, offset: loaded.offset, made: None }))
            }
            Ok(Ok(events)) => {
                for event in &events {
                    // No caller has seen this version: an `expected_version` cannot match it by chance.
                    ahead.apply(loaded.offset + items.len() as u64 + 1, event);
                }
                items.push(Item { events, meta: envelope.meta.clone() });
                Decided::Proposed(envelope)
            }
        });
    }
    (decided, items)
}

/// Answers what is known now; returns what has to be decided again.
fn settle(decided: Vec<Decided>, outcomes: Vec<ItemOutcome>) -> Vec<Envelope> {
    let (mut outcomes, mut waiting, mut broken) = (outcomes.into_iter(), vec![], false);
    for decision in decided {
        match decision {
            // It was decided on a state that did not come about.
            Decided::Answer(envelope, _) if broken => waiting.push(envelope),
            Decided::Answer(envelope, result) => envelope.answer(result),
            Decided::Proposed(envelope) => match outcomes.next() {
                Some(ItemOutcome::Committed(receipt)) => envelope.answer(Ok(receipt)),
                Some(ItemOutcome::Known(receipt)) => {
                    broken = true;
                    envelope.answer(Ok(receipt));
                }
                Some(ItemOutcome::Refused(error)) => {
                    broken = true;
                    envelope.answer(Err(error));
                }
                Some(ItemOutcome::Again) | None => waiting.push(envelope),
            },
        }
    }
    again(waiting)
}

fn again(envelopes: impl IntoIterator<Item = Envelope>) -> Vec<Envelope> {
    let mut waiting = vec![];
    for mut envelope in envelopes {
        envelope.again += 1;
        if envelope.again > AGAIN_MAX {
            envelope.answer(Err(CommandError::Overloaded));
        } else {
            waiting.push(envelope);
        }
    }
    waiting
}

fn refuse(decided: Vec<Decided>, error: &CommandError) {
    for Decided::Answer(envelope, _) | Decided::Proposed(envelope) in decided {
        envelope.answer(Err(error.clone()));
    }
}
