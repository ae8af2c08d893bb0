//! The driver of one attempt of a connected agent: gives out the work, takes what is said about it in order, and waits
//! for an agent that is away.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use crate::{
    agents::{Activity, Assignment, Bookmark, Control, Failure, Mark, Outcome, Produced, Report},
    domain::{
        failure::FailureClass,
        ids::{AttemptId, InstanceId},
    },
};

use super::{
    ACCEPT_MAX, Pace,
    frame::{self, Said, What},
    gather::Gathered,
    ledger::{Ledger, Verdict},
    line::{Connection, Inbox, Lines, Seat},
    not_held,
    told::{Told, Work},
};

/// It is written down at most this often up to where everything is durable.
const BOOKMARK_EVERY: Duration = Duration::from_secs(1);

type Flow = Option<Result<Outcome, Failure>>;

/// One attempt.
pub(super) struct Desk<'a> {
    lines: &'a Lines,
    pace: Pace,
    instance: InstanceId,
    work: &'a Assignment,
    reports: mpsc::Sender<Report>,
    control: mpsc::Receiver<Control>,
    connections: watch::Receiver<Option<Arc<Connection>>>,
    connection: Option<Arc<Connection>>,
    seat: Inbox,
    said: mpsc::Receiver<(Uuid, Said)>,
    ledger: Ledger,
    durable: (watch::Sender<u64>, watch::Receiver<u64>),
    accepted: bool,
    cancelling: bool,
    /// The work is another one's after this, unless the agent is there.
    away_until: Instant,
    accept_until: Option<Instant>,
    gathered: Gathered,
    bookmarked: (u64, Instant),
    /// The last frame that was taken when the agent was asked to send again.
    asked_again: Option<u64>,
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.lines.leave(self.instance, self.work.attempt, &self.seat);
    }
}

/// Says that an agent no longer knows what it had.
pub(super) fn came_back_without() -> Failure {
    Failure::new(FailureClass::SessionNotFound, "the agent is connected and no longer has the work")
}

impl<'a> Desk<'a> {
    pub fn new(
        lines: &'a Lines,
        pace: Pace,
        instance: InstanceId,
        work: &'a Assignment,
        bookmark: &Bookmark,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> Self {
        let Seat { mut connections, inbox: seat, said } = lines.sit(instance, work.attempt);
        connections.mark_changed();
        let settled = bookmark.cursor.as_ref().and_then(|cursor| cursor["seq"].as_u64()).unwrap_or(0);
        let now = Instant::now();
        Self {
            lines,
            pace,
            instance,
            work,
            reports,
            control,
            connections,
            connection: None,
            seat,
            said,
            ledger: Ledger::restored(settled),
            durable: watch::channel(settled),
            accepted: bookmark.remote.is_some(),
            cancelling: false,
            away_until: now + pace.lost,
            accept_until: None,
            gathered: Gathered::default(),
            bookmarked: (settled, now),
            asked_again: None,
        }
    }

    fn attempt(&self) -> AttemptId {
        self.work.attempt
    }

    /// Follows the attempt to its end.
    pub async fn run(mut self) -> Result<Outcome, Failure> {
        loop {
            let due = self.due();
            let flow = tokio::select! {
                biased;
                Ok(()) = self.connections.changed() => self.connected().await?,
                Some(order) = self.control.recv() => {
                    self.told(order);
                    None
                }
                Ok(()) = self.durable.1.changed() => {
                    self.acknowledge();
                    None
                }
                Some((from, said)) = self.said.recv() => self.hear(from, said).await?,
                () = sleep_until(due) => self.time_passed().await?,
            };
            if let Some(end) = flow {
                return end;
            }
        }
    }

    fn tell(&self, frame: Told) {
        if let Some(connection) = &self.connection {
            connection.tell(frame);
        }
    }

    /// The connection has changed: the agent is there, again or for the first time, or is away.
    async fn connected(&mut self) -> Result<Flow, Failure> {
        let now = self.connections.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.connection, now);
        let Some(connection) = self.connection.clone() else {
            // The lease runs from the last sign of life, not from when the loss was noticed.
            if let Some(before) = before {
                self.away_until = before.heard() + self.pace.lost;
            }
            self.accept_until = None;
            return Ok(None);
        };
        self.asked_again = None;
        let (attempt, fence) = (self.attempt(), self.work.fence);
        if let Some(first) = connection.first_kept(attempt) {
            self.ledger.resumed(first);
            connection.tell(Told::Resume { attempt, fence, acked: self.ledger.settled() });
        } else if self.accepted {
            return Ok(Some(Err(came_back_without())));
        } else {
            connection.given(attempt);
            connection.tell(Told::Assign { attempt, fence, context: Box::new(self.context()) });
        }
        if !self.accepted {
            self.accept_until = Some(Instant::now() + ACCEPT_MAX);
        }
        if self.cancelling {
            self.cancel();
        }
        Ok(None)
    }

