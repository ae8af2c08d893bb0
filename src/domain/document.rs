//! A shared document: a title, numbered updates of its text, and changes that somebody proposed. What the updates come to
//! together is the business of the CRDT that merges them; here they are bytes in a sequence, each by one author.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    event::DocumentEvent,
    ids::{DocumentId, ProjectId, Subject, SuggestionId},
    principal::Principal,
    rejection::Rejection,
    text::{Prose, Title},
};

/// The most bytes of one update.
pub const UPDATE_BYTES_MAX: usize = 1 << 20;
/// The most changes of one suggestion.
pub const CHANGES_MAX: usize = 50;
/// The most suggestions that wait for a person, per document.
pub const SUGGESTIONS_MAX: usize = 200;

/// Bytes, written as base64.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for Blob {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Blob".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "contentEncoding": "base64"})
    }
}

/// A change that somebody proposed: what is between two places of the text goes, and other words come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The beginning: a place that stays with its neighbours, as Yjs writes a relative position.
    pub from: Blob,
    /// The end.
    pub to: Blob,
    /// What stood there when it was proposed.
    pub removes: Prose,
    /// What shall stand there.
    pub inserts: Prose,
}

/// The state of a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Document {
    exists: bool,
    archived: bool,
    /// The number of the last update.
    seq: u64,
    /// Suggestions of which something still waits.
    suggestions: BTreeMap<SuggestionId, Waiting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    author: Principal,
    changes: BTreeSet<u32>,
}

/// What can be asked of a document.
#[derive(Clone, Debug)]
pub enum DocumentCommand {
    /// Make it.
    Create {
        /// Where it belongs.
        project: ProjectId,
        /// Its title.
        title: Title,
    },
    /// Give it another title.
    Rename(Title),
    /// Let nobody change it any more.
    Archive,
    /// Change the text.
    Edit {
        /// The last update that whoever asks has seen: there is one place where updates are put in order, and this is
        /// its fence.
        after: u64,
        /// The update.
        update: Blob,
    },
    /// Propose changes.
    Suggest {
        /// Names them.
        suggestion: SuggestionId,
        /// Why.
        note: Prose,
        /// What.
        changes: Vec<Change>,
    },
    /// Accept or decline a proposed change.
    Resolve {
        /// Which suggestion.
        suggestion: SuggestionId,
        /// Which of its changes, counted from 0.
        change: u32,
        /// The last update that whoever asks has seen, and what the change comes to; nothing when it is declined.
        accepted: Option<(u64, Blob)>,
    },
}

impl Document {
    /// Decides a command.
    pub fn decide(
        &self,
        id: DocumentId,
        by: Principal,
        command: DocumentCommand,
    ) -> Result<Vec<DocumentEvent>, Rejection> {
        use DocumentCommand as C;
        match (self.exists, command) {
            (true, C::Create { .. }) => Err(Rejection::Exists(Subject::Document(id))),
            (false, C::Create { project, title }) => Ok(vec![DocumentEvent::Created { project, title }]),
            (false, _) => Err(Rejection::NotFound("document")),
            (true, C::Archive) if self.archived => Ok(vec![]),
            (true, _) if self.archived => Err(Rejection::Busy("the document is archived")),
            (true, C::Rename(title)) => Ok(vec![DocumentEvent::Renamed { title }]),
            (true, C::Archive) => Ok(vec![DocumentEvent::Archived {}]),
            (true, C::Edit { after, update }) => Ok(vec![self.edited(after, by, update)?]),
            (true, C::Suggest { suggestion, note, changes }) => {
                if changes.is_empty() || changes.len() > CHANGES_MAX {
                    let message = format!("1 to {CHANGES_MAX} changes are needed");
                    return Err(Rejection::Invalid { path: "changes", message });
                }
                if self.suggestions.len() >= SUGGESTIONS_MAX {
                    return Err(Rejection::Busy("too many suggestions wait: accept or decline some first"));
                }
                Ok(vec![DocumentEvent::Suggested { suggestion, author: by, note, changes }])
            }
            (true, C::Resolve { suggestion, change, accepted }) => {
                let waiting = self.suggestions.get(&suggestion).filter(|waiting| waiting.changes.contains(&change));
                let waiting = waiting.ok_or(Rejection::NotFound("open change of a suggestion"))?;
                if by.user().is_none() {
                    return Err(Rejection::Forbidden("only a person can accept or decline a suggestion"));
                }
                let mut events = vec![DocumentEvent::Resolved { suggestion, change, accepted: accepted.is_some() }];
                if let Some((after, update)) = accepted {
                    events.push(self.edited(after, waiting.author, update)?);
                }
                Ok(events)
            }
        }
    }

    fn edited(&self, after: u64, author: Principal, update: Blob) -> Result<DocumentEvent, Rejection> {
        if after != self.seq {
            return Err(Rejection::Version { expected: after, actual: self.seq });
        }
        if update.0.is_empty() || update.0.len() > UPDATE_BYTES_MAX {
            let message = format!("must be 1 to {UPDATE_BYTES_MAX} bytes");
            return Err(Rejection::Invalid { path: "update", message });
        }
        Ok(DocumentEvent::Edited { seq: self.seq + 1, author, update })
    }

    /// Changes the state.
    pub fn apply(&mut self, event: &DocumentEvent) {
        match event {
            DocumentEvent::Created { .. } => self.exists = true,
            DocumentEvent::Renamed { .. } => {}
            DocumentEvent::Archived {} => self.archived = true,
            DocumentEvent::Edited { seq, .. } => self.seq = *seq,
            DocumentEvent::Suggested { suggestion, author, changes, .. } => {
                let changes = (0..u32::try_from(changes.len()).unwrap_or(u32::MAX)).collect();
                self.suggestions.insert(*suggestion, Waiting { author: *author, changes });
            }
            DocumentEvent::Resolved { suggestion, change, .. } => {
                if let Some(waiting) = self.suggestions.get_mut(suggestion) {
                    waiting.changes.remove(change);
                    if waiting.changes.is_empty() {
                        self.suggestions.remove(suggestion);
                    }
                }
            }
        }
    }
}
