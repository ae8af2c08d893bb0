//! What is handed to a writer, and what it answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ractor::ActorRef;
use tokio::sync::{mpsc, oneshot};

use crate::domain::{event::Event, ids::Subject};

use super::{
    super::{
        feed::Committed,
        request::{CommandError, Envelope, Meta, Receipt},
    },
    WriterMessage,
};

/// What an entity wants committed.
pub struct Proposal {
    pub subject: Subject,
    /// The decisions know every event of the subject up to this offset of the log.
    pub seen: u64,
    pub items: Vec<Item>,
    pub reply: oneshot::Sender<Result<Outcome, ProposalError>>,
}

/// One decided command.
pub struct Item {
    pub events: Vec<Event>,
    pub meta: Arc<Meta>,
}

/// What became of a proposal.
pub struct Outcome {
    pub items: Vec<ItemOutcome>,
    /// The committed events of the proposal's own subject.
    pub events: Vec<Arc<Committed>>,
}

/// What became of one decided command.
pub enum ItemOutcome {
    Committed(Receipt),
    /// It was committed before, under the same key.
    Known(Receipt),
    Refused(CommandError),
    /// An item before it did not commit: decide it again.
    Again,
}

/// Why a whole proposal was not committed.
#[derive(Debug)]
pub enum ProposalError {
    /// The subject has newer events than the base.
    Stale,
    /// The outcome is unknown, or the workspace is elsewhere.
    Unavailable(String),
    /// The database will never take it: a bug of Link's.
    Poison,
}

/// What comes in.
pub enum Intake {
    Proposal(Proposal),
    /// A command for the workspace itself.
    Command(Envelope),
}

impl Intake {
    /// Returns the idempotency keys in it.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::Proposal(proposal) => {
                proposal.items.iter().filter_map(|item| item.meta.key.as_ref()).map(|key| key.text.as_str()).collect()
            }
            Self::Command(envelope) => envelope.meta.key.iter().map(|key| key.text.as_str()).collect(),
        }
    }

    /// Answers that nothing was done.
    pub fn refuse(self, reason: &str) {
        match self {
            Self::Proposal(proposal) => {
                let _ = proposal.reply.send(Err(ProposalError::Unavailable(reason.into())));
            }
            Self::Command(envelope) => envelope.answer(Err(CommandError::Unavailable(reason.into()))),
        }
    }
}

/// A cheap handle on the writer.
#[derive(Clone)]
pub struct WriterHandle {
    pub(super) intake: mpsc::Sender<Intake>,
    pub(super) awake: Arc<AtomicBool>,
    pub(super) actor: ActorRef<WriterMessage>,
}

impl WriterHandle {
    /// Hands something in; `Err` gives it back when the writer is full or gone.
    pub fn hand_in(&self, intake: Intake) -> Result<(), mpsc::error::TrySendError<Intake>> {
        self.intake.try_send(intake)?;
        self.wake();
        Ok(())
    }

    /// Makes the writer look, which also loads it.
    pub fn wake(&self) {
        if !self.awake.swap(true, Ordering::AcqRel) {
            let _ = self.actor.cast(WriterMessage::Wake);
        }
    }
}