    fn context(&self) -> Work {
        let Assignment { workspace, task, delegation, on_behalf_of, ref prompt, .. } = *self.work;
        Work { workspace, task, delegation, on_behalf_of, prompt: prompt.clone() }
    }

    fn told(&mut self, order: Control) {
        let (attempt, fence) = (self.attempt(), self.work.fence);
        match order {
            Control::Cancel => {
                self.cancelling = true;
                self.cancel();
            }
            // The conversation keeps what an agent that is away does not hear.
            Control::Message { from, parts } => self.tell(Told::Message { attempt, fence, from, parts }),
            // An agent that is away asks again when it is back.
            Control::Answer { key, answer } => self.tell(Told::Answer { attempt, fence, interrupt: key, answer }),
        }
    }

    fn cancel(&self) {
        self.tell(Told::Cancel { attempt: self.attempt(), fence: self.work.fence, reason: "cancelled" });
    }

    fn acknowledge(&mut self) {
        let seq = *self.durable.1.borrow_and_update();
        if seq > self.ledger.settled() {
            self.ledger.settle(seq);
            self.tell(Told::Ack { attempt: self.attempt(), seq: self.ledger.settled() });
        }
    }

    async fn hear(&mut self, from: Uuid, said: Said) -> Result<Flow, Failure> {
        let attempt = self.attempt();
        let current = self.connection.as_ref().filter(|connection| connection.id == from);
        let Some(connection) = current.cloned() else { return Ok(None) };
        if said.fence != self.work.fence {
            connection.tell(not_held(attempt, said.fence));
            return Ok(None);
        }
        let verdict = said.seq.map_or(Verdict::Next, |seq| self.ledger.take(seq));
        match verdict {
            Verdict::Next => {}
            // A question that is still open is asked again by an agent that came back: the answer may have been lost.
            Verdict::Known if matches!(said.what, What::Interrupt { .. }) => {}
            Verdict::Known => {
                let seq = self.ledger.settled();
                if seq > 0 {
                    connection.tell(Told::Ack { attempt, seq });
                }
                return Ok(None);
            }
            Verdict::Gap => {
                let acked = self.ledger.taken();
                if self.asked_again != Some(acked) {
                    self.asked_again = Some(acked);
                    connection.tell(Told::Resume { attempt, fence: said.fence, acked });
                }
                return Ok(None);
            }
        }
        self.take(&connection, said.seq, said.what).await
    }

