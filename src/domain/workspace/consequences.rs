//! What one fact means for other entities: gates that open, work that nobody would do any more, what an agent does now.

use crate::domain::{
    event::{AgentEvent, ConversationEvent, Event, TaskEvent, WorkspaceEvent},
    ids::{AgentId, ConversationId, DelegationId, Subject, TaskId, TeamId},
    principal::Principal,
    task::{JoinOutcome, QueueReason, Step, TaskStatus, escalated},
};

use super::{Fact, Workspace};

impl Workspace {
    pub(super) fn consequences(&self, fact: &Fact) -> Vec<Fact> {
        match (&fact.subject, &fact.event) {
            (Subject::Task(id), Event::Task(event @ TaskEvent::FanOutOpened { .. })) => {
                let blocked = self.graph.consequences(*id, event).into_iter().map(task_fact);
                self.parts_of(*id, event).into_iter().chain(blocked).collect()
            }
            (Subject::Task(id), Event::Task(event)) => {
                let joined = self.joins_decided(*id, event);
                let tasks = self.graph.consequences(*id, event);
                // A join that ends opens the gate that would close again without it.
                let ends = joined.iter().any(|fact| fact.subject == Subject::Task(*id));
                let tasks = tasks.into_iter().filter(|(other, _)| !ends || other != id).map(task_fact);
                let stranded = match event {
                    TaskEvent::DelegationQueued { delegation, step: Some(step), .. }
                        if step.strategy.needs_a_person() =>
                    {
                        let why = format!("nothing is left to try without a person: {}", step.message);
                        self.escalation(*id, *delegation, &why, Some(step))
                    }
                    TaskEvent::DelegationQueued { agent: Some(agent), .. } => self.escalations(*agent),
                    TaskEvent::DelegationQueued { delegation, team: Some(team), reason, .. } => {
                        self.for_the_team(*id, *delegation, *team, *reason)
                    }
                    TaskEvent::DelegationReviewing { delegation, .. } => self.stuck(*delegation).into_iter().collect(),
                    TaskEvent::FanOutJoined { outcome: JoinOutcome::Impossible, owner, .. } => {
                        self.not_joined(*id, *owner)
                    }
                    _ => vec![],
                };
                joined
                    .into_iter()
                    .chain(tasks)
                    .chain(stranded)
                    .chain(self.schedule.status_after(event).map(agent_fact))
                    .chain(rolled_back(*id, event))
                    .collect()
            }
            (Subject::Workspace(_), Event::Workspace(event)) if changes_rights(event) => {
                self.without_a_team().into_iter().chain(self.all_stuck()).collect()
            }
            (Subject::Agent(_), Event::Agent(AgentEvent::Status { .. })) => vec![],
            (Subject::Agent(id), Event::Agent(_)) => {
                let status = self.schedule.changed_status(*id).map(|event| agent_fact((*id, event)));
                self.escalations(*id).into_iter().chain(self.without_a_team()).chain(status).collect()
            }
            (Subject::Conversation(id), Event::Conversation(event)) => {
                let follow = self.conversations.consequences(*id, event);
                let follow = follow.into_iter().flat_map(|(id, event)| self.with_turns(id, event));
                follow.chain(self.schedule.status_after_turn(event).map(agent_fact)).collect()
            }
            _ => vec![],
        }
    }

    /// An agent that is taken out of a conversation has nothing to answer there any more.
    fn with_turns(&self, id: ConversationId, event: ConversationEvent) -> Vec<Fact> {
        let mut events = match event {
            ConversationEvent::ParticipantRemoved { participant: Principal::Agent(agent) } => {
                self.schedule.dropped_turns(id, agent)
            }
            _ => vec![],
        };
        events.push(event);
        events.into_iter().map(|event| room_fact(id, event)).collect()
    }

    /// A delegation that waits for an agent which takes no more work would wait for ever: a person has to decide.
    fn escalations(&self, agent: AgentId) -> Vec<Fact> {
        let stranded = self.schedule.stranded_by(agent).into_iter();
        stranded
            .flat_map(|(task, delegation)| self.escalation(task, delegation, "the agent takes no more work", None))
            .collect()
    }

