//! What the command line remembers between two calls: the server and one login per server. The file is readable for
//! its owner only, and a login is sent to no other server than its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a server is expected when nothing else is said.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// The content of the context file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    /// The server that was logged in to last.
    pub server: Option<String>,
    /// The login at each server.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
}

/// The tokens of one person at one server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Login {
    /// Whose they are.
    pub email: String,
    /// For calls.
    pub access_token: String,
    /// For the next access token; empty when there is none.
    pub refresh_token: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("email", &self.email).finish_non_exhaustive()
    }
}

impl Login {
    /// Reads the answer of `auth.login`, `auth.register` or `auth.refresh`.
    pub fn of(answer: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            email: text(&answer["user"]["email"])?,
            access_token: text(&answer["access_token"])?,
            refresh_token: text(&answer["refresh_token"])?,
        })
    }
}

/// The context file of this person.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Returns the store in `LINK_CONTEXT_DIR`, or below the home directory.
    pub fn open() -> anyhow::Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let in_home = || {
            let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
            config.map(|config| config.join("link"))
        };
        let dir = set("LINK_CONTEXT_DIR").or_else(in_home);
        Ok(Self { dir: dir.context("there is no home directory: set LINK_CONTEXT_DIR")? })
    }

    #[cfg(test)]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("context.json")
    }

    /// Reads the file; none is an empty one.
    pub fn load(&self) -> anyhow::Result<Context> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} cannot be read: remove it and log in again", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Context::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Changes the file, whole or not at all.
    pub fn change(&self, change: impl FnOnce(&mut Context)) -> anyhow::Result<()> {
        let mut context = self.load()?;
        change(&mut context);
        let path = self.path();
        let scratch = self.dir.join(format!(".context.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.dir)?;
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
            file.write_all(&serde_json::to_vec_pretty(&context)?)?;
            file.sync_all()?;
            fs::rename(&scratch, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_only() {
        let dir = std::env::temp_dir().join(format!("link-context-{}", std::process::id()));
        let store = Store::at(dir.clone());
        assert_eq!(store.load().unwrap(), Context::default());
        let login = Login { email: "a@b".into(), access_token: "secret".into(), refresh_token: "secret".into() };
        store
            .change(|context| {
                context.server = Some("http://x".into());
                context.logins.insert("http://x".into(), login.clone());
            })
            .unwrap();
        assert_eq!(store.load().unwrap().logins["http://x"], login);
        let mode = fs::metadata(store.path()).unwrap().permissions().mode();
        fs::remove_dir_all(dir).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{login:?}").contains("secret"));
    }
}
