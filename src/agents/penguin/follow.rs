//! One run from its submission to its end: events, the answer, Link's controls and, where the answer was lost, looks
//! at the instance. All state of a run lives here; nothing of it has to survive.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{
    Pace,
    client::{CallError, Client},
    outcome::{self, Verdict},
    start::{self, Mode, Remote, Start, Step},
    stream::{Feed, Signal},
    translate::Translator,
    wire::{ChatAnswer, Event},
};
use crate::{
    agents::{Activity, Assignment, Control, Endpoint, Failure, Outcome, Report},
    domain::failure::FailureClass,
};

/// The end of a run, or nothing yet.
pub(super) type End = Option<Result<Outcome, Failure>>;

/// A cursor is reported at most this often.
const CURSOR_EVERY: Duration = Duration::from_secs(1);
/// How much rarer the instance is asked while the stream works.
const CALM_FACTOR: u32 = 5;
/// How long an answer waits for the events before it.
const TAIL_MAX: Duration = Duration::from_millis(250);
/// How often waits are looked at; no call is made for it.
const TICK: Duration = Duration::from_millis(100);

/// The submission.
pub(super) enum Submission {
    /// Not sent yet.
    Waiting,
    /// Sent; its answer comes when the run is over.
    Open,
    /// Its answer will not come: the connection broke, or an earlier activation sent it.
    Lost {
        /// Since when.
        since: Instant,
    },
}

/// One run being followed.
pub(super) struct Run<'a> {
    pub(super) client: Client,
    pub(super) endpoint: &'a Endpoint,
    pub(super) work: &'a Assignment,
    pub(super) remote: Remote,
    pub(super) pace: Pace,
    pub(super) translator: Translator,
    pub(super) submission: Submission,
    /// The instance may be gone or another boot: its health must be asked.
    pub(super) doubt: bool,
    /// Since when it does not answer.
    pub(super) silent_since: Option<Instant>,
    /// When the instance was last asked whether it lives.
    pub(super) checked_at: Instant,
    /// When the run last showed life.
    pub(super) alive_at: Instant,
    /// When the session was first seen idle without the stream saying so.
    pub(super) idle_since: Option<Instant>,
    step: Option<Step>,
    after: Option<String>,
    turn: Arc<Mutex<()>>,
    starting: Option<(OwnedMutexGuard<()>, Instant)>,
    accepted_at: Option<Instant>,
    cursor_at: Option<Instant>,
    polled_at: Instant,
    reports: mpsc::Sender<Report>,
    control: mpsc::Receiver<Control>,
}

