//! What Link tells a run: stop, or the answer to a question.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tracing::warn;

use super::{
    client::CallError,
    follow::{End, Run},
    start::Mode,
    stream::{Feed, Signal},
    translate::{PERMISSION, QUESTION},
    wire::ChatAnswer,
};
use crate::agents::{Activity, Failure, Outcome, Report};

/// How often an answer is sent to an instance that does not take it.
const ANSWER_TRIES: u32 = 3;
/// The pause between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Stops the run and waits, within bounds, until it stands still. What it still says is not reported.
    pub(super) async fn cancel(
        mut self,
        feed: &mut Feed,
        answer: &mut mpsc::Receiver<Result<ChatAnswer, CallError>>,
    ) -> Result<Outcome, Failure> {
        let deadline = Instant::now() + self.pace.cancel_max;
        while !self.stopped().await {
            // An answer, or the stream's word, ends the wait early.
            let pause = Instant::now() + TRY_PAUSE;
            tokio::select! {
                Some(Ok(_)) = answer.recv() => break,
                _ = timeout_at(pause, idle(&mut self, feed)) => {}
            }
            if self.translator.ended() {
                break;
            }
            if Instant::now() >= deadline {
                warn!(attempt = %self.work.attempt, "a cancelled run may still be running");
                break;
            }
        }
        Ok(Outcome::Cancelled)
    }

    /// Asks the instance to stop the run; true if it surely stands still.
    async fn stopped(&self) -> bool {
        let (session, request) = (&self.remote.session, &self.remote.request);
        match self.remote.mode {
            Mode::Durable => {
                self.client.cancel(session, request).await.is_ok_and(|receipt| receipt.state == "completed")
            }
            Mode::Plain => {
                let asked = self.client.abort(session).await;
                // Right after the submission the session may not show the run yet, so only "asked" and "idle" count.
                asked.is_ok() && self.shows_up().await && self.client.is_busy(session).await.is_ok_and(|busy| !busy)
            }
        }
    }

    /// Hands an answer to the agent.
    pub(super) async fn answer(&mut self, key: &str, answer: &Value) -> Result<End, Failure> {
        for attempt in 1..=ANSWER_TRIES {
            match self.send_answer(key, answer).await {
                Ok(()) => {
                    self.translator.answered(key);
                    return Ok(None);
                }
                // Somebody else answered it, or it expired.
                Err(error) if error.is_not_found() => {
                    let closed = Activity::InterruptClosed { key: key.to_owned() };
                    self.emit(vec![Report { id: Some(format!("closed:{key}")), activity: closed }]).await?;
                    return Ok(None);
                }
                Err(error) => warn!(key, attempt, %error, "the agent did not get its answer"),
            }
            sleep(TRY_PAUSE).await;
        }
        // The question stays open: at the instance it expires, and that ends it here too.
        Ok(None)
    }

    async fn send_answer(&self, key: &str, answer: &Value) -> Result<(), CallError> {
        if let Some(id) = key.strip_prefix(PERMISSION) {
            // Only a clear yes is a yes.
            return if answer["approve"] == true { self.client.approve(id).await } else { self.client.deny(id).await };
        }
        match key.strip_prefix(QUESTION) {
            Some(id) => self.client.reply(id, &answers(answer)).await,
            None => Ok(()),
        }
    }
}

/// Reads events until the run is idle.
async fn idle(run: &mut Run<'_>, feed: &mut Feed) {
    while !run.translator.ended() {
        match feed.next().await {
            Some(Signal::Event(event)) => drop(run.translator.event(&event)),
            Some(Signal::Lost | Signal::Denied) => {}
            None => std::future::pending().await,
        }
    }
}

/// Penguin wants, for each question, a list of texts.
fn answers(answer: &Value) -> Value {
    match answer {
        Value::Object(fields) if fields.contains_key("answers") => fields["answers"].clone(),
        Value::Object(fields) => {
            let text = ["text", "answer", "message"].iter().find_map(|name| fields.get(*name)?.as_str());
            json!([[text.map_or_else(|| answer.to_string(), str::to_owned)]])
        }
        Value::String(text) => json!([[text]]),
        other => json!([[other.to_string()]]),
    }
}