    /// A person who leads the team says who of it does the work. Resumed without that, any of the team does it.
    fn for_the_team(&self, task: TaskId, delegation: DelegationId, team: TeamId, reason: QueueReason) -> Vec<Fact> {
        let lead = self.schedule.squads.chooses_for(team).filter(|_| reason == QueueReason::Created);
        match lead.filter(|lead| lead.user().is_some_and(|user| self.role(user).is_some())) {
            Some(lead) => {
                let why = "the lead of the team says who does it: reassign it to an agent";
                self.escalated_to(Some(lead), task, delegation, why)
            }
            None => self.without_a_team(),
        }
    }

    /// A delegation for a team of which nobody takes work would wait for ever.
    fn without_a_team(&self) -> Vec<Fact> {
        let stranded = self.schedule.stranded_teams().into_iter();
        let why = "no agent of the team takes work any more: reassign it, or add one and resume it";
        stranded.flat_map(|(task, delegation)| self.escalation(task, delegation, why, None)).collect()
    }

    /// The parts cannot come to what was asked for: whoever answers for the task decides whether it goes on with the rest.
    fn not_joined(&self, task: TaskId, to: Option<Principal>) -> Vec<Fact> {
        let Some(delegation) = self.schedule.queued_of(task) else { return vec![] };
        self.escalated_to(to, task, delegation, "too many of its parts ended without a result")
    }

    fn escalated_to(&self, to: Option<Principal>, task: TaskId, delegation: DelegationId, why: &str) -> Vec<Fact> {
        let mut facts = self.escalation(task, delegation, why, None);
        if let Some(Fact { event: Event::Task(TaskEvent::DelegationEscalated { owner, .. }), .. }) = facts.first_mut() {
            *owner = to;
        }
        facts
    }

    fn escalation(&self, task: TaskId, delegation: DelegationId, why: &str, after: Option<&Step>) -> Vec<Fact> {
        let mut escalated = escalated(delegation, why.into());
        if let (TaskEvent::DelegationEscalated { step, owner, proposal, .. }, Some(after)) = (&mut escalated, after) {
            (*owner, *proposal) = (after.owner, after.proposal());
            *step = Some(Box::new(after.clone()));
        }
        let (from, to) = (TaskStatus::InProgress, TaskStatus::AwaitingInput);
        let stops = (self.graph.status_of(task) == Some(from)).then(|| {
            let reason = "a person has to decide".into();
            TaskEvent::Transitioned { from, to, reason }
        });
        let events = std::iter::once(escalated).chain(stops);
        events.map(|event| Fact { subject: Subject::Task(task), event: event.into() }).collect()
    }
}

/// Tells whether somebody may be less from now on, or is no longer in a team.
fn changes_rights(event: &WorkspaceEvent) -> bool {
    use WorkspaceEvent as E;
    matches!(
        event,
        E::MemberUpdated { .. }
            | E::MemberRemoved { .. }
            | E::RoleUpdated { .. }
            | E::GrantSet { .. }
            | E::GrantRemoved { .. }
            | E::TeamUpdated { .. }
            | E::TeamDissolved { .. }
    )
}

/// Conversations about a task say that it went back.
fn rolled_back(task: TaskId, event: &TaskEvent) -> Vec<Fact> {
    let TaskEvent::RolledBack { checkpoint, conversations, .. } = event else { return vec![] };
    let marker = |seq| ConversationEvent::RolledBack { task, checkpoint: *checkpoint, seq };
    conversations.iter().map(|talk| room_fact(talk.conversation, marker(talk.seq))).collect()
}

fn task_fact((id, event): (TaskId, TaskEvent)) -> Fact {
    Fact { subject: Subject::Task(id), event: event.into() }
}

fn room_fact(id: ConversationId, event: ConversationEvent) -> Fact {
    Fact { subject: Subject::Conversation(id), event: Event::Conversation(event) }
}

fn agent_fact((id, event): (AgentId, AgentEvent)) -> Fact {
    Fact { subject: Subject::Agent(id), event: Event::Agent(event) }
}

impl From<TaskEvent> for Event {
    fn from(event: TaskEvent) -> Self {
        Self::Task(event)
    }
}
