//! Named contexts: a server, who speaks to it, and the workspace that is meant when none is named. A login is sent to
//! no other server than its own.

mod choice;
pub(super) mod commands;
mod store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use choice::Wanted;
pub(super) use store::Store;

/// Where a server is expected when nothing else is said.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// The content of the context file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(super) struct Contexts {
    /// The one that is meant when none is named.
    pub current: Option<String>,
    /// All of them, by name.
    pub contexts: BTreeMap<String, Context>,
}

/// One server, as one person uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    /// Where it is.
    pub server: String,
    /// Who speaks to it, if anybody.
    #[serde(default)]
    pub login: Option<Login>,
    /// The workspace that is meant when none is named.
    #[serde(default)]
    pub workspace: Option<String>,
}

impl Context {
    /// Returns the context of a server that nobody is logged in to.
    pub fn at(server: impl Into<String>) -> Self {
        Self { server: server.into(), login: None, workspace: None }
    }

    /// Takes on a login; another person's workspace is not theirs.
    pub fn enter(&mut self, login: Login) {
        if self.login.as_ref().is_some_and(|known| known.who != login.who) {
            self.workspace = None;
        }
        self.login = Some(login);
    }
}

/// The tokens of one person at one server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Login {
    /// Whose they are.
    #[serde(alias = "email")]
    pub who: String,
    /// For calls.
    pub access_token: String,
    /// For the next access token; empty when there is none.
    pub refresh_token: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("who", &self.who).finish_non_exhaustive()
    }
}

impl Login {
    /// Reads the answer of `auth.login`, `auth.register` or `auth.refresh`.
    pub fn of(answer: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            who: text(&answer["user"]["email"])?,
            access_token: text(&answer["access_token"])?,
            refresh_token: text(&answer["refresh_token"])?,
        })
    }

    /// Makes the login of a token that is never renewed, as an API key is.
    pub fn with_token(who: impl Into<String>, token: impl Into<String>) -> Self {
        Self { who: who.into(), access_token: token.into(), refresh_token: String::new() }
    }
}

/// The file as it is found: of today, or of the time before there were names.
#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    logins: BTreeMap<String, Login>,
}

impl From<Stored> for Contexts {
    fn from(stored: Stored) -> Self {
        let mut contexts = Self { current: stored.current, contexts: stored.contexts };
        let servers = stored.logins.keys().chain(&stored.server).cloned().collect::<Vec<_>>();
        let mut logins = stored.logins;
        for server in servers {
            let name = contexts.name_for(&server);
            let context = contexts.contexts.entry(name.clone()).or_insert_with(|| Context::at(&server));
            context.login = logins.remove(&server).or(context.login.take());
            if stored.server.as_ref() == Some(&server) {
                contexts.current.get_or_insert(name);
            }
        }
        contexts
    }
}

impl Contexts {
    /// Returns the name of the context for a server that was given none: its host and port.
    fn name_for(&self, server: &str) -> String {
        let name = server.split_once("://").map_or(server, |(_, rest)| rest);
        match self.contexts.get(name) {
            Some(taken) if taken.server != server => server.to_owned(),
            _ => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_from_before_there_were_names_still_reads() {
        let login = |who: &str| json!({"email": who, "access_token": "a", "refresh_token": "r"});
        let old = json!({
            "server": "http://127.0.0.1:7070",
            "logins": {
                "http://127.0.0.1:7070": login("ada@x"), "https://link.test": login("ada@y"),
                "http://link.test": login("ada@z"),
            },
        });
        let contexts: Contexts = serde_json::from_value(old).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("127.0.0.1:7070"));
        let who = |name: &str| contexts.contexts[name].login.as_ref().unwrap().who.clone();
        assert_eq!([who("127.0.0.1:7070"), who("link.test"), who("https://link.test")], ["ada@x", "ada@z", "ada@y"]);
        let again: Contexts = serde_json::from_value(serde_json::to_value(&contexts).unwrap()).unwrap();
        assert_eq!(again, contexts);
    }

    #[test]
    fn an_old_file_keeps_its_server_without_a_login() {
        let contexts: Contexts = serde_json::from_value(json!({"server": "http://x", "logins": {}})).unwrap();
        assert_eq!(contexts.contexts["x"], Context::at("http://x"));
        assert_eq!(contexts.current.as_deref(), Some("x"));
    }

    #[test]
    fn another_person_does_not_inherit_the_workspace() {
        let mut context = Context::at("http://x");
        context.enter(Login::with_token("ada", "secret"));
        context.workspace = Some("w".into());
        context.enter(Login::with_token("ada", "secret 2"));
        assert_eq!(context.workspace.as_deref(), Some("w"));
        context.enter(Login::with_token("bob", "secret"));
        assert_eq!(context.workspace, None);
        assert!(!format!("{context:?}").contains("secret"));
    }
}
