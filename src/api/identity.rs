//! Who calls: what a door finds out from a token, once, before anything else happens.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::domain::{
    access::Viewer,
    ids::{KeyId, LoginId, UserId, WorkspaceId},
    permission::{Permission, Permissions},
    principal::Principal,
};

use super::{
    Api, known_keys,
    problem::{self, Problem},
};

/// Who calls, and what the credential that was shown lets them do at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// What was shown.
    pub credential: Credential,
    /// What the credential is good for, of all that its holder may.
    pub scopes: Permissions,
    /// The only workspace that the credential is good for, if it is limited to one.
    pub workspace: Option<WorkspaceId>,
    /// When the credential ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// When it was last certain that nobody had revoked it.
    pub proven_at: DateTime<Utc>,
}

/// What was shown to prove who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token of a person's login.
    Login(LoginId),
    /// An API key.
    Key(KeyId),
}

impl Credential {
    /// Returns what is named where it is revoked.
    fn id(self) -> uuid::Uuid {
        match self {
            Self::Login(id) => id.0,
            Self::Key(id) => id.0,
        }
    }
}

impl Identity {
    /// Tells whether the credential is good for a permission in a workspace; what its holder may is another question.
    pub fn reaches(&self, workspace: WorkspaceId, permission: Permission) -> bool {
        self.scopes.contains(permission) && self.workspace.is_none_or(|only| only == workspace)
    }

    /// Returns who it is, with the limits of what they showed.
    pub fn viewer(&self) -> Viewer {
        Viewer { principal: self.principal, scopes: self.scopes, workspace: self.workspace }
    }

    /// Returns the person, when it is one.
    pub fn user(&self) -> Option<UserId> {
        self.principal.user()
    }
}

/// One request, as its door understood it.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Whose token it was, if there was one.
    pub identity: Option<Identity>,
    /// The idempotency key, if there was one.
    pub key: Option<String>,
    /// Ties events, logs and calls together.
    pub trace: String,
    /// Where the request comes from, as far as that is known.
    pub address: Option<IpAddr>,
}

impl Api {
    /// Finds out whose token it is. Every door asks here, and only here.
    pub async fn identify(&self, token: &str) -> Result<Identity, Problem> {
        let token = token.trim();
        let is_key = known_keys::is_key(token);
        let identity = if is_key { self.holder_of(token).await? } else { self.bearer_of(token) };
        let identity = identity.filter(|identity| self.still_good(identity));
        let (credential, outcome) =
            (if is_key { "key" } else { "login" }, if identity.is_some() { "ok" } else { "refused" });
        metrics::counter!("link_identifications_total", "credential" => credential, "outcome" => outcome).increment(1);
        identity.ok_or_else(|| unauthenticated("the token is not, or no longer, good"))
    }

    fn bearer_of(&self, token: &str) -> Option<Identity> {
        let access = self.services().keys.check(token, self.services().context().clock.now())?;
        Some(Identity {
            principal: Principal::User(access.user),
            credential: Credential::Login(access.login),
            scopes: Permissions::ALL,
            workspace: None,
            until: Some(access.until),
            proven_at: access.issued_at,
        })
    }

    async fn holder_of(&self, key: &str) -> Result<Option<Identity>, Problem> {
        let (services, context) = (self.services(), self.services().context());
        let now = context.clock.now();
        let Some((key, proven_at)) = services.known_keys.find(&context.pool, key, now).await? else { return Ok(None) };
        let scopes = key.scopes.iter().filter_map(|scope| serde_json::from_value(scope.as_str().into()).ok());
        let identity = Identity {
            principal: key.holder,
            credential: Credential::Key(key.id),
            scopes: scopes.chain([Permission::Signed]).collect(),
            workspace: key.workspace,
            until: Some(key.expires_at),
            proven_at,
        };
        if self.still_good(&identity) {
            services.known_keys.used(key.id, now);
        }
        Ok(Some(identity))
    }

    /// Tells whether a credential that was good when it was shown still is: it has not ended, and nobody revoked it.
    /// Cheap enough for every batch that goes out.
    pub fn still_good(&self, identity: &Identity) -> bool {
        let services = self.services();
        let now = services.context().clock.now();
        identity.until.is_none_or(|until| now < until)
            && !services.revocations.covers(identity.credential.id(), identity.proven_at)
    }

    /// Returns what changes whenever a credential was revoked: whoever holds a connection open asks
    /// [`Api::still_good`] again then.
    pub fn revocations(&self) -> tokio::sync::watch::Receiver<()> {
        self.services().revocations.changes()
    }
}

/// Says that a good token is missing.
pub fn unauthenticated(detail: &str) -> Problem {
    Problem::new(problem::UNAUTHENTICATED, detail)
}
