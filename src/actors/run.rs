//! The actor of one running attempt: drives the agent, turns what it reports into commands, and tells it what people
//! decided. It may be killed at any await: the next one finds the run again by its bookmark, and reports that were
//! committed before are recognised by their keys.

mod asking;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::RactorMessage;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agents::{self, Activity, Control, Failure, Outcome},
    domain::{
        checkpoint::CheckpointReason,
        event::{ConversationEvent, Event, TaskEvent},
        failure::FailureClass,
        ids::{InterruptId, Subject},
        model::Model,
        principal::Principal,
        run::Usage,
        session::SessionCommand,
        task::{Report, SessionState},
        text::{Prose, scrubbed},
        workspace::{Runner, Running},
    },
};

use super::{
    driving::{self, Standing},
    feed::Committed,
    liveness::{LOOK_EVERY, Liveness},
    output::Output,
    packing,
    progress::Told,
    stopping::handed_in,
    workspace::WorkspaceHandle,
};

/// How long a stopped agent may take; then the attempt ends without it.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// What a run is told.
#[derive(RactorMessage)]
pub(super) enum RunMessage {
    /// Find the run or start it.
    Start,
    /// The agent did something.
    Reported(agents::Report, RpcReplyPort<()>),
    /// The run is over.
    Ended(Result<Outcome, Failure>),
    /// Leave the driver and start another one, which asks the instance what became of the run. The reply is kept until
    /// this actor ends, and with it the attempt.
    LookAgain(RpcReplyPort<()>),
    /// Something was decided about the task.
    Decided(Arc<Committed>),
    /// The progress that was held back is due.
    Progress,
    /// The agent did not stop in time.
    GraceOver,
    /// Time passed: see whether it still moves.
    Tick,
    /// Panic: how tests see what a bug would do.
    Panic,
}

pub(super) struct RunArguments {
    pub handle: WorkspaceHandle,
    pub running: Running,
    /// `None` when the instance was removed meanwhile.
    pub runner: Option<Runner>,
}

pub(super) struct Run;

pub(super) struct RunState {
    pub(super) handle: WorkspaceHandle,
    pub(super) running: Running,
    pub(super) runner: Option<Runner>,
    pub(super) control: Option<mpsc::Sender<Control>>,
    /// Dropped with the actor: a killed actor leaves no driver behind.
    pub(super) driver: Option<AbortOnDropHandle<()>>,
    pub(super) questions: HashMap<InterruptId, String>,
    pub(super) stopping: Stopping,
    /// When progress was told lately, and what is held back since.
    pub(super) progress: Told,
    pub(super) output: Output,
    pub(super) liveness: Liveness,
    /// How often the instance was asked about a run that is to be stopped.
    pub(super) asked_to_stop: u32,
    /// Who waits for this actor's end.
    waiting: Vec<RpcReplyPort<()>>,
}

/// Whether, and why, the run has to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopping {
    No,
    /// A person cancelled: the end is reported.
    Cancelled,
    /// The attempt no longer holds the delegation: nobody wants to hear its end.
    Superseded,
}

/// Spawns a run below the workspace's supervisor.
pub(super) async fn spawn(
    arguments: RunArguments,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<RunMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Run, arguments, supervisor).await?;
    Ok(actor)
}

impl Actor for Run {
    type Msg = RunMessage;
    type State = RunState;
    type Arguments = RunArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RunMessage>,
        RunArguments { handle, running, runner }: RunArguments,
    ) -> Result<RunState, ActorProcessingErr> {
        myself.send_interval(LOOK_EVERY, || RunMessage::Tick);
        let liveness = Liveness::new(handle.context.clock.now());
        Ok(RunState {
            handle,
            running,
            runner,
            control: None,
            driver: None,
            questions: HashMap::new(),
            stopping: Stopping::No,
            progress: Told::default(),
            output: Output::default(),
            liveness,
            asked_to_stop: 0,
            waiting: vec![],
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RunMessage>,
        message: RunMessage,
        state: &mut RunState,
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
            RunMessage::LookAgain(reply) => state.look_again(&myself, reply).await?,
            RunMessage::Decided(event) => state.decided(&myself, &event).await?,
            RunMessage::Progress => state.tell_progress().await?,
            RunMessage::GraceOver if state.stopping == Stopping::Superseded => state.release(false, None).await?,
            RunMessage::Tick => state.look_alive().await?,
            RunMessage::Panic => panic!("asked to panic"),
            RunMessage::GraceOver => state.ended(Ok(Outcome::Cancelled)).await?,
        };
        if standing == Standing::Over {
            state.settle();
            myself.stop(None);
        }
        Ok(())
    }
}

