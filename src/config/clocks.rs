//! After how long people are reminded of what waits for them, and agents that they do not move.

use std::time::Duration;

use super::{Error, seconds};

/// After how long people are reminded, unless set otherwise.
pub const CLOCKS: Clocks = Clocks {
    question: Duration::from_secs(3_600),
    review: Duration::from_secs(4 * 3_600),
    escalation: Duration::from_secs(3_600),
    queue: Duration::from_secs(2 * 3_600),
    nudge: Duration::from_secs(5 * 60),
    silence: Duration::from_secs(15 * 60),
};
/// The longest of them: a year.
const MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// After how long people are reminded for the first time; each pause after that is twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Of a question: `LINK_REMIND_QUESTION_SECS`.
    pub question: Duration,
    /// Of a review: `LINK_REMIND_REVIEW_SECS`.
    pub review: Duration,
    /// Of an escalation, and of a queue that takes too long: `LINK_REMIND_ESCALATION_SECS`.
    pub escalation: Duration,
    /// A delegation that is in the queue for longer is brought to its owner: `LINK_QUEUE_LIMIT_SECS`.
    pub queue: Duration,
    /// An agent that shows no activity for so long is told so: `LINK_NUDGE_SECS`.
    pub nudge: Duration,
    /// An attempt that shows none for so long ends, and a person is asked: `LINK_SILENCE_SECS`.
    pub silence: Duration,
}

/// Reads them.
pub(super) fn read(env: &dyn Fn(&str) -> Option<String>, file: [Option<u64>; 6]) -> Result<Clocks, Error> {
    let [question, review, escalation, queue, nudge, silence] = file;
    let read = |name, file, otherwise| seconds(name, env, file, otherwise).map(|time| time.min(MAX));
    Ok(Clocks {
        question: read("LINK_REMIND_QUESTION_SECS", question, CLOCKS.question)?,
        review: read("LINK_REMIND_REVIEW_SECS", review, CLOCKS.review)?,
        escalation: read("LINK_REMIND_ESCALATION_SECS", escalation, CLOCKS.escalation)?,
        queue: read("LINK_QUEUE_LIMIT_SECS", queue, CLOCKS.queue)?,
        nudge: read("LINK_NUDGE_SECS", nudge, CLOCKS.nudge)?,
        silence: read("LINK_SILENCE_SECS", silence, CLOCKS.silence)?,
    })
}
