//! Who calls: what a door finds out from a token, once, before anything else happens.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::domain::{
    ids::{UserId, WorkspaceId},
    permission::Permissions,
    principal::Principal,
};

use super::{
    Api,
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
}

/// What was shown to prove who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token of a person's login.
    Login,
}

impl Identity {
    /// Returns whether the credential is still good at a time.
    pub fn lasts(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
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
        let now = self.services().context().clock.now();
        let good = self.services().keys.check(token.trim(), now);
        let (user, until) = good.ok_or_else(|| unauthenticated("the token is not, or no longer, good"))?;
        Ok(Identity {
            principal: Principal::User(user),
            credential: Credential::Login,
            scopes: Permissions::ALL,
            workspace: None,
            until: Some(until),
        })
    }
}

/// Says that a good token is missing.
pub fn unauthenticated(detail: &str) -> Problem {
    Problem::new(problem::UNAUTHENTICATED, detail)
}
