//! A second reading of the log, simple enough to trust: what the laws are checked against, and where random
//! commands find something to be about. It shares no code with the state machines.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    conversation::ConversationKind,
    event::{DocumentEvent, Event, ProjectEvent, TaskEvent, WebhookEvent, WorkspaceEvent},
    ids::*,
    permission::{Permission, Permissions},
    principal::Principal,
    right::Right,
    task::{Review, Step, TaskStatus, Terms, Verdict},
    workspace::{Gate, MemberRole, Role},
};

pub(crate) use super::ledger_work::{Question, Staff, Try};
use super::{ledger_talk::Asked, world::Entry};

/// Where a delegation is, with the steps that are over within one commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    New,
    Queued,
    Dispatching,
    Running,
    Awaiting,
    Paused,
    Submitted,
    Reviewing,
    Recovering,
    Escalated,
    Cancelling,
    Completed,
    Failed,
    Cancelled,
}

impl Phase {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub identifier: String,
    pub status: TaskStatus,
    pub gates: BTreeMap<TaskId, Gate>,
    pub fences: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Mandate {
    pub task: TaskId,
    pub phase: Phase,
    pub delegator: Principal,
    pub review: Review,
    pub agent: Option<AgentId>,
    pub team: Option<TeamId>,
    pub approvals: BTreeSet<Principal>,
    pub evidence: Vec<ArtifactId>,
    pub cancel_wanted: bool,
    /// What was done after the last failure.
    pub step: Option<Step>,
    /// It was said that its approvals cannot come together.
    pub stuck: bool,
    pub terms: Terms,
    /// It was said that it is in the queue for too long.
    pub overdue: bool,
    /// The event since which it waits for whom it waits for.
    pub since: u64,
}

/// What happened so far, from the log alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub members: BTreeMap<UserId, MemberRole>,
    pub roles: BTreeMap<RoleId, Permissions>,
    pub grants: BTreeMap<GrantId, (Subject, Principal)>,
    pub services: BTreeSet<ServiceId>,
    /// Keys of agents and services that are good, and whose they are.
    pub keys: BTreeMap<KeyId, Principal>,
    pub projects: BTreeMap<ProjectId, String>,
    pub tasks: BTreeMap<TaskId, Card>,
    pub delegations: BTreeMap<DelegationId, Mandate>,
    pub attempts: BTreeMap<AttemptId, Try>,
    pub questions: BTreeMap<InterruptId, Question>,
    pub agents: BTreeMap<AgentId, Staff>,
    pub conversations: Vec<ConversationId>,
    /// Where, which, by whom, and its number.
    pub messages: Vec<(ConversationId, MessageId, Principal, u64)>,
    /// Branches with what they are branches of.
    pub branches: BTreeMap<ConversationId, ConversationId>,
    pub kinds: BTreeMap<ConversationId, ConversationKind>,
    pub turns: BTreeMap<TurnId, Asked>,
    pub webhooks: Vec<WebhookId>,
    pub documents: BTreeMap<DocumentId, u64>,
    /// What agents may decide on somebody's behalf, and how often they have.
    pub rights: BTreeMap<RightId, (Right, u32)>,
    pub suggestions: Vec<(DocumentId, SuggestionId)>,
    pub teams: BTreeMap<TeamId, BTreeSet<Principal>>,
    pub offers: BTreeMap<DelegationId, Offered>,
    /// Tasks that are split into parts which are not joined yet.
    pub splits: BTreeMap<TaskId, FanOutId>,
}

/// Work that is offered to another agent.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub task: TaskId,
    pub to: AgentId,
}

