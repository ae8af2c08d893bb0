//! An agent as a member of the workspace, with the servers that run it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::AgentEvent,
    ids::{AgentId, InstanceId, ProjectId, Subject},
    rejection::Rejection,
    routing::Standing,
    text::{Label, Title, storable},
};

/// How an agent is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// A Penguin server, over HTTP.
    #[default]
    Penguin,
    /// A script in Link's own process: for tests and the demo.
    Scripted,
    /// A program that connects to Link by itself, and needs no address.
    Peer,
}

/// Whether a person wants the agent to take work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It takes work.
    #[default]
    Active,
    /// It takes no new work for now.
    Paused,
    /// It finishes what it has and takes no more.
    Draining,
    /// It never works again; its history stays.
    Retired,
}

/// What others see of an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// It could take work.
    #[default]
    Idle,
    /// At least one attempt runs.
    Working,
    /// A person paused it.
    Paused,
    /// It finishes its work and takes no more.
    Draining,
    /// It takes work, and its servers or its work got worse: others get most of it.
    Degraded,
    /// None of its servers answers.
    Offline,
    /// It is gone.
    Retired,
}

/// The most instances of one agent.
pub const INSTANCES_MAX: usize = 64;
/// The most attempts that one instance may be given at the same time.
pub const SLOTS_MAX: u32 = 64;
/// What the address of a server begins with that connects by itself; its name follows.
pub const PEER: &str = "peer:";
/// Model turns of one attempt of a peer; it counts them by itself, if at all.
const PEER_TURNS: u32 = 100;
/// The longest reason for a failed probe that is kept.
const CAUSE_LENGTH_MAX: usize = 2_000;

/// The state of an agent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agent {
    exists: bool,
    runtime: RuntimeKind,
    availability: Availability,
    instances: BTreeMap<InstanceId, Pulse>,
    worse: BTreeSet<WorseAt>,
}

/// At what an agent got worse.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorseAt {
    /// The kind of work: the project that it is for.
    pub kind: Option<ProjectId>,
    /// With which model.
    pub model: Option<String>,
}

/// What the last probe of an instance said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pulse {
    url: String,
    healthy: Option<bool>,
    boot: Option<String>,
    /// How it stands, as everyone was told.
    standing: Standing,
}

/// What can be asked of an agent.
#[derive(Clone, PartialEq, Debug)]
pub enum AgentCommand {
    /// Let it join.
    Register {
        /// Its name.
        name: Title,
        /// How it is driven.
        runtime: RuntimeKind,
        /// What it is good at.
        skills: BTreeSet<Label>,
        /// Most attempts at the same time.
        max_concurrency: u32,
        /// Its first servers.
        instances: Vec<NewInstance>,
    },
    /// Change fields.
    Update {
        /// The new name.
        name: Option<Title>,
        /// The new skills.
        skills: Option<BTreeSet<Label>>,
        /// The new bound.
        max_concurrency: Option<u32>,
    },
    /// Say whether it takes work.
    Want(Availability),
    /// Add a server.
    AddInstance(NewInstance),
    /// Remove a server.
    RemoveInstance(InstanceId),
    /// One of its servers has connected by itself.
    Connect {
        /// The id that it gets if nobody of this name was here before.
        id: InstanceId,
        /// Its name; the same again is the same server.
        name: Label,
        /// Attempts that it takes at the same time.
        slots: u32,
        /// What it is good at.
        skills: BTreeSet<Label>,
        /// Names the connection.
        boot: String,
    },
    /// What a probe learned.
    Probed {
        /// Of which server.
        instance: InstanceId,
        /// Whether it answered.
        healthy: bool,
        /// Its boot id.
        boot: Option<String>,
        /// Why not.
        cause: Option<String>,
    },
    /// Say how a server stands from now on.
    Stand {
        /// Which.
        instance: InstanceId,
        /// How.
        standing: Standing,
        /// Why.
        cause: String,
    },
    /// Say whether its work got worse, or is as it was again.
    Fare {
        /// At what.
        at: WorseAt,
        /// Whether it is worse.
        worse: bool,
    },
}

