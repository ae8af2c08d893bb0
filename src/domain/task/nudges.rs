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
    /// How often.
    pub count: u32,
    /// Since when it was silent, when it was told so last.
    silent: Option<DateTime<Utc>>,
    /// Since when it ran in circles, when it was told so last.
    circling: Option<DateTime<Utc>>,
}

impl Nudges {
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
        let new = told.is_none_or(|before| since > before);
        new.then_some(TaskEvent::AttemptNudged { attempt, nth: self.count + 1, why, since, untold })
    }

    pub(super) fn apply(&mut self, nth: u32, why: Standstill, since: DateTime<Utc>) {
        self.count = nth;
        match why {
            Standstill::Silent => self.silent = Some(since),
            Standstill::Circling => self.circling = Some(since),
        }
    }
}
