//! Who runs the database. Postgres refuses root, so root runs it as another user; anyone else runs it as himself.

use super::{error::Error, kernel};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Ancestors, Path, PathBuf},
};

const ROOT: u32 = 0;
/// Linux's overflow id: nobody's, by convention.
const OVERFLOW: u32 = 65534;

/// The user of the database's processes and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The one that runs Link.
    Own { uid: u32 },
    /// The one that root steps down to.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Returns whoever may run the cluster at `data`, which need not exist yet.
    pub(super) fn of(data: &Path) -> Result<Self, Error> {
        let uid = kernel::effective_uid();
        let owner = match fs::metadata(data) {
            Ok(found) => Some((found.uid(), found.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("look at", data)(error)),
        };
        match owner {
            Some((owner, _)) if uid != ROOT && owner != uid => {
                Err(Error::Foreign { path: data.to_owned(), owner, uid })
            }
            _ if uid != ROOT => Ok(Self::Own { uid }),
            Some((owner, gid)) if owner != ROOT => Ok(Self::Other { uid: owner, gid }),
            _ => {
                let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
                let (uid, gid) =
                    ["postgres", "nobody"].iter().find_map(|name| ids(&accounts, name)).unwrap_or((OVERFLOW, OVERFLOW));
                Ok(Self::Other { uid, gid })
            }
        }
    }

    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Own { uid } | Self::Other { uid, .. } => uid,
        }
    }

    /// Makes `path` and its missing ancestors, such that the account can pass through.
    pub(super) fn make_passable(self, path: &Path) -> Result<PathBuf, Error> {
        let missing: Vec<_> = path.ancestors().take_while(|dir| !dir.exists()).collect();
        if let Some(parent) = missing.last().and_then(|dir| dir.parent()) {
            // Checked before anything is made, so that a refusal leaves nothing behind.
            let parent = parent.canonicalize().map_err(Error::io("resolve", parent))?;
            self.check_each(parent.ancestors(), path)?;
        }
        let mode = if self.is_other() { 0o711 } else { 0o700 };
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => set_mode(dir, mode)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", dir)(error)),
            }
        }
        let path = path.canonicalize().map_err(Error::io("resolve", path))?;
        self.check_reach(&path)?;
        Ok(path)
    }

    /// Names the directory that keeps the account from entering `path`, which has no links in it.
    pub(super) fn check_reach(self, path: &Path) -> Result<(), Error> {
        self.check_each(path.ancestors(), path)
    }

    /// Our own reach is the kernel's to judge, so only another account is checked.
    fn check_each(self, dirs: Ancestors<'_>, path: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid } = self else { return Ok(()) };
        // The outermost closed directory is the one to open first.
        for dir in dirs.collect::<Vec<_>>().into_iter().rev() {
            let found = fs::metadata(dir).map_err(Error::io("look at", dir))?;
            let enter = match () {
                () if found.uid() == uid => 0o100,
                () if found.gid() == gid => 0o010,
                () => 0o001,
            };
            if found.mode() & enter == 0 {
                let mode = found.mode() & 0o7777;
                return Err(Error::Unreachable { path: path.to_owned(), closed: dir.to_owned(), mode, uid });
            }
        }
        Ok(())
    }

    /// Makes a directory that only the account may enter, or takes over one that already was such.
    pub(super) fn make_private(self, path: &Path) -> Result<(), Error> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // In /tmp anyone may have been here first: a link or a stranger's directory is not ours to chown.
                let found = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
                let (owner, uid) = (found.uid(), self.uid());
                if !found.is_dir() || ![uid, kernel::effective_uid()].contains(&owner) {
                    return Err(Error::Foreign { path: path.to_owned(), owner, uid });
                }
            }
            Err(error) => return Err(Error::io("create", path)(error)),
        }
        set_mode(path, 0o700)?;
        if let Self::Other { uid, gid } = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(Error::io("chown", path))?;
        }
        Ok(())
    }

    pub(super) fn is_other(self) -> bool {
        matches!(self, Self::Other { .. })
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("set the permissions of", path))
}

/// Reads `name:password:uid:gid:…`.
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = accounts
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (uid != ROOT).then_some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn an_account_is_read_from_the_password_file_and_root_is_never_one() {
        let accounts = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids(accounts, "root"), None);
        assert_eq!(ids(accounts, "nobody"), None);
    }
}
