//! Agents, their slots, and who works on what: enough to say at any time what has to be handed out next.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::{AgentStatus, Availability, WorseAt},
    event::{AgentEvent, TaskEvent},
    ids::*,
    rejection::Rejection,
    routing::{Cell, Class, Standing, breaker::Phase},
    text::{Label, Title},
};

pub use super::worker::Runner;
use super::{
    claims::Claimed,
    desk::Desk,
    fans::Fans,
    hint::Hint,
    hooks::Hooks,
    lessons::{Lessons, attempt_of},
    offers::Offers,
    route::Work,
    squads::Squads,
    turns::Turns,
    worker::Worker,
};

/// Agents, the queue and the running attempts of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Schedule {
    pub(super) agents: BTreeMap<AgentId, Worker>,
    pub(super) queue: BTreeMap<DelegationId, Waiting>,
    pub(super) running: BTreeMap<AttemptId, Running>,
    /// Those of them that nobody sits and waits for.
    pub(super) background: BTreeSet<AttemptId>,
    /// Attempts that no longer count and whose agents have to be told to stop.
    #[serde(default)]
    stopping: BTreeMap<AttemptId, Running>,
    /// The webhooks that want to hear of it all.
    #[serde(default)]
    pub hooks: Hooks,
    #[serde(default)]
    pub(super) lessons: Lessons,
    pub(super) turns: Turns,
    #[serde(default)]
    pub(super) claimed: Claimed,
    #[serde(default)]
    pub(super) desk: Desk,
    #[serde(default)]
    pub(super) offers: Offers,
    #[serde(default)]
    pub(super) fans: Fans,
    #[serde(default)]
    pub(super) squads: Squads,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) task: TaskId,
    pub(super) agent: Option<AgentId>,
    #[serde(default)]
    pub(super) team: Option<TeamId>,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) since: u64,
    /// A gate of its task closed after it was queued: it keeps its place and is not handed out.
    #[serde(default)]
    pub(super) gated: bool,
    #[serde(default)]
    pub(super) work: Work,
    /// Where the work may go after a failure.
    #[serde(default)]
    pub(super) hint: Option<Hint>,
    /// What whoever does it has to be good at.
    #[serde(default)]
    pub(super) skills: BTreeSet<Label>,
}

/// An attempt that holds a delegation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Which.
    pub attempt: AttemptId,
    /// Of what.
    pub task: TaskId,
    /// Of which delegation.
    pub delegation: DelegationId,
    /// By whom.
    pub agent: AgentId,
    /// Where.
    pub instance: InstanceId,
    /// The fence that its reports must carry.
    pub fence: u64,
}