    async fn take(&mut self, connection: &Connection, seq: Option<u64>, what: What) -> Result<Flow, Failure> {
        if let What::Unreadable(message) = what {
            let attempt = Some(self.attempt());
            connection.tell(Told::Error { attempt, seq, code: "invalid_input".into(), message });
            return self.settle(seq).await.map(|()| None);
        }
        self.accept().await?;
        let id = seq.map(|seq| format!("seq:{seq}"));
        match what {
            What::Unreadable(_) | What::Accepted {} => {}
            What::Progress { percent, phase, message } => {
                if self.gathered.progress(seq, percent, (phase, message), Instant::now()) {
                    self.tell_progress().await?;
                }
                return Ok(None);
            }
            What::Output { text } => {
                if self.gathered.output(seq, &text, Instant::now()) {
                    self.tell_output().await?;
                }
                return Ok(None);
            }
            What::Tool { tool, ok, summary } => self.report(id, Activity::Tool { tool, ok, summary }).await?,
            What::Artifact { kind, name, content, details } => {
                self.report(id, Activity::Artifact(Produced { kind, name, content, details })).await?;
            }
            What::Usage(usage) => self.report(id, Activity::Usage(usage.into())).await?,
            What::Interrupt { interrupt: key, kind, prompt, details } => {
                self.report(None, Activity::Interrupt { key, kind, prompt, details }).await?;
            }
            What::Withdrawn { interrupt: key } => self.report(id, Activity::InterruptClosed { key }).await?,
            What::Submitted { text } => return self.end(seq, Ok(Outcome::Submitted { text, explicit: true })).await,
            What::Failed { class, message, retry_after_ms } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                let class = frame::class(class.as_deref());
                return self.end(seq, Err(Failure { class, message, retry_after })).await;
            }
            What::Stopped {} => return self.end(seq, Ok(Outcome::Cancelled)).await,
        }
        self.settle(seq).await.map(|()| None)
    }

    /// Whatever an agent says about an attempt, it has it.
    async fn accept(&mut self) -> Result<(), Failure> {
        if self.accepted {
            return Ok(());
        }
        (self.accepted, self.accept_until) = (true, None);
        self.send(None, Activity::Accepted { remote: json!({"instance": self.instance}) }).await
    }

    async fn tell_output(&mut self) -> Result<(), Failure> {
        let Some((text, last)) = self.gathered.take_output() else { return Ok(()) };
        self.send(None, text).await?;
        self.settle(last).await
    }

    async fn tell_progress(&mut self) -> Result<(), Failure> {
        let Some((progress, last)) = self.gathered.take_progress(Instant::now()) else { return Ok(()) };
        self.send(last.map(|seq| format!("seq:{seq}")), progress).await?;
        self.settle(last).await
    }

    /// Tells something after all the text that came before it.
    async fn report(&mut self, id: Option<String>, activity: Activity) -> Result<(), Failure> {
        self.tell_output().await?;
        self.send(id, activity).await
    }

    /// Has it noted, once everything that was sent before is durable, up to where the agent may forget.
    async fn settle(&mut self, seq: Option<u64>) -> Result<(), Failure> {
        if seq.is_none() {
            return Ok(());
        }
        let up_to = self.gathered.held_back().map_or(self.ledger.taken(), |first| first - 1);
        self.send(None, Activity::Settled(Mark::new(self.durable.0.clone(), up_to))).await?;
        let (bookmarked, at) = self.bookmarked;
        if up_to > bookmarked && at.elapsed() >= BOOKMARK_EVERY {
            self.bookmarked = (up_to, Instant::now());
            self.send(None, Activity::Cursor(json!({"seq": up_to}))).await?;
        }
        Ok(())
    }

    async fn end(&mut self, seq: Option<u64>, end: Result<Outcome, Failure>) -> Result<Flow, Failure> {
        self.tell_output().await?;
        self.tell_progress().await?;
        self.lines.note_last_word(self.instance, self.attempt(), seq);
        Ok(Some(end))
    }

    async fn send(&self, id: Option<String>, activity: Activity) -> Result<(), Failure> {
        let nobody = |_| Failure::new(FailureClass::Unknown, "nobody listens to the run any more");
        self.reports.send(Report { id, activity }).await.map_err(nobody)
    }

    /// When something has to be done without anybody saying so.
    fn due(&self) -> Instant {
        let away = self.connection.is_none().then_some(self.away_until);
        let [output, progress] = self.gathered.due();
        let times = [away, self.accept_until, output, progress];
        times.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + self.pace.lost)
    }

    async fn time_passed(&mut self) -> Result<Flow, Failure> {
        let now = Instant::now();
        if self.connection.is_none() && now >= self.away_until {
            let message = format!("the agent is not connected, and did not come back within {:?}", self.pace.lost);
            return Ok(Some(Err(Failure::new(FailureClass::InstanceLost, message))));
        }
        if self.accept_until.is_some_and(|until| now >= until) {
            let message = format!("the agent did not take the work within {ACCEPT_MAX:?}");
            return Ok(Some(Err(Failure::new(FailureClass::DispatchUnknown, message))));
        }
        let [output, progress] = self.gathered.due();
        if output.is_some_and(|due| now >= due) {
            self.tell_output().await?;
        }
        if progress.is_some_and(|due| now >= due) {
            self.tell_progress().await?;
        }
        Ok(None)
    }
}
