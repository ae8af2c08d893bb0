//! Where a node's signing keys come from: the settings, or a file in the data directory that is made once. The file
//! has one key per line, the newest first, and may change while the node runs.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use crate::{
    api::signing::{self, KEYS_MAX, Keys},
    config::Config,
};

/// The file that keeps the keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// Returns the file, unless the settings name the keys.
    pub fn of(config: &Config) -> Option<Self> {
        config.jwt_key.is_none().then(|| Self { path: config.data_dir.join("jwt.key") })
    }

    /// Reads what is in it.
    pub fn read(&self) -> io::Result<String> {
        fs::read_to_string(&self.path)
    }

    /// Reads what is in it; a new key when there is no file yet.
    pub fn read_or_make(&self) -> anyhow::Result<String> {
        match self.read() {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = Keys::generate()?;
                self.write(&text)?;
                Ok(text)
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", self.path.display())),
        }
    }

    /// Puts a new key before the others: it signs from now on, they still verify. Returns its name.
    pub fn rotate(&self) -> anyhow::Result<String> {
        let known = self.read_or_make()?;
        if Keys::parse(&known)?.kids().len() >= KEYS_MAX {
            bail!("there are {KEYS_MAX} keys already: retire one first");
        }
        let text = format!("{}\n{known}", Keys::generate()?);
        let kid = Keys::parse(&text)?.kids().swap_remove(0);
        self.write(&text)?;
        Ok(kid)
    }

    /// Takes a key out that no longer signs: what it signed or sealed is worthless from now on.
    pub fn retire(&self, kid: &str) -> anyhow::Result<()> {
        let known = self.read_or_make()?;
        let kids = Keys::parse(&known)?.kids();
        match kids.iter().position(|known| known == kid) {
            None => bail!("no key is called {kid}: see `link keys list`"),
            Some(0) => bail!("{kid} signs now: rotate first, and retire it when nothing needs it any more"),
            Some(nth) => {
                let left = signing::split(&known).enumerate().filter(|(at, _)| *at != nth).map(|(_, key)| key);
                self.write(&left.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// Writes beside and renames, so that nobody ever reads half a file.
    fn write(&self, text: &str) -> anyhow::Result<()> {
        let keep = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(&self.path);
            fs::create_dir_all(folder)?;
            let beside = self.path.with_extension("key.new");
            // What a crash left behind may have other permissions.
            let _ = fs::remove_file(&beside);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            writeln!(file, "{}", text.trim())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            fs::File::open(folder)?.sync_all()
        };
        keep().with_context(|| format!("keeping the keys in {}", self.path.display()))
    }
}

/// Reads the keys that the settings name, or those of the file.
pub fn read(config: &Config) -> anyhow::Result<(Keys, String)> {
    let text = match KeyFile::of(config) {
        Some(file) => file.read_or_make()?,
        None => config.jwt_key.clone().unwrap_or_default(),
    };
    Ok((Keys::parse(&text)?, text))
}
