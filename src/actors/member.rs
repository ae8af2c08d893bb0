//! One who listens live, and groups of those who hear the same.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::domain::{
    access::{self, Rights},
    ids::WorkspaceId,
    principal::Principal,
};

use super::{
    client::{ClientMessage, Reached},
    client_handle::{ClientHandle, ClientId},
    ear::Ear,
    encoding::Encoding,
    feed::{Committed, Signal, Topics},
    greeting::Time,
    outlet::{Ending, Taken},
    subscription::{Told, removes},
    texts::Writing,
};

/// Cursors are told at most this often.
const CURSOR_EVERY: Duration = Duration::from_millis(500);
/// The relay fell; whoever listened comes again and goes on after the last offset.
const FELL: Ending = Ending { code: 1012, reason: "the feed starts anew: reconnect" };

/// One thing to hand on.
#[derive(Clone)]
pub(super) enum Piece {
    Event(Arc<Committed>),
    Signal(Arc<Signal>),
}

impl Piece {
    /// Tells whether everyone hears it from whom nothing is hidden: it is nobody's secret, and changes nobody's rights.
    pub fn is_for_anybody(&self) -> bool {
        match self {
            Self::Event(event) => event.recorded.audience.is_none() && !access::may_change(&event.recorded.event),
            Self::Signal(signal) => signal.audience.is_none(),
        }
    }
}

/// What becomes of a member that was given something.
pub(super) enum Fate {
    Stays,
    /// Its actor reads on in the log.
    Behind,
    /// It was removed from the workspace.
    Removed,
    Gone,
}

impl From<Taken> for Fate {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Yes => Self::Stays,
            Taken::Full => Self::Behind,
            Taken::Gone => Self::Gone,
        }
    }
}

/// A client that listens live.
pub(super) struct Member {
    pub client: ClientHandle,
    pub ear: Ear,
    pub who: Principal,
    pub topics: Arc<Topics>,
    pub rights: Arc<Rights>,
    /// The rights know of every event up to here.
    pub rights_at: u64,
    /// Which of the client's subscriptions to this workspace it is.
    pub generation: u64,
    /// The last offset that was sent or passed over; in a group that of all counts.
    pub cursor: u64,
    /// Whether the end of the replay was announced.
    pub caught_up: bool,
    pub cursor_told: Instant,
    /// Running texts of which it has missed something.
    pub missed: Vec<Writing>,
    /// It has lost who is how while it was behind.
    pub lost: bool,
    /// When it was last told who is here.
    pub greeted: Option<Instant>,
}

impl Member {
    /// Picks what it may hear and wants to, and gives it that. Nothing is given by halves to a socket; a door takes
    /// one after the other.
    pub fn give(&mut self, run: &[Piece]) -> Fate {
        let (begin, mut fate, mut frames) = (self.cursor, Fate::Stays, vec![]);
        for piece in run {
            let event = match piece {
                Piece::Event(event) if event.recorded.offset > self.cursor => event,
                Piece::Event(_) => continue,
                Piece::Signal(signal) => {
                    self.hear(signal);
                    continue;
                }
            };
            let (offset, news) = (event.recorded.offset, event.recorded.offset > self.rights_at);
            let removed = news && removes(&event.recorded.event, self.who);
            if news && !removed && access::changes(&event.recorded.event, self.who) {
                // From here on the log is read: what it shows is decided anew.
                fate = Fate::Behind;
                break;
            }
            if event.matches(&self.topics) && self.rights.see(&event.recorded) {
                match &self.ear {
                    Ear::Socket(outlet) => frames.push(outlet.frame(&Told::Event(event.clone()))),
                    Ear::Door(_) => match self.ear.live(event) {
                        Taken::Yes => self.cursor_told = Instant::now(),
                        other => return other.into(),
                    },
                }
            }
            self.cursor = offset;
            if removed {
                fate = Fate::Removed;
                break;
            }
        }
        let Some(outlet) = self.ear.socket().filter(|_| !frames.is_empty()) else { return fate };
        match outlet.write(together(&frames)) {
            Taken::Yes => {
                self.cursor_told = Instant::now();
                fate
            }
            other => {
                self.cursor = begin;
                other.into()
            }
        }
    }

    /// Gives it what all of its group hear.
    pub fn take(&mut self, shared: &Shared) -> Fate {
        let Some(outlet) = self.ear.socket() else { return Fate::Gone };
        let loses = shared.has_signals && outlet.is_behind();
        self.lost |= loses && shared.has_presence;
        let frames = if loses { &shared.events } else { &shared.all };
        if frames.is_empty() {
            return Fate::Stays;
        }
        outlet.write(frames.clone()).into()
    }

    /// Gives it a signal, if it may hear it; what that takes time to find out is its actor's to do.
    pub fn hear(&mut self, signal: &Arc<Signal>) {
        let Some(outlet) = self.ear.socket().filter(|_| signal.concerns(self.who, &self.topics)) else { return };
        if outlet.is_behind() {
            self.lost |= signal.is_presence();
            return;
        }
        match self.sees(signal) {
            Some(true) => self.ear.signal(outlet.frame(&Told::Signal(signal.clone()))),
            Some(false) => {}
            None => self.client.signal(signal.clone()),
        }
    }

