//! What became of a run whose answer was lost: asks the instance until it knows. It refuses to guess and never
//! submits again.

use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::{
    client::{CallError, Looking},
    follow::{End, Run},
    outcome,
    start::{self, Mode},
    wire::Message,
};
use crate::{
    agents::{Failure, Outcome},
    domain::failure::FailureClass,
};

impl Run<'_> {
    /// Asks whether the instance lives and is still the boot that took the work.
    pub(super) async fn check_instance(&mut self) -> Result<End, Failure> {
        self.checked_at = Instant::now();
        match self.client.boot().await {
            Ok(boot) => {
                self.silent_since = None;
                self.doubt = false;
                if boot == self.remote.boot { Ok(None) } else { self.after_restart().await.map(Some) }
            }
            Err(error) if error.is_silence() => Ok(self.unreachable(&error)),
            // It answers, if badly: it lives.
            Err(_) => Ok(None),
        }
    }

    /// Looks for the result of a run whose answer will not come.
    pub(super) async fn look(&mut self, lost_since: Instant) -> Result<End, Failure> {
        let looked = match self.remote.mode {
            Mode::Durable => self.look_at_receipt(lost_since).await,
            Mode::Plain => self.look_at_session(lost_since).await,
        };
        match looked {
            Ok(end) => {
                self.silent_since = None;
                let given_up = self.alive_at.max(lost_since).elapsed() >= self.pace.silence_max;
                let silent = || Err(Failure::new(FailureClass::Silent, "the run shows no activity and no result"));
                Ok(end.or_else(|| given_up.then(silent)))
            }
            Err(Looking::Over(failure)) => Err(failure),
            Err(Looking::Call(error)) => {
                debug!(%error, "looking for the result failed");
                self.doubt = true;
                Ok(if error.is_silence() { self.unreachable(&error) } else { None })
            }
        }
    }

    /// Asks for everything that waits for an answer, because events about it may have been missed.
    pub(super) async fn ask_waiting(&mut self) -> Result<(), Failure> {
        let session = &self.remote.session;
        let (permissions, questions) = tokio::join!(self.client.permissions(session), self.client.questions(session));
        // Without an ordinary key these are closed to Link; then there is nothing to show.
        let (Ok(permissions), Ok(questions)) = (permissions, questions) else { return Ok(()) };
        let mine = |all: Vec<Value>| -> Vec<Value> {
            all.into_iter().filter(|one| one["sessionID"] == self.remote.session.as_str()).collect()
        };
        let (permissions, questions) = (mine(permissions), mine(questions));
        let reports = self.translator.waiting(&permissions, &questions);
        self.emit(reports).await
    }

    async fn look_at_receipt(&mut self, lost_since: Instant) -> Result<End, Looking> {
        let receipt = self.client.receipt(&self.remote.session, &self.remote.request).await?;
        match receipt.state.as_str() {
            "completed" => {
                self.accepted().await?;
                match start::result_of(receipt) {
                    Ok(answer) => Ok(self.finish(answer).await?),
                    Err(failure) => Ok(Some(Err(failure))),
                }
            }
            "accepted" => {
                self.accepted().await?;
                Ok(None)
            }
            _ => Ok(self.never_arrived(lost_since)),
        }
    }

    async fn look_at_session(&mut self, lost_since: Instant) -> Result<End, Looking> {
        let messages = match self.client.messages(&self.remote.session).await {
            Ok(messages) => messages,
            Err(error) if error.is_not_found() => return Ok(self.never_arrived(lost_since)),
            Err(error) => return Err(error.into()),
        };
        let busy = self.client.is_busy(&self.remote.session).await?;
        if !busy && !start::holds(&messages, &self.remote.request) {
            return Ok(self.never_arrived(lost_since));
        }
        self.accepted().await?;
        let reports = self.translator.messages(&messages);
        if !reports.is_empty() {
            self.alive_at = Instant::now();
        }
        self.emit(reports).await?;
        // One look alone may fall before the run is marked busy.
        self.idle_since = if busy { None } else { self.idle_since.or(Some(Instant::now())) };
        let idle = self.idle_since.is_some_and(|since| since.elapsed() >= self.pace.settle);
        // The mark `busy` outlives some runs, so the totals of the last message count as well.
        if self.translator.ended() || idle || counted(&messages) {
            return Ok(Some(self.take_result(&messages).await?));
        }
        Ok(None)
    }

    /// The run is over: its result is what the history ends with.
    async fn take_result(&mut self, messages: &[Message]) -> Result<Result<Outcome, Failure>, Looking> {
        let session = self.remote.session.clone();
        let deadline = Instant::now() + self.pace.settle;
        let mut history = self.client.history(&session).await?;
        // The last words are written shortly after the run is called over.
        while counted(messages) && !outcome::ends_with_words(&history) && Instant::now() < deadline {
            tokio::time::sleep(self.pace.poll / 4).await;
            history = self.client.history(&session).await?;
        }
        let reports = self.translator.history(&history);
        self.emit(reports).await?;
        Ok(outcome::of_history(&history, self.endpoint.turns_max))
    }

    /// The instance restarted: either the run had ended before, or it died.
    async fn after_restart(&mut self) -> Result<Result<Outcome, Failure>, Failure> {
        if self.remote.mode == Mode::Durable {
            let receipt = self.client.receipt(&self.remote.session, &self.remote.request).await;
            return match receipt.ok().filter(|receipt| receipt.state == "completed").map(start::result_of) {
                Some(Ok(answer)) => Ok(self.finish(answer).await?.unwrap_or_else(|| Err(start::restarted()))),
                Some(Err(failure)) => Ok(Err(failure)),
                None => Ok(Err(start::restarted())),
            };
        }
        let Ok(history) = self.client.history(&self.remote.session).await else {
            return Ok(Err(start::restarted()));
        };
        let reports = self.translator.history(&history);
        self.emit(reports).await?;
        let finished = outcome::ends_with_words(&history);
        Ok(if finished { outcome::of_history(&history, self.endpoint.turns_max) } else { Err(start::restarted()) })
    }

    /// The instance does not know the request; after a while that means it never arrived.
    fn never_arrived(&self, lost_since: Instant) -> End {
        if lost_since.elapsed() < self.pace.settle {
            return None;
        }
        Some(Err(if self.is_accepted() {
            Failure::new(FailureClass::SessionNotFound, "the instance no longer knows the run")
        } else {
            Failure::new(FailureClass::DispatchUnknown, "the submission was lost and the instance does not know it")
        }))
    }

    fn unreachable(&mut self, error: &CallError) -> End {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        let refuses = matches!(error, CallError::Refused);
        let patience = if refuses { self.pace.refused_max } else { self.pace.unreachable_max };
        if since.elapsed() < patience {
            return None;
        }
        let class = if self.is_accepted() { FailureClass::InstanceLost } else { FailureClass::DispatchUnknown };
        Some(Err(Failure::new(class, format!("the instance stopped answering: {error}"))))
    }
}

/// Penguin writes the totals into the last message when a run ends well.
pub(super) fn counted(messages: &[Message]) -> bool {
    messages.last().is_some_and(|last| last.info.role == "assistant" && last.info.tokens.input > 0)
}
