//! What an attempt reports, in Link's own words.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{
    event::{ArtifactName, TaskEvent},
    failure::FailureClass,
    ids::{ArtifactId, AttemptId, InterruptId},
    run::{InterruptKind, Usage},
    text::{Label, Prose, scrubbed, storable},
};

use super::Standstill;

/// The kind of artifact that keeps an answer as far as it was written: it proves nothing.
pub const PARTIAL: &str = "partial";

/// Something that an attempt made or changed.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub artifact: ArtifactId,
    /// `file`, `text`, `diff`, `link`, `partial`.
    pub kind: Label,
    /// Path or title.
    pub name: ArtifactName,
    /// The content, where it is small text.
    pub content: Option<String>,
    /// Anything else.
    pub details: Value,
}

impl Made {
    pub(super) fn recorded(self, attempt: AttemptId) -> TaskEvent {
        let Self { artifact, kind, name, content, details } = self;
        let (content, details) = (content.map(|text| storable(&text, usize::MAX)), scrubbed(details));
        TaskEvent::ArtifactRecorded { artifact, attempt, kind, name, content, details }
    }
}

/// Something that an attempt reports.
#[derive(Clone, Debug)]
pub enum Report {
    /// The instance has the work.
    Accepted,
    /// The work moved on.
    Progress {
        /// 0–100 from evidence, or unknown.
        percent: Option<u8>,
        /// One word.
        phase: String,
        /// One line.
        message: Option<String>,
    },
    /// A tool call ended.
    Tool {
        /// The tool.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// One line.
        summary: String,
    },
    /// Something was made or changed.
    Artifact(Made),
    /// Tokens and cost so far.
    Usage(Usage),
    /// A question.
    Asked {
        /// Its id.
        interrupt: InterruptId,
        /// The driver's name for it.
        key: String,
        /// What kind.
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        details: Value,
    },
    /// The agent lives and does not move: it was told, or could not be.
    Nudged {
        /// How it does not move.
        why: Standstill,
        /// Since when.
        since: DateTime<Utc>,
        /// Why it could not be told, where it could not.
        untold: Option<String>,
    },
    /// The agent has the answer.
    Delivered(InterruptId),
    /// The question went away.
    Withdrawn {
        /// The driver's name for it.
        key: String,
    },
    /// The work is handed in.
    Submitted {
        /// The agent's final words.
        text: Prose,
        /// The id for the artifact that keeps them.
        artifact: ArtifactId,
    },
    /// The attempt ended without a result.
    Failed {
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
        /// How long the instance, or the model's provider, wants to be left alone, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The attempt was stopped as wanted.
    Stopped,
}