impl Ledger {
    pub fn fold(&mut self, entry: &Entry) {
        match (&entry.fact.subject, &entry.fact.event) {
            (_, Event::Workspace(event)) => self.fold_member(event),
            (Subject::Project(id), Event::Project(ProjectEvent::Created { key, .. })) => {
                self.projects.insert(*id, key.clone());
            }
            (Subject::Task(id), Event::Task(event)) => {
                self.fold_task(*id, event);
                self.fold_delegation(*id, event);
                self.fold_desk(entry.offset, event);
                self.fold_attempt(*id, event);
                self.fold_offer(*id, event);
                match event {
                    TaskEvent::FanOutOpened { fan_out, .. } => {
                        assert!(self.splits.insert(*id, *fan_out).is_none(), "{id} was split twice");
                    }
                    TaskEvent::FanOutJoined { fan_out, .. } => {
                        assert_eq!(self.splits.remove(id), Some(*fan_out), "a join has a split");
                    }
                    _ => {}
                }
            }
            (Subject::Agent(id), Event::Agent(event)) => self.fold_agent(*id, event),
            (Subject::Webhook(id), Event::Webhook(WebhookEvent::Created { .. })) => self.webhooks.push(*id),
            (Subject::Document(id), Event::Document(event)) => match event {
                DocumentEvent::Created { .. } => drop(self.documents.insert(*id, 0)),
                DocumentEvent::Edited { seq, .. } => {
                    let before = self.documents.insert(*id, *seq);
                    assert_eq!(before.map(|before| before + 1), Some(*seq), "updates are numbered without gaps");
                }
                DocumentEvent::Suggested { suggestion, .. } => self.suggestions.push((*id, *suggestion)),
                _ => {}
            },
            (Subject::Conversation(id), Event::Conversation(event)) => self.fold_talk(*id, event),
            _ => {}
        }
    }

    /// What a member may do in the whole workspace.
    pub fn held(&self, user: UserId) -> Option<Permissions> {
        let role = match self.members.get(&user)? {
            MemberRole::Built(role) => role.permissions(),
            MemberRole::Custom(role) => self.roles.get(role).copied().unwrap_or_default(),
        };
        Some(role.union(Permission::Enter.into()))
    }

