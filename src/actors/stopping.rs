//! The end of an attempt that no longer counts: its agent is told to stop, what it still hands in is kept, and only then
//! is it let go. It outlives every restart, because the schedule lists such attempts until they are released.

use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};

use crate::{
    agents::{Activity, Failure, Fate, Outcome, Produced},
    domain::{
        failure::FailureClass, ids::Subject, model::Command, principal::Principal, task::TaskCommand, text::Prose,
    },
};

use super::{
    driving::{self, Standing, patiently},
    run::{RunMessage, RunState, Stopping},
};

/// How long the question about such a run may take.
const ASK_MAX: Duration = Duration::from_secs(8);
/// The pause before an instance that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often it is asked before the attempt is let go all the same. One that is known to be silent is not asked at all.
const ASKS_MAX: u32 = 12;

impl RunState {
    /// Stops a run that an earlier life of Link, or a driver that gave up, left at the instance. It is never started:
    /// only what the instance says it works on is followed, and that is cancelled.
    #[tracing::instrument(name = "actors.run.stop_left", skip_all, fields(attempt = %self.running.attempt))]
    pub(super) async fn stop_what_is_left(
        &mut self,
        myself: &ActorRef<RunMessage>,
    ) -> Result<Standing, ActorProcessingErr> {
        let way = driving::way(&self.handle.context, self.running.instance, self.runner.as_ref()).await?;
        let Ok((runtime, endpoint)) = way else { return self.release(false, None).await };
        let bookmark = driving::bookmark(&self.handle, self.running.attempt).await?;
        // It is not for the agent: nothing is submitted.
        let nobody = Principal::Agent(self.running.agent);
        let work = driving::assignment(&self.handle, &self.running, nobody, String::new());
        self.asked_to_stop += 1;
        let fate = tokio::time::timeout(ASK_MAX, runtime.inspect(&endpoint, &work, &bookmark)).await;
        match fate {
            Ok(Ok(Fate::Running)) => {
                let (driver, control) = driving::start(runtime, endpoint, work, bookmark, myself.clone());
                self.driver = Some(driver);
                self.control = Some(control);
                self.stop(myself, Stopping::Superseded).await;
                Ok(Standing::Holds)
            }
            Ok(Ok(Fate::Ended(result))) => self.release(true, handed_in(result)).await,
            Ok(Ok(Fate::Missing(_))) => self.release(true, None).await,
            // Agents of this runtime run inside of their driver, and that is gone.
            Ok(Err(Failure { class: FailureClass::Misconfigured, .. })) => self.release(true, None).await,
            _ if self.asked_to_stop >= ASKS_MAX => self.release(false, None).await,
            // Not there yet, or no answer: the submission may still be on its way.
            Ok(Ok(Fate::NotStarted) | Err(_)) | Err(_) => {
                myself.send_after(ASK_AGAIN, || RunMessage::Start);
                Ok(Standing::Holds)
            }
        }
    }

    /// Lets the attempt go.
    pub(super) async fn release(
        &self,
        stopped: bool,
        late_result: Option<Prose>,
    ) -> Result<Standing, ActorProcessingErr> {
        metrics::counter!("link_attempts_released_total", "stopped" => if stopped { "yes" } else { "unknown" })
            .increment(1);
        let attempt = self.running.attempt;
        self.say(TaskCommand::Release { attempt, stopped, late_result }, Some(format!("attempt:{attempt}:released")))
            .await?;
        Ok(Standing::Over)
    }

    /// What comes when nobody waits for it any more: things that were made are kept.
    pub(super) async fn too_late(&self, activity: Activity) -> Result<Standing, ActorProcessingErr> {
        match activity {
            Activity::Artifact(produced) => self.archive(produced).await,
            _ => Ok(Standing::Holds),
        }
    }

    pub(super) async fn archive(&self, produced: Produced) -> Result<Standing, ActorProcessingErr> {
        let command = TaskCommand::Archive { attempt: self.running.attempt, made: self.made(produced) };
        self.say(command, None).await?;
        Ok(Standing::Holds)
    }

    async fn say(&self, command: TaskCommand, key: Option<String>) -> Result<Standing, ActorProcessingErr> {
        let (subject, agent) = (Subject::Task(self.running.task), Principal::Agent(self.running.agent));
        let meta = self.handle.meta(agent, key);
        patiently(|| self.handle.execute(subject, Command::Task(Box::new(command.clone())), meta.clone())).await
    }
}

/// The words of a run that ended well.
pub(super) fn handed_in(result: Result<Outcome, Failure>) -> Option<Prose> {
    match result {
        Ok(Outcome::Submitted { text, .. }) if !text.trim().is_empty() => Some(Prose::fitted(&text)),
        _ => None,
    }
}