impl Schedule {
    /// Returns the attempts that hold a delegation.
    pub fn running(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// Returns the attempts whose agents have to be told to stop, where they can be: what does not answer is told when it
    /// does again.
    pub fn stopping(&self) -> impl Iterator<Item = &Running> {
        let reachable = |running: &&Running| self.runner(running.agent, running.instance).is_none_or(Runner::usable);
        self.stopping.values().filter(reachable)
    }

    /// Returns an agent's name.
    pub fn name(&self, agent: AgentId) -> Option<&Title> {
        self.agents.get(&agent).map(|worker| &worker.name)
    }

    /// Returns every instance that work could be handed to.
    pub fn runners(&self) -> impl Iterator<Item = (InstanceId, &Runner)> {
        let workers = self.agents.values().filter(|worker| worker.availability != Availability::Retired);
        workers.flat_map(|worker| worker.instances.iter().map(|(id, runner)| (*id, runner)))
    }

    /// Returns one instance.
    pub fn runner(&self, agent: AgentId, instance: InstanceId) -> Option<&Runner> {
        self.agents.get(&agent)?.instances.get(&instance)
    }

    pub(super) fn knows(&self, id: AgentId) -> bool {
        self.agents.contains_key(&id)
    }

    /// Tells whether there is such an agent and it was not retired.
    pub(super) fn works(&self, id: AgentId) -> bool {
        self.agents.get(&id).is_some_and(|worker| worker.availability != Availability::Retired)
    }

    pub(super) fn task_of(&self, attempt: AttemptId) -> Option<TaskId> {
        self.known(attempt).map(|running| running.task)
    }

    fn known(&self, attempt: AttemptId) -> Option<&Running> {
        self.running.get(&attempt).or_else(|| self.stopping.get(&attempt))
    }

    pub(super) fn name_in_use(&self, id: AgentId, name: &Title) -> bool {
        self.agents.iter().any(|(other, worker)| *other != id && worker.name == *name)
    }

    pub(super) fn must_take_work(&self, agent: Option<AgentId>) -> Result<(), Rejection> {
        let Some(agent) = agent else { return Ok(()) };
        let worker = self.agents.get(&agent).ok_or(Rejection::NotFound("agent"))?;
        match worker.availability {
            Availability::Active | Availability::Paused => Ok(()),
            Availability::Draining | Availability::Retired => {
                Err(Rejection::Busy("the agent takes no more work: choose another one"))
            }
        }
    }

    pub(super) fn must_have_slot(
        &self,
        agent: AgentId,
        instance: InstanceId,
        at: DateTime<Utc>,
    ) -> Result<(), Rejection> {
        let worker = self.agents.get(&agent).ok_or(Rejection::NotFound("agent"))?;
        let runner = worker.instances.get(&instance).ok_or(Rejection::NotFound("instance"))?;
        let attempts = self.running.values().map(|running| (running.agent, running.instance));
        let turns = self.turns.running().map(|running| (running.agent, running.instance));
        let used = attempts.chain(turns).filter(|(other, _)| *other == agent);
        let (all, here) = used.fold((0, 0), |(all, here), (_, other)| (all + 1, here + u32::from(other == instance)));
        let tried = matches!(self.lessons.learned().phase(instance, at), Phase::Open(_) | Phase::HalfOpen(Some(_)));
        let open = worker.availability == Availability::Active && all < worker.max_concurrency && here < runner.slots;
        if open && !tried { Ok(()) } else { Err(Rejection::NoSlot) }
    }

    /// Returns the queued delegations that wait for an agent which takes no more work.
    pub(super) fn stranded_by(&self, agent: AgentId) -> Vec<(TaskId, DelegationId)> {
        if self.must_take_work(Some(agent)).is_ok() {
            return vec![];
        }
        let queue = self.queue.iter().filter(|(_, waiting)| waiting.agent == Some(agent));
        queue.map(|(delegation, waiting)| (waiting.task, *delegation)).collect()
    }

    /// Notes whether a gate of the task is closed.
    pub(super) fn hold(&mut self, task: TaskId, gated: bool) {
        self.queue.values_mut().filter(|waiting| waiting.task == task).for_each(|waiting| waiting.gated = gated);
    }

    /// Returns the agent and session that a task's event concerns.
    pub(super) fn refs(&self, event: &TaskEvent) -> Vec<Subject> {
        let attempt = match event {
            TaskEvent::AttemptStarted { agent, attempt, .. } => {
                return vec![Subject::Agent(*agent), Subject::Session(*attempt)];
            }
            TaskEvent::DelegationQueued { agent: Some(agent), .. } => return vec![Subject::Agent(*agent)],
            TaskEvent::HandOffOffered { from, to, .. }
            | TaskEvent::HandOffAccepted { from, to, .. }
            | TaskEvent::HandOffDeclined { from, to, .. }
            | TaskEvent::HandOffLapsed { from, to, .. } => return vec![Subject::Agent(*from), Subject::Agent(*to)],
            TaskEvent::DelegationCancelling { delegation, .. } => {
                self.running.values().find(|running| running.delegation == *delegation).map(|running| running.attempt)
            }
            _ => attempt_of(event),
        };
        let Some(attempt) = attempt else { return vec![] };
        let agent = self.known(attempt).map(|running| Subject::Agent(running.agent));
        agent.into_iter().chain([Subject::Session(attempt)]).collect()
    }

    pub(super) fn apply_task(&mut self, offset: u64, at: DateTime<Utc>, task: TaskId, work: Work, event: &TaskEvent) {
        self.lessons.decided(task, event, at);
        self.claimed.apply(task, work.kind, event);
        self.offers.apply(task, event);
        self.fans.apply(task, event);
        if let Some(running) = attempt_of(event).and_then(|attempt| self.running.get(&attempt)) {
            self.lessons.attempted(running, event, at);
        }
        match event {
            TaskEvent::DelegationQueued { delegation, agent, team, not_before, step, terms, .. } => {
                let since = self.queue.get(delegation).map_or(offset, |waiting| waiting.since);
                let (agent, team, not_before, gated) = (*agent, *team, *not_before, false);
                let hint = step.as_ref().map(|step| Hint::of(step));
                let waiting =
                    Waiting { task, agent, team, not_before, since, gated, work, hint, skills: terms.skills.clone() };
                self.queue.insert(*delegation, waiting);
            }
            TaskEvent::DelegationPaused { delegation }
            | TaskEvent::DelegationEscalated { delegation, .. }
            | TaskEvent::DelegationCompleted { delegation }
            | TaskEvent::DelegationCancelled { delegation, .. }
            | TaskEvent::DelegationFailed { delegation, .. } => {
                self.queue.remove(delegation);
            }
            TaskEvent::AttemptStarted { attempt, delegation, agent, instance, fence, .. } => {
                if let Some(team) = self.queue.remove(delegation).and_then(|waiting| waiting.team) {
                    self.squads.had_a_turn(team, *agent);
                }
                let model = self.runner(*agent, *instance).and_then(|runner| runner.model.clone());
                let cell = Cell { agent: *agent, kind: work.kind, model };
                let running = Running {
                    attempt: *attempt,
                    task,
                    delegation: *delegation,
                    agent: *agent,
                    instance: *instance,
                    fence: *fence,
                };
                self.lessons.started(&running, cell, at);
                if Class::from(work.priority) == Class::Background {
                    self.background.insert(*attempt);
                }
                self.running.insert(*attempt, running);
            }
            TaskEvent::AttemptSucceeded { attempt }
            | TaskEvent::AttemptFailed { attempt, .. }
            | TaskEvent::AttemptLost { attempt, .. }
            | TaskEvent::AttemptCancelled { attempt, .. }
            | TaskEvent::AttemptSuperseded { attempt } => {
                self.background.remove(attempt);
                let ended = self.running.remove(attempt).filter(|_| event.leaves_an_agent_at_work());
                self.stopping.extend(ended.map(|running| (*attempt, running)));
            }
            TaskEvent::AttemptReleased { attempt, .. } => {
                self.stopping.remove(attempt);
            }
            _ => {}
        }
    }

    pub(super) fn apply_agent(&mut self, id: AgentId, event: &AgentEvent) {
        if let AgentEvent::Registered { name, runtime, max_concurrency, skills } = event {
            let worker = Worker {
                name: name.clone(),
                runtime: *runtime,
                skills: skills.clone(),
                max_concurrency: *max_concurrency,
                availability: Availability::Active,
                status: AgentStatus::Idle,
                instances: BTreeMap::new(),
                standings: BTreeMap::new(),
                worse: BTreeSet::new(),
            };
            self.agents.insert(id, worker);
            return;
        }
        let Some(worker) = self.agents.get_mut(&id) else { return };
        match event {
            AgentEvent::Registered { .. } => {}
            AgentEvent::Updated { name, max_concurrency, skills } => {
                if let Some(skills) = skills {
                    worker.skills.clone_from(skills);
                }
                if let Some(name) = name {
                    worker.name = name.clone();
                }
                worker.max_concurrency = max_concurrency.unwrap_or(worker.max_concurrency);
            }
            AgentEvent::Status { status, .. } => worker.status = *status,
            AgentEvent::Availability { wanted } => worker.availability = *wanted,
            AgentEvent::InstanceAdded { instance, url, model, slots, turns_max } => {
                let runner = Runner {
                    agent: id,
                    runtime: worker.runtime,
                    url: url.clone(),
                    model: model.clone(),
                    slots: *slots,
                    turns_max: *turns_max,
                    healthy: None,
                    skills: BTreeSet::new(),
                };
                worker.instances.insert(*instance, runner);
            }
            AgentEvent::InstanceConnected { instance, slots, skills, .. } => {
                if let Some(runner) = worker.instances.get_mut(instance) {
                    runner.skills.clone_from(skills);
                    (runner.slots, runner.healthy) = (*slots, Some(true));
                }
            }
            AgentEvent::InstanceRemoved { instance } => {
                worker.instances.remove(instance);
                worker.standings.remove(instance);
                self.lessons.forget(*instance);
            }
            AgentEvent::InstanceStanding { instance, standing: Standing::Sound, .. } => {
                worker.standings.remove(instance);
            }
            AgentEvent::InstanceStanding { instance, standing, .. } => {
                worker.standings.insert(*instance, *standing);
            }
            AgentEvent::Skill { kind, model, worse: true } => {
                worker.worse.insert(WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::Skill { kind, model, worse: false } => {
                worker.worse.remove(&WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::InstanceProbed { instance, healthy, .. } => {
                if let Some(runner) = worker.instances.get_mut(instance) {
                    runner.healthy = Some(*healthy);
                }
            }
        }
    }

    /// Returns the subjects of the sessions that run.
    pub fn sessions(&self) -> BTreeSet<AttemptId> {
        self.running.keys().copied().collect()
    }
}
