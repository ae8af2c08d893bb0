//! What connections may take.

use std::time::Duration;

use super::{Error, parsed, seconds};

/// What connections may take, unless set otherwise. Proxies keep theirs for a minute: they are the ones to end them.
pub const CONNECTIONS: Connections =
    Connections { max: 10_000, idle: Duration::from_secs(75), heartbeat: Duration::from_secs(20) };

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Open at once, sockets among them; with more, new ones are refused: `LINK_CONNECTIONS_MAX`.
    pub max: usize,
    /// A connection that takes longer to send the head of its next request is closed: `LINK_CONNECTION_IDLE_SECS`.
    pub idle: Duration,
    /// Between two pings to a socket; after two without a sign of life it is closed: `LINK_HEARTBEAT_SECS`.
    pub heartbeat: Duration,
}

/// Reads it; at least one connection is let in, or nothing could ever be asked.
pub(super) fn read(
    env: &dyn Fn(&str) -> Option<String>,
    max: Option<usize>,
    [idle, heartbeat]: [Option<u64>; 2],
) -> Result<Connections, Error> {
    Ok(Connections {
        max: parsed("LINK_CONNECTIONS_MAX", env, max.unwrap_or(CONNECTIONS.max))?.max(1),
        idle: seconds("LINK_CONNECTION_IDLE_SECS", env, idle, CONNECTIONS.idle)?,
        heartbeat: seconds("LINK_HEARTBEAT_SECS", env, heartbeat, CONNECTIONS.heartbeat)?,
    })
}
