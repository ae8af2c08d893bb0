//! Branches and what they come to.

use std::collections::BTreeSet;

use crate::domain::{
    event::ConversationEvent,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    text::{Prose, Title},
};

use super::{Conflict, Conversation, ConversationKind, Decision};

/// A new branch. Who is in it and what it is about and belongs to, the workspace fills in.
#[derive(Clone, Debug)]
pub struct NewBranch {
    /// As the parent's; never changes.
    pub kind: ConversationKind,
    /// Its title.
    pub title: Option<Title>,
    /// Of which conversation.
    pub parent: ConversationId,
    /// The last message that both have.
    pub at: MessageId,
    /// Its number; never changes.
    pub seq: u64,
}

impl NewBranch {
    pub(super) fn event(self, by: Principal) -> ConversationEvent {
        let Self { kind, title, parent, at, seq } = self;
        let participants = [by].into();
        let (project, task, line) = (None, None, vec![]);
        ConversationEvent::Branched { kind, title, project, task, participants, parent, at, seq, line }
    }
}

/// What a branch came to, in the words of whoever merges it.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The entry.
    pub message: MessageId,
    /// Which branch.
    pub branch: ConversationId,
    /// In words.
    pub summary: Option<Prose>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// What was made.
    pub artifacts: Vec<ArtifactId>,
}

/// The most decisions, and the most artifacts, that one merge names.
pub const MERGE_ITEMS_MAX: usize = 200;

impl Conversation {
    /// A branch is merged once; asking again changes nothing.
    pub(super) fn merge(&self, author: Principal, merge: Merge) -> Result<Vec<ConversationEvent>, Rejection> {
        let Merge { message, branch, summary, decisions, artifacts } = merge;
        if self.merged.contains(&branch) {
            return Ok(vec![]);
        }
        self.must_be_open()?;
        for (path, count) in [("decisions", decisions.len()), ("artifacts", artifacts.len())] {
            if count > MERGE_ITEMS_MAX {
                return Err(Rejection::Invalid { path, message: format!("at most {MERGE_ITEMS_MAX}") });
            }
        }
        self.must_keep(decisions.iter())?;
        let conflicts = self.conflicts(&decisions);
        // The workspace knows the branch, and fills its range in.
        let (seq, from, to) = (self.last_seq + 1, 0, 0);
        let merged = ConversationEvent::Merged {
            message,
            seq,
            author,
            branch,
            from,
            to,
            summary,
            decisions,
            artifacts,
            conflicts,
        };
        Ok(vec![merged])
    }

    /// Returns the decisions that differ from what was decided about the same thing, here or earlier in the list.
    fn conflicts(&self, decisions: &[Decision]) -> Vec<Conflict> {
        let mut conflicts = vec![];
        for (nth, Decision { key, value }) in decisions.iter().enumerate() {
            let earlier = decisions[..nth].iter().filter(|other| other.key == *key).map(|other| &other.value);
            let before: BTreeSet<&Title> = self.decisions.get(key).into_iter().flatten().chain(earlier).collect();
            let here: Vec<Title> = before.into_iter().filter(|other| *other != value).cloned().collect();
            if !here.is_empty() {
                conflicts.push(Conflict { key: key.clone(), here, there: value.clone() });
            }
        }
        conflicts
    }
}
