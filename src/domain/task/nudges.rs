//! An attempt that lives and does not move: what its agent was told about that, so that it is told once, also by a Link
//! that was killed meanwhile.

use schemars::JsonSchema;

use super::*;

/// How an agent that lives does not move.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standstill {
    /// It shows no activity.
    Silent,
    /// It does the same again and again.
    Circling,
}

impl Standstill {
    /// Returns the name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Circling => "circling",
        }
    }
}

/// What the agent of a running attempt was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Nudges {
    count: u32,
    silent: Told,
    circling: Told,
}

/// When it was told one thing last, and whether it still holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Told {
    since: Option<DateTime<Utc>>,
    holds: bool,
}

impl Nudges {
    /// Returns since when it is silent, where it was told so and has not moved since.
    pub fn silent_since(&self) -> Option<DateTime<Utc>> {
        self.silent.since.filter(|_| self.silent.holds)
    }

    /// Tells whether it was told that it runs in circles, and there was no news since.
    pub fn is_circling(&self) -> bool {
        self.circling.holds
    }

    /// The agent was told, or could not be; the same is said once.
    pub(super) fn nudged(
        self,
        attempt: AttemptId,
        (why, since): (Standstill, DateTime<Utc>),
        untold: Option<String>,
    ) -> Option<TaskEvent> {
        let told = match why {
            Standstill::Silent => self.silent,
            Standstill::Circling => self.circling,
        };
        let new = !told.holds && told.since.is_none_or(|before| since > before);
        new.then_some(TaskEvent::AttemptNudged { attempt, nth: self.count + 1, why, since, untold })
    }

    pub(super) fn apply(&mut self, own: AttemptId, event: &TaskEvent) {
        match event {
            TaskEvent::AttemptNudged { nth, why, since, .. } => {
                self.count = *nth;
                let told = match why {
                    Standstill::Silent => &mut self.silent,
                    Standstill::Circling => &mut self.circling,
                };
                *told = Told { since: Some(*since), holds: true };
            }
            // Things that are made, and questions, are news.
            TaskEvent::ArtifactRecorded { attempt, .. } | TaskEvent::InterruptOpened { attempt, .. }
                if *attempt == own =>
            {
                (self.silent.holds, self.circling.holds) = (false, false);
            }
            TaskEvent::Progress { .. } | TaskEvent::AttemptTool { .. } | TaskEvent::AttemptUsage { .. } => {
                self.silent.holds = false;
            }
            _ => {}
        }
    }
}
