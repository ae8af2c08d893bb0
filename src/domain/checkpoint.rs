//! Checkpoints of a task: where the log was, and what the task, the conversations about it and the run of its attempt
//! were there. The log keeps everything, so a checkpoint holds no content: it names an offset, and says with digests what
//! must be found there. It is whole, or it is not made.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest as hash};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    event::{ArtifactName, ConversationEvent, Event, Recorded, TaskEvent},
    ids::*,
    principal::Principal,
    task::{PARTIAL, Priority},
    text::{Label, Prose, Title},
};

/// What a rollback brings back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// What is to be done, in a line.
    pub title: Option<Title>,
    /// What is to be done.
    pub description: Prose,
    /// How urgent.
    pub priority: Priority,
    /// Who answers for it.
    pub assignee: Option<Principal>,
    /// What attempts have made that counts, each name once.
    pub results: BTreeSet<ArtifactId>,
}

/// One of the three things that a checkpoint is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointPart {
    /// The task.
    Task,
    /// The conversations about it.
    Conversations,
    /// The run of its attempt.
    Session,
}

impl CheckpointPart {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Conversations => "conversations",
            Self::Session => "session",
        }
    }
}

/// Why a checkpoint was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointReason {
    /// Somebody wanted it.
    Manual,
    /// An attempt began.
    AttemptStarted,
    /// Work was handed in.
    Submitted,
    /// A person is about to let an agent do something.
    RiskyStep,
    /// The task is about to be rolled back.
    Rollback,
}

impl CheckpointReason {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::AttemptStarted => "attempt_started",
            Self::Submitted => "submitted",
            Self::RiskyStep => "risky_step",
            Self::Rollback => "rollback",
        }
    }
}

/// A conversation about the task, as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TalkMark {
    /// Which.
    pub conversation: ConversationId,
    /// The number of its last message.
    pub seq: u64,
    /// The SHA-256 of what was said in it.
    pub digest: String,
}

/// The run of the attempt that held the task, as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionMark {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whose it is.
    pub agent: AgentId,
    /// Where it runs.
    pub instance: InstanceId,
    /// How its driver finds the run, once the instance has it.
    pub remote: Option<Value>,
}

/// What a checkpoint is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The log's offset that all of it is of.
    pub at: u64,
    /// The SHA-256 of the task's fields and results.
    pub task: String,
    /// The conversations about it; direct ones are their participants' own.
    pub conversations: Vec<TalkMark>,
    /// The run of its attempt, where it had one.
    pub session: Option<SessionMark>,
}

/// The parts of a checkpoint while they are put together.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The task's digest.
    pub task: Option<String>,
    /// All conversations about it.
    pub conversations: Option<Vec<TalkMark>>,
    /// Its attempt's run, or that there is none.
    pub session: Option<Option<SessionMark>>,
}

impl Parts {
    /// Returns the whole; a part that could not be had makes no half checkpoint.
    ///
    /// # Errors
    /// The first part that is missing.
    pub fn whole(self, at: u64) -> Result<Manifest, CheckpointPart> {
        Ok(Manifest {
            at,
            task: self.task.ok_or(CheckpointPart::Task)?,
            conversations: self.conversations.ok_or(CheckpointPart::Conversations)?,
            session: self.session.ok_or(CheckpointPart::Session)?,
        })
    }
}

impl Manifest {
    /// Reads a task as it was at the checkpoint.
    ///
    /// # Errors
    /// The part that is not what the checkpoint says.
    pub fn restored(
        &self,
        task: &[Recorded],
        talks: &BTreeMap<ConversationId, Vec<Recorded>>,
    ) -> Result<TaskState, CheckpointPart> {
        let state = TaskState::of(task, self.at).ok_or(CheckpointPart::Task)?;
        if digest(&state) != self.task {
            return Err(CheckpointPart::Task);
        }
        for mark in &self.conversations {
            let log = talks.get(&mark.conversation).map(Vec::as_slice).unwrap_or_default();
            if TalkMark::of(mark.conversation, log, self.at) != *mark {
                return Err(CheckpointPart::Conversations);
            }
        }
        Ok(state)
    }
}