    fn fold_member(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::Created { owner, .. } => {
                self.members.insert(*owner, Role::Owner.into());
            }
            WorkspaceEvent::MemberAdded { user, role } | WorkspaceEvent::MemberUpdated { user, role } => {
                self.members.insert(*user, *role);
            }
            WorkspaceEvent::MemberRemoved { user } => {
                self.members.remove(user);
            }
            WorkspaceEvent::RoleCreated { role, permissions, .. }
            | WorkspaceEvent::RoleUpdated { role, permissions, .. } => {
                self.roles.insert(*role, *permissions);
            }
            WorkspaceEvent::RoleDeleted { role } => {
                self.roles.remove(role);
            }
            WorkspaceEvent::GrantSet { grant, subject, principal, .. } => {
                self.grants.insert(*grant, (*subject, *principal));
            }
            WorkspaceEvent::GrantRemoved { grant, .. } => {
                self.grants.remove(grant);
            }
            WorkspaceEvent::ServiceAdded { service, .. } => {
                self.services.insert(*service);
            }
            WorkspaceEvent::ServiceRemoved { service } => {
                self.services.remove(service);
            }
            WorkspaceEvent::KeyIssued { key, holder, .. } => {
                self.keys.insert(*key, *holder);
            }
            WorkspaceEvent::KeyRevoked { key, .. } => {
                self.keys.remove(key);
            }
            WorkspaceEvent::RightGiven { .. } | WorkspaceEvent::RightRevoked { .. } => self.fold_right(event),
            WorkspaceEvent::TeamFormed { team, members, .. } | WorkspaceEvent::TeamUpdated { team, members, .. } => {
                self.teams.insert(*team, members.clone());
            }
            WorkspaceEvent::TeamDissolved { team } => {
                self.teams.remove(team);
            }
            WorkspaceEvent::Renamed { .. } => {}
        }
    }

    fn fold_task(&mut self, id: TaskId, event: &TaskEvent) {
        if let TaskEvent::Created { identifier, status, depends_on, .. } = event {
            let (identifier, status) = (identifier.clone(), *status);
            let gates = depends_on.iter().map(|id| (*id, Gate::Blocks)).collect();
            self.tasks.insert(id, Card { identifier, status, gates, fences: vec![] });
        }
        let card = self.tasks.get_mut(&id).expect("a task is created first");
        match event {
            TaskEvent::Transitioned { to, .. } => card.status = *to,
            TaskEvent::Ready { .. } => card.status = TaskStatus::Ready,
            TaskEvent::DependencyAdded { depends_on, gate } => {
                card.gates.insert(*depends_on, *gate);
            }
            TaskEvent::DependencyRemoved { depends_on } => {
                card.gates.remove(depends_on);
            }
            TaskEvent::AttemptStarted { fence, .. } => card.fences.push(*fence),
            _ => {}
        }
    }

    fn fold_delegation(&mut self, task: TaskId, event: &TaskEvent) {
        let Some((id, phase)) = self.phase_after(event) else { return };
        let known = self.delegations.entry(id).or_insert_with(|| Mandate {
            task,
            phase: Phase::New,
            delegator: Principal::Agent(AgentId(Default::default())),
            review: Review::default(),
            agent: None,
            team: None,
            approvals: BTreeSet::new(),
            evidence: vec![],
            cancel_wanted: false,
            step: None,
            stuck: false,
            terms: Terms::default(),
            overdue: false,
            since: 0,
        });
        known.phase = phase;
        match event {
            TaskEvent::DelegationQueued { agent, team, delegator, review, step, .. } => {
                known.step = step.as_deref().cloned();
                (known.agent, known.delegator, known.review) = (*agent, *delegator, review.clone());
                (known.team, known.stuck) = (*team, false);
                known.approvals.clear();
                known.evidence.clear();
            }
            TaskEvent::DelegationSubmitted { evidence, .. } => known.evidence.clone_from(evidence),
            TaskEvent::DelegationReviewed { reviewer, verdict: Verdict::Approve, .. } => {
                known.approvals.insert(*reviewer);
            }
            TaskEvent::DelegationCancelling { .. } => known.cancel_wanted = true,
            _ => {}
        }
    }

    /// Returns where an event brings which delegation.
    pub fn phase_after(&self, event: &TaskEvent) -> Option<(DelegationId, Phase)> {
        use TaskEvent as E;
        Some(match event {
            E::DelegationQueued { delegation, .. } => (*delegation, Phase::Queued),
            E::AttemptStarted { delegation, .. } => (*delegation, Phase::Dispatching),
            E::DelegationRunning { delegation } => (*delegation, Phase::Running),
            E::DelegationAwaiting { delegation, .. } => (*delegation, Phase::Awaiting),
            E::DelegationPaused { delegation } => (*delegation, Phase::Paused),
            E::DelegationSubmitted { delegation, .. } => (*delegation, Phase::Submitted),
            E::DelegationReviewing { delegation, .. } => (*delegation, Phase::Reviewing),
            E::DelegationReviewed { delegation, .. } => (*delegation, Phase::Reviewing),
            E::DelegationCompleted { delegation } => (*delegation, Phase::Completed),
            E::DelegationRecovering { delegation, .. } => (*delegation, Phase::Recovering),
            E::DelegationEscalated { delegation, .. } => (*delegation, Phase::Escalated),
            E::DelegationCancelling { delegation, .. } => (*delegation, Phase::Cancelling),
            E::DelegationCancelled { delegation, .. } => (*delegation, Phase::Cancelled),
            E::DelegationFailed { delegation, .. } => (*delegation, Phase::Failed),
            _ => return None,
        })
    }

    fn fold_offer(&mut self, task: TaskId, event: &TaskEvent) {
        match event {
            TaskEvent::HandOffOffered { delegation, to, .. } => {
                let offered = Offered { task, to: *to };
                assert!(self.offers.insert(*delegation, offered).is_none(), "{delegation} was offered twice");
            }
            TaskEvent::HandOffAccepted { delegation, .. }
            | TaskEvent::HandOffDeclined { delegation, .. }
            | TaskEvent::HandOffLapsed { delegation, .. } => {
                assert!(self.offers.remove(delegation).is_some(), "{delegation} was not offered");
            }
            _ => {}
        }
    }

    /// Returns the delegations of a task that have not ended.
    pub fn open_delegations(&self, task: TaskId) -> Vec<(DelegationId, &Mandate)> {
        let all = self.delegations.iter().map(|(id, known)| (*id, known));
        all.filter(|(_, known)| known.task == task && !known.phase.is_over()).collect()
    }

    /// Tells whether nothing keeps the task from being started.
    pub fn gates_are_open(&self, task: TaskId) -> bool {
        !self.splits.contains_key(&task)
            && self.tasks[&task].gates.iter().all(|(blocker, gate)| match (gate, self.tasks[blocker].status) {
                (Gate::Relates | Gate::Duplicates, _) | (_, TaskStatus::Done) => true,
                (Gate::ReviewReadyOk, status) => status == TaskStatus::InReview,
                (Gate::Blocks, _) => false,
            })
    }
}
