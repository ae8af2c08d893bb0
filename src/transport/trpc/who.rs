//! Who asks: one token for all calls of a request or a socket. A bad one fails the calls that need one, and no other.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

use crate::{
    api::{
        Api, Caller, Identity, Kind,
        problem::{self, Problem},
    },
    domain::permission::Permission,
};

/// Who asks, or why that is not known; without a token nobody in particular.
#[derive(Clone)]
pub struct Who {
    address: Option<IpAddr>,
    found: Result<Option<Identity>, Problem>,
}

impl Who {
    /// Finds out whose token it is.
    pub async fn of(api: &Api, token: Option<String>, address: Option<IpAddr>) -> Self {
        let found = match token {
            Some(token) => api.identify(&token).await.map(Some),
            None => Ok(None),
        };
        Self { address, found }
    }

    /// Returns who it is.
    ///
    /// # Errors
    /// When nobody is, or no longer.
    pub fn known(&self, api: &Api) -> Result<Identity, Problem> {
        let identity = self.found.clone()?.ok_or_else(|| unauthenticated("a valid token is needed"))?;
        if api.still_good(&identity) { Ok(identity) } else { Err(ended()) }
    }

    /// Checks that a token that was good still is; where there was none, nothing can have ended.
    ///
    /// # Errors
    /// When it no longer is.
    pub fn still_good(&self, api: &Api) -> Result<(), Problem> {
        match self.found {
            Ok(Some(_)) => self.known(api).map(drop),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Tells whether a procedure can be called at all by whoever this is; if not, its input need not be read.
    pub fn may_call(&self, api: &Api, path: &str) -> bool {
        self.known(api).is_ok() || is_public(api, path)
    }

    /// Returns the caller of a procedure.
    ///
    /// # Errors
    /// When the procedure needs a good token.
    pub fn caller(&self, api: &Api, path: &str, key: Option<String>, trace: &str) -> Result<Caller, Problem> {
        let identity = if is_public(api, path) { None } else { Some(self.known(api)?) };
        Ok(Caller { identity, key, trace: trace.to_owned(), address: self.address })
    }
}

/// Returns the token of the `Authorization` header.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ").or(text.strip_prefix("bearer ")));
    // Something else than a bearer token is a bad token, and not none.
    Some(token.unwrap_or_default().to_owned())
}

/// Returns the kind of a procedure.
///
/// # Errors
/// When there is none of this name.
pub fn kind_of(api: &Api, path: &str) -> Result<Kind, Problem> {
    let operation = api.table().find(path);
    operation
        .map(|operation| operation.kind)
        .ok_or_else(|| Problem::new(problem::NO_SUCH_OPERATION, format!("no procedure found on path \"{path}\"")))
}

/// An unknown procedure is public: that it does not exist is told to everyone.
fn is_public(api: &Api, path: &str) -> bool {
    api.table().find(path).is_none_or(|operation| operation.permission == Permission::Public)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(problem::UNAUTHENTICATED, detail)
}

fn ended() -> Problem {
    unauthenticated("the token has ended or was revoked: connect again with a fresh one")
}
