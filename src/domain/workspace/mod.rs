//! The workspace: its members, and everything that can only be decided where all of its entities meet: unique
//! names, `KEY-n` numbers, gates between tasks, slots of agents.
//!
//! An entity decides its own events; the workspace then completes the proposal: it refuses what clashes
//! elsewhere, fills in numbers and adds what follows for others (`task:ready`, `agent:status`). All of it commits
//! as one.

mod access;
mod admission;
mod agenda;
mod claims;
mod consequences;
mod desk;
mod fans;
mod graph;
mod hint;
mod hooks;
mod lessons;
mod mandates;
mod members;
mod offers;
mod reviewers;
mod rooms;
mod route;
mod schedule;
mod services;
mod skills;
mod squads;
mod status;
mod teams;
mod turns;
mod worker;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    access::Grant,
    event::{AgentEvent, ConversationEvent, DocumentEvent, Event, ProjectEvent, TaskEvent},
    ids::*,
    principal::{Principal, Service},
    rejection::Rejection,
};

use access::CustomRole;
pub use access::{AccessCommand, GRANTS_MAX, GRANTS_OF_ONE_MAX, ROLES_MAX};
pub use agenda::{Agenda, Checkup, Chore, Dispatch, Errand};
pub use desk::{Due, Patience, REMINDERS_MAX, Reminder};
pub use graph::Gate;
use graph::Graph;
use mandates::Mandate;
pub use mandates::{RIGHTS_MAX, RightCommand};
pub use members::{MemberRole, NoRole, Role, WorkspaceCommand};
use rooms::Rooms;
use route::Work;
pub use schedule::{Runner, Running, Schedule};
use services::Account;
pub use services::{Issued, KEYS_OF_ONE_MAX, SERVICES_MAX, ServiceCommand};
use teams::Team;
pub use teams::{NewTeam, TEAMS_MAX, TeamChange, TeamCommand, TeamPolicy};
use turns::agent_of;
pub use turns::{LapsedTurn, NextTurn, RunningTurn};

/// An event with its subject, before it has an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub event: Event,
}

/// A fact that is ready to be committed, with who and what it concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// The fact.
    pub fact: Fact,
    /// What else it concerns: its project, its agent, its session.
    pub refs: Vec<Subject>,
    /// Who may see it, where not every member may.
    pub audience: Option<Vec<Principal>>,
}

/// The state of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Workspace {
    id: Option<WorkspaceId>,
    members: BTreeMap<UserId, MemberRole>,
    teams: BTreeMap<TeamId, Team>,
    roles: BTreeMap<RoleId, CustomRole>,
    grants: BTreeMap<GrantId, Grant>,
    projects: BTreeMap<ProjectId, Numbering>,
    graph: Graph,
    conversations: Rooms,
    schedule: Schedule,
    services: BTreeMap<ServiceId, Account>,
    /// Shared documents, each with its project.
    #[serde(default)]
    documents: BTreeMap<DocumentId, ProjectId>,
    /// Keys of agents and services that were not revoked, and whose they are.
    keys: BTreeMap<KeyId, Principal>,
    /// What agents may decide on somebody's behalf.
    #[serde(default)]
    mandates: BTreeMap<RightId, Mandate>,
}

/// What the workspace knows of a project.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Numbering {
    key: String,
    last: u64,
    archived: bool,
}

impl Workspace {
    /// Checks a proposal against everything else, completes it, adds what follows from it, and folds it all in.
    ///
    /// # Errors
    /// Refused as a whole; then nothing changed.
    pub fn complete(&mut self, head: u64, at: DateTime<Utc>, proposal: Vec<Fact>) -> Result<Vec<Completed>, Rejection> {
        let admitted = proposal.into_iter().map(|fact| self.admit(at, fact)).collect::<Result<Vec<_>, _>>()?;
        let mut complete = Vec::with_capacity(admitted.len());
        for fact in admitted {
            complete.push(self.fold(head + complete.len() as u64 + 1, at, fact));
        }
        // What follows is asked only now: the first fact of a proposal must not tell a task that the second one
        // cancels to wait.
        let mut seen = 0;
        while let Some(Completed { fact, .. }) = complete.get(seen) {
            for fact in self.consequences(fact) {
                complete.push(self.fold(head + complete.len() as u64 + 1, at, fact));
            }
            seen += 1;
        }
        Ok(complete)
    }