impl TaskState {
    /// Reads a task's log up to an offset; nothing where the task was not made by then.
    pub fn of(task: &[Recorded], at: u64) -> Option<Self> {
        let mut state = None;
        let (mut live, mut named) = (BTreeSet::new(), BTreeMap::<ArtifactId, (Label, ArtifactName)>::new());
        for recorded in task.iter().filter(|recorded| recorded.offset <= at) {
            let Event::Task(event) = &recorded.event else { continue };
            if let TaskEvent::Created { title, description, priority, assignee, .. } = event {
                let (title, description) = (Some(title.clone()), description.clone());
                let (priority, assignee, results) = (*priority, *assignee, BTreeSet::new());
                state = Some(Self { title, description, priority, assignee, results });
                continue;
            }
            let Some(state) = &mut state else { continue };
            match event {
                TaskEvent::Updated { title, description, priority, assignee, .. } => {
                    state.title = title.clone().or(state.title.take());
                    state.description = description.clone().unwrap_or(std::mem::take(&mut state.description));
                    state.priority = priority.unwrap_or(state.priority);
                    state.assignee = assignee.unwrap_or(state.assignee);
                }
                TaskEvent::AttemptStarted { attempt, .. } => drop(live.insert(*attempt)),
                TaskEvent::AttemptSucceeded { attempt }
                | TaskEvent::AttemptFailed { attempt, .. }
                | TaskEvent::AttemptLost { attempt, .. }
                | TaskEvent::AttemptCancelled { attempt, .. }
                | TaskEvent::AttemptSuperseded { attempt } => drop(live.remove(attempt)),
                // What came too late, or is only a part, never counted.
                TaskEvent::ArtifactRecorded { artifact, attempt, kind, name, .. }
                    if live.contains(attempt) && **kind != *PARTIAL =>
                {
                    let name = (kind.clone(), name.clone());
                    state.results.retain(|other| named.get(other) != Some(&name));
                    state.results.insert(*artifact);
                    named.insert(*artifact, name);
                }
                TaskEvent::RolledBack { state: before, .. } => state.clone_from(before),
                _ => {}
            }
        }
        state
    }
}

impl TalkMark {
    /// Reads a conversation's log up to an offset. Of a branch only its own messages are read: what it shares with its
    /// parent is the parent's.
    pub fn of(conversation: ConversationId, log: &[Recorded], at: u64) -> Self {
        let mut seq = 0;
        let mut said = BTreeMap::<u64, (MessageId, Value)>::new();
        for recorded in log.iter().filter(|recorded| recorded.offset <= at) {
            let Event::Conversation(event) = &recorded.event else { continue };
            match event {
                ConversationEvent::Branched { seq: from, .. } => seq = *from,
                ConversationEvent::Message { message, seq: own, author, parts, .. } => {
                    seq = *own;
                    said.insert(*own, (*message, serde_json::json!([author, parts])));
                }
                ConversationEvent::Merged { message, seq: own, author, branch, .. } => {
                    seq = *own;
                    said.insert(*own, (*message, serde_json::json!([author, branch])));
                }
                ConversationEvent::MessageEdited { message, parts } => {
                    if let Some((_, words)) = said.values_mut().find(|(known, _)| known == message) {
                        words[1] = serde_json::json!(parts);
                    }
                }
                ConversationEvent::MessageDeleted { message, .. } => said.retain(|_, (known, _)| known != message),
                _ => {}
            }
        }
        Self { conversation, seq, digest: digest(&said) }
    }
}

/// Returns the SHA-256 of something's JSON, in hexadecimal digits.
pub fn digest(of: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(of).unwrap_or_default();
    hash(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the parts of the log that what was rolled back leaves in force, as offsets from, and to, which are both in it.
/// `task` is the task's log; each rollback takes away what came between its checkpoint and itself.
pub fn in_force(task: &[Recorded], until: u64) -> Vec<(u64, u64)> {
    let rolled =
        task.iter().rev().filter(|recorded| recorded.offset <= until).find_map(|recorded| match &recorded.event {
            Event::Task(TaskEvent::RolledBack { at, .. }) => Some((*at, recorded.offset)),
            _ => None,
        });
    let Some((at, offset)) = rolled else { return vec![(0, until)] };
    let mut before = in_force(task, at.min(offset.saturating_sub(1)));
    before.push((offset, until));
    before
}

/// Tells whether an offset is in one of the parts.
pub fn is_in(parts: &[(u64, u64)], offset: u64) -> bool {
    parts.iter().any(|(from, to)| (*from..=*to).contains(&offset))
}
