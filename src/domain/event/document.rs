//! What happens to a shared document. Its text is not here but in what its updates come to together.

use serde::{Deserialize, Serialize};

use crate::domain::{
    document::{Blob, Change},
    ids::{ProjectId, SuggestionId},
    principal::Principal,
    text::{Prose, Title},
};

/// What happens to a shared document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum DocumentEvent {
    /// The document was made, empty.
    #[serde(rename = "document:created")]
    Created {
        /// Where it belongs.
        project: ProjectId,
        /// Its title.
        title: Title,
    },
    /// It has another title.
    #[serde(rename = "document:renamed")]
    Renamed {
        /// The new one.
        title: Title,
    },
    /// Nobody changes it any more; nothing is lost.
    #[serde(rename = "document:archived")]
    Archived {},
    /// Somebody changed the text.
    #[serde(rename = "document:edited")]
    Edited {
        /// The number of the update: 1, 2, 3 …
        seq: u64,
        /// Whose words they are: the author of a suggestion, not who accepted it.
        author: Principal,
        /// The update, as Yjs writes it (v1).
        update: Blob,
    },
    /// Somebody proposed changes.
    #[serde(rename = "document:suggested")]
    Suggested {
        /// Names them.
        suggestion: SuggestionId,
        /// Who.
        author: Principal,
        /// Why.
        note: Prose,
        /// What.
        changes: Vec<Change>,
    },
    /// A person accepted or declined one of the proposed changes.
    #[serde(rename = "document:suggestion_resolved")]
    Resolved {
        /// Which suggestion.
        suggestion: SuggestionId,
        /// Which of its changes, counted from 0.
        change: u32,
        /// Whether the text has it now.
        accepted: bool,
    },
}
