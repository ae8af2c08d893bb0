//! Why a queued delegation is not handed out: what it waits for, in one word, in a sentence, and candidate by candidate.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ids::TaskId, task::Priority};

use super::choice::{Filter, Filtered};

/// Candidates that are listed.
const LISTED_MAX: usize = 64;

/// How much of a workspace's work may run at the same time. Agents and instances have bounds of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bulkheads {
    /// Attempts of a workspace.
    pub workspace: u32,
    /// Attempts of work that nobody sits and waits for: the rest is kept free for work that somebody does.
    pub background: u32,
}

impl Default for Bulkheads {
    fn default() -> Self {
        Self { workspace: 256, background: 192 }
    }
}

/// Whether somebody waits for work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Somebody does: it is of high priority, or urgent.
    Interactive,
    /// Nobody does.
    Background,
}

impl From<Priority> for Class {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::High | Priority::Urgent => Self::Interactive,
            Priority::None | Priority::Low | Priority::Medium => Self::Background,
        }
    }
}

/// Why a queued delegation waits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// In one word.
    pub why: Hold,
    /// In a sentence.
    pub reason: String,
    /// When that may change by itself, where it is known.
    pub until: Option<DateTime<Utc>>,
    /// Who and what could take it and cannot now, and why.
    pub filtered: Vec<Filtered>,
    /// The task that has the paths which it claims, or comes before it there.
    pub holder: Option<TaskId>,
}

/// What a queued delegation waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Other tasks have to be done first.
    Gated,
    /// The attempt before failed, and the next one is a little later.
    BackOff,
    /// The workspace has as many attempts as it may have.
    WorkspaceFull,
    /// The workspace has as many attempts of work that nobody waits for as it may have.
    BackgroundFull,
    /// There is no agent.
    NoAgent,
    /// Nobody has the skills that it requires.
    NoSkill,
    /// Nobody can take it now; each candidate is listed.
    NobodyCan,
    /// It is offered to another agent, who has not answered yet.
    Offered,
    /// Another task has a path that it claims, or comes before it there.
    PathClaimed,
    /// Nothing is in its way: it is next, or behind others.
    Next,
}

impl Hold {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Gated,
        Self::BackOff,
        Self::WorkspaceFull,
        Self::BackgroundFull,
        Self::NoAgent,
        Self::NoSkill,
        Self::NobodyCan,
        Self::Offered,
        Self::PathClaimed,
        Self::Next,
    ];

    /// Returns its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gated => "gated",
            Self::BackOff => "back_off",
            Self::WorkspaceFull => "workspace_full",
            Self::BackgroundFull => "background_full",
            Self::NoAgent => "no_agent",
            Self::NoSkill => "no_skill",
            Self::NobodyCan => "nobody_can",
            Self::Offered => "offered",
            Self::PathClaimed => "path_claimed",
            Self::Next => "next",
        }
    }
}

impl Held {
    /// Says why, for a reason that needs no list.
    pub fn simply(why: Hold, until: Option<DateTime<Utc>>) -> Self {
        let reason = match why {
            Hold::Gated => "the task waits for other tasks",
            Hold::BackOff => "the attempt before failed; the next one is a little later",
            Hold::WorkspaceFull => "the workspace has as many attempts as it may have",
            Hold::BackgroundFull => {
                "the workspace has as many attempts as it may have of work that is neither high nor urgent"
            }
            Hold::NoAgent => "the workspace has no agent",
            Hold::NoSkill => "nobody has the skills that it requires",
            Hold::NobodyCan => "nobody can take it now",
            Hold::Offered => "it is offered to another agent, who has not answered yet",
            Hold::PathClaimed => "another task has a path that it claims, or comes before it there",
            Hold::Next => "nothing is in its way: it is handed out next, or after others that came first",
        };
        Self { why, reason: reason.into(), until, filtered: vec![], holder: None }
    }

    /// Says which task is in the way.
    pub fn behind(holder: TaskId) -> Self {
        Self { holder: Some(holder), ..Self::simply(Hold::PathClaimed, None) }
    }

    /// Says what is missing, where nobody has it.
    pub fn for_lack_of(self, skills: &[&str]) -> Self {
        let reason = format!("nobody has the skills that it requires: {}", skills.join(", "));
        Self { why: Hold::NoSkill, reason, ..self }
    }

    /// Says who cannot take it, and why.
    pub fn by(mut filtered: Vec<Filtered>, until: Option<DateTime<Utc>>) -> Self {
        if filtered.is_empty() {
            return Self::simply(Hold::NoAgent, until);
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        filtered.iter().for_each(|other| *counts.entry(other.why.words()).or_default() += 1);
        let counts: Vec<String> = counts.into_iter().map(|(words, count)| format!("{count} × {words}")).collect();
        filtered.truncate(LISTED_MAX);
        let reason = format!("nobody can take it now: {}", counts.join(", "));
        Self { why: Hold::NobodyCan, reason, until, filtered, holder: None }
    }
}

impl Filter {
    fn words(self) -> &'static str {
        match self {
            Self::Skills => "it lacks a skill that is required",
            Self::Paused => "the agent is paused",
            Self::Draining => "the agent finishes what it has and takes no more",
            Self::Retired => "the agent is retired",
            Self::AgentFull => "the agent has as many attempts as it may have",
            Self::NoInstance => "the agent has no instance",
            Self::Unhealthy => "the instance does not answer",
            Self::InstanceFull => "the instance has no free slot",
            Self::BreakerOpen => "the instance's breaker is open",
            Self::BeingTried => "one attempt finds out whether the instance serves again",
            Self::Strategy => "the step that was taken after a failure leads elsewhere",
        }
    }
}
