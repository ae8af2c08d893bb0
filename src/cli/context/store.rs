//! The file that keeps the contexts. It is readable for its owner only, changes whole or not at all, and only one
//! process changes it at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;

use super::Contexts;

/// How long another process may take: it may be waiting for a server that is slow to renew a login.
const LOCK_MAX: Duration = Duration::from_secs(70);
/// Between two looks at the lock.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The context file of this person.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Store {
    dir: PathBuf,
}

/// The file, while no other process changes it.
pub(in crate::cli) struct Locked<'a> {
    store: &'a Store,
    /// The lock ends with it.
    _lock: File,
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

    fn path(&self) -> PathBuf {
        self.dir.join("context.json")
    }

    /// Reads the file; none is an empty one.
    pub fn load(&self) -> anyhow::Result<Contexts> {
        let path = self.path();
        match fs::read(&path) {
            // The parser's own words could quote a token.
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| anyhow::anyhow!("{} cannot be read: remove it and log in again", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Contexts::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Waits until no other process changes the file.
    pub async fn lock(&self) -> anyhow::Result<Locked<'_>> {
        let path = self.dir.join("context.lock");
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)
        };
        let lock = open().with_context(|| format!("opening {}", path.display()))?;
        let free = async {
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
        };
        let free = tokio::time::timeout(LOCK_MAX, free).await;
        free.with_context(|| format!("another process holds {}", path.display()))?
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(Locked { store: self, _lock: lock })
    }
}

impl Locked<'_> {
    /// Reads the file.
    pub fn load(&self) -> anyhow::Result<Contexts> {
        self.store.load()
    }

    /// Writes the file, whole or not at all.
    pub fn save(&self, contexts: &Contexts) -> anyhow::Result<()> {
        let path = self.store.path();
        let scratch = self.store.dir.join(".context.new");
        let write = || -> std::io::Result<()> {
            match fs::remove_file(&scratch) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch)?;
            file.write_all(&serde_json::to_vec_pretty(contexts)?)?;
            file.sync_all()?;
            fs::rename(&scratch, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{
        super::{Context, Login},
        *,
    };

    #[tokio::test]
    async fn a_login_is_kept_for_its_owner_only() {
        let dir = std::env::temp_dir().join(format!("link-context-{}", std::process::id()));
        let store = Store { dir: dir.clone() };
        assert_eq!(store.load().unwrap(), Contexts::default());
        let mut context = Context::at("http://x");
        context.enter(Login::with_token("ada", "secret"));
        let contexts = Contexts { current: Some("x".into()), contexts: [("x".into(), context)].into() };
        store.lock().await.unwrap().save(&contexts).unwrap();
        assert_eq!(store.load().unwrap(), contexts);
        let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        let modes = (mode("context.json"), mode(""));
        fs::write(dir.join("context.json"), "{secret").unwrap();
        let broken = format!("{:#}", store.load().unwrap_err());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(modes, (0o600, 0o700));
        assert!(broken.contains("log in again") && !broken.contains("secret"), "{broken}");
    }
}
