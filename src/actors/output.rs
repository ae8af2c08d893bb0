//! The answer of a run as far as it is written, so that an attempt which ends without a result leaves it behind.

use ractor::ActorProcessingErr;
use serde_json::json;

use crate::{
    agents::Produced,
    domain::{
        event::ArtifactName,
        task::{Made, PARTIAL, Report},
        text::{Label, scrubbed},
    },
};

use super::{driving::Standing, run::RunState};

/// The most text that is kept of an unfinished answer, in bytes: its end, which says how far it came.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The first length, in characters, at which an unfinished answer is written down; then each time it has doubled.
const KEEP_FIRST: usize = 2_000;

/// The text that an agent has written in one run.
#[derive(Debug, Default)]
pub(super) struct Output {
    text: String,
    /// How much was written, in characters, kept or not.
    pub length: usize,
    /// The length that was written down last.
    pub kept: usize,
}

impl Output {
    /// Adds a piece; tells whether it is time to write the whole down.
    pub fn grow(&mut self, piece: &str) -> bool {
        self.length += piece.chars().count();
        self.text.push_str(piece);
        let over = self.text.len().saturating_sub(KEPT_BYTES_MAX);
        if over > 0 {
            let cut = (over..=self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(over);
            self.text.drain(..cut);
        }
        self.length >= KEEP_FIRST.max(self.kept * 2)
    }

    /// Tells whether there is nothing that was not written down.
    pub fn is_kept(&self) -> bool {
        self.kept >= self.length || self.text.trim().is_empty()
    }

    /// Returns it as something that the attempt made.
    pub fn produced(&self) -> Produced {
        Produced {
            kind: PARTIAL.into(),
            name: "answer so far".into(),
            content: Some(self.text.clone()),
            details: json!({"length": self.length}),
        }
    }
}

impl RunState {
    /// Keeps the answer as far as it is written.
    pub(super) async fn keep_output(&mut self) -> Result<Standing, ActorProcessingErr> {
        if self.output.is_kept() {
            return Ok(Standing::Holds);
        }
        self.output.kept = self.output.length;
        self.commit(None, Report::Artifact(self.made(self.output.produced()))).await
    }

    pub(super) fn made(&self, produced: Produced) -> Made {
        Made {
            artifact: self.handle.context.clock.id(),
            kind: Label::fitted(&produced.kind),
            name: ArtifactName::fitted(&produced.name),
            content: produced.content.map(|text| text.replace('\0', "")),
            details: scrubbed(produced.details),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_answer_is_written_down_each_time_it_has_doubled() {
        let mut output = Output::default();
        let mut kept = vec![];
        for _ in 0..20 {
            if output.grow(&"x".repeat(1_000)) {
                kept.push(output.length);
                output.kept = output.length;
            }
        }
        assert_eq!(kept, vec![2_000, 4_000, 8_000, 16_000]);
        assert!(!output.is_kept());
    }

    #[test]
    fn of_a_long_answer_the_end_is_kept() {
        let mut output = Output::default();
        output.grow(&"ä".repeat(KEPT_BYTES_MAX));
        output.grow("the end");
        let kept = output.produced().content.unwrap();
        assert!(kept.len() <= KEPT_BYTES_MAX && kept.ends_with("the end"));
        assert_eq!(output.length, KEPT_BYTES_MAX + 7);
    }
}
