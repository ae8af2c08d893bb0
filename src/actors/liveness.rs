//! Whether a run that lives also moves. One that is silent, or does the same again and again, is first told so, where it
//! can be; what does not help ends it, and a person or another agent goes on with what it made until then.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor::ActorProcessingErr;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    agents::{Activity, Control},
    domain::{
        event::{Event, TaskEvent},
        failure::FailureClass,
        ids::Subject,
        loops::Loops,
        principal::{Principal, Service},
        task::{Report, Standstill},
        workspace::Running,
    },
    persistence::log,
};

use super::{
    driving::Standing,
    run::{RunState, Stopping},
    workspace::WorkspaceHandle,
};

/// How often it is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What an agent did while nobody listened is heard within this; before that, its silence ends nothing.
const CATCH_UP: Duration = Duration::from_secs(15);

/// How much silence there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silence {
    /// After so much people and the agent are told.
    pub nudge: TimeDelta,
    /// After so much the attempt ends.
    pub max: TimeDelta,
}

/// What is known of a run's movements.
#[derive(Debug)]
pub(super) struct Liveness {
    moved_at: DateTime<Utc>,
    /// It was told that it is silent, since it last moved.
    told: bool,
    /// It was told that it runs in circles, since there was news.
    warned: bool,
    not_before: Instant,
    loops: Loops,
}

impl Liveness {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { moved_at: now, told: false, warned: false, not_before: Instant::now(), loops: Loops::default() }
    }

    /// Goes on where an earlier life of this actor was.
    pub async fn restore(&mut self, handle: &WorkspaceHandle, running: &Running) -> Result<(), log::Error> {
        let mut silent_since = None;
        for recorded in log::load(&handle.context.pool, handle.id, Subject::Task(running.task), 0).await? {
            let Event::Task(event) = recorded.event else { continue };
            match event {
                TaskEvent::AttemptNudged { attempt, why, since, .. } if attempt == running.attempt => match why {
                    Standstill::Silent => silent_since = Some(since),
                    Standstill::Circling => self.warned = true,
                },
                TaskEvent::ArtifactRecorded { attempt, .. } | TaskEvent::InterruptOpened { attempt, .. }
                    if attempt == running.attempt =>
                {
                    (silent_since, self.warned) = (None, false);
                }
                TaskEvent::Progress { attempt, .. }
                | TaskEvent::AttemptTool { attempt, .. }
                | TaskEvent::AttemptUsage { attempt, .. }
                    if attempt == running.attempt =>
                {
                    silent_since = None;
                }
                _ => {}
            }
        }
        if let Some(since) = silent_since {
            (self.moved_at, self.told, self.not_before) = (since, true, Instant::now() + CATCH_UP);
        }
        Ok(())
    }
}

impl RunState {
    /// Notes what the agent does; tells how it runs in circles, where it does.
    pub(super) fn moved(&mut self, activity: &Activity) -> Option<String> {
        // The driver says these by itself, also of a run that it only found again.
        if matches!(activity, Activity::Accepted { .. } | Activity::Settled(_)) {
            return None;
        }
        self.liveness.moved_at = self.handle.context.clock.now();
        self.liveness.told = false;
        match activity {
            Activity::Tool { tool, ok, summary } => {
                let circle = self.liveness.loops.saw(tool, *ok, summary);
                circle.then(|| format!("the agent does the same again and again: {tool} {summary}"))
            }
            // Things that are made, and people's words, are news.
            Activity::Artifact(_) | Activity::Interrupt { .. } => {
                self.liveness.loops.moved_on();
                self.liveness.warned = false;
                None
            }
            _ => None,
        }
    }

    /// Says to an agent that runs in circles that it does; one that goes on with it, or cannot hear it, is stopped.
    pub(super) async fn circles(&mut self, how: &str) -> Result<Standing, ActorProcessingErr> {
        if self.liveness.warned || self.out_of_reach().is_some() {
            return self.failed(FailureClass::LoopDetected, how).await;
        }
        self.liveness.warned = true;
        self.liveness.loops.moved_on();
        let words = format!("Link sees that {how}. Its result will not change: try another way, or ask a person.");
        self.nudge(Standstill::Circling, self.handle.context.clock.now(), &words).await
    }

    /// Looks whether the run still moves.
    pub(super) async fn look_alive(&mut self) -> Result<Standing, ActorProcessingErr> {
        let (now, Silence { nudge, max }) = (self.handle.context.clock.now(), self.handle.context.silence);
        // Whoever waits for a person, or is being stopped, has reason to be silent.
        if self.control.is_none() || self.stopping != Stopping::No || !self.questions.is_empty() {
            (self.liveness.moved_at, self.liveness.told) = (now, false);
            return Ok(Standing::Holds);
        }
        let silent = now - self.liveness.moved_at;
        if silent >= max && Instant::now() >= self.liveness.not_before {
            let nudged = match (self.liveness.told, self.out_of_reach()) {
                (true, None) => ", also after it was told so",
                _ => "",
            };
            let message = format!("the agent has shown no activity for {} minutes{nudged}", silent.num_minutes());
            return self.failed(FailureClass::Silent, &message).await;
        }
        if silent < nudge || self.liveness.told {
            return Ok(Standing::Holds);
        }
        self.liveness.told = true;
        let message = format!("no activity for {} minutes", silent.num_minutes());
        let told = Report::Progress { percent: None, phase: "silent".into(), message: Some(message.clone()) };
        if self.commit(None, told).await? == Standing::Over {
            return Ok(Standing::Over);
        }
        let words =
            format!("Link sees {message}. Say how it goes, ask a person what you need, or hand in what you have.");
        self.nudge(Standstill::Silent, self.liveness.moved_at, &words).await
    }

    /// Tells the agent, and then the log that it was told: killed in between, Link may tell it twice, never not at all.
    #[tracing::instrument(name = "actors.run.nudge", skip_all, fields(attempt = %self.running.attempt, why = why.name()))]
    async fn nudge(
        &mut self,
        why: Standstill,
        since: DateTime<Utc>,
        words: &str,
    ) -> Result<Standing, ActorProcessingErr> {
        let untold = self.out_of_reach().map(str::to_owned);
        if untold.is_none() {
            let from = Principal::Service(Service::Conductor);
            self.tell(Control::Message { from, parts: json!([{"type": "text", "text": words}]) }).await;
        }
        let outcome = if untold.is_none() { "told" } else { "out_of_reach" };
        metrics::counter!("link_nudges_total", "why" => why.name(), "outcome" => outcome).increment(1);
        let key = format!("nudge:{}:{}", why.name(), since.timestamp_millis());
        self.commit(Some(key), Report::Nudged { why, since, untold }).await
    }

    /// Returns why the agent cannot be told anything now, where it cannot.
    fn out_of_reach(&self) -> Option<&'static str> {
        let runtime = self.runner.as_ref().and_then(|runner| self.handle.context.runtime(runner.runtime));
        match runtime {
            Some(runtime) => runtime.out_of_reach(self.running.instance),
            None => Some("its instance was removed"),
        }
    }
}
