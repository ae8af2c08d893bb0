//! The actor of one turn: an agent that answers a message, through its runtime and without a task. It may be killed at
//! any await: the next one finds the run again by its bookmark, and the answer is posted under one key.
//!
//! A turn has nobody who could approve anything. What the agent asks leave for is refused, with the hint that a task
//! is the place for it; what it asks in words is its answer, and the next message answers that.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agents::{self, Activity, Assignment, Control, Failure, Outcome},
    domain::{
        conversation::{ConversationCommand, Current, Part, StopReason, TurnReport},
        event::{ConversationEvent, Event},
        failure::FailureClass,
        ids::{AttemptId, DelegationId, Subject, TaskId, UserId},
        model::{Command, Model},
        principal::{Principal, Service},
        run::{InterruptKind, Usage},
        session::SessionCommand,
        text::{Words, scrubbed},
        workspace::{Runner, RunningTurn, Schedule},
    },
};

use super::{
    driving::{self, Standing, patiently},
    feed::Committed,
    liveness::LOOK_EVERY,
    prompt,
    run::RunMessage,
    workspace::WorkspaceHandle,
};

/// How long an answer may take, from when the agent is asked: what takes longer is a task.
const ANSWER_MAX: TimeDelta = TimeDelta::minutes(10);
/// How long a stopped agent may take; then the turn ends without it.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// A turn is begun once.
const FENCE: u64 = 1;
/// The longest answer that is kept, in characters; a longer one is cut.
const ANSWER_LENGTH_MAX: usize = 4 * PIECE_LENGTH_MAX;
/// The longest piece of an answer.
const PIECE_LENGTH_MAX: usize = 65_536;

pub(super) struct TurnArguments {
    pub handle: WorkspaceHandle,
    pub running: RunningTurn,
    pub schedule: Arc<Schedule>,
}

pub(super) struct Turn;

pub(super) struct TurnState {
    handle: WorkspaceHandle,
    running: RunningTurn,
    /// `None` when the instance was removed meanwhile.
    runner: Option<Runner>,
    name: String,
    control: Option<mpsc::Sender<Control>>,
    /// Dropped with the actor: a killed actor leaves no driver behind.
    driver: Option<AbortOnDropHandle<()>>,
    asker: Option<UserId>,
    audience: Option<Vec<Principal>>,
    stopping: bool,
    asked_at: DateTime<Utc>,
    /// It is being stopped because it takes too long.
    overdue: bool,
    /// Nobody shall see what it writes any more.
    hidden: bool,
    /// The answer as far as it is written, and its length.
    text: String,
    length: usize,
    usage: Usage,
}

/// Spawns a turn below the workspace's supervisor.
pub(super) async fn spawn(
    arguments: TurnArguments,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<RunMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Turn, arguments, supervisor).await?;
    Ok(actor)
}