/// A server to add.
#[derive(Clone, PartialEq, Debug)]
pub struct NewInstance {
    /// Its id.
    pub id: InstanceId,
    /// Where it is.
    pub url: String,
    /// The model to ask for.
    pub model: Option<String>,
    /// Attempts at the same time.
    pub slots: u32,
    /// Model turns of one attempt.
    pub turns_max: u32,
}

impl Agent {
    /// Decides a command.
    pub fn decide(&self, id: AgentId, command: AgentCommand) -> Result<Vec<AgentEvent>, Rejection> {
        use AgentCommand as C;
        if let C::Register { name, runtime, skills, max_concurrency, instances } = command {
            if self.exists {
                return Err(Rejection::Exists(Subject::Agent(id)));
            }
            must_be_bounded("max_concurrency", max_concurrency, SLOTS_MAX * 4)?;
            if instances.len() > INSTANCES_MAX {
                return Err(too_many_instances());
            }
            if runtime == RuntimeKind::Peer && !instances.is_empty() {
                let message = "must be empty: the servers of a peer connect by themselves".into();
                return Err(Rejection::Invalid { path: "instances", message });
            }
            let ids: BTreeSet<InstanceId> = instances.iter().map(|instance| instance.id).collect();
            if ids.len() < instances.len() {
                return Err(Rejection::Invalid { path: "instances", message: "name each instance once".into() });
            }
            let mut events = vec![AgentEvent::Registered { name, runtime, skills, max_concurrency }];
            for instance in instances {
                events.push(added(instance)?);
            }
            return Ok(events);
        }
        if !self.exists {
            return Err(Rejection::NotFound("agent"));
        }
        if self.availability == Availability::Retired
            && !matches!(command, C::Probed { .. } | C::Stand { .. } | C::Fare { .. })
        {
            return Err(Rejection::Busy("the agent is retired"));
        }
        match command {
            C::Register { .. } => unreachable!("handled above"),
            C::Update { name: None, skills: None, max_concurrency: None } => Ok(vec![]),
            C::Update { name, skills, max_concurrency } => {
                if let Some(bound) = max_concurrency {
                    must_be_bounded("max_concurrency", bound, SLOTS_MAX * 4)?;
                }
                Ok(vec![AgentEvent::Updated { name, skills, max_concurrency }])
            }
            C::Want(wanted) if wanted == self.availability => Ok(vec![]),
            C::Want(wanted) => Ok(vec![AgentEvent::Availability { wanted }]),
            C::AddInstance(_) if self.runtime == RuntimeKind::Peer => {
                Err(Rejection::Busy("the agent's servers connect by themselves: give them a key of the agent"))
            }
            C::AddInstance(_) if self.instances.len() >= INSTANCES_MAX => {
                Err(Rejection::Busy("the agent has as many instances as it may have: remove one first"))
            }
            C::AddInstance(instance) if self.instances.contains_key(&instance.id) => {
                Err(Rejection::Busy("the instance exists already"))
            }
            C::AddInstance(instance) => Ok(vec![added(instance)?]),
            C::RemoveInstance(instance) if !self.instances.contains_key(&instance) => {
                Err(Rejection::NotFound("instance"))
            }
            C::RemoveInstance(instance) => Ok(vec![AgentEvent::InstanceRemoved { instance }]),
            C::Connect { .. } if self.runtime != RuntimeKind::Peer => {
                Err(Rejection::Forbidden("agents of this runtime are called by Link: they do not connect"))
            }
            C::Connect { id, name, slots, skills, boot } => self.connect(id, &name, slots, skills, boot),
            C::Probed { instance, healthy, boot, cause } => {
                let Some(before) = self.instances.get(&instance) else { return Ok(vec![]) };
                // Only an answer can tell a new boot id, and one without it keeps the last.
                let boot = boot.filter(|_| healthy);
                let same_boot = boot.is_none() || before.boot == boot;
                if before.healthy == Some(healthy) && same_boot {
                    return Ok(vec![]);
                }
                let cause = cause.map(|text| storable(&text, CAUSE_LENGTH_MAX));
                Ok(vec![AgentEvent::InstanceProbed { instance, healthy, boot, cause }])
            }
            C::Stand { instance, standing, cause } => {
                let told = self.instances.get(&instance).is_none_or(|pulse| pulse.standing == standing);
                Ok(if told { vec![] } else { vec![AgentEvent::InstanceStanding { instance, standing, cause }] })
            }
            C::Fare { at, worse } => {
                let told = self.worse.contains(&at) == worse;
                let WorseAt { kind, model } = at;
                Ok(if told { vec![] } else { vec![AgentEvent::Skill { kind, model, worse }] })
            }
        }
    }

