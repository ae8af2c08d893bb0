//! The second reading of who works, and at what.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    agent::{AgentStatus, Availability, RuntimeKind, WorseAt},
    event::{AgentEvent, TaskEvent},
    ids::*,
    routing::Standing,
    text::Label,
};

use super::ledger::Ledger;

#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub id: AttemptId,
    pub task: TaskId,
    pub delegation: DelegationId,
    pub agent: AgentId,
    pub instance: InstanceId,
    pub fence: u64,
    pub live: bool,
    /// It no longer counts, and nobody has said that its agent stopped.
    pub stopping: bool,
    pub percent: Option<u8>,
    pub artifacts: BTreeSet<ArtifactId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub attempt: AttemptId,
    pub delegation: DelegationId,
    pub key: String,
    pub open: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Staff {
    pub peer: bool,
    pub status: AgentStatus,
    pub availability: Availability,
    pub bound: u32,
    pub slots: BTreeMap<InstanceId, u32>,
    pub healthy: BTreeMap<InstanceId, bool>,
    pub unsound: BTreeSet<InstanceId>,
    pub worse: BTreeSet<WorseAt>,
    pub skills: BTreeSet<Label>,
    /// What its instances said when they connected.
    pub said: BTreeMap<InstanceId, BTreeSet<Label>>,
}

impl Ledger {
    pub(super) fn fold_attempt(&mut self, task: TaskId, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::AttemptStarted { attempt, delegation, agent, instance, fence, .. } => {
                let started = Try {
                    id: *attempt,
                    task,
                    delegation: *delegation,
                    agent: *agent,
                    instance: *instance,
                    fence: *fence,
                    live: true,
                    stopping: false,
                    percent: None,
                    artifacts: BTreeSet::new(),
                };
                assert!(self.attempts.insert(*attempt, started).is_none(), "attempt {attempt} started twice");
            }
            E::AttemptSucceeded { attempt }
            | E::AttemptFailed { attempt, .. }
            | E::AttemptLost { attempt, .. }
            | E::AttemptCancelled { attempt, .. }
            | E::AttemptSuperseded { attempt } => {
                let left = match event {
                    E::AttemptSuperseded { .. } => true,
                    E::AttemptFailed { class, .. } | E::AttemptLost { class, .. } => class.may_still_run(),
                    _ => false,
                };
                let known = self.attempt(attempt);
                (known.live, known.stopping) = (false, left);
            }
            E::AttemptReleased { attempt, .. } => {
                assert!(std::mem::take(&mut self.attempt(attempt).stopping), "{attempt} was released twice");
            }
            E::Progress { attempt, percent, .. } => self.attempt(attempt).percent = *percent,
            E::ArtifactRecorded { attempt, artifact, .. } => {
                self.attempt(attempt).artifacts.insert(*artifact);
            }
            E::InterruptOpened { interrupt, attempt, key, .. } => {
                let delegation = self.attempts[attempt].delegation;
                let asked = Question { attempt: *attempt, delegation, key: key.clone(), open: true };
                assert!(self.questions.insert(*interrupt, asked).is_none(), "interrupt {interrupt} opened twice");
            }
            E::InterruptResolved { interrupt, .. } | E::InterruptClosed { interrupt, .. } => {
                let asked = self.questions.get_mut(interrupt).expect("opened before");
                assert!(std::mem::take(&mut asked.open), "interrupt {interrupt} was answered or closed twice");
            }
            _ => {}
        }
    }

    fn attempt(&mut self, id: &AttemptId) -> &mut Try {
        self.attempts.get_mut(id).expect("an attempt is started first")
    }

    pub(super) fn fold_agent(&mut self, id: AgentId, event: &AgentEvent) {
        if let AgentEvent::Registered { max_concurrency, runtime, skills, .. } = event {
            let peer = *runtime == RuntimeKind::Peer;
            let (status, availability, bound) = (AgentStatus::Idle, Availability::Active, *max_concurrency);
            let (slots, healthy, unsound, worse, said) = Default::default();
            let skills = skills.clone();
            self.agents
                .insert(id, Staff { peer, status, availability, bound, slots, healthy, unsound, worse, skills, said });
        }
        let staff = self.agents.get_mut(&id).expect("an agent is registered first");
        match event {
            AgentEvent::Registered { .. } => {}
            AgentEvent::Updated { max_concurrency, skills, .. } => {
                staff.bound = max_concurrency.unwrap_or(staff.bound);
                staff.skills = skills.clone().unwrap_or(std::mem::take(&mut staff.skills));
            }
            AgentEvent::Status { status, .. } => staff.status = *status,
            AgentEvent::Availability { wanted } => staff.availability = *wanted,
            AgentEvent::InstanceAdded { instance, slots, .. } => {
                staff.said.remove(instance);
                staff.slots.insert(*instance, *slots);
            }
            AgentEvent::InstanceRemoved { instance } => {
                staff.said.remove(instance);
                staff.slots.remove(instance);
                staff.healthy.remove(instance);
                staff.unsound.remove(instance);
            }
            AgentEvent::InstanceStanding { instance, standing: Standing::Sound, .. } => {
                staff.unsound.remove(instance);
            }
            AgentEvent::InstanceStanding { instance, .. } => {
                staff.unsound.insert(*instance);
            }
            AgentEvent::Skill { kind, model, worse: true } => {
                staff.worse.insert(WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::Skill { kind, model, worse: false } => {
                staff.worse.remove(&WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::InstanceConnected { instance, slots, skills, .. } => {
                staff.said.insert(*instance, skills.clone());
                staff.slots.insert(*instance, *slots);
                staff.healthy.insert(*instance, true);
            }
            AgentEvent::InstanceProbed { instance, healthy, .. } => {
                staff.healthy.insert(*instance, *healthy);
            }
        }
    }

    /// Returns the attempts that hold a delegation.
    pub fn live(&self) -> Vec<&Try> {
        self.attempts.values().filter(|attempt| attempt.live).collect()
    }
}
