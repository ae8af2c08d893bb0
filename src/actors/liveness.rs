//! Whether a run that lives also moves: silence is told first and then ends it, and so does running in circles. What it
//! made until then is kept, and its agent is told to stop.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor::ActorProcessingErr;

use crate::{
    agents::Activity,
    domain::{failure::FailureClass, loops::Loops, task::Report},
};

use super::{
    driving::Standing,
    run::{RunState, Stopping},
};

/// How often it is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Silence that people are told of.
const SILENCE_TOLD: TimeDelta = TimeDelta::minutes(5);
/// Silence that ends the attempt.
const SILENCE_MAX: TimeDelta = TimeDelta::minutes(15);

/// What is known of a run's movements.
#[derive(Debug)]
pub(super) struct Liveness {
    moved_at: DateTime<Utc>,
    told: bool,
    loops: Loops,
}

impl Liveness {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { moved_at: now, told: false, loops: Loops::default() }
    }
}

impl RunState {
    /// Notes what the agent does; tells how it runs in circles, where it does.
    pub(super) fn moved(&mut self, activity: &Activity) -> Option<String> {
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
                None
            }
            _ => None,
        }
    }

    /// Looks whether the run still moves.
    pub(super) async fn look_alive(&mut self) -> Result<Standing, ActorProcessingErr> {
        let now = self.handle.context.clock.now();
        // Whoever waits for a person, or is being stopped, has reason to be silent.
        if self.control.is_none() || self.stopping != Stopping::No || !self.questions.is_empty() {
            self.liveness.moved_at = now;
            return Ok(Standing::Holds);
        }
        let silent = now - self.liveness.moved_at;
        if silent >= SILENCE_MAX {
            let message = format!("the agent has shown no activity for {} minutes", silent.num_minutes());
            return self.failed(FailureClass::Silent, &message).await;
        }
        if silent >= SILENCE_TOLD && !self.liveness.told {
            self.liveness.told = true;
            let message = Some(format!("no activity for {} minutes", silent.num_minutes()));
            return self.commit(None, Report::Progress { percent: None, phase: "silent".into(), message }).await;
        }
        Ok(Standing::Holds)
    }
}
