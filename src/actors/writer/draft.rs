//! A batch on its way into one transaction: what was handed in, completed by the workspace's state, and what will be
//! said of it once the commit is known.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::sync::oneshot;

use crate::{
    domain::{
        event::{Event, Recorded},
        ids::{Subject, WorkspaceId},
        model::Command,
        rejection::Rejection,
        workspace::{Completed, Fact},
    },
    persistence::log::{Memory, Remembered},
};

use super::{
    super::{
        context::Context,
        feed::Committed,
        request::{CommandError, Envelope, Meta, Receipt},
    },
    Arc, Intake, ItemOutcome, Open, Outcome, Proposal, ProposalError, Stop,
};

/// A batch on its way into one transaction.
pub(super) struct Draft<'a> {
    context: &'a Context,
    known: HashMap<String, Memory>,
    pub events: Vec<Recorded>,
    pub remembered: Vec<Remembered>,
    pub replies: Vec<Reply>,
    /// Entities that got events by another one's proposal.
    pub others: Vec<Subject>,
}

/// What is said once the commit is known.
pub(super) enum Reply {
    Proposal { proposal: oneshot::Sender<Result<Outcome, ProposalError>>, items: Vec<ItemOutcome>, own: Vec<usize> },
    Command { envelope: Envelope, result: Result<Receipt, CommandError> },
}

impl Reply {
    pub fn succeed(self, committed: &[Arc<Committed>]) {
        match self {
            Self::Proposal { proposal, items, own } => {
                let events = own.into_iter().filter_map(|index| committed.get(index).cloned()).collect();
                let _ = proposal.send(Ok(Outcome { items, events }));
            }
            Self::Command { envelope, result } => envelope.answer(result),
        }
    }

    pub fn fail(self, reason: &str, poison: bool) {
        match self {
            Self::Proposal { proposal, .. } if poison => {
                let _ = proposal.send(Err(ProposalError::Poison));
            }
            Self::Proposal { proposal, .. } => {
                let _ = proposal.send(Err(ProposalError::Unavailable(reason.into())));
            }
            Self::Command { envelope, .. } if poison => envelope.answer(Err(CommandError::Bug)),
            Self::Command { envelope, .. } => envelope.answer(Err(CommandError::Unavailable(reason.into()))),
        }
    }
}

impl<'a> Draft<'a> {
    /// Begins a batch, knowing what is remembered of its keys.
    pub fn new(context: &'a Context, known: HashMap<String, Memory>) -> Self {
        Self { context, known, events: vec![], remembered: vec![], replies: vec![], others: vec![] }
    }

    /// Takes something that was handed in.
    pub fn take(&mut self, open: &mut Open, workspace: WorkspaceId, intake: Intake) -> Result<(), Stop> {
        match intake {
            Intake::Proposal(proposal) => self.take_proposal(open, proposal),
            Intake::Command(envelope) => self.take_command(open, workspace, envelope),
        }
    }

    fn take_proposal(&mut self, open: &mut Open, proposal: Proposal) -> Result<(), Stop> {
        let Proposal { subject, seen, items, reply } = proposal;
        if open.newest(&subject) > seen {
            let _ = reply.send(Err(ProposalError::Stale));
            return Ok(());
        }
        let (mut outcomes, mut own, mut broken) = (Vec::with_capacity(items.len()), vec![], false);
        for item in items {
            if broken {
                outcomes.push(ItemOutcome::Again);
                continue;
            }
            let facts = item.events.into_iter().map(|event| Fact { subject, event }).collect();
            let outcome = self.take_facts(open, subject, facts, &item.meta, &mut own)?;
            broken = !matches!(outcome, ItemOutcome::Committed(_));
            outcomes.push(outcome);
        }
        self.replies.push(Reply::Proposal { proposal: reply, items: outcomes, own });
        Ok(())
    }

