//! What an agent says faster than it is told: pieces of text are put together, and of progress the newest counts. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::agents::Activity;

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(110);
/// Pieces of the answer are put together for so long.
const OUTPUT_EVERY: Duration = Duration::from_millis(40);
/// And up to so many bytes.
const OUTPUT_MAX: usize = 8 * 1024;

/// What was taken and waits a moment to be told.
struct Waiting<T> {
    what: T,
    first: Option<u64>,
    last: Option<u64>,
    due: Instant,
}

/// Percentage, phase and message.
type Progress = (Option<u8>, String, Option<String>);

/// What waits to be told about one attempt.
#[derive(Default)]
pub struct Gathered {
    output: Option<Waiting<String>>,
    progress: Option<Waiting<Progress>>,
    progress_told: Option<Instant>,
}

/// Something to tell, and the number of the last frame in it.
pub type Ready = (Activity, Option<u64>);

impl Gathered {
    /// Takes a piece of text; returns whether it cannot wait any longer.
    pub fn output(&mut self, seq: Option<u64>, text: &str, now: Instant) -> bool {
        let new = || Waiting { what: String::new(), first: seq, last: seq, due: now + OUTPUT_EVERY };
        let waiting = self.output.get_or_insert_with(new);
        waiting.what.push_str(text);
        waiting.last = seq;
        waiting.what.len() >= OUTPUT_MAX
    }

    /// Takes a report of progress; returns whether it need not wait. The percentage never falls.
    pub fn progress(
        &mut self,
        seq: Option<u64>,
        percent: Option<f64>,
        (phase, message): (Option<String>, Option<String>),
        now: Instant,
    ) -> bool {
        // A number that is none, or none between 0 and 100, becomes the nearest that is.
        let percent = percent.map(|percent| percent.clamp(0.0, 100.0).round() as u8);
        let before = self.progress.take();
        let percent = percent.max(before.as_ref().and_then(|before| before.what.0));
        let first = before.map_or(seq, |before| before.first.or(seq));
        let due = self.progress_told.map_or(now, |told| (told + PROGRESS_EVERY).max(now));
        let what = (percent, phase.unwrap_or_else(|| "working".into()), message);
        self.progress = Some(Waiting { what, first, last: seq, due });
        due <= now
    }

    /// Gives out the text.
    pub fn take_output(&mut self) -> Option<Ready> {
        self.output.take().map(|waiting| (Activity::Delta { text: waiting.what }, waiting.last))
    }

    /// Gives out the progress.
    pub fn take_progress(&mut self, now: Instant) -> Option<Ready> {
        let Waiting { what: (percent, phase, message), last, .. } = self.progress.take()?;
        self.progress_told = Some(now);
        Some((Activity::Progress { percent, phase, message }, last))
    }

    /// Returns when the text, and when the progress has to be told.
    pub fn due(&self) -> [Option<Instant>; 2] {
        [self.output.as_ref().map(|waiting| waiting.due), self.progress.as_ref().map(|waiting| waiting.due)]
    }

    /// Returns the first frame that was not told yet.
    pub fn held_back(&self) -> Option<u64> {
        let output = self.output.as_ref().and_then(|waiting| waiting.first);
        let progress = self.progress.as_ref().and_then(|waiting| waiting.first);
        output.into_iter().chain(progress).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_put_together_and_of_progress_the_newest_counts_and_never_falls() {
        let (mut gathered, now) = (Gathered::default(), Instant::now());
        assert!(!gathered.output(Some(1), "a", now) && !gathered.output(Some(2), "b", now));
        assert!(gathered.progress(Some(3), Some(50.4), (None, None), now), "the first one need not wait");
        gathered.take_progress(now);
        assert!(!gathered.progress(Some(4), Some(90.0), (None, None), now));
        assert!(!gathered.progress(Some(5), Some(f64::NAN), (Some("late".into()), None), now));
        assert_eq!((gathered.held_back(), gathered.due()[0]), (Some(1), Some(now + OUTPUT_EVERY)));
        assert_eq!(gathered.take_output(), Some((Activity::Delta { text: "ab".into() }, Some(2))));
        assert_eq!(gathered.held_back(), Some(4));
        let told = Activity::Progress { percent: Some(90), phase: "late".into(), message: None };
        assert_eq!(gathered.take_progress(now), Some((told, Some(5))));
        assert_eq!((gathered.held_back(), gathered.due()), (None, [None, None]));
        assert!(gathered.output(None, &"x".repeat(OUTPUT_MAX), now), "too much to wait");
    }
}
