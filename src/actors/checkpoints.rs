//! Checkpoints are put together here: each part is read from the log as it was at one offset, and only the whole is handed
//! to the task. What is missing is said; half a checkpoint is never made.

use std::collections::BTreeMap;

use tracing::warn;

use crate::{
    domain::{
        checkpoint::{CheckpointPart, CheckpointReason, Manifest, Parts, SessionMark, TalkMark, TaskState, digest},
        event::{Event, Recorded, TaskEvent},
        ids::{ConversationId, Subject, TaskId},
        model::Command,
        principal::Principal,
        task::{NewCheckpoint, TaskCommand},
    },
    persistence::{log, talks},
};

use super::{driving, workspace::WorkspaceHandle};

/// The most conversations about a task that a checkpoint is of.
const TALKS_MAX: usize = 64;

/// Why there is no checkpoint, or no way back to one.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint's part `{}` cannot be had: {why}", .part.name())]
pub struct PartMissing {
    /// Which part.
    pub part: CheckpointPart,
    /// Why.
    pub why: String,
}

fn missing(part: CheckpointPart) -> impl Fn(&dyn std::fmt::Display) -> PartMissing {
    move |why| PartMissing { part, why: why.to_string() }
}

impl WorkspaceHandle {
    /// Reads all parts of a checkpoint, as they are now.
    ///
    /// # Errors
    /// The first part that cannot be had.
    #[tracing::instrument(name = "actors.checkpoint.manifest", skip_all, fields(%task))]
    pub async fn manifest(&self, task: TaskId) -> Result<Manifest, PartMissing> {
        use CheckpointPart as P;
        let no_task = missing(P::Task);
        let head = log::head(&self.context.pool, self.id).await.map_err(|why| no_task(&why))?.offset;
        let own = self.whole(Subject::Task(task)).await.map_err(|why| no_task(&why))?;
        let talks = self.talks(task).await?;
        let marks = talks.iter().map(|(id, log)| TalkMark::of(*id, log, head)).collect();
        let parts = Parts {
            task: TaskState::of(&own, head).map(|state| digest(&state)),
            conversations: Some(marks),
            session: Some(self.session(&own, head).await?),
        };
        parts.whole(head).map_err(|part| missing(part)(&"it is not there"))
    }

    /// Reads what a task was like at a checkpoint, and makes sure that it is that.
    ///
    /// # Errors
    /// The part that is not what the checkpoint says.
    #[tracing::instrument(name = "actors.checkpoint.restored", skip_all, fields(%task))]
    pub async fn restored(&self, task: TaskId, manifest: &Manifest) -> Result<TaskState, PartMissing> {
        let own = self.whole(Subject::Task(task)).await.map_err(|why| missing(CheckpointPart::Task)(&why))?;
        let mut talks = BTreeMap::new();
        for mark in &manifest.conversations {
            let log = self.whole(Subject::Conversation(mark.conversation)).await;
            talks.insert(mark.conversation, log.map_err(|why| missing(CheckpointPart::Conversations)(&why))?);
        }
        manifest.restored(&own, &talks).map_err(|part| missing(part)(&"it is not what the checkpoint says"))
    }

    /// Makes a checkpoint at a phase of the task's life. It is in nobody's way: where it cannot be made, the work goes on
    /// without it.
    pub async fn checkpoint(&self, task: TaskId, reason: CheckpointReason, by: Principal, key: String) {
        let made = match self.manifest(task).await {
            Ok(manifest) => {
                let new = NewCheckpoint { id: self.context.clock.id(), name: None, reason, manifest };
                let command = Command::Task(Box::new(TaskCommand::Checkpoint(new)));
                let done = self.execute(Subject::Task(task), command, self.meta(by, Some(key))).await;
                done.map(drop).map_err(|why| why.to_string())
            }
            Err(why) => Err(why.to_string()),
        };
        let outcome = if made.is_ok() { "ok" } else { "failed" };
        metrics::counter!("link_checkpoints_total", "reason" => reason.name(), "outcome" => outcome).increment(1);
        if let Err(why) = made {
            warn!(%task, reason = reason.name(), %why, "no checkpoint was made");
        }
    }

    async fn whole(&self, subject: Subject) -> Result<Vec<Recorded>, log::Error> {
        log::load(&self.context.pool, self.id, subject, 0).await
    }

    async fn talks(&self, task: TaskId) -> Result<Vec<(ConversationId, Vec<Recorded>)>, PartMissing> {
        let missing = missing(CheckpointPart::Conversations);
        let most = TALKS_MAX as i64 + 1;
        let ids = talks::about_task(&self.context.pool, self.id, task, most).await.map_err(|why| missing(&why))?;
        if ids.len() > TALKS_MAX {
            return Err(missing(&"there are more conversations about the task than a checkpoint can hold"));
        }
        let mut talks = vec![];
        for id in ids {
            talks.push((id, self.whole(Subject::Conversation(id)).await.map_err(|why| missing(&why))?));
        }
        Ok(talks)
    }

    /// The run of the newest attempt, as its driver would find it again.
    async fn session(&self, task: &[Recorded], head: u64) -> Result<Option<SessionMark>, PartMissing> {
        let started =
            task.iter().rev().filter(|recorded| recorded.offset <= head).find_map(|recorded| match &recorded.event {
                Event::Task(TaskEvent::AttemptStarted { attempt, agent, instance, .. }) => {
                    Some((*attempt, *agent, *instance))
                }
                _ => None,
            });
        let Some((attempt, agent, instance)) = started else { return Ok(None) };
        let bookmark = driving::bookmark(self, attempt).await;
        let remote = bookmark.map_err(|why| missing(CheckpointPart::Session)(&why))?.remote;
        Ok(Some(SessionMark { attempt, agent, instance, remote }))
    }
}
