//! What operations work with.

use std::sync::Arc;

use crate::{
    actors::{Context, Directory},
    oidc::Provider,
};

use super::{known_keys::KnownKeys, limits::Limits, revocations::Revocations, signing::Keys, tokens::Passwords};

/// The node, as operations see it.
pub struct Services {
    /// The workspaces.
    pub directory: Directory,
    /// Signs and checks tokens.
    pub keys: Keys,
    /// API keys that were shown lately.
    pub known_keys: KnownKeys,
    /// What was revoked before its time.
    pub revocations: Revocations,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The provider that people may log in by, if there is one.
    pub oidc: Option<Provider>,
    /// Counts who asks for how much.
    pub limits: Limits,
}

impl Services {
    /// Returns what every actor of the node shares.
    pub fn context(&self) -> &Arc<Context> {
        self.directory.context()
    }
}
