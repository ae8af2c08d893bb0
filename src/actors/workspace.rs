//! The way to one workspace's actors: a handle that delivers commands, and the table of who is there.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use ractor::{ActorId, ActorRef};
use tokio::sync::{Notify, mpsc::error::TrySendError, oneshot, watch};

use crate::{
    domain::{
        event::{ConversationEvent, Event, TaskEvent},
        ids::*,
        model::{Command, Model},
        principal::Principal,
        task::{Report, TaskCommand},
        workspace::{Running, Schedule},
    },
    persistence::log,
};

use super::{
    conductor::ConductorMessage,
    context::Context,
    documents::DocumentHandle,
    entity::{self, EntityHandle},
    feed::Committed,
    request::{CommandError, Envelope, Key, Meta, Receipt},
    run::RunMessage,
    supervisor::SupervisorMessage,
    turn,
    writer::{Intake, WriterHandle},
};

/// How long a caller waits before the outcome counts as unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The actors of a workspace, by what they are.
pub(super) struct Members {
    pub writer: OnceLock<WriterHandle>,
    pub conductor: OnceLock<ActorRef<ConductorMessage>>,
    pub entities: DashMap<Subject, EntityHandle>,
    pub runs: DashMap<TaskId, Vec<(AttemptId, ActorRef<RunMessage>)>>,
    /// Wakes the courier of each webhook.
    pub couriers: DashMap<WebhookId, Arc<Notify>>,
    /// The host of each document that is in use.
    pub documents: DashMap<DocumentId, (ActorId, DocumentHandle)>,
    pub turns: DashMap<TurnId, (ConversationId, ActorRef<RunMessage>)>,
    /// When each instance was last asked whether it lives.
    pub asked: DashMap<InstanceId, DateTime<Utc>>,
    /// What the writer says of agents, the queue and what runs.
    pub schedule: watch::Receiver<Arc<Schedule>>,
}

impl Members {
    /// Lets the conductor look at the schedule.
    pub fn look(&self) {
        if let Some(conductor) = self.conductor.get() {
            let _ = conductor.cast(ConductorMessage::Look);
        }
    }

    /// Tells runs what was decided about their task and what is said about it, and turns about their conversation.
    pub fn tell_sessions(&self, event: &Arc<Committed>) {
        let recorded = &event.recorded;
        if let Subject::Conversation(conversation) = recorded.subject
            && turn::concerns(event)
        {
            for known in self.turns.iter().filter(|known| known.0 == conversation) {
                let _ = known.1.cast(RunMessage::Decided(event.clone()));
            }
        }
        let task = match (recorded.subject, &recorded.event) {
            (
                Subject::Task(task),
                Event::Task(
                    TaskEvent::DelegationCancelling { .. }
                    | TaskEvent::InterruptResolved { .. }
                    | TaskEvent::AttemptSuperseded { .. },
                ),
            ) => Some(task),
            (_, Event::Conversation(ConversationEvent::Message { .. })) => {
                recorded.refs.iter().find_map(|about| match about {
                    Subject::Task(task) => Some(*task),
                    _ => None,
                })
            }
            _ => None,
        };
        if let Some(runs) = task.and_then(|task| self.runs.get(&task)) {
            for (_, actor) in runs.iter() {
                let _ = actor.cast(RunMessage::Decided(event.clone()));
            }
        }
    }

    /// Tells an entity in memory that someone else's command wrote events of it.
    pub fn outdate(&self, subject: Subject) {
        if let Some(entity) = self.entities.get(&subject) {
            entity.outdate();
        }
    }

    /// Tells couriers that the log has grown, or their outbox.
    pub fn wake_couriers(&self) {
        self.couriers.iter().for_each(|courier| courier.notify_one());
    }

    /// Tells whether an attempt has its actor.
    pub fn has_run(&self, task: TaskId, attempt: AttemptId) -> bool {
        self.run(task, attempt).is_some()
    }

    /// Returns the actor of an attempt.
    pub fn run(&self, task: TaskId, attempt: AttemptId) -> Option<ActorRef<RunMessage>> {
        let runs = self.runs.get(&task)?;
        runs.iter().find(|(id, _)| *id == attempt).map(|(_, actor)| actor.clone())
    }
}

/// An actor that can be made to panic: how tests see what a bug would do.
#[derive(Clone, Copy, Debug)]
pub enum Hurt {
    /// That of an attempt.
    Run(TaskId, AttemptId),
    /// That which asks an instance whether it lives.
    Probe(InstanceId),
}

/// A cheap handle on a workspace.
#[derive(Clone)]
pub struct WorkspaceHandle {
    pub(super) id: WorkspaceId,
    pub(super) context: Arc<Context>,
    pub(super) members: Arc<Members>,
    pub(super) supervisor: ActorRef<SupervisorMessage>,
}