    fn fold(&mut self, offset: u64, at: DateTime<Utc>, fact: Fact) -> Completed {
        // An attempt is known before its end is folded in, a new task only after its beginning is.
        let mut refs = self.refs(&fact);
        self.apply(offset, at, &fact.subject, &fact.event);
        refs.extend(self.refs(&fact));
        refs.sort_unstable();
        refs.dedup();
        Completed { audience: self.audience(&fact.subject), refs, fact }
    }

    /// Returns what agents, queued delegations and running attempts there are.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns the role of a member.
    pub fn role(&self, user: UserId) -> Option<MemberRole> {
        self.members.get(&user).copied()
    }

    fn admit(&self, at: DateTime<Utc>, fact: Fact) -> Result<Fact, Rejection> {
        let Fact { subject, mut event } = fact;
        match (&subject, &mut event) {
            (Subject::Project(_), Event::Project(ProjectEvent::Created { key, .. })) => {
                *key = self.free_key(std::mem::take(key))?;
            }
            (Subject::Task(id), Event::Task(event)) => self.admit_task(at, *id, event)?,
            (Subject::Agent(id), Event::Agent(event)) => self.admit_agent(*id, event)?,
            (Subject::Conversation(id), Event::Conversation(event)) => self.admit_conversation(at, *id, event)?,
            (Subject::Document(_), Event::Document(DocumentEvent::Created { project, .. })) => {
                self.must_be_active(project)?;
            }
            (Subject::Webhook(_), Event::Webhook(event)) => self.schedule.hooks.admit(event)?,
            _ => {}
        }
        Ok(Fact { subject, event })
    }

    fn must_be_active(&self, project: &ProjectId) -> Result<&Numbering, Rejection> {
        match self.projects.get(project) {
            Some(numbering) if numbering.archived => Err(Rejection::Busy("the project is archived")),
            known => known.ok_or(Rejection::NotFound("project")),
        }
    }

