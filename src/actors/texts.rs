//! Running text: what an agent is writing, as long as it writes. Kept in memory only: who begins to listen in the middle
//! hears all of it so far, then what is added.

use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;
use serde_json::json;

use crate::domain::ids::{AttemptId, Subject, WorkspaceId};

use super::feed::Signal;

/// The signal's type.
pub const SIGNAL: &str = "task:output";
/// The most of a text that is kept; of a longer one the newest part.
const BYTES_MAX: usize = 256 * 1024;

/// One text.
struct Text {
    attempt: AttemptId,
    kept: String,
    /// Characters of the whole, those that are no longer kept counted, too.
    length: usize,
    /// How much of what is kept was told, in bytes and in characters of the whole.
    told: (usize, usize),
    /// Whether the relay knows that there is more to tell.
    due: bool,
}

impl Text {
    fn new(attempt: AttemptId) -> Self {
        Self { attempt, kept: String::new(), length: 0, told: (0, 0), due: false }
    }

    fn push(&mut self, added: &str) {
        self.kept.push_str(added);
        self.length += added.chars().count();
        let surplus = self.kept.len().saturating_sub(BYTES_MAX);
        if surplus > 0 {
            let cut = (surplus..=self.kept.len()).find(|at| self.kept.is_char_boundary(*at)).unwrap_or_default();
            self.kept.drain(..cut);
            self.told.0 = self.told.0.saturating_sub(cut);
        }
    }

    fn take(&mut self) -> Option<(String, usize)> {
        let added = self.kept.get(self.told.0..).filter(|added| !added.is_empty()).map(str::to_owned);
        self.told = (self.kept.len(), self.length);
        self.due = false;
        added.map(|added| (added, self.length))
    }
}

/// Every running text of this node.
#[derive(Default)]
pub(super) struct Texts {
    texts: DashMap<WorkspaceId, HashMap<Subject, Text>>,
}

impl Texts {
    /// Adds to the text of an attempt; another attempt's text about the same begins anew. Returns whether the relay
    /// has to hear of it.
    pub fn add(&self, workspace: WorkspaceId, topic: Subject, attempt: AttemptId, added: &str) -> bool {
        let mut texts = self.texts.entry(workspace).or_default();
        let text = texts.entry(topic).or_insert_with(|| Text::new(attempt));
        if text.attempt != attempt {
            *text = Text::new(attempt);
        }
        text.push(added);
        !std::mem::replace(&mut text.due, true)
    }

    /// Ends the text of an attempt; returns what was not told yet.
    pub fn end(&self, workspace: WorkspaceId, topic: Subject, attempt: AttemptId) -> Option<Signal> {
        let mut text = {
            let mut texts = self.texts.get_mut(&workspace)?;
            texts.get(&topic).filter(|text| text.attempt == attempt)?;
            texts.remove(&topic)?
        };
        self.texts.remove_if(&workspace, |_, texts| texts.is_empty());
        let (delta, length) = text.take()?;
        Some(Signal::new(workspace, topic, SIGNAL, json!({"attempt": attempt, "delta": delta, "length": length})))
    }

    /// Returns what there is text about.
    pub fn topics(&self, workspace: WorkspaceId) -> Vec<Subject> {
        self.texts.get(&workspace).map(|texts| texts.keys().copied().collect()).unwrap_or_default()
    }

    /// Returns what was added since the last time, for everyone who knows what came before.
    pub fn added(&self, workspace: WorkspaceId, topic: Subject) -> Option<Arc<Signal>> {
        let mut texts = self.texts.get_mut(&workspace)?;
        let text = texts.get_mut(&topic)?;
        let (delta, length) = text.take()?;
        let data = json!({"attempt": text.attempt, "delta": delta, "length": length});
        Some(Arc::new(Signal::new(workspace, topic, SIGNAL, data)))
    }

    /// Returns the text so far, as far as it was told.
    pub fn whole(&self, workspace: WorkspaceId, topic: Subject) -> Option<Arc<Signal>> {
        let texts = self.texts.get(&workspace)?;
        let text = texts.get(&topic)?;
        let (bytes, length) = text.told;
        let data = json!({"attempt": text.attempt, "text": text.kept.get(..bytes)?, "length": length});
        Some(Arc::new(Signal::new(workspace, topic, SIGNAL, data)))
    }
}
