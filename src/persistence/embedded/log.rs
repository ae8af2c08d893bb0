//! `server.log`: all output of initdb and of the server, bounded at each start.

use super::error::Error;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
const TAIL_BYTES_MAX: u64 = 4096;
const TAIL_LINES_MAX: usize = 15;

/// The open log. Only Link opens it, so that the database's user needs no rights on it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
    file: Arc<File>,
    /// Where this start begins; older lines would only mislead.
    start: u64,
}

impl Log {
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("open the server log", &path))?;
        let mut start = file.metadata().map_err(Error::io("read the size of", &path))?.len();
        if start > LOG_BYTES_MAX {
            file.set_len(0).map_err(Error::io("truncate", &path))?;
            start = 0;
        }
        Ok(Self { path, file: Arc::new(file), start })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a handle for a child to write to.
    pub(super) fn stdio(&self) -> Result<Stdio, Error> {
        Ok(self.file.try_clone().map_err(Error::io("share", &self.path))?.into())
    }

    /// Returns the last lines since this start.
    pub(super) fn tail(&self) -> String {
        let read = || {
            let mut file = File::open(&self.path)?;
            let from = self.start.max(file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX));
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n")
    }
}