    fn admit_agent(&self, id: AgentId, event: &AgentEvent) -> Result<(), Rejection> {
        let name = match event {
            AgentEvent::Registered { name, .. } => Some(name),
            AgentEvent::Updated { name, .. } => name.as_ref(),
            _ => None,
        };
        match name {
            Some(name) if self.schedule.name_in_use(id, name) => {
                Err(Rejection::Taken { what: "the agent's name", value: name.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn admit_conversation(
        &self,
        at: DateTime<Utc>,
        id: ConversationId,
        event: &mut ConversationEvent,
    ) -> Result<(), Rejection> {
        self.conversations.admit(id, event)?;
        match event {
            ConversationEvent::Created { project, task, participants, .. } => {
                if project.is_some_and(|id| !self.projects.contains_key(&id)) {
                    return Err(Rejection::NotFound("project"));
                }
                if task.is_some_and(|id| !self.graph.knows(id)) {
                    return Err(Rejection::NotFound("task"));
                }
                participants.iter().try_for_each(|who| self.must_know(Some(who)))
            }
            ConversationEvent::ParticipantAdded { participant } => self.must_know(Some(participant)),
            ConversationEvent::Merged { branch, .. } if self.schedule.owes_turns(*branch) => {
                Err(Rejection::Busy("an agent still answers in the branch: wait for it, or take it out"))
            }
            ConversationEvent::TurnQueued { agent, .. } => self.must_be_heard(*agent, id),
            ConversationEvent::TurnStarted { agent, instance, .. } => {
                self.must_be_heard(*agent, id)?;
                self.schedule.must_have_slot(*agent, *instance, at)
            }
            ConversationEvent::Message { mentions, .. } => {
                mentions.iter().try_for_each(|who| self.must_know(Some(who)))
            }
            _ => Ok(()),
        }
    }

    fn must_know(&self, who: Option<&Principal>) -> Result<(), Rejection> {
        let known = match who {
            Some(Principal::Service(Service::Account(id))) => {
                self.services.contains_key(id).then_some(()).ok_or("service")
            }
            None | Some(Principal::Service(_)) => Ok(()),
            Some(Principal::User(id)) => self.members.contains_key(id).then_some(()).ok_or("member"),
            Some(Principal::Agent(id)) => self.schedule.knows(*id).then_some(()).ok_or("agent"),
            Some(Principal::Team(id)) => self.teams.contains_key(id).then_some(()).ok_or("team"),
        };
        known.map_err(Rejection::NotFound)
    }

    /// A key that was asked for must be free as it is; a made one gets a number until it is.
    fn free_key(&self, key: String) -> Result<String, Rejection> {
        let taken = |key: &str| self.projects.values().any(|project| project.key == key);
        let Some(made) = key.strip_prefix('~') else {
            if taken(&key) {
                return Err(Rejection::Taken { what: "the project key", value: key });
            }
            return Ok(key);
        };
        let numbered = std::iter::once(made.to_owned()).chain((2..).map(|n| format!("{made}{n}")));
        Ok(numbered.into_iter().find(|key| !taken(key)).unwrap_or_default())
    }

    /// Folds an event of any entity, with its number and its time.
    pub fn apply(&mut self, offset: u64, at: DateTime<Utc>, subject: &Subject, event: &Event) {
        match (subject, event) {
            (Subject::Workspace(id), Event::Workspace(event)) => self.apply_member(*id, event),
            (Subject::Project(id), Event::Project(event)) => match event {
                ProjectEvent::Created { key, .. } => {
                    self.projects.insert(*id, Numbering { key: key.clone(), last: 0, archived: false });
                }
                ProjectEvent::Updated { .. } => {}
                ProjectEvent::Archived {} => {
                    if let Some(numbering) = self.projects.get_mut(id) {
                        numbering.archived = true;
                    }
                }
            },
            (Subject::Task(id), Event::Task(event)) => {
                if let TaskEvent::Created { project, number, .. } = event
                    && let Some(numbering) = self.projects.get_mut(project)
                {
                    numbering.last = *number;
                }
                if let TaskEvent::DecisionMade { right, nth, .. } = event {
                    self.used(*right, *nth);
                }
                self.graph.apply(*id, event);
                self.schedule.desk.apply(*id, at, event);
                let (kind, priority) = (self.graph.project_of(*id), self.graph.priority_of(*id));
                self.schedule.apply_task(offset, at, *id, Work { kind, priority }, event);
                for id in self.graph.touched_by(*id, event) {
                    self.schedule.hold(id, !self.graph.is_open(id));
                }
            }
            (Subject::Agent(id), Event::Agent(event)) => self.schedule.apply_agent(*id, event),
            (Subject::Conversation(id), Event::Conversation(event)) => {
                self.conversations.apply(*id, event);
                self.schedule.apply_turn(offset, *id, event);
            }
            (Subject::Document(id), Event::Document(DocumentEvent::Created { project, .. })) => {
                self.documents.insert(*id, *project);
            }
            (Subject::Webhook(id), Event::Webhook(event)) => self.schedule.hooks.apply(*id, event),
            _ => {}
        }
    }

    fn refs(&self, fact: &Fact) -> Vec<Subject> {
        match (&fact.subject, &fact.event) {
            (Subject::Task(id), Event::Task(event)) => {
                let project = self.graph.project_of(*id).map(Subject::Project);
                project.into_iter().chain(self.schedule.refs(event)).collect()
            }
            (Subject::Conversation(id), Event::Conversation(event)) => {
                self.above(*id).chain(agent_of(event).map(Subject::Agent)).collect()
            }
            (Subject::Document(id), Event::Document(_)) => {
                self.documents.get(id).copied().map(Subject::Project).into_iter().collect()
            }
            (Subject::Session(id), Event::Session(_)) => {
                let task = self.schedule.task_of(*id);
                let project = task.and_then(|task| self.graph.project_of(task)).map(Subject::Project);
                task.map(Subject::Task).into_iter().chain(project).collect()
            }
            _ => vec![],
        }
    }

    /// What a conversation belongs to: its project, its task and the task's project; and what it is a branch of.
    fn above(&self, id: ConversationId) -> impl Iterator<Item = Subject> {
        let (project, task) = self.conversations.about(id);
        let projects = [project, task.and_then(|task| self.graph.project_of(task))];
        let about = projects.into_iter().flatten().map(Subject::Project).chain(task.map(Subject::Task));
        about.chain(self.conversations.ancestors(id).map(Subject::Conversation))
    }

    fn audience(&self, subject: &Subject) -> Option<Vec<Principal>> {
        let Subject::Conversation(id) = subject else { return None };
        self.conversations.audience(*id)
    }
}
