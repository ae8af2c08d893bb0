//! Where a client hears: on a socket that takes whole frames, or at a door that says things in its own way.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    feed::Committed,
    outlet::{Ending, Outlet, Taken},
    subscription::{Outgoing, Told},
};

/// What may wait at a door.
pub const OUTBOX_MAX: usize = 1_024;
/// What is read from the log leaves this much of it to what happens meanwhile.
const REPLAY_LEAVES: usize = OUTBOX_MAX * 3 / 4;
/// How long a door may take nothing.
const DOOR_PATIENCE: Duration = Duration::from_secs(10);

/// The client does not take what it is sent, or is gone.
#[derive(Debug)]
pub(super) struct TooSlow;

/// Where a client hears.
#[derive(Clone)]
pub(super) enum Ear {
    Socket(Arc<Outlet>),
    Door(mpsc::Sender<Outgoing>),
}

impl Ear {
    /// Returns the socket, where it is one.
    pub fn socket(&self) -> Option<&Arc<Outlet>> {
        match self {
            Self::Socket(outlet) => Some(outlet),
            Self::Door(_) => None,
        }
    }

    /// Offers an event that is read from the log; some room is left to what happens meanwhile.
    pub fn replay(&self, event: &Arc<Committed>) -> Taken {
        match self {
            Self::Socket(outlet) => outlet.write(outlet.frame(&Told::Event(event.clone()))),
            Self::Door(outbox) if outbox.is_closed() => Taken::Gone,
            Self::Door(outbox) if outbox.capacity() < REPLAY_LEAVES => Taken::Full,
            Self::Door(_) => self.live(event),
        }
    }

    /// Offers an event as it happens to a door.
    pub fn live(&self, event: &Arc<Committed>) -> Taken {
        let told = Told::Event(event.clone());
        match self {
            Self::Socket(outlet) => outlet.write(outlet.frame(&told)),
            Self::Door(outbox) => match outbox.try_send(Outgoing::Told(told)) {
                Ok(()) => Taken::Yes,
                Err(mpsc::error::TrySendError::Full(_)) => Taken::Full,
                Err(mpsc::error::TrySendError::Closed(_)) => Taken::Gone,
            },
        }
    }

    /// Says something small that has to arrive, though nobody waits for it.
    pub fn mention(&self, told: Told) {
        match self {
            Self::Socket(outlet) => outlet.mention(outlet.frame(&told)),
            // A door that is full hears of the offset with the next event.
            Self::Door(outbox) => drop(outbox.try_send(Outgoing::Told(told))),
        }
    }

    /// Says something, as soon as there is room.
    pub async fn tell(&self, told: Told) -> Result<(), TooSlow> {
        self.room().await?;
        self.say(told)
    }

    /// Says something where there was room just now.
    pub fn say(&self, told: Told) -> Result<(), TooSlow> {
        match self {
            Self::Socket(outlet) => {
                outlet.gather(outlet.frame(&told));
                Ok(())
            }
            Self::Door(outbox) => outbox.try_send(Outgoing::Told(told)).map_err(|_| TooSlow),
        }
    }

    /// Writes a signal that was encoded already, unless the client is behind; doors have no words for signals.
    pub fn signal(&self, frame: Bytes) {
        if let Self::Socket(outlet) = self
            && !outlet.is_behind()
        {
            outlet.write(frame);
        }
    }

    /// Waits until most of what waits is gone.
    pub async fn room(&self) -> Result<(), TooSlow> {
        match self {
            // The socket's own task gives up when it takes nothing for too long.
            Self::Socket(outlet) => outlet.room().await.map_err(|_| TooSlow),
            Self::Door(outbox) => {
                let room = tokio::time::timeout(DOOR_PATIENCE, outbox.reserve_many(REPLAY_LEAVES)).await;
                room.map_err(|_| TooSlow)?.map(drop).map_err(|_| TooSlow)
            }
        }
    }

    /// Ends the client after what it was told.
    pub async fn end(&self, ending: Ending) {
        match self {
            Self::Socket(outlet) => outlet.end(ending),
            Self::Door(outbox) => {
                let close = Outgoing::Close { code: ending.code, reason: ending.reason };
                let _ = tokio::time::timeout(DOOR_PATIENCE, outbox.send(close)).await;
            }
        }
    }
}
