//! What is taken from the machine where nothing is set: the node's name, and where its data is.

use std::path::PathBuf;

pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "link".into() } else { name.to_owned() }
}

/// As root the database runs as another user and must reach its data; a home directory is closed to it.
pub(super) fn default_data_dir(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let home = env("HOME").filter(|home| home != "/root");
    match home {
        Some(home) => PathBuf::from(env("XDG_DATA_HOME").unwrap_or(format!("{home}/.local/share"))).join("link"),
        None => PathBuf::from("/var/lib/link"),
    }
}
