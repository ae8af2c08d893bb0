//! What became of a run, asked once and without touching it: nothing is submitted, opened or reported.

use serde_json::Value;
use tokio::time::sleep;

use super::{
    Pace,
    client::{CallError, Client},
    outcome::{self, Verdict},
    settle::counted,
    start::{self, Mode, Remote},
    wire::Receipt,
};
use crate::{
    agents::{Assignment, Bookmark, Endpoint, Failure, Fate},
    domain::failure::FailureClass,
};

/// Asks what became of an attempt's run.
pub async fn inspect(
    client: &Client,
    endpoint: &Endpoint,
    work: &Assignment,
    bookmark: &Bookmark,
    pace: &Pace,
) -> Result<Fate, Failure> {
    let known = bookmark.remote.clone().map(remote).transpose()?;
    let look = Look { client, endpoint, work, pace };
    let fate = match known.as_ref().map_or_else(|| start::mode(endpoint), |remote| remote.mode) {
        Mode::Durable => look.at_receipt(known).await,
        Mode::Plain => look.at_session(known).await,
    };
    fate.map_err(|error| error.failure("asking for the run", FailureClass::InstanceLost))
}

fn remote(value: Value) -> Result<Remote, Failure> {
    serde_json::from_value(value)
        .map_err(|_| Failure::new(FailureClass::Misconfigured, "the bookmark is not from this driver"))
}

struct Look<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    work: &'a Assignment,
    pace: &'a Pace,
}

impl Look<'_> {
    async fn at_receipt(&self, known: Option<Remote>) -> Result<Fate, CallError> {
        let boot = self.client.boot().await?;
        let id = start::request_id(self.work);
        let (session, request) =
            known.as_ref().map_or((id.as_str(), id.as_str()), |remote| (&remote.session, &remote.request));
        let receipt = self.client.receipt(session, request).await?;
        Ok(match (receipt.state.as_str(), &known) {
            ("completed", _) => Fate::Ended(self.of_receipt(receipt)),
            ("accepted", Some(remote)) if remote.boot != boot => Fate::Missing(start::restarted()),
            ("accepted", _) => Fate::Running,
            ("absent", None) => Fate::NotStarted,
            ("absent", Some(_)) => Fate::Missing(start::gone()),
            (other, _) => return Err(CallError::Unreadable(format!("a receipt in the unknown state `{other}`"))),
        })
    }

    fn of_receipt(&self, receipt: Receipt) -> Result<crate::agents::Outcome, Failure> {
        match outcome::of_answer(&start::result_of(receipt)?, self.endpoint.turns_max) {
            Verdict::Over(end) => end,
            Verdict::Recovering => Err(start::restarted()),
            Verdict::TurnLimit => Err(outcome::of_turn_limit(self.endpoint.turns_max)),
        }
    }

    async fn at_session(&self, known: Option<Remote>) -> Result<Fate, CallError> {
        let boot = self.client.boot().await?;
        let (session, request, restarted) = match &known {
            Some(remote) => (remote.session.clone(), remote.request.clone(), remote.boot != boot),
            None => {
                let found = self.client.sessions_titled(&start::title(self.work)).await?;
                let Some(first) = found.into_iter().map(|session| session.id).min() else {
                    return Ok(Fate::NotStarted);
                };
                (first, start::request_id(self.work), false)
            }
        };
        // One look alone may fall before the run is marked busy, or before its last words are written.
        for last in [false, true] {
            let messages = match self.client.messages(&session).await {
                Err(error) if error.is_not_found() => return Ok(missing(known.is_some(), restarted)),
                messages => messages?,
            };
            let busy = !restarted && self.client.is_busy(&session).await?;
            if busy && !counted(&messages) {
                return Ok(Fate::Running);
            }
            if !busy && !start::holds(&messages, &request) {
                return Ok(missing(known.is_some(), restarted));
            }
            let history = self.client.history(&session).await?;
            if outcome::ends_with_words(&history) {
                return Ok(Fate::Ended(outcome::of_history(&history, self.endpoint.turns_max)));
            }
            if restarted {
                return Ok(Fate::Missing(start::restarted()));
            }
            if last {
                return Ok(Fate::Ended(outcome::of_history(&history, self.endpoint.turns_max)));
            }
            sleep(self.pace.settle).await;
        }
        Ok(Fate::Running)
    }
}

/// A run that the instance never said to have may still be on its way.
fn missing(known: bool, restarted: bool) -> Fate {
    match (known, restarted) {
        (false, _) => Fate::NotStarted,
        (true, true) => Fate::Missing(start::restarted()),
        (true, false) => Fate::Missing(start::gone()),
    }
}