    fn take_command(&mut self, open: &mut Open, workspace: WorkspaceId, envelope: Envelope) -> Result<(), Stop> {
        let subject = Subject::Workspace(workspace);
        let decided = match envelope.command.clone() {
            Command::Workspace(command) => open.state.decide(workspace, envelope.meta.by, command),
            _ => Err(Rejection::Invalid { path: "command", message: "is for another kind of entity".into() }),
        };
        // A repeated command is answered as the first time, whatever the state says by now.
        let again = self.memory(&envelope.meta);
        let result = match (again, decided) {
            (Some(again), _) => again,
            (None, Err(rejection)) => Err(rejection.into()),
            (None, Ok(events)) => {
                let facts = events.into_iter().map(|event| Fact { subject, event: Event::Workspace(event) }).collect();
                match self.take_facts(open, subject, facts, &envelope.meta, &mut vec![])? {
                    ItemOutcome::Committed(receipt) | ItemOutcome::Known(receipt) => Ok(receipt),
                    ItemOutcome::Refused(error) => Err(error),
                    ItemOutcome::Again => Err(CommandError::Overloaded),
                }
            }
        };
        self.replies.push(Reply::Command { envelope, result });
        Ok(())
    }

    /// Returns what was answered to the same key, in the log or earlier in this batch.
    fn memory(&self, meta: &Meta) -> Option<Result<Receipt, CommandError>> {
        let key = meta.key.as_ref()?;
        let here = self.remembered.iter().find(|known| known.key == key.text);
        let (hash, answer) = match (self.known.get(&key.text), here) {
            (Some(known), _) => (&known.request_hash, &known.answer),
            (None, Some(here)) => (&here.request_hash, &here.answer),
            (None, None) => return None,
        };
        if *hash != key.request_hash {
            return Some(Err(CommandError::KeyReused));
        }
        let receipt = serde_json::from_value(answer.clone());
        Some(receipt.map_err(|error| CommandError::Unavailable(format!("an old receipt cannot be read: {error}"))))
    }

    fn take_facts(
        &mut self,
        open: &mut Open,
        subject: Subject,
        facts: Vec<Fact>,
        meta: &Meta,
        own: &mut Vec<usize>,
    ) -> Result<ItemOutcome, Stop> {
        match self.memory(meta) {
            Some(Ok(receipt)) => return Ok(ItemOutcome::Known(receipt)),
            Some(Err(error)) => return Ok(ItemOutcome::Refused(error)),
            None => {}
        }
        let head = open.head.offset + self.events.len() as u64;
        // A panic may leave the workspace's state half changed: then all of it comes back from the log.
        let completed = catch_unwind(AssertUnwindSafe(|| open.state.complete(head, meta.now, facts)));
        let completed = match completed.map_err(|_| Stop::Panicked)? {
            Ok(completed) => completed,
            Err(rejection) => return Ok(ItemOutcome::Refused(rejection.into())),
        };
        let offset = head + completed.len() as u64;
        for (nth, Completed { fact, refs, audience }) in completed.into_iter().enumerate() {
            if fact.subject == subject {
                own.push(self.events.len());
            } else {
                self.others.push(fact.subject);
            }
            let event_offset = head + 1 + nth as u64;
            open.wrote(fact.subject, event_offset);
            self.events.push(Recorded {
                offset: event_offset,
                id: self.context.clock.id(),
                subject: fact.subject,
                refs,
                actor: meta.by,
                on_behalf_of: meta.on_behalf_of,
                at: meta.now,
                cause: if nth == 0 { meta.cause } else { Some(head + 1) },
                trace: meta.trace.clone(),
                audience,
                event: fact.event,
            });
        }
        let receipt = Receipt { subject, offset, made: meta.made };
        if let Some(key) = &meta.key {
            let answer = serde_json::json!(receipt);
            self.remembered.push(Remembered { key: key.text.clone(), request_hash: key.request_hash.clone(), answer });
        }
        Ok(ItemOutcome::Committed(receipt))
    }
}
