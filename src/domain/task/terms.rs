//! What a delegation was agreed under, beside its review.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::text::{Label, scrubbed};

/// What a delegation was agreed under, beside its review.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// What becomes of questions that nobody answers; absent: they wait for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// What whoever does it has to be good at: all of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub skills: BTreeSet<Label>,
}

/// The most skills that can be required.
pub const SKILLS_MAX: usize = 20;

impl Terms {
    /// Takes out what no database can keep.
    pub(super) fn scrubbed(mut self) -> Self {
        if let Some(Expiry { then: Lapse::Answer(answer), .. }) = &mut self.expiry {
            *answer = scrubbed(std::mem::take(answer));
        }
        self
    }

    /// Whoever does the work has to be good at what the task itself requires, too.
    pub(super) fn with(mut self, skills: &BTreeSet<Label>) -> Self {
        self.skills.extend(skills.iter().cloned());
        self
    }

    /// Tells whether it is agreed what the answer to a question is that nobody answers. That it is denied is no answer which
    /// lets anybody do something.
    pub(in crate::domain) fn answers_by_itself(&self) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| matches!(expiry.then, Lapse::Answer(_)))
    }

    /// Tells whether nothing was agreed.
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The longest time after which a question expires.
pub const EXPIRY_SECS_MAX: u64 = 30 * 24 * 3_600;

/// What becomes of questions that nobody answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// After so many seconds.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub after_secs: u64,
    /// What.
    pub then: Lapse,
}

/// What becomes of a question that nobody answered in time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lapse {
    /// The answer is no.
    Deny,
    /// The attempt is stopped, and a person decides how it goes on.
    Escalate,
    /// The answer is this one, where it is one that the question takes; else as with `escalate`.
    Answer(serde_json::Value),
}
