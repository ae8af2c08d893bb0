//! What the schedule knows of agents and their servers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    agent::{AgentStatus, Availability, RuntimeKind, WorseAt},
    ids::{AgentId, InstanceId},
    routing::Standing,
    text::{Label, Title},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Worker {
    pub(super) name: Title,
    pub(super) runtime: RuntimeKind,
    #[serde(default)]
    pub(super) skills: BTreeSet<Label>,
    pub(super) max_concurrency: u32,
    pub(super) availability: Availability,
    pub(super) status: AgentStatus,
    pub(super) instances: BTreeMap<InstanceId, Runner>,
    /// How those of its instances stand that are not sound, as everyone was told.
    pub(super) standings: BTreeMap<InstanceId, Standing>,
    /// At what it got worse, as everyone was told.
    pub(super) worse: BTreeSet<WorseAt>,
}

/// One agent server, as far as work has to be handed to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runner {
    /// Whose it is.
    pub agent: AgentId,
    /// How it is driven.
    pub runtime: RuntimeKind,
    /// Where it is.
    pub url: String,
    /// The model to ask for.
    pub model: Option<String>,
    /// Attempts at the same time.
    pub slots: u32,
    /// Model turns of one attempt.
    pub turns_max: u32,
    /// What the last probe said.
    pub healthy: Option<bool>,
    /// What it said that it is good at, beside its agent's skills.
    #[serde(default)]
    pub skills: BTreeSet<Label>,
}

impl Runner {
    /// An instance that nobody has asked yet counts as able: the first attempt will tell.
    pub(super) fn usable(&self) -> bool {
        self.healthy != Some(false)
    }
}
