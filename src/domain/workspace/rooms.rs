//! The workspace's conversations, as far as they concern each other: which is a branch of which, and who may hear.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    conversation::ConversationKind,
    event::ConversationEvent,
    ids::{ConversationId, ProjectId, TaskId},
    principal::Principal,
    rejection::Rejection,
};

/// How deep branches of branches go.
const DEPTH_MAX: usize = 16;

/// Whose a conversation is, as somebody sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Privacy {
    /// Everybody's.
    Open,
    /// Theirs and other participants'.
    Own,
    /// Not theirs.
    Others,
}

/// All conversations of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rooms(BTreeMap<ConversationId, Room>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Room {
    project: Option<ProjectId>,
    task: Option<TaskId>,
    private: bool,
    participants: BTreeSet<Principal>,
    last_seq: u64,
    branch: Option<Branch>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Branch {
    parent: ConversationId,
    seq: u64,
    merged_into: Option<ConversationId>,
}

impl Rooms {
    /// Fills in what a branch takes over from its parent, and what a merge says of its branch.
    pub fn admit(&self, id: ConversationId, event: &mut ConversationEvent) -> Result<(), Rejection> {
        match event {
            ConversationEvent::Branched { kind, project, task, participants, parent, line, .. } => {
                let room = self.0.get(parent).ok_or(Rejection::NotFound("conversation"))?;
                if room.private && !room.participants.is_superset(participants) {
                    return Err(Rejection::NotFound("conversation"));
                }
                if self.line(*parent).count() >= DEPTH_MAX {
                    return Err(Rejection::Busy("branches of branches go no deeper: branch further up"));
                }
                if room.private {
                    *kind = ConversationKind::Dm;
                }
                (*project, *task) = (room.project, room.task);
                *line = self.line(*parent).map(|(id, _)| id).collect();
                participants.extend(&room.participants);
                Ok(())
            }
            ConversationEvent::Merged { branch, author, from, to, .. } => {
                (*from, *to) = self.range(*branch, id, *author)?;
                Ok(())
            }
            // A branch of a direct conversation is never open to more people than the conversation is.
            ConversationEvent::ParticipantAdded { participant } => {
                let outside = |room: &Room| room.private && !room.participants.contains(participant);
                if self.line(id).skip(1).any(|(_, room)| outside(room)) {
                    return Err(Rejection::Forbidden("let them into the conversation first that this is a branch of"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the numbers of a branch's own messages, if it can be merged into this conversation.
    fn range(&self, id: ConversationId, into: ConversationId, author: Principal) -> Result<(u64, u64), Rejection> {
        let no = |from: &str| {
            let (from, to) = (from.into(), "merged".into());
            Rejection::Transition { what: "the conversation", from, to }
        };
        let room = self.0.get(&id).ok_or(Rejection::NotFound("conversation"))?;
        if room.private && !room.participants.contains(&author) {
            return Err(Rejection::NotFound("conversation"));
        }
        let branch = room.branch.as_ref().ok_or_else(|| no("not a branch"))?;
        if branch.merged_into.is_some() {
            return Err(Rejection::Busy("the branch was merged into another conversation"));
        }
        if id == into {
            return Err(no("the end of itself"));
        }
        let open = self.0.get(&into).is_some_and(|room| !room.private);
        if room.private && !self.line(id).any(|(known, _)| known == into) || !room.private && !open {
            return Err(Rejection::Forbidden("a direct conversation's branch is merged into it, and nothing else is"));
        }
        if room.last_seq == branch.seq {
            return Err(no("a branch without a message of its own"));
        }
        Ok((branch.seq + 1, room.last_seq))
    }

    /// Returns a conversation and what it is a branch of, up to the root.
    fn line(&self, id: ConversationId) -> impl Iterator<Item = (ConversationId, &Room)> {
        let of = |id: ConversationId| self.0.get(&id).map(|room| (id, room));
        std::iter::successors(of(id), move |(_, room)| of(room.branch.as_ref()?.parent))
    }

    /// Returns what follows for other conversations.
    pub fn consequences(
        &self,
        id: ConversationId,
        event: &ConversationEvent,
    ) -> Vec<(ConversationId, ConversationEvent)> {
        match event {
            ConversationEvent::Merged { branch, message, .. } => {
                vec![(*branch, ConversationEvent::Sealed { into: id, entry: *message })]
            }
            ConversationEvent::ParticipantRemoved { participant }
                if self.0.get(&id).is_some_and(|room| room.private) =>
            {
                let branch_of = |room: &Room| room.branch.as_ref().is_some_and(|branch| branch.parent == id);
                let open = self.0.iter().filter(|(_, room)| branch_of(room) && room.participants.contains(participant));
                let removed = ConversationEvent::ParticipantRemoved { participant: *participant };
                open.map(|(branch, _)| (*branch, removed.clone())).collect()
            }
            _ => vec![],
        }
    }

    pub fn apply(&mut self, id: ConversationId, event: &ConversationEvent) {
        use ConversationEvent as E;
        match event {
            E::Created { kind, project, task, participants, .. } => {
                let private = *kind == ConversationKind::Dm;
                let (project, task, participants) = (*project, *task, participants.clone());
                self.0.insert(id, Room { project, task, private, participants, last_seq: 0, branch: None });
            }
            E::Branched { kind, project, task, participants, parent, seq, .. } => {
                let private = *kind == ConversationKind::Dm;
                let (project, task, participants) = (*project, *task, participants.clone());
                let branch = Some(Branch { parent: *parent, seq: *seq, merged_into: None });
                self.0.insert(id, Room { project, task, private, participants, last_seq: *seq, branch });
            }
            E::ParticipantAdded { participant } => self.change(id, |room| {
                room.participants.insert(*participant);
            }),
            E::ParticipantRemoved { participant } => self.change(id, |room| {
                room.participants.remove(participant);
            }),
            E::Message { seq, .. } | E::Merged { seq, .. } => self.change(id, |room| room.last_seq = *seq),
            E::Sealed { into, .. } => self.change(id, |room| {
                if let Some(branch) = &mut room.branch {
                    branch.merged_into = Some(*into);
                }
            }),
            _ => {}
        }
    }

    fn change(&mut self, id: ConversationId, change: impl FnOnce(&mut Room)) {
        if let Some(room) = self.0.get_mut(&id) {
            change(room);
        }
    }

    /// Returns the project and the task that a conversation is about.
    pub fn about(&self, id: ConversationId) -> (Option<ProjectId>, Option<TaskId>) {
        self.0.get(&id).map_or((None, None), |room| (room.project, room.task))
    }

    /// Returns what a conversation is a branch of, up to the root.
    pub fn ancestors(&self, id: ConversationId) -> impl Iterator<Item = ConversationId> {
        self.line(id).skip(1).map(|(id, _)| id)
    }

    /// Tells whether there is such a conversation, and whether somebody is let in where that matters.
    pub fn place(&self, id: ConversationId, who: Principal) -> Option<Privacy> {
        self.0.get(&id).map(|room| match (room.private, room.participants.contains(&who)) {
            (false, _) => Privacy::Open,
            (true, true) => Privacy::Own,
            (true, false) => Privacy::Others,
        })
    }

    pub fn audience(&self, id: ConversationId) -> Option<Vec<Principal>> {
        let room = self.0.get(&id).filter(|room| room.private)?;
        Some(room.participants.iter().copied().collect())
    }
}