impl RunState {
    #[tracing::instrument(name = "actors.run.start", skip_all, fields(attempt = %self.running.attempt))]
    async fn start(&mut self, myself: &ActorRef<RunMessage>) -> Result<Standing, ActorProcessingErr> {
        let Some(Model::Task(_, task)) = self.handle.peek(Subject::Task(self.running.task)).await? else {
            return Ok(Standing::Over);
        };
        let Some(session) = task.session_state(self.running.attempt) else {
            let left = task.is_stopping(self.running.attempt);
            return if left { self.stop_what_is_left(myself).await } else { Ok(Standing::Over) };
        };
        if self.driver.is_none() && session.nudges.count > 0 {
            self.liveness.restore(&self.handle, &self.running).await?;
        }
        // The database passes; then the next actor of this run finds the way.
        let way = driving::way(&self.handle.context, self.running.instance, self.runner.as_ref()).await?;
        let (runtime, endpoint) = match way {
            Ok(way) => way,
            Err(none) => return self.failed(FailureClass::Misconfigured, &none.to_string()).await,
        };
        let bookmark = driving::bookmark(&self.handle, self.running.attempt).await?;
        let packed = packing::packed(&self.handle, &self.running).await?;
        if self.remember(packing::noted(&packed)).await? == Standing::Over {
            return Ok(Standing::Over);
        }
        self.checkpoint(CheckpointReason::AttemptStarted).await;
        let work = driving::assignment(&self.handle, &self.running, session.delegator, packed.text);
        let (driver, control) = driving::start(runtime, endpoint, work, bookmark, myself.clone());
        self.driver = Some(driver);
        self.control = Some(control);
        self.deliver_what_waited(myself, &session).await
    }

    async fn look_again(
        &mut self,
        myself: &ActorRef<RunMessage>,
        reply: RpcReplyPort<()>,
    ) -> Result<Standing, ActorProcessingErr> {
        self.waiting.retain(|waiting| !waiting.is_closed());
        self.waiting.push(reply);
        // A run that is being stopped ends by itself, soon.
        if self.stopping != Stopping::No {
            return Ok(Standing::Holds);
        }
        self.end_text();
        self.output = Output::default();
        self.start(myself).await
    }

    async fn deliver_what_waited(
        &mut self,
        myself: &ActorRef<RunMessage>,
        session: &SessionState,
    ) -> Result<Standing, ActorProcessingErr> {
        // A lapsed question has no name at the instance until it is asked anew.
        let asked = || session.interrupts.iter().filter(|(_, interrupt)| !interrupt.lapsed);
        self.questions.extend(asked().map(|(id, interrupt)| (*id, interrupt.key.clone())));
        if session.cancelling {
            self.stop(myself, Stopping::Cancelled).await;
        }
        for (id, interrupt) in asked() {
            if let Some(answer) = &interrupt.answer
                && self.deliver(*id, answer.clone()).await? == Standing::Over
            {
                return Ok(Standing::Over);
            }
        }
        Ok(Standing::Holds)
    }

    async fn reported(
        &mut self,
        myself: &ActorRef<RunMessage>,
        report: agents::Report,
    ) -> Result<Standing, ActorProcessingErr> {
        if self.stopping == Stopping::Superseded {
            return self.too_late(report.activity).await;
        }
        let (id, circle) = (report.id, self.moved(&report.activity));
        match report.activity {
            Activity::Delta { text } => {
                let due = self.output.grow(&text);
                self.handle.context.feed.write(self.handle.id, (&self.running).into(), &text, None);
                if due { self.keep_output().await } else { Ok(Standing::Holds) }
            }
            Activity::Accepted { remote } => {
                self.remember(SessionCommand::Bind(scrubbed(remote))).await?;
                self.commit(Some("accepted".into()), Report::Accepted).await
            }
            Activity::Settled(mark) => {
                mark.reach();
                Ok(Standing::Holds)
            }
            Activity::Cursor(cursor) => self.remember(SessionCommand::Follow(scrubbed(cursor))).await,
            Activity::Progress { percent, phase, message } => {
                self.progressed(myself, id, Report::Progress { percent, phase, message }).await
            }
            Activity::Tool { tool, ok, summary } => {
                let standing = self.commit(id, Report::Tool { tool, ok, summary }).await?;
                match circle {
                    Some(how) if standing == Standing::Holds => self.circles(&how).await,
                    _ => Ok(standing),
                }
            }
            Activity::Artifact(produced) => self.commit(id, Report::Artifact(self.made(produced))).await,
            Activity::Interrupt { key, kind, prompt, details } => self.asked(key, kind, prompt, details).await,
            Activity::InterruptClosed { key } => {
                // Nobody waits for an answer under this name any more.
                self.questions.retain(|_, known| *known != key);
                self.commit(id, Report::Withdrawn { key }).await
            }
            Activity::Usage(usage) => {
                // What no agent can have used is a mistake of the agent's; more than this no database counts.
                let most = i64::MAX as u64;
                let (input_tokens, output_tokens) = (usage.input_tokens.min(most), usage.output_tokens.min(most));
                self.commit(id, Report::Usage(Usage { input_tokens, output_tokens, ..usage })).await
            }
        }
    }

