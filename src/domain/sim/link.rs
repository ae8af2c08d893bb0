//! Link as one node runs it: entities decide, the workspace completes, everything commits as one together with the
//! command's key. What is not in the log is gone when the node is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{
    event::{Event, Recorded},
    ids::*,
    model::{Command, Model},
    principal::Principal,
    rejection::Rejection,
    task::{Circumstance, Task, TaskCommand},
    workspace::{Fact, Workspace},
};

use super::Mistake;

/// When the simulated time begins.
const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// A command with its key, whom it is for and from.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub subject: Subject,
    pub by: Principal,
    pub command: Command,
    pub key: Option<String>,
}

impl Ask {
    pub fn task(task: TaskId, by: Principal, command: TaskCommand) -> Self {
        Self { subject: Subject::Task(task), by, command: Command::Task(Box::new(command)), key: None }
    }

    pub fn keyed(self, key: String) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// It is done, and these events say so: the log from here on.
    Done(usize),
    /// It was done before.
    Known,
    /// No.
    Refused(Rejection),
    /// The node went down: nobody knows.
    Lost,
}

/// A node, and the log that outlives it.
pub(super) struct Node {
    pub id: WorkspaceId,
    pub workspace: Workspace,
    pub models: BTreeMap<Subject, Model>,
    pub log: Vec<Recorded>,
    /// The keys of what was carried out; they are committed with the events.
    keys: BTreeSet<String>,
    /// How far its clock is off.
    pub skew_ms: i64,
    pub up: bool,
    /// Counts the nodes that there have been.
    pub life: u32,
    mistake: Option<Mistake>,
    ids: u128,
}

impl Node {
    pub fn new(mistake: Option<Mistake>) -> Self {
        Self {
            id: WorkspaceId(Uuid::from_u128(1)),
            workspace: Workspace::default(),
            models: BTreeMap::new(),
            log: vec![],
            keys: BTreeSet::new(),
            skew_ms: 0,
            up: true,
            life: 0,
            mistake,
            ids: 1_000,
        }
    }

    /// Makes an id that nothing has.
    pub fn fresh<T: From<Uuid>>(&mut self) -> T {
        self.ids += 1;
        Uuid::from_u128(self.ids).into()
    }

    /// What its clock says when so many milliseconds have passed in truth.
    pub fn clock(&self, now: u64) -> DateTime<Utc> {
        let passed = i64::try_from(now).unwrap_or(i64::MAX);
        START + TimeDelta::milliseconds(passed.saturating_add(self.skew_ms))
    }

    pub fn task(&self, id: TaskId) -> Option<&Task> {
        match self.models.get(&Subject::Task(id)) {
            Some(Model::Task(_, task)) => Some(task),
            _ => None,
        }
    }

    pub fn execute(&mut self, now: u64, ask: &Ask) -> Answer {
        if ask.key.as_ref().is_some_and(|key| self.keys.contains(key)) {
            return Answer::Known;
        }
        match self.committed(self.clock(now), ask) {
            Ok(from) => {
                self.keys.extend(ask.key.clone());
                Answer::Done(from)
            }
            Err(rejection) => Answer::Refused(rejection),
        }
    }

    fn committed(&mut self, at: DateTime<Utc>, ask: &Ask) -> Result<usize, Rejection> {
        let events = match &ask.command {
            Command::Workspace(command) => {
                let events = self.workspace.decide(self.id, ask.by, command.clone())?;
                events.into_iter().map(Event::Workspace).collect()
            }
            command => {
                let empty = Model::empty(ask.subject);
                let model = self.models.get(&ask.subject).or(empty.as_ref()).ok_or(Rejection::NotFound("entity"))?;
                let by = if self.lets_pass(command) { Principal::User(UserId(Uuid::from_u128(1))) } else { ask.by };
                model.decide(Circumstance { by, now: at }, command.clone())?
            }
        };
        let facts = events.into_iter().map(|event| Fact { subject: ask.subject, event }).collect();
        let from = self.log.len();
        let completed = self.workspace.complete(from as u64, at, facts)?;
        for done in completed {
            let offset = self.log.len() as u64 + 1;
            let Fact { subject, event } = done.fact;
            let audience = done.audience;
            let recorded = Recorded {
                offset,
                id: EventId(Uuid::from_u128(offset.into())),
                subject,
                refs: vec![],
                actor: ask.by,
                on_behalf_of: None,
                at,
                cause: None,
                trace: String::new(),
                audience,
                event,
            };
            fold(&mut self.models, &recorded);
            self.log.push(recorded);
        }
        Ok(from)
    }

    fn lets_pass(&self, command: &Command) -> bool {
        let answers = matches!(command, Command::Task(command) if matches!(**command, TaskCommand::Answer { .. }));
        answers && self.mistake == Some(Mistake::LetsAgentsAnswer)
    }

    /// The node is killed: what was in its memory is gone.
    pub fn kill(&mut self) {
        (self.up, self.life) = (false, self.life + 1);
        if self.mistake == Some(Mistake::ForgetsKeys) {
            self.keys.clear();
        }
    }

    /// Another one begins with what the log says.
    pub fn start(&mut self) {
        let mut log = self.log.as_slice();
        if self.mistake == Some(Mistake::LosesAnEvent) {
            log = &log[..log.len().saturating_sub(1)];
        }
        (self.workspace, self.models) = folded(log);
        self.up = true;
    }
}

/// Folds a log from its first event on.
pub(super) fn folded(log: &[Recorded]) -> (Workspace, BTreeMap<Subject, Model>) {
    let (mut workspace, mut models) = (Workspace::default(), BTreeMap::new());
    for recorded in log {
        workspace.apply(recorded.offset, recorded.at, &recorded.subject, &recorded.event);
        fold(&mut models, recorded);
    }
    (workspace, models)
}

fn fold(models: &mut BTreeMap<Subject, Model>, recorded: &Recorded) {
    if let Some(empty) = Model::empty(recorded.subject) {
        models.entry(recorded.subject).or_insert(empty).apply(recorded.offset, &recorded.event);
    }
}
