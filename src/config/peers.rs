//! What is waited for of agents that connect to Link by themselves.

use std::time::Duration;

use super::{Error, seconds};

/// What is waited for of agents that connect, unless set otherwise.
pub const PEERS: Peers =
    Peers { heartbeat: Duration::from_secs(5), suspect: Duration::from_secs(10), lost: Duration::from_secs(15) };

/// What is waited for of agents that connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    /// How often they say that they live: `LINK_PEER_HEARTBEAT_SECS`.
    pub heartbeat: Duration,
    /// Silent for so long, they get no new work: `LINK_PEER_SUSPECT_SECS`.
    pub suspect: Duration,
    /// Silent or away for so long, their work goes to another instance: `LINK_PEER_LOST_SECS`.
    pub lost: Duration,
}

/// Reads them; no work is lost before its agent is suspect, and nobody is suspect before the next heartbeat is due.
pub(super) fn read(env: &dyn Fn(&str) -> Option<String>, file: [Option<u64>; 3]) -> Result<Peers, Error> {
    let [heartbeat, suspect, lost] = file;
    let peers = Peers {
        heartbeat: seconds("LINK_PEER_HEARTBEAT_SECS", env, heartbeat, PEERS.heartbeat)?,
        suspect: seconds("LINK_PEER_SUSPECT_SECS", env, suspect, PEERS.suspect)?,
        lost: seconds("LINK_PEER_LOST_SECS", env, lost, PEERS.lost)?,
    };
    let must_be_later = |name, (time, than): (Duration, Duration), cause: &str| {
        let (value, cause) = (time.as_secs().to_string(), cause.to_owned());
        if time > than { Ok(()) } else { Err(Error::Value { name, value, cause }) }
    };
    must_be_later("LINK_PEER_SUSPECT_SECS", (peers.suspect, peers.heartbeat), "must be more than the heartbeat")?;
    must_be_later("LINK_PEER_LOST_SECS", (peers.lost, peers.suspect), "must be more than LINK_PEER_SUSPECT_SECS")?;
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_suspect_after_a_missed_heartbeat_and_lost_after_that() {
        let read = |file| read(&|_| None, file);
        assert_eq!(read([None; 3]).unwrap(), PEERS);
        assert_eq!(read([Some(1), Some(2), Some(3)]).unwrap().lost, Duration::from_secs(3));
        assert!(read([Some(10), None, None]).is_err() && read([None, None, Some(10)]).is_err());
    }
}
