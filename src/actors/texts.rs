//! Running text: what an agent is writing, as long as it writes. Kept in memory only: who begins to listen in the middle
//! hears all of it so far, then what is added.

use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;
use serde_json::json;

use crate::domain::{
    ids::{AgentId, AttemptId, Subject, TurnId, WorkspaceId},
    principal::Principal,
    workspace::{Running, RunningTurn},
};

use super::feed::Signal;

/// The most of a text that is kept; of a longer one the newest part.
const BYTES_MAX: usize = 256 * 1024;

/// A text by what it is about and who writes it: in one conversation several agents may answer at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Writing {
    /// What it is about.
    pub topic: Subject,
    /// Who writes.
    pub by: Writer,
}

/// Who writes a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Writer {
    /// An attempt at a task.
    Attempt(AttemptId),
    /// An agent that answers in a conversation.
    Turn(TurnId, AgentId),
}

impl From<&Running> for Writing {
    fn from(running: &Running) -> Self {
        Self { topic: Subject::Task(running.task), by: Writer::Attempt(running.attempt) }
    }
}

impl From<&RunningTurn> for Writing {
    fn from(running: &RunningTurn) -> Self {
        Self { topic: Subject::Conversation(running.conversation), by: Writer::Turn(running.turn, running.agent) }
    }
}

impl Writing {
    fn signal(&self, workspace: WorkspaceId, name: &str, text: &Text, words: &str, length: usize) -> Signal {
        let (kind, mut data) = match self.by {
            Writer::Attempt(attempt) => ("task:output", json!({"attempt": attempt, "length": length})),
            Writer::Turn(turn, agent) => {
                ("conversation:output", json!({"turn": turn, "agent": agent, "length": length}))
            }
        };
        data[name] = json!(words);
        Signal { audience: text.audience.clone(), ..Signal::new(workspace, self.topic, kind, data) }
    }
}

/// One text.
#[derive(Default)]
struct Text {
    kept: String,
    /// Characters of the whole, those that are no longer kept counted, too.
    length: usize,
    /// How much of what is kept was told, in bytes and in characters of the whole.
    told: (usize, usize),
    /// Whether the relay knows that there is more to tell.
    due: bool,
    /// Who may hear it; `None` means everyone who may see what it is about.
    audience: Option<Vec<Principal>>,
}

impl Text {
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
    texts: DashMap<WorkspaceId, HashMap<Writing, Text>>,
}

impl Texts {
    /// Adds to a text. Returns whether the relay has to hear of it.
    pub fn add(&self, workspace: WorkspaceId, writing: Writing, added: &str, audience: Option<&[Principal]>) -> bool {
        let mut texts = self.texts.entry(workspace).or_default();
        let text = texts.entry(writing).or_default();
        text.audience = audience.map(<[_]>::to_vec);
        text.push(added);
        !std::mem::replace(&mut text.due, true)
    }

    /// Ends a text; returns what was not told yet.
    pub fn end(&self, workspace: WorkspaceId, writing: Writing) -> Option<Signal> {
        let mut text = self.texts.get_mut(&workspace)?.remove(&writing)?;
        self.texts.remove_if(&workspace, |_, texts| texts.is_empty());
        let (delta, length) = text.take()?;
        Some(writing.signal(workspace, "delta", &text, &delta, length))
    }

    /// Tells whether a text has not ended.
    pub fn is_running(&self, workspace: WorkspaceId, writing: Writing) -> bool {
        self.texts.get(&workspace).is_some_and(|texts| texts.contains_key(&writing))
    }

    /// Returns the texts that there are.
    pub fn all(&self, workspace: WorkspaceId) -> Vec<Writing> {
        self.texts.get(&workspace).map(|texts| texts.keys().copied().collect()).unwrap_or_default()
    }

    /// Returns what was added since the last time, for everyone who knows what came before.
    pub fn added(&self, workspace: WorkspaceId, writing: Writing) -> Option<Arc<Signal>> {
        let mut texts = self.texts.get_mut(&workspace)?;
        let text = texts.get_mut(&writing)?;
        let (delta, length) = text.take()?;
        Some(Arc::new(writing.signal(workspace, "delta", text, &delta, length)))
    }

    /// Returns the text so far, as far as it was told.
    pub fn whole(&self, workspace: WorkspaceId, writing: Writing) -> Option<Arc<Signal>> {
        let texts = self.texts.get(&workspace)?;
        let text = texts.get(&writing)?;
        let (bytes, length) = text.told;
        Some(Arc::new(writing.signal(workspace, "text", text, text.kept.get(..bytes)?, length)))
    }
}