impl Actor for Turn {
    type Msg = RunMessage;
    type State = TurnState;
    type Arguments = TurnArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RunMessage>,
        TurnArguments { handle, running, schedule }: TurnArguments,
    ) -> Result<TurnState, ActorProcessingErr> {
        myself.send_interval(LOOK_EVERY, || RunMessage::Tick);
        let asked_at = handle.context.clock.now();
        let runner = schedule.runner(running.agent, running.instance).cloned();
        let name = agent_name(&schedule, &running);
        Ok(TurnState {
            handle,
            running,
            runner,
            name,
            control: None,
            driver: None,
            asker: None,
            audience: None,
            stopping: false,
            asked_at,
            overdue: false,
            hidden: false,
            text: String::new(),
            length: 0,
            usage: Usage::default(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RunMessage>,
        message: RunMessage,
        state: &mut TurnState,
    ) -> Result<(), ActorProcessingErr> {
        let standing = match message {
            RunMessage::Start => state.start(&myself).await?,
            RunMessage::Reported(report, done) => {
                let standing = state.reported(&myself, report).await?;
                if !done.is_closed() {
                    let _ = done.send(());
                }
                standing
            }
            RunMessage::Ended(result) => state.ended(result).await?,
            RunMessage::Decided(event) => state.decided(&myself, &event).await,
            RunMessage::GraceOver => state.ended(Ok(Outcome::Cancelled)).await?,
            // Only attempts are looked at again; whoever asks sees that the reply is dropped.
            RunMessage::Tick => state.look(&myself).await,
            RunMessage::LookAgain(_) | RunMessage::Progress | RunMessage::Panic => Standing::Holds,
        };
        if standing == Standing::Over {
            myself.stop(None);
        }
        Ok(())
    }
}

/// However it ends, nothing is being written any more.
impl Drop for TurnState {
    fn drop(&mut self) {
        self.handle.context.feed.written(self.handle.id, (&self.running).into());
    }
}

impl TurnState {
    #[tracing::instrument(name = "actors.turn.start", skip_all, fields(turn = %self.running.turn))]
    async fn start(&mut self, myself: &ActorRef<RunMessage>) -> Result<Standing, ActorProcessingErr> {
        let subject = Subject::Conversation(self.running.conversation);
        let Some(Model::Conversation(_, conversation)) = self.handle.peek(subject).await? else {
            return Ok(Standing::Over);
        };
        let current = conversation.current(self.running.agent).filter(|known| known.turn.turn == self.running.turn);
        let Some(current) = current.cloned() else { return Ok(Standing::Over) };
        self.asker = current.turn.asker.user();
        self.audience = conversation.audience();
        // The database passes; then the next actor of this turn finds the way.
        let way = driving::way(&self.handle.context, self.running.instance, self.runner.as_ref()).await?;
        let (runtime, endpoint) = match way {
            Ok(way) => way,
            Err(none) => return self.failed(FailureClass::Misconfigured, &none.to_string()).await,
        };
        let bookmark = driving::bookmark(&self.handle, self.attempt()).await?;
        let work = self.work(&current).await?;
        let (driver, control) = driving::start(runtime, endpoint, work, bookmark, myself.clone());
        (self.driver, self.control) = (Some(driver), Some(control));
        if current.stopping.is_some() {
            self.stop(myself).await;
        }
        Ok(Standing::Holds)
    }

    /// A turn is to a driver what an attempt is: its names are made of the turn's.
    async fn work(&self, current: &Current) -> Result<Assignment, ActorProcessingErr> {
        let RunningTurn { turn, conversation, agent, .. } = &self.running;
        Ok(Assignment {
            attempt: self.attempt(),
            fence: FENCE,
            delegation: DelegationId(turn.0),
            task: TaskId(conversation.0),
            workspace: self.handle.id,
            on_behalf_of: self.asker.unwrap_or(UserId(uuid::Uuid::nil())),
            prompt: prompt::of(&self.handle.context.tenant(self.handle.id), *conversation, *agent, &self.name, current)
                .await?,
        })
    }

    fn attempt(&self) -> AttemptId {
        AttemptId(self.running.turn.0)
    }

    async fn reported(
        &mut self,
        myself: &ActorRef<RunMessage>,
        report: agents::Report,
    ) -> Result<Standing, ActorProcessingErr> {
        match report.activity {
            Activity::Delta { text } => self.written(&text),
            Activity::Accepted { remote } => return self.remember(SessionCommand::Bind(scrubbed(remote))).await,
            Activity::Cursor(cursor) => return self.remember(SessionCommand::Follow(scrubbed(cursor))).await,
            Activity::Usage(usage) => {
                let most = i64::MAX as u64;
                let (input_tokens, output_tokens) = (usage.input_tokens.min(most), usage.output_tokens.min(most));
                self.usage = self.usage.grown_to(Usage { input_tokens, output_tokens, ..usage });
            }
            Activity::Interrupt { kind: InterruptKind::Question, prompt, .. } if !self.stopping => {
                self.written(&format!("\n{prompt}"));
                self.answered(self.text.clone()).await?;
                // The actor stays until the agent has stopped; how it does no longer matters.
                self.stop(myself).await;
            }
            Activity::Interrupt { key, .. } => {
                let message = "nobody can approve this in a conversation: ask for a task, as in /penguin TITLE";
                self.tell(Control::Answer { key, answer: json!({"approve": false, "message": message}) }).await;
            }
            // What was made stays with the agent; what it says of it is in its answer.
            Activity::Progress { .. } | Activity::Tool { .. } | Activity::Artifact(_) => {}
            Activity::InterruptClosed { .. } => {}
            Activity::Settled(mark) => mark.reach(),
        }
        Ok(Standing::Holds)
    }

    /// Shows the next piece of the answer to those who listen, and the whole to those who begin to.
    fn written(&mut self, piece: &str) {
        if self.hidden || self.length >= ANSWER_LENGTH_MAX {
            return;
        }
        let piece = piece.replace('\0', "");
        self.text.push_str(&piece);
        self.length += piece.chars().count();
        self.handle.context.feed.write(self.handle.id, (&self.running).into(), &piece, self.audience.as_deref());
    }

    async fn decided(&mut self, myself: &ActorRef<RunMessage>, event: &Committed) -> Standing {
        match &event.recorded.event {
            Event::Conversation(ConversationEvent::TurnStopping { turn, why, .. }) if *turn == self.running.turn => {
                if *why != StopReason::Interrupted {
                    self.hidden = true;
                    self.handle.context.feed.unwritten(self.handle.id, (&self.running).into());
                }
                self.stop(myself).await;
            }
            // Who left hears no more of it, who came does.
            Event::Conversation(_) if self.audience.is_some() => self.audience.clone_from(&event.recorded.audience),
            _ => {}
        }
        Standing::Holds
    }

    /// Looks whether it takes too long.
    async fn look(&mut self, myself: &ActorRef<RunMessage>) -> Standing {
        if !self.stopping && self.handle.context.clock.now() - self.asked_at >= ANSWER_MAX {
            self.overdue = true;
            self.stop(myself).await;
        }
        Standing::Holds
    }

    async fn stop(&mut self, myself: &ActorRef<RunMessage>) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.tell(Control::Cancel).await;
        myself.send_after(CANCEL_GRACE, || RunMessage::GraceOver);
    }

    async fn tell(&self, control: Control) {
        let Some(driver) = &self.control else { return };
        // A driver that has ended needs no telling; its end is on the way.
        let _ = tokio::time::timeout(Duration::from_secs(1), driver.send(control)).await;
    }

    async fn ended(&mut self, result: Result<Outcome, Failure>) -> Result<Standing, ActorProcessingErr> {
        match result {
            Ok(Outcome::Submitted { text, .. }) if !text.trim().is_empty() => self.answered(text).await,
            Ok(Outcome::Submitted { .. }) => self.failed(FailureClass::EvidenceMissing, "it said nothing").await,
            Ok(Outcome::Cancelled) if self.overdue => {
                let reason = format!("it took longer than {} minutes; what does is a task", ANSWER_MAX.num_minutes());
                self.failed(FailureClass::Silent, &reason).await
            }
            Ok(Outcome::Cancelled) if self.stopping => {
                let (message, parts) = (self.handle.context.clock.id(), pieces(&self.text));
                self.end(Principal::Agent(self.running.agent), TurnReport::Stopped { message, parts }).await
            }
            Ok(Outcome::Cancelled) => self.failed(FailureClass::Unknown, "it was stopped on its own server").await,
            Err(failure) => self.failed(failure.class, &failure.message).await,
        }
    }

    async fn answered(&self, text: String) -> Result<Standing, ActorProcessingErr> {
        let (message, parts) = (self.handle.context.clock.id(), pieces(&text));
        self.end(Principal::Agent(self.running.agent), TurnReport::Answered { message, parts }).await
    }

    async fn failed(&self, class: FailureClass, reason: &str) -> Result<Standing, ActorProcessingErr> {
        let mut report = failure(&self.handle, &self.name, class, reason);
        if let TurnReport::Failed { parts, .. } = &mut report {
            // As far as it got.
            parts.extend(pieces(&self.text));
        }
        self.end(Principal::Service(Service::Conductor), report).await
    }

    /// One key for all ends: whichever comes first counts.
    async fn end(&self, by: Principal, report: TurnReport) -> Result<Standing, ActorProcessingErr> {
        let RunningTurn { turn, agent, conversation, .. } = self.running;
        let command = ConversationCommand::EndTurn { turn, agent, usage: self.usage, report };
        let mut meta = self.handle.meta(by, Some(format!("turn:{turn}:ended")));
        meta.on_behalf_of = self.asker.map(Principal::User);
        let subject = Subject::Conversation(conversation);
        // The rest of it comes before its end.
        self.handle.context.feed.written(self.handle.id, (&self.running).into());
        patiently(|| self.handle.execute(subject, Command::Conversation(command.clone()), meta.clone())).await?;
        Ok(Standing::Over)
    }

    async fn remember(&self, command: SessionCommand) -> Result<Standing, ActorProcessingErr> {
        let subject = Subject::Session(self.attempt());
        let meta = self.handle.meta(Principal::Agent(self.running.agent), None);
        patiently(|| self.handle.execute(subject, Command::Session(command.clone()), meta.clone())).await
    }
}

/// Says in the conversation why there is no answer, and what to do.
pub(super) fn failure(handle: &WorkspaceHandle, name: &str, class: FailureClass, reason: &str) -> TurnReport {
    let next = match class {
        FailureClass::Misconfigured | FailureClass::ProviderAuth => "Check the agent's server and its credentials",
        FailureClass::ProviderQuota | FailureClass::BudgetExhausted => "Give it more budget",
        FailureClass::PermissionDenied | FailureClass::Refused | FailureClass::AgentBlocked => "Say it differently",
        class if class.retryable() => "Try it once more",
        _ => "See what its server says",
    };
    let reason: String = reason.replace('\0', "").chars().take(2_000).collect();
    let text = format!("{name} could not answer: {reason}. {next}, then ask again.");
    let parts = vec![Part::Text { text: Words::fitted(&text) }];
    TurnReport::Failed { message: handle.context.clock.id(), parts, class, reason }
}

/// Cuts a text into parts that fit.
fn pieces(text: &str) -> Vec<Part> {
    let text: Vec<char> = text.replace('\0', "").trim().chars().take(ANSWER_LENGTH_MAX).collect();
    let pieces = text.chunks(PIECE_LENGTH_MAX).map(|piece| piece.iter().collect::<String>());
    pieces.filter_map(|piece| Words::new(piece).ok()).map(|text| Part::Text { text }).collect()
}

/// Gives up a turn that nothing will come of.
pub(super) async fn give_up(
    handle: &WorkspaceHandle,
    turn: &RunningTurn,
    name: &str,
    class: FailureClass,
    reason: &str,
) -> Result<(), super::request::CommandError> {
    let report = failure(handle, name, class, reason);
    let command = ConversationCommand::EndTurn { turn: turn.turn, agent: turn.agent, usage: Usage::default(), report };
    let meta = handle.meta(Principal::Service(Service::Conductor), Some(format!("turn:{}:ended", turn.turn)));
    handle.execute(Subject::Conversation(turn.conversation), Command::Conversation(command), meta).await.map(|_| ())
}

/// Whether an event can concern a turn that runs in its conversation.
pub(super) fn concerns(event: &Arc<Committed>) -> bool {
    use ConversationEvent as E;
    matches!(
        event.recorded.event,
        Event::Conversation(E::TurnStopping { .. } | E::ParticipantAdded { .. } | E::ParticipantRemoved { .. })
    )
}

/// An agent is known by its name; one that is gone still answers for what it was asked.
pub(super) fn agent_name(schedule: &Schedule, turn: &RunningTurn) -> String {
    schedule.name(turn.agent).map_or_else(|| "The agent".to_owned(), ToString::to_string)
}