impl WorkspaceHandle {
    /// Has a command decided and committed.
    #[tracing::instrument(name = "actors.workspace.execute", skip_all, fields(workspace = %self.id, %subject, trace = meta.trace))]
    pub async fn execute(&self, subject: Subject, command: Command, meta: Meta) -> Result<Receipt, CommandError> {
        let begun = std::time::Instant::now();
        let result = self.deliver(subject, command, Arc::new(meta)).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(CommandError::Rejected(_) | CommandError::KeyReused) => "rejected",
            Err(CommandError::Overloaded) => "overloaded",
            Err(CommandError::Unavailable(_)) => "unavailable",
            Err(CommandError::Bug) => "bug",
        };
        metrics::counter!("link_commands_total", "kind" => subject.kind(), "outcome" => outcome).increment(1);
        metrics::histogram!("link_command_seconds", "kind" => subject.kind()).record(begun.elapsed());
        result
    }

    async fn deliver(&self, subject: Subject, command: Command, meta: Arc<Meta>) -> Result<Receipt, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(subject, Envelope { command, meta: meta.clone(), reply, again: 0 }).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        let unknown =
            |why: &str| CommandError::Unavailable(format!("{why}; whether it took effect, the same key tells"));
        let result = answer.map_err(|_| unknown("no answer in time"))?.map_err(|_| unknown("the entity stopped"))?;
        match (result, &meta.key) {
            // What was done under this key may be why the state says no by now.
            (Err(CommandError::Rejected(rejection)), Some(key)) => {
                self.remembered(key).await?.unwrap_or(Err(CommandError::Rejected(rejection)))
            }
            (result, _) => result,
        }
    }

    /// Returns what a command with this key was answered before.
    pub(super) async fn remembered(&self, key: &Key) -> Result<Option<Result<Receipt, CommandError>>, CommandError> {
        let known = log::recall(&self.context.pool, self.id, std::slice::from_ref(&key.text))
            .await
            .map_err(|error| CommandError::Unavailable(error.to_string()))?;
        let Some(memory) = known.get(&key.text) else { return Ok(None) };
        if memory.request_hash != key.request_hash {
            return Ok(Some(Err(CommandError::KeyReused)));
        }
        Ok(serde_json::from_value(memory.answer.clone()).ok().map(Ok))
    }

    async fn hand_in(&self, subject: Subject, envelope: Envelope) -> Result<(), CommandError> {
        if let Subject::Workspace(_) = subject {
            let writer = self.members.writer.get().ok_or_else(|| gone("the workspace is stopping"))?;
            return writer.hand_in(Intake::Command(envelope)).map_err(|error| match error {
                TrySendError::Full(_) => CommandError::Overloaded,
                TrySendError::Closed(_) => gone("the workspace is stopping"),
            });
        }
        let mut envelope = envelope;
        let mut replacing = None;
        // An entity that is leaving gives the command back; the next activation takes it.
        for _ in 0..8 {
            let entity = self.entity(subject, replacing).await?;
            match entity.hand_in(envelope) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(CommandError::Overloaded),
                Err(TrySendError::Closed(back)) => {
                    envelope = back;
                    replacing = Some(entity.actor_id());
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        Err(gone("the entity keeps leaving"))
    }

    async fn entity(&self, subject: Subject, replacing: Option<ActorId>) -> Result<EntityHandle, CommandError> {
        if let Some(known) = self.members.entities.get(&subject)
            && Some(known.actor_id()) != replacing
        {
            return Ok(known.clone());
        }
        let ask = |reply| SupervisorMessage::Activate(subject, replacing, reply);
        let answer = ractor::call_t!(self.supervisor, ask, 5_000).map_err(|error| gone(&error.to_string()))?;
        answer.map_err(CommandError::Unavailable)
    }

    /// Finds the host of a document, or starts it.
    pub async fn document(&self, id: DocumentId) -> Result<DocumentHandle, CommandError> {
        if let Some(known) = self.members.documents.get(&id).filter(|known| known.1.is_open()) {
            return Ok(known.1.clone());
        }
        let ask = |reply| SupervisorMessage::Open(id, reply);
        let answer = ractor::call_t!(self.supervisor, ask, 5_000).map_err(|error| gone(&error.to_string()))?;
        answer.map_err(CommandError::Unavailable)
    }

    /// Lets one of the workspace's actors panic.
    pub fn hurt(&self, which: Hurt) {
        // A workspace that is stopping has none left.
        let _ = self.supervisor.cast(SupervisorMessage::Hurt(which));
    }

    /// Lets webhooks look for what is due.
    pub fn wake_couriers(&self) {
        self.members.wake_couriers();
    }

    /// Reads an entity's newest committed state without waking its actor.
    pub(super) async fn peek(&self, subject: Subject) -> Result<Option<Model>, log::Error> {
        Ok(entity::load(&self.context, self.id, subject).await?.map(|loaded| loaded.model))
    }

    /// Has a report of an attempt decided, as the agent's own act.
    pub(super) async fn report(
        &self,
        running: &Running,
        key: Option<String>,
        report: Report,
    ) -> Result<Receipt, CommandError> {
        let command = TaskCommand::Report { attempt: running.attempt, fence: running.fence, report };
        let meta = self.meta(Principal::Agent(running.agent), key);
        self.execute(Subject::Task(running.task), Command::Task(Box::new(command)), meta).await
    }

    /// Makes the circumstances of something that Link does by itself.
    pub(super) fn meta(&self, by: Principal, key: Option<String>) -> Meta {
        let trace: uuid::Uuid = self.context.clock.id();
        Meta {
            by,
            on_behalf_of: None,
            now: self.context.clock.now(),
            key: key.map(Key::internal),
            trace: trace.simple().to_string(),
            cause: None,
            made: None,
        }
    }
}

fn gone(why: &str) -> CommandError {
    CommandError::Unavailable(format!("{why}: nothing was done, try again"))
}
