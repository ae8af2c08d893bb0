//! What a run asks people, and how it lets go of its driver.

use ractor::ActorProcessingErr;
use serde_json::Value;

use crate::{
    actors::driving::{Standing, answer_in_the_log},
    domain::{ids::InterruptId, run::InterruptKind, task::Report, text::scrubbed},
};

use super::RunState;

impl RunState {
    pub(super) async fn asked(
        &mut self,
        key: String,
        kind: InterruptKind,
        prompt: String,
        details: Value,
    ) -> Result<Standing, ActorProcessingErr> {
        let interrupt: InterruptId = self.handle.context.clock.id();
        self.questions.insert(interrupt, key.clone());
        let report = Report::Asked {
            interrupt,
            key: key.clone(),
            kind,
            prompt: prompt.replace('\0', ""),
            details: scrubbed(details),
        };
        let standing = self.commit(Some(format!("asked:{key}")), report).await?;
        // A driver that was started anew asks again what may have been answered in its earlier life.
        if let Some((known, answer)) = answer_in_the_log(&self.handle, &self.running, &key).await?
            && known != interrupt
        {
            // Nobody will answer by the name that was made up for it.
            self.questions.remove(&interrupt);
            self.questions.insert(known, key);
            if let Some(answer) = answer {
                return self.deliver(known, answer).await;
            }
        }
        Ok(standing)
    }

    /// Tells the driver's side that nothing more is wanted of the run.
    pub(super) fn settle(&mut self) {
        self.driver = None;
        let runtime = self.runner.as_ref().and_then(|runner| self.handle.context.runtime(runner.runtime));
        if let Some(runtime) = runtime {
            runtime.settled(self.running.instance, self.running.attempt, self.running.fence);
        }
    }
}
