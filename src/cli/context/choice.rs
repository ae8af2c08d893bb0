//! Which context is meant: flags win over the environment, and both over what was used last.

use clap::ArgMatches;

use super::{Context, Contexts, DEFAULT_SERVER};
use crate::cli::error::Error;

/// What flags or environment ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Wanted {
    /// A context by its name.
    pub context: Option<String>,
    /// A server by its address.
    pub server: Option<String>,
    /// The server of a context that is new.
    pub fallback: Option<String>,
}

impl Wanted {
    /// Reads the flags; without any, the environment.
    pub fn of(matches: &ArgMatches) -> Result<Self, Error> {
        Self::named(matches, None)
    }

    /// The same where a context may be named by more than the flag.
    pub fn named(matches: &ArgMatches, name: Option<String>) -> Result<Self, Error> {
        let flag = |name: &str| matches.get_one::<String>(name).cloned();
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let around = set("LINK_SERVER").map(|server| address(&server)).transpose()?;
        let server = flag("server").map(|server| address(&server)).transpose()?;
        Ok(match (name.or_else(|| flag("context")), server) {
            (None, None) => Self { context: set("LINK_CONTEXT"), server: around, fallback: None },
            // A flag is not contradicted by the environment.
            (context, server) => Self { context, server, fallback: around },
        })
    }
}

fn address(server: &str) -> Result<String, Error> {
    let server = server.trim_end_matches('/');
    match server.split_once("://") {
        Some(("http" | "https", host)) if !host.is_empty() => Ok(server.to_owned()),
        _ => Err(Error::Usage(format!("`{server}` is no server: write http://HOST:PORT"))),
    }
}

impl Contexts {
    /// Returns the context that is meant and its name.
    pub fn find(&self, wanted: &Wanted) -> Result<(String, Context), Error> {
        let Some(name) = &wanted.context else { return Ok(self.by_server(wanted.server.as_deref())) };
        let known = self.contexts.get(name).cloned();
        let context =
            known.ok_or_else(|| Error::Usage(format!("no context is called `{name}`: `link context list`")))?;
        match &wanted.server {
            Some(other) if *other != context.server => {
                Err(Error::Usage(format!("the context `{name}` is for {}, not for {other}", context.server)))
            }
            _ => Ok((name.clone(), context)),
        }
    }

    /// The same for a login, which makes the context if need be.
    pub fn find_or_make(&self, wanted: &Wanted) -> (String, Context) {
        let Some(name) = &wanted.context else { return self.by_server(wanted.server.as_deref()) };
        let known = self.contexts.get(name).cloned();
        let known = known.filter(|known| wanted.server.as_ref().is_none_or(|server| *server == known.server));
        let context = known.unwrap_or_else(|| match wanted.server.as_ref().or(wanted.fallback.as_ref()) {
            Some(server) => Context::at(server),
            None => Context::at(self.by_server(None).1.server),
        });
        (name.clone(), context)
    }

    fn by_server(&self, server: Option<&str>) -> (String, Context) {
        let current = self.current.as_ref().and_then(|name| self.contexts.get_key_value(name));
        let fits = |context: &Context| server.is_none_or(|server| server == context.server);
        let server = server.unwrap_or(DEFAULT_SERVER);
        let found = current.filter(|(_, context)| fits(context));
        let found = found.or_else(|| self.contexts.iter().find(|(_, context)| context.server == server));
        match found {
            Some((name, context)) => (name.clone(), context.clone()),
            None => (self.name_for(server), Context::at(server)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let contexts = [("home", "http://home"), ("work", "http://work"), ("other", "http://work")];
        let contexts = contexts.map(|(name, server)| (name.to_owned(), Context::at(server)));
        Contexts { current: Some("work".into()), contexts: contexts.into() }
    }

    fn wanted(context: Option<&str>, server: Option<&str>) -> Wanted {
        Wanted { context: context.map(str::to_owned), server: server.map(str::to_owned), fallback: None }
    }

    #[test]
    fn a_name_wins_then_the_server_then_the_current_one() {
        let name = |context, server| contexts().find(&wanted(context, server)).unwrap().0;
        assert_eq!(name(None, None), "work");
        assert_eq!(name(Some("other"), None), "other");
        assert_eq!(name(Some("other"), Some("http://work")), "other");
        assert_eq!(name(None, Some("http://work")), "work");
        assert_eq!(name(None, Some("http://home")), "home");
        assert_eq!(name(None, Some("http://new:1")), "new:1");
        assert_eq!(Contexts::default().find(&Wanted::default()).unwrap().1, Context::at(DEFAULT_SERVER));
    }

    #[test]
    fn a_context_that_is_unknown_or_of_another_server_is_a_wrong_command() {
        for (context, server) in [("nowhere", None), ("home", Some("http://work"))] {
            assert!(matches!(contexts().find(&wanted(Some(context), server)), Err(Error::Usage(_))));
        }
    }

    #[test]
    fn a_login_may_name_a_new_context_and_moves_one_only_without_its_login() {
        let mut contexts = contexts();
        contexts.contexts.get_mut("home").unwrap().login = Some(super::super::Login::with_token("ada", "t"));
        assert_eq!(contexts.find_or_make(&wanted(Some("new"), None)), ("new".into(), Context::at("http://work")));
        let around = |name| Wanted { fallback: Some("http://around".into()), ..wanted(Some(name), None) };
        assert_eq!(contexts.find_or_make(&around("new")).1.server, "http://around");
        assert!(contexts.find_or_make(&around("home")).1.login.is_some());
        let moved = contexts.find_or_make(&wanted(Some("home"), Some("http://else")));
        assert_eq!(moved, ("home".into(), Context::at("http://else")));
    }

    #[test]
    fn an_address_is_an_address() {
        assert_eq!(address("http://x:1/").unwrap(), "http://x:1");
        for bad in ["x:1", "ftp://x", "http://", ""] {
            assert!(matches!(address(bad), Err(Error::Usage(_))), "{bad}");
        }
    }
}