    /// Tells whether it may see what a signal is about, where that needs no look at where that is.
    fn sees(&self, signal: &Signal) -> Option<bool> {
        let known = self.rights.are_plain() || signal.is_placed();
        known.then(|| self.rights.see_thing(signal.topic, &signal.refs))
    }

    /// Tells it now and then how far it is, where nothing else does.
    pub fn tell_cursor(&mut self, workspace: WorkspaceId) {
        if self.cursor_told.elapsed() >= CURSOR_EVERY {
            self.cursor_told = Instant::now();
            self.ear.mention(Told::Cursor { workspace, offset: self.cursor });
        }
    }

    /// Its relay fell.
    fn fell(&self) {
        match &self.ear {
            Ear::Socket(outlet) => outlet.end(FELL),
            // Whoever is at a door hears the end of its actor.
            Ear::Door(_) => self.client.stop(),
        }
    }

    /// Tells it who is here, also where other signals would be lost: it makes up for those. Without room for it, its
    /// actor does that as soon as there is.
    pub fn be_greeted(&mut self, signal: &Arc<Signal>, time: Time) {
        self.greeted = Some(Instant::now());
        let Some(outlet) = self.ear.socket().filter(|_| signal.concerns(self.who, &self.topics)) else { return };
        match self.sees(signal) {
            Some(true) => {
                if outlet.write(outlet.frame(&Told::Signal(signal.clone()))) == Taken::Full {
                    self.ask_who_is_here(signal.workspace, time);
                }
            }
            Some(false) => {}
            None => self.client.signal(signal.clone()),
        }
    }

    /// Tells whether signals are lost on it.
    pub fn is_behind(&self) -> bool {
        self.ear.socket().is_some_and(|outlet| outlet.is_behind())
    }

    /// Hands it back to its actor, which reads on in the log.
    pub fn fall_behind(&self, workspace: WorkspaceId) {
        let reached = Reached { cursor: self.cursor, caught_up: self.caught_up };
        let _ = self.client.cast(ClientMessage::Behind(workspace, self.generation, reached));
    }

    /// Has its actor find out who is here, and tell it.
    pub fn ask_who_is_here(&self, workspace: WorkspaceId, time: Time) {
        let _ = self.client.cast(ClientMessage::Greet(workspace, self.generation, time));
    }
}

/// A member on its way into a group. A relay that falls meanwhile has nobody else who would tell it.
pub(super) struct Joining(Option<Box<Member>>);

impl Joining {
    pub fn new(member: Member) -> Self {
        Self(Some(Box::new(member)))
    }

    /// It has arrived, or is let go.
    pub fn done(mut self) -> Option<Member> {
        self.0.take().map(|member| *member)
    }

    pub fn member(&mut self) -> Option<&mut Member> {
        self.0.as_deref_mut()
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.0.iter().for_each(|member| member.fell());
    }
}

/// Members that see the same: the same topics, nothing hidden from them, the same encoding; or all others.
#[derive(Default)]
pub(super) struct Group {
    pub members: HashMap<ClientId, Member>,
    cursor_told: Option<Instant>,
}

/// Only a relay that fell still has members.
impl Drop for Group {
    fn drop(&mut self) {
        self.members.values().for_each(Member::fell);
    }
}

impl Group {
    /// Puts together what all of them hear.
    pub fn shared(&mut self, topics: &Topics, run: &[Piece], cursor: Option<Told>) -> Shared {
        let nothing = || Shared { all: Bytes::new(), events: Bytes::new(), has_signals: false, has_presence: false };
        let Some(outlet) = self.members.values().find_map(|member| member.ear.socket()) else { return nothing() };
        let (mut all, mut events, mut has_presence) = (vec![], vec![], false);
        for piece in run {
            match piece {
                Piece::Event(event) if event.matches(topics) => {
                    let frame = outlet.frame(&Told::Event(event.clone()));
                    all.push(frame.clone());
                    events.push(frame);
                }
                Piece::Signal(signal) if topics.let_through(&signal.topic) => {
                    has_presence |= signal.is_presence();
                    all.push(outlet.frame(&Told::Signal(signal.clone())));
                }
                Piece::Event(_) | Piece::Signal(_) => {}
            }
        }
        let told = self.cursor_told.get_or_insert_with(Instant::now);
        match cursor {
            Some(_) if !events.is_empty() => *told = Instant::now(),
            Some(cursor) if told.elapsed() >= CURSOR_EVERY => {
                *told = Instant::now();
                let frame = outlet.frame(&cursor);
                all.push(frame.clone());
                events.push(frame);
            }
            _ => {}
        }
        let has_signals = all.len() > events.len();
        let all = together(&all);
        let events = if has_signals { together(&events) } else { all.clone() };
        Shared { all, events, has_signals, has_presence }
    }
}

/// What all members of a group hear.
pub(super) struct Shared {
    all: Bytes,
    /// The same without signals, for whoever is behind.
    events: Bytes,
    has_signals: bool,
    has_presence: bool,
}

impl Shared {
    /// Tells whether there is nothing to hear.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// What the members of a group have in common.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct View {
    pub topics: Arc<Topics>,
    pub encoding: Encoding,
}

fn together(frames: &[Bytes]) -> Bytes {
    match frames {
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|frame| all.extend_from_slice(frame));
            all.freeze()
        }
    }
}