impl<'a> Run<'a> {
    /// Takes over a run that [`start::find`] found or prepared.
    #[expect(clippy::too_many_arguments, reason = "the one place where a run's surroundings come together")]
    pub(super) fn new(
        client: Client,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        start: Start,
        pace: Pace,
        turn: Arc<Mutex<()>>,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> Self {
        let Start { remote, step, after } = start;
        let translator = match step {
            Step::Submit => Translator::new(&remote.request),
            Step::Follow | Step::Read(_) => Translator::resumed(&remote.request),
        };
        let now = Instant::now();
        Self {
            client,
            endpoint,
            work,
            remote,
            pace,
            translator,
            submission: Submission::Waiting,
            doubt: false,
            silent_since: None,
            checked_at: now,
            alive_at: now,
            idle_since: None,
            step: Some(step),
            after,
            turn,
            starting: None,
            accepted_at: None,
            cursor_at: None,
            polled_at: now,
            reports,
            control,
        }
    }

    /// Follows the run to its end.
    pub(super) async fn drive(mut self) -> Result<Outcome, Failure> {
        match self.step.take() {
            Some(Step::Read(answer)) => {
                self.accepted().await?;
                return self.finish(*answer).await?.unwrap_or_else(|| Err(start::restarted()));
            }
            Some(Step::Follow) => {
                // It may be the run of an earlier boot.
                self.lost();
                self.accepted().await?;
                self.ask_waiting().await?;
            }
            Some(Step::Submit) | None => {
                if let Some(end) = self.wait_for_turn().await? {
                    return end;
                }
            }
        }
        self.watch().await
    }

    async fn watch(mut self) -> Result<Outcome, Failure> {
        let mut feed = Feed::open(self.client.clone(), self.remote.session.clone(), self.after.take());
        self.wait_for_stream(&mut feed).await?;
        let (answer_to, mut answer) = mpsc::channel(1);
        let _submitting = self.submit(answer_to);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut listening, mut streaming) = (true, true);
        loop {
            let end = tokio::select! {
                control = self.control.recv(), if listening => match control {
                    Some(Control::Cancel) => return self.cancel(&mut feed, &mut answer).await,
                    Some(Control::Answer { key, answer }) => self.answer(&key, &answer).await?,
                    Some(Control::Message { .. }) => None,
                    None => { listening = false; None }
                },
                signal = feed.next(), if streaming => match signal {
                    Some(Signal::Event(event)) => self.event(&event).await?,
                    Some(Signal::Lost) => { self.doubt = true; None }
                    Some(Signal::Denied) | None => { streaming = false; None }
                },
                Some(result) = answer.recv() => {
                    self.read_tail(&mut feed).await?;
                    self.answered(result).await?
                }
                _ = tick.tick() => self.tick(streaming).await?,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// The answer may overtake the last events.
    async fn read_tail(&mut self, feed: &mut Feed) -> Result<(), Failure> {
        let deadline = Instant::now() + TAIL_MAX;
        while !self.translator.ended() {
            match timeout_at(deadline, feed.next()).await {
                Ok(Some(Signal::Event(event))) => drop(self.event(&event).await?),
                Ok(Some(Signal::Lost | Signal::Denied) | None) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits until the instance may start another run; a cancel meanwhile needs no instance.
    async fn wait_for_turn(&mut self) -> Result<End, Failure> {
        let turn = Arc::clone(&self.turn).lock_owned();
        tokio::pin!(turn);
        loop {
            tokio::select! {
                guard = timeout(self.pace.start_max, &mut turn) => {
                    // A start that hangs must not stop all others; Penguin may then mix up what it streams.
                    self.starting = guard.ok().map(|guard| (guard, Instant::now()));
                    return Ok(None);
                }
                control = self.control.recv() => match control {
                    Some(Control::Cancel) => return Ok(Some(Ok(Outcome::Cancelled))),
                    Some(Control::Answer { .. } | Control::Message { .. }) => {}
                    None => return Err(unwatched()),
                },
            }
        }
    }

    /// A new stream shows only what comes after it, so a submission waits for it, though not for long.
    async fn wait_for_stream(&mut self, feed: &mut Feed) -> Result<(), Failure> {
        if !matches!(self.submission, Submission::Waiting) {
            return Ok(());
        }
        if let Ok(Some(Signal::Event(event))) = timeout(self.pace.settle, feed.next()).await {
            self.event(&event).await?;
        }
        Ok(())
    }

    /// Sends the submission in a task of its own, unless an earlier activation did.
    fn submit(&mut self, to: mpsc::Sender<Result<ChatAnswer, CallError>>) -> Option<AbortOnDropHandle<()>> {
        if !matches!(self.submission, Submission::Waiting) {
            return None;
        }
        self.submission = Submission::Open;
        let (client, endpoint, work, remote) =
            (self.client.clone(), self.endpoint.clone(), self.work.clone(), self.remote.clone());
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let result = client.chat(&start::request(&endpoint, &work, &remote)).await;
            // A closed channel means that the run is no longer watched.
            _ = to.send(result).await;
        })))
    }

    async fn event(&mut self, event: &Event) -> Result<End, Failure> {
        self.alive_at = Instant::now();
        let reports = self.translator.event(event);
        if self.translator.seen() {
            self.accepted().await?;
        }
        self.emit(reports).await?;
        if self.translator.take_stale() {
            self.ask_waiting().await?;
        }
        let due = self.cursor_at.is_none_or(|at| at.elapsed() >= CURSOR_EVERY);
        if due && !event.id.is_empty() && !event.kind.starts_with("server.") {
            self.cursor_at = Some(Instant::now());
            let cursor = Activity::Cursor(start::cursor(&self.remote, &event.id));
            self.emit(vec![Report { id: None, activity: cursor }]).await?;
        }
        Ok(None)
    }

    /// The submission's connection ended, with an answer or without.
    async fn answered(&mut self, result: Result<ChatAnswer, CallError>) -> Result<End, Failure> {
        match result {
            Ok(answer) => {
                self.accepted().await?;
                self.finish(answer).await
            }
            Err(CallError::Refused) => {
                Ok(Some(Err(CallError::Refused.failure("submit", FailureClass::ConnectRefused))))
            }
            // The instance refused: nothing runs.
            Err(error @ CallError::Status { code: 400..=499, .. }) => {
                Ok(Some(Err(error.failure("submit", FailureClass::DispatchUnknown))))
            }
            Err(error @ CallError::Status { .. }) if !self.translator.seen() && !self.shows_up().await => {
                Ok(Some(Err(error.failure("submit", FailureClass::HttpServerError))))
            }
            Err(error) => {
                debug!(%error, "submission lost its connection");
                self.lost();
                Ok(None)
            }
        }
    }

    /// From here on the result has to be asked for.
    pub(super) fn lost(&mut self) {
        self.submission = Submission::Lost { since: Instant::now() };
        self.doubt = true;
    }

    /// Reports what an answer holds and what it means.
    pub(super) async fn finish(&mut self, answer: ChatAnswer) -> Result<End, Failure> {
        let reports = self.translator.answer(&answer);
        self.emit(reports).await?;
        Ok(match outcome::of_answer(&answer, self.endpoint.turns_max) {
            Verdict::Over(end) => Some(end),
            Verdict::Recovering => {
                self.lost();
                None
            }
            Verdict::TurnLimit => Some(self.at_the_limit().await),
        })
    }

    /// Whether the agent finished in its very last turn is in the history.
    async fn at_the_limit(&mut self) -> Result<Outcome, Failure> {
        let turns_max = self.endpoint.turns_max;
        match self.client.history(&self.remote.session).await {
            Ok(history) if outcome::ends_with_words(&history) => outcome::of_history(&history, turns_max),
            _ => Err(outcome::of_turn_limit(turns_max)),
        }
    }

    async fn tick(&mut self, streaming: bool) -> Result<End, Failure> {
        self.let_others_start();
        if self.polled_at.elapsed() < self.poll_every(streaming) {
            return Ok(None);
        }
        self.polled_at = Instant::now();
        if matches!(self.submission, Submission::Open) {
            self.doubt |= self.alive_at.max(self.checked_at).elapsed() >= self.pace.doubt_after;
            if self.translator.ended() && self.alive_at.elapsed() >= self.pace.unreachable_max {
                self.lost();
            }
        }
        if self.doubt
            && let Some(end) = self.check_instance().await?
        {
            return Ok(Some(end));
        }
        if !streaming {
            self.ask_waiting().await?;
        }
        if self.accepted_at.is_none() && self.shows_up().await {
            self.accepted().await?;
        }
        match self.submission {
            Submission::Lost { since } => self.look(since).await,
            Submission::Waiting | Submission::Open => Ok(None),
        }
    }

    /// A stream that works tells the end by itself, so the instance is spared.
    fn poll_every(&self, streaming: bool) -> Duration {
        let calm = match self.submission {
            Submission::Lost { since } => since.elapsed() >= self.pace.unreachable_max,
            Submission::Waiting | Submission::Open => false,
        };
        let spare = calm && streaming && !self.doubt && !self.translator.ended();
        if spare { self.pace.poll * CALM_FACTOR } else { self.pace.poll }
    }

    /// Lets the next run start once this one is well under way.
    fn let_others_start(&mut self) {
        let Some((_, since)) = &self.starting else { return };
        let under_way = self.accepted_at.is_some_and(|at| at.elapsed() >= self.pace.start_gap);
        if under_way || since.elapsed() >= self.pace.start_max {
            self.starting = None;
        }
    }

    /// Asks for evidence that the instance has the work.
    pub(super) async fn shows_up(&self) -> bool {
        let Remote { session, request, mode, .. } = &self.remote;
        match mode {
            Mode::Durable => self.client.receipt(session, request).await.is_ok_and(|receipt| receipt.state != "absent"),
            Mode::Plain => self.client.messages(session).await.is_ok_and(|all| start::holds(&all, request)),
        }
    }

    /// Says, once, where the run can be found again.
    pub(super) async fn accepted(&mut self) -> Result<(), Failure> {
        if self.accepted_at.is_some() {
            return Ok(());
        }
        self.accepted_at = Some(Instant::now());
        let accepted = Activity::Accepted { remote: json!(self.remote) };
        self.emit(vec![Report { id: Some("accepted".into()), activity: accepted }]).await?;
        let working = self.translator.working();
        self.emit(working).await
    }

    /// Tells whether the instance is known to have the work.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted_at.is_some()
    }

    /// Sends reports, in order; a full channel makes the driver wait.
    pub(super) async fn emit(&mut self, reports: Vec<Report>) -> Result<(), Failure> {
        for report in reports {
            self.reports.send(report).await.map_err(|_| unwatched())?;
        }
        Ok(())
    }
}

/// Nobody listens to the run any more; the work itself goes on.
fn unwatched() -> Failure {
    Failure::new(FailureClass::Unknown, "nobody watches the run")
}
