//! The typed "no" of the domain.

use super::ids::Subject;

/// Why a command was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// What the command names does not exist.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// It exists already.
    #[error("{0} exists already")]
    Exists(Subject),
    /// A unique name is in use.
    #[error("{what} `{value}` is already in use")]
    Taken {
        /// What the name is of.
        what: &'static str,
        /// The name.
        value: String,
    },
    /// The state machine has no such step.
    #[error("{what} cannot go from {from} to {to}")]
    Transition {
        /// What should have moved.
        what: &'static str,
        /// Where it is.
        from: String,
        /// Where it should have gone.
        to: String,
    },
    /// The caller saw an older version.
    #[error("version {expected} was expected, it is {actual}")]
    Version {
        /// What the caller saw.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The dependency would close a circle.
    #[error("the dependency would close a cycle: a task cannot wait for itself")]
    Cycle,
    /// Open work forbids it.
    #[error("{0}")]
    Busy(&'static str),
    /// The value is wrong where only the state can tell.
    #[error("{path}: {message}")]
    Invalid {
        /// Where in the input.
        path: &'static str,
        /// What is wrong.
        message: String,
    },
    /// This principal may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The report comes from an attempt that no longer holds the lease.
    #[error("the attempt no longer holds this delegation")]
    Fenced,
    /// No instance of the agent has a free slot.
    #[error("no instance of the agent has a free slot")]
    NoSlot,
}

impl Rejection {
    /// Returns the stable code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Exists(_) => "already_exists",
            Self::Taken { .. } => "name_taken",
            Self::Transition { .. } => "invalid_transition",
            Self::Version { .. } => "version_conflict",
            Self::Cycle => "dependency_cycle",
            Self::Busy(_) => "busy",
            Self::Invalid { .. } => "invalid_input",
            Self::Forbidden(_) => "forbidden",
            Self::Fenced => "fenced",
            Self::NoSlot => "no_slot",
        }
    }
}