    async fn ended(&mut self, result: Result<Outcome, Failure>) -> Result<Standing, ActorProcessingErr> {
        if self.stopping == Stopping::Superseded {
            return self.release(result.is_ok(), handed_in(result)).await;
        }
        if !matches!(result, Ok(Outcome::Submitted { .. })) && self.keep_output().await? == Standing::Over {
            return Ok(Standing::Over);
        }
        self.end_text();
        self.tell_progress().await?;
        let report = match result {
            Ok(Outcome::Submitted { text, .. }) => {
                let artifact = self.handle.context.clock.id();
                Report::Submitted { text: Prose::fitted(&text), artifact }
            }
            Ok(Outcome::Cancelled) => Report::Stopped,
            Err(Failure { class, message, retry_after }) => {
                let retry_after_ms = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
                Report::Failed { class, message, retry_after_ms }
            }
        };
        let submitted = matches!(report, Report::Submitted { .. });
        self.commit(Some("ended".into()), report).await?;
        if submitted {
            self.checkpoint(CheckpointReason::Submitted).await;
        }
        Ok(Standing::Over)
    }

    async fn checkpoint(&self, reason: CheckpointReason) {
        let Running { task, agent, attempt, .. } = self.running;
        let key = format!("attempt:{attempt}:checkpoint:{}", reason.name());
        self.handle.checkpoint(task, reason, Principal::Agent(agent), key).await;
    }

    pub(super) async fn failed(&mut self, class: FailureClass, message: &str) -> Result<Standing, ActorProcessingErr> {
        self.ended(Err(Failure::new(class, message))).await
    }

    async fn decided(
        &mut self,
        myself: &ActorRef<RunMessage>,
        event: &Committed,
    ) -> Result<Standing, ActorProcessingErr> {
        match &event.recorded.event {
            Event::Task(TaskEvent::DelegationCancelling { delegation, .. })
                if *delegation == self.running.delegation =>
            {
                self.stop(myself, Stopping::Cancelled).await;
            }
            Event::Task(TaskEvent::AttemptSuperseded { attempt }) if *attempt == self.running.attempt => {
                self.stop(myself, Stopping::Superseded).await;
            }
            Event::Task(TaskEvent::InterruptResolved { interrupt, answer, .. }) => {
                return self.deliver(*interrupt, answer.clone()).await;
            }
            Event::Conversation(ConversationEvent::Message { author, parts, .. })
                if event.recorded.is_for(Principal::Agent(self.running.agent)) =>
            {
                self.tell(Control::Message { from: *author, parts: json!(parts) }).await;
            }
            _ => {}
        }
        Ok(Standing::Holds)
    }

    pub(super) async fn stop(&mut self, myself: &ActorRef<RunMessage>, why: Stopping) {
        if self.stopping != Stopping::No {
            return;
        }
        self.stopping = why;
        if why == Stopping::Superseded && !self.output.is_kept() {
            // As far as it was written it stays; what fails here is no reason not to stop the agent.
            let _ = self.archive(self.output.produced()).await;
        }
        self.tell(Control::Cancel).await;
        myself.send_after(CANCEL_GRACE, || RunMessage::GraceOver);
    }

    async fn deliver(&mut self, interrupt: InterruptId, answer: Value) -> Result<Standing, ActorProcessingErr> {
        let Some(key) = self.questions.remove(&interrupt) else { return Ok(Standing::Holds) };
        self.tell(Control::Answer { key, answer }).await;
        self.commit(Some(format!("delivered:{interrupt}")), Report::Delivered(interrupt)).await
    }

    pub(super) async fn tell(&self, control: Control) {
        let Some(driver) = &self.control else { return };
        // A driver that has ended needs no telling; its end is on the way.
        let _ = tokio::time::timeout(Duration::from_secs(1), driver.send(control)).await;
    }
}
