//! What a run tells the workspace: reports, bookmarks, and progress, which is held back where it comes too fast.

use std::{collections::VecDeque, time::Duration};

use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::domain::{ids::Subject, model::Command, principal::Principal, session::SessionCommand, task::Report};

use super::{
    driving::{Standing, patiently},
    run::{RunMessage, RunState},
};

/// So often within a second progress is told; of what comes meanwhile, the newest is held back until it may be.
const PROGRESS_PER_SECOND: usize = 10;

/// When progress was told lately, and what is held back since.
pub(super) type Told = (VecDeque<Instant>, Option<(Option<String>, Report)>);

/// However it ends, nothing is being written any more.
impl Drop for RunState {
    fn drop(&mut self) {
        self.end_text();
    }
}

impl RunState {
    /// Tells progress, at once or a little later.
    pub(super) async fn progressed(
        &mut self,
        myself: &ActorRef<RunMessage>,
        id: Option<String>,
        progress: Report,
    ) -> Result<Standing, ActorProcessingErr> {
        let held = self.progress.1.replace((id, progress));
        let tenth = self.progress.0.front().filter(|_| self.progress.0.len() >= PROGRESS_PER_SECOND);
        let rest = tenth.map_or(Duration::ZERO, |told| Duration::from_secs(1).saturating_sub(told.elapsed()));
        if rest.is_zero() {
            return self.tell_progress().await;
        }
        if held.is_none() {
            myself.send_after(rest, || RunMessage::Progress);
        }
        Ok(Standing::Holds)
    }

    /// Tells the newest progress, if it was not told yet.
    pub(super) async fn tell_progress(&mut self) -> Result<Standing, ActorProcessingErr> {
        let Some((id, progress)) = self.progress.1.take() else { return Ok(Standing::Holds) };
        self.progress.0.push_back(Instant::now());
        let beyond = self.progress.0.len().saturating_sub(PROGRESS_PER_SECOND);
        self.progress.0.drain(..beyond);
        self.commit(id, progress).await
    }

    pub(super) fn end_text(&self) {
        self.handle.context.feed.written(self.handle.id, (&self.running).into());
    }

    pub(super) async fn remember(&self, command: SessionCommand) -> Result<Standing, ActorProcessingErr> {
        let subject = Subject::Session(self.running.attempt);
        let meta = self.handle.meta(Principal::Agent(self.running.agent), None);
        patiently(|| self.handle.execute(subject, Command::Session(command.clone()), meta.clone())).await
    }

    pub(super) async fn commit(&self, id: Option<String>, report: Report) -> Result<Standing, ActorProcessingErr> {
        let key = id.map(|id| format!("attempt:{}:{id}", self.running.attempt));
        patiently(|| self.handle.report(&self.running, key.clone(), report.clone())).await
    }
}
