//! A workspace in memory, run as its writer runs it: entities propose on what they saw, the workspace completes,
//! all facts get contiguous offsets, and every entity folds its own. What was decided on an older version is
//! refused and decided again.

use std::{cell::Cell, collections::BTreeMap};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{
    event::{Event, Recorded},
    ids::*,
    model::{Command, Model},
    principal::Principal,
    rejection::Rejection,
    task::Circumstance,
    workspace::{Completed, Fact, Workspace},
};

use super::ledger::Ledger;

/// A command with whom it is for and from.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub subject: Subject,
    pub by: Principal,
    pub command: Command,
}

/// What an entity decided, and which version of itself it saw.
pub(crate) struct Proposal {
    ask: Ask,
    seen: u64,
    facts: Vec<Fact>,
}

/// Why a proposal was not committed.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    /// The entity has changed since: decide again.
    Stale,
    /// No.
    Rejected(Rejection),
}

/// One committed fact.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub offset: u64,
    pub at: DateTime<Utc>,
    /// Facts with the same number were committed as one.
    pub commit: usize,
    pub by: Principal,
    /// Who hears of it, where not everybody does.
    pub audience: Option<Vec<Principal>>,
    pub fact: Fact,
}

/// The workspace with everything in it.
pub(crate) struct World {
    pub id: WorkspaceId,
    pub now: DateTime<Utc>,
    pub workspace: Workspace,
    pub models: BTreeMap<Subject, Model>,
    pub log: Vec<Entry>,
    pub ledger: Ledger,
    /// Commands that were accepted, oldest first.
    pub accepted: Vec<Ask>,
    /// How many proposals were found stale and decided again.
    pub retried: usize,
    versions: BTreeMap<Subject, u64>,
    commits: usize,
    ids: Cell<u128>,
}

impl World {
    pub fn new() -> Self {
        Self {
            id: WorkspaceId(Uuid::from_u128(1)),
            now: DateTime::UNIX_EPOCH,
            workspace: Workspace::default(),
            models: BTreeMap::new(),
            log: vec![],
            ledger: Ledger::default(),
            accepted: vec![],
            retried: 0,
            versions: BTreeMap::new(),
            commits: 0,
            ids: Cell::new(1_000),
        }
    }

    /// Makes an id that nothing has.
    pub fn fresh(&self) -> Uuid {
        self.ids.set(self.ids.get() + 1);
        Uuid::from_u128(self.ids.get())
    }

    pub fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub fn pass(&mut self, ms: i64) {
        self.now += TimeDelta::milliseconds(ms);
    }

    /// Lets the entity decide on what it knows now.
    pub fn propose(&self, ask: Ask) -> Result<Proposal, Rejection> {
        let seen = self.versions.get(&ask.subject).copied().unwrap_or(0);
        let events = match (&ask.command, self.models.get(&ask.subject)) {
            (Command::Workspace(command), _) => {
                let events = self.workspace.decide(self.id, ask.by, command.clone())?;
                events.into_iter().map(Event::Workspace).collect()
            }
            (_, known) => {
                let cx = Circumstance { by: ask.by, now: self.now };
                let empty = Model::empty(ask.subject);
                let model = known.or(empty.as_ref()).ok_or(Rejection::NotFound("entity"))?;
                model.decide(cx, ask.command.clone())?
            }
        };
        let facts = events.into_iter().map(|event| Fact { subject: ask.subject, event }).collect();
        Ok(Proposal { ask, seen, facts })
    }

    /// Commits a proposal, or refuses it as a whole.
    pub fn commit(&mut self, proposal: Proposal) -> Result<Vec<Completed>, Refused> {
        let Proposal { ask, seen, facts } = proposal;
        if self.versions.get(&ask.subject).copied().unwrap_or(0) != seen {
            return Err(Refused::Stale);
        }
        let completed = self.workspace.complete(self.head(), self.now, facts).map_err(Refused::Rejected)?;
        self.commits += 1;
        for Completed { fact, audience, .. } in &completed {
            let (offset, at, commit, by) = (self.head() + 1, self.now, self.commits, ask.by);
            let entry = Entry { offset, at, commit, by, audience: audience.clone(), fact: fact.clone() };
            fold_into(&mut self.models, &entry);
            self.versions.insert(fact.subject, entry.offset);
            self.ledger.fold(&entry);
            self.log.push(entry);
        }
        self.accepted.push(ask);
        Ok(completed)
    }

    /// Decides and commits.
    pub fn run(&mut self, ask: Ask) -> Result<Vec<Completed>, Rejection> {
        let proposal = self.propose(ask)?;
        self.commit(proposal).map_err(|refused| match refused {
            Refused::Rejected(rejection) => rejection,
            Refused::Stale => unreachable!("nothing came in between"),
        })
    }

    /// Runs two commands that were decided at the same moment: the later one must notice, and decides again.
    pub fn race(&mut self, first: Ask, late: Ask) -> [Result<Vec<Completed>, Rejection>; 2] {
        let proposals = [self.propose(first), self.propose(late.clone())];
        let head = self.head();
        let [first, second] = proposals.map(|proposal| proposal.map(|proposal| self.commit(proposal)));
        let settled = |outcome: Result<Result<_, Refused>, Rejection>| match outcome {
            Ok(Ok(done)) => Some(Ok(done)),
            Ok(Err(Refused::Rejected(rejection))) | Err(rejection) => Some(Err(rejection)),
            Ok(Err(Refused::Stale)) => None,
        };
        let second = settled(second).unwrap_or_else(|| {
            let touched = self.log[head as usize..].iter().any(|entry| entry.fact.subject == late.subject);
            assert!(touched, "a proposal was called stale though nothing happened to its entity");
            self.retried += 1;
            self.run(late)
        });
        [settled(first).expect("nothing came before the first"), second]
    }

    /// Returns the log of one entity, as it would be read back.
    pub fn recorded(&self, subject: Subject) -> Vec<Recorded> {
        let mut log = self.whole_log();
        log.retain(|recorded| recorded.subject == subject);
        log
    }

    /// Returns the whole log, as it would be read back.
    pub fn whole_log(&self) -> Vec<Recorded> {
        let read = |entry: &Entry| Recorded {
            offset: entry.offset,
            id: EventId(Uuid::from_u128(entry.offset.into())),
            subject: entry.fact.subject,
            refs: vec![],
            actor: entry.by,
            on_behalf_of: None,
            at: entry.at,
            cause: None,
            trace: String::new(),
            audience: entry.audience.clone(),
            event: entry.fact.event.clone(),
        };
        self.log.iter().map(read).collect()
    }

    /// Returns what is committed, one commit at a time.
    pub fn commits(&self) -> impl Iterator<Item = &[Entry]> {
        self.log.chunk_by(|a, b| a.commit == b.commit)
    }
}

/// Folds an entry into the entity of its subject; the workspace's own facts have none.
pub(super) fn fold_into(models: &mut BTreeMap<Subject, Model>, entry: &Entry) {
    if let Some(empty) = Model::empty(entry.fact.subject) {
        models.entry(entry.fact.subject).or_insert(empty).apply(entry.offset, &entry.fact.event);
    }
}