    /// A name that was here before is the same server, with what it has and can now.
    fn connect(
        &self,
        id: InstanceId,
        name: &Label,
        slots: u32,
        skills: BTreeSet<Label>,
        boot: String,
    ) -> Result<Vec<AgentEvent>, Rejection> {
        must_be_bounded("capacity", slots, SLOTS_MAX)?;
        let url = format!("{PEER}{name}");
        let known = self.instances.iter().find(|(_, pulse)| pulse.url == url).map(|(known, _)| *known);
        let mut events = vec![];
        if known.is_none() {
            if self.instances.len() >= INSTANCES_MAX {
                return Err(too_many_instances());
            }
            let turns_max = PEER_TURNS;
            events.push(AgentEvent::InstanceAdded { instance: id, url, model: None, slots, turns_max });
        }
        events.push(AgentEvent::InstanceConnected { instance: known.unwrap_or(id), slots, skills, boot });
        Ok(events)
    }

    /// Changes the state.
    pub fn apply(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Registered { runtime, .. } => {
                self.exists = true;
                self.runtime = *runtime;
            }
            AgentEvent::Updated { .. } | AgentEvent::Status { .. } => {}
            AgentEvent::Availability { wanted } => self.availability = *wanted,
            AgentEvent::InstanceAdded { instance, url, .. } => {
                self.instances.insert(*instance, Pulse { url: url.clone(), ..Pulse::default() });
            }
            AgentEvent::InstanceConnected { instance, boot, .. } => {
                if let Some(pulse) = self.instances.get_mut(instance) {
                    (pulse.healthy, pulse.boot) = (Some(true), Some(boot.clone()));
                }
            }
            AgentEvent::InstanceRemoved { instance } => {
                self.instances.remove(instance);
            }
            AgentEvent::InstanceStanding { instance, standing, .. } => {
                if let Some(pulse) = self.instances.get_mut(instance) {
                    pulse.standing = *standing;
                }
            }
            AgentEvent::Skill { kind, model, worse: true } => {
                self.worse.insert(WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::Skill { kind, model, worse: false } => {
                self.worse.remove(&WorseAt { kind: *kind, model: model.clone() });
            }
            AgentEvent::InstanceProbed { instance, healthy, boot, .. } => {
                if let Some(pulse) = self.instances.get_mut(instance) {
                    pulse.healthy = Some(*healthy);
                    if boot.is_some() {
                        pulse.boot.clone_from(boot);
                    }
                }
            }
        }
    }
}

fn added(new: NewInstance) -> Result<AgentEvent, Rejection> {
    must_be_bounded("slots", new.slots, SLOTS_MAX)?;
    must_be_bounded("turns_max", new.turns_max, 10_000)?;
    let NewInstance { id, url, model, slots, turns_max } = new;
    Ok(AgentEvent::InstanceAdded { instance: id, url, model, slots, turns_max })
}

fn must_be_bounded(path: &'static str, value: u32, max: u32) -> Result<(), Rejection> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(Rejection::Invalid { path, message: format!("must be 1 to {max}") })
}

fn too_many_instances() -> Rejection {
    Rejection::Invalid { path: "instances", message: format!("at most {INSTANCES_MAX} instances") }
}
