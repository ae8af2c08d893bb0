//! One relay per workspace that somebody listens to: it takes what was published since it last looked, and writes it to
//! every member in one piece.
//!
//! Members that see the same are one group: what they hear is put together once and shared. Everyone else hears what is
//! picked for them. All members are at the end of what was relayed; whoever is not, or cannot take more, goes back to
//! its own actor, which reads the log.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::ids::WorkspaceId;

use super::{
    client::ClientMessage,
    client_handle::ClientId,
    feed::{Batch, Committed},
    greeting,
    member::{Fate, Group, Joining, Member, Piece, View},
    ring::Ring,
    room::{Item, Room},
    subscription::Told,
    texts::Writing,
};

/// What is written to a member in one piece, about so much at most.
const PIECE_BYTES: usize = 64 * 1024;
/// Writes after which others get their turn, every fifth of a millisecond or so: an operation waits for several answers
/// of the database, and each of them for its turn.
const WRITES_IN_A_ROW: usize = 32;
/// Running text is gathered for this long.
const TEXT_EVERY: Duration = Duration::from_millis(40);

/// Everyone who listens to one workspace.
pub(super) struct Relay {
    workspace: WorkspaceId,
    room: Arc<Room>,
    /// The last offset that was relayed, once it is known.
    at: Option<u64>,
    ring: Ring,
    groups: HashMap<Arc<View>, Group>,
    /// In which of the groups each member is.
    placed: HashMap<ClientId, Arc<View>>,
    /// Those who see something of their own, or who are ahead.
    apart: Group,
    /// Those who are to be told who is here.
    newcomers: Vec<ClientId>,
    texts: HashSet<Writing>,
    texts_due: Option<Instant>,
    writes: usize,
}

impl Relay {
    pub fn new(workspace: WorkspaceId, room: Arc<Room>) -> Self {
        Self {
            workspace,
            room,
            at: None,
            ring: Ring::default(),
            groups: HashMap::new(),
            placed: HashMap::new(),
            apart: Group::default(),
            newcomers: vec![],
            texts: HashSet::new(),
            texts_due: None,
            writes: 0,
        }
    }

    /// Relays for as long as it is let.
    pub async fn run(mut self) {
        loop {
            let items = match self.texts_due {
                Some(due) => tokio::time::timeout_at(due, self.room.next()).await.unwrap_or_default(),
                None => self.room.next().await,
            };
            self.carry(items).await;
            self.greet();
            if self.texts_due.is_some_and(|due| due <= Instant::now()) {
                self.texts_due = None;
                for writing in std::mem::take(&mut self.texts) {
                    self.tell_text(writing);
                }
            }
            self.room.count(self.apart.members.len() + self.placed.len());
        }
    }

    async fn carry(&mut self, items: VecDeque<Item>) {
        let (mut run, mut bytes) = (vec![], 0);
        for item in items {
            match item {
                Item::Batch(batch) => {
                    if self.end(&run).is_some_and(|end| batch.span().0 > end + 1) {
                        self.deliver(std::mem::take(&mut run)).await;
                        self.leave_to_the_log(batch.span().0 - 1);
                    }
                    for event in self.news_of(&batch, &run) {
                        bytes += event.weight();
                        run.push(Piece::Event(event));
                        if bytes > PIECE_BYTES {
                            self.deliver(std::mem::take(&mut run)).await;
                            bytes = 0;
                        }
                    }
                }
                Item::Signal(signal) => run.push(Piece::Signal(signal)),
                other => {
                    self.deliver(std::mem::take(&mut run)).await;
                    bytes = 0;
                    self.manage(other);
                }
            }
        }
        self.deliver(run).await;
    }

    fn manage(&mut self, item: Item) {
        match item {
            Item::Head(offset) if self.at.is_none_or(|at| offset > at) => self.leave_to_the_log(offset),
            Item::To(clients, signal) => {
                for id in clients {
                    self.find(id).into_iter().for_each(|member| member.be_told(&signal));
                }
            }
            Item::Join(joining, known) => self.join(joining, known),
            Item::Leave(id, done) => {
                self.take(id);
                let _ = done.map(|done| done.send(()));
            }
            Item::Text(writing) => {
                self.texts.insert(writing);
                let due = Instant::now() + TEXT_EVERY;
                self.texts_due = Some(self.texts_due.map_or(due, |known| known.min(due)));
            }
            Item::Head(_) | Item::Batch(_) | Item::Signal(_) => {}
        }
    }

    /// The end of the log as far as it was relayed, or will be with this run.
    fn end(&self, run: &[Piece]) -> Option<u64> {
        let last = run.iter().rev().find_map(|piece| match piece {
            Piece::Event(event) => Some(event.recorded.offset),
            Piece::Signal(_) => None,
        });
        last.or(self.at)
    }

    fn news_of(&self, batch: &Batch, run: &[Piece]) -> Vec<Arc<Committed>> {
        let end = self.end(run).unwrap_or_default();
        batch.events.iter().filter(|event| event.recorded.offset > end).cloned().collect()
    }

    /// Something was missed: everyone reads it from the log.
    fn leave_to_the_log(&mut self, end: u64) {
        for (_, mut group) in self.groups.drain() {
            for (_, mut member) in group.members.drain() {
                member.cursor = self.at.unwrap_or(member.cursor);
                member.fall_behind(self.workspace);
            }
        }
        self.placed.clear();
        for (_, member) in self.apart.members.drain() {
            member.fall_behind(self.workspace);
        }
        self.ring.clear();
        self.at = Some(end);
    }

    fn join(&mut self, mut joining: Joining, known: u64) {
        let fate = joining.member().map(|member| self.meet(member, known));
        match (fate, joining.done()) {
            (Some(Fate::Stays), Some(member)) => self.place(member),
            (Some(fate), Some(member)) => self.let_go(&member, &fate),
            _ => {}
        }
    }

    /// Gives a member what it lacks, as far as that is in memory.
    fn meet(&mut self, member: &mut Member, known: u64) -> Fate {
        self.take(member.client.id());
        let at = *self.at.get_or_insert(known);
        if member.cursor < at {
            let Some(missed) = self.ring.after(member.cursor) else { return Fate::Behind };
            let fate = member.give(&missed.cloned().map(Piece::Event).collect::<Vec<_>>());
            if !matches!(fate, Fate::Stays) {
                return fate;
            }
        }
        if !std::mem::replace(&mut member.caught_up, true) {
            member.ear.mention(Told::CaughtUp { workspace: self.workspace, offset: member.cursor });
        }
        // Also who heard live before may have missed signals.
        if let Some(outlet) = member.ear.socket().filter(|_| greeting::concerns(self.workspace, &member.topics)) {
            if outlet.is_behind() {
                member.ask_who_is_here(self.workspace);
            } else {
                self.newcomers.push(member.client.id());
            }
        }
        for writing in self.room.texts.all(self.workspace) {
            if !member.topics.let_through(&writing.topic) {
                continue;
            }
            // The others hear the rest of it first: what is added from here on is added for all.
            self.tell_text(writing);
            if member.ear.socket().is_some_and(|outlet| outlet.is_behind()) {
                member.missed.push(writing);
                self.tell_later(writing);
            } else {
                self.room.texts.whole(self.workspace, writing).iter().for_each(|whole| member.hear(whole));
            }
        }
        Fate::Stays
    }

    fn place(&mut self, mut member: Member) {
        let id = member.client.id();
        let together = self.at == Some(member.cursor) && member.rights.are_plain();
        let Some(outlet) = member.ear.socket().filter(|_| together) else {
            self.apart.members.insert(id, member);
            return;
        };
        let view = View { topics: member.topics.clone(), encoding: outlet.encoding() };
        let group = self.groups.entry(Arc::new(view));
        let view = group.key().clone();
        member.topics = view.topics.clone();
        group.or_default().members.insert(id, member);
        self.placed.insert(id, view);
    }

    /// Tells those who have just come who is here.
    fn greet(&mut self) {
        let newcomers = std::mem::take(&mut self.newcomers);
        if newcomers.is_empty() || self.room.greeter.greet(self.workspace, &self.room, &newcomers) {
            return;
        }
        for id in newcomers {
            let workspace = self.workspace;
            self.find(id).into_iter().for_each(|member| member.ask_who_is_here(workspace));
        }
    }

    fn find(&mut self, id: ClientId) -> Option<&mut Member> {
        let group = match self.placed.get(&id) {
            Some(view) => self.groups.get_mut(view)?,
            None => &mut self.apart,
        };
        group.members.get_mut(&id)
    }

    fn take(&mut self, id: ClientId) {
        let Some(view) = self.placed.remove(&id) else {
            self.apart.members.remove(&id);
            return;
        };
        if let Entry::Occupied(mut group) = self.groups.entry(view) {
            group.get_mut().members.remove(&id);
            if group.get().members.is_empty() {
                group.remove();
            }
        }
    }

    fn let_go(&self, member: &Member, fate: &Fate) {
        match fate {
            Fate::Behind => member.fall_behind(self.workspace),
            Fate::Removed => {
                let _ = member.client.cast(ClientMessage::Removed(self.workspace, member.generation));
            }
            // It leaves by itself.
            Fate::Gone | Fate::Stays => {}
        }
    }

    /// Hands on what happened, in order: to each member in one write.
    async fn deliver(&mut self, run: Vec<Piece>) {
        if run.is_empty() {
            return;
        }
        let (begin, end) = (self.at, self.end(&run));
        for piece in &run {
            if let Piece::Event(event) = piece {
                self.ring.push(event.clone());
            }
        }
        self.at = end;
        let anybody = run.iter().all(Piece::is_for_anybody);
        let cursor = end.filter(|_| begin != end);
        let mut groups = std::mem::take(&mut self.groups);
        for (view, group) in &mut groups {
            let cursor = cursor.map(|offset| Told::Cursor { workspace: self.workspace, offset });
            let shared = anybody.then(|| group.shared(&view.topics, &run, cursor));
            if shared.as_ref().is_some_and(super::member::Shared::is_empty) {
                continue;
            }
            let mut gone = vec![];
            for (id, member) in &mut group.members {
                member.cursor = begin.unwrap_or(member.cursor);
                let fate = match &shared {
                    Some(shared) => member.take(shared),
                    None => member.give(&run),
                };
                if !matches!(fate, Fate::Stays) {
                    gone.push((*id, fate));
                }
                self.writes += 1;
                if self.writes.is_multiple_of(WRITES_IN_A_ROW) {
                    tokio::task::yield_now().await;
                }
            }
            for (id, fate) in gone {
                self.placed.remove(&id);
                if let Some(member) = group.members.remove(&id) {
                    self.let_go(&member, &fate);
                }
            }
        }
        groups.retain(|_, group| !group.members.is_empty());
        self.groups = groups;
        self.deliver_apart(&run).await;
    }

    async fn deliver_apart(&mut self, run: &[Piece]) {
        let mut apart = std::mem::take(&mut self.apart);
        let mut moved = vec![];
        for (id, member) in &mut apart.members {
            let fate = member.give(run);
            let rejoins = member.rights.are_plain() && Some(member.cursor) == self.at && member.ear.socket().is_some();
            match fate {
                Fate::Stays if !rejoins => member.tell_cursor(self.workspace),
                fate => moved.push((*id, fate)),
            }
            self.writes += 1;
            if self.writes.is_multiple_of(WRITES_IN_A_ROW) {
                tokio::task::yield_now().await;
            }
        }
        let moved: Vec<_> =
            moved.into_iter().filter_map(|(id, fate)| Some((apart.members.remove(&id)?, fate))).collect();
        self.apart = apart;
        for (member, fate) in moved {
            match fate {
                // Who was ahead is no longer, and hears with the others.
                Fate::Stays => self.place(member),
                fate => self.let_go(&member, &fate),
            }
        }
    }

    /// Hands on what was added to a running text; who missed something hears all of it, as long as it runs.
    fn tell_text(&mut self, writing: Writing) {
        let added = self.room.texts.added(self.workspace, writing);
        let runs = self.room.texts.is_running(self.workspace, writing);
        let (mut whole, mut behind) = (None, false);
        let grouped = self.groups.values_mut().flat_map(|group| group.members.values_mut());
        for member in grouped.chain(self.apart.members.values_mut()) {
            let Some(outlet) = member.ear.socket().filter(|_| member.topics.let_through(&writing.topic)) else {
                continue;
            };
            let missed = member.missed.iter().position(|missed| *missed == writing);
            if runs && outlet.is_behind() {
                if missed.is_none() && added.is_some() {
                    member.missed.push(writing);
                }
                behind = behind || missed.is_some() || added.is_some();
            } else if let Some(nth) = missed {
                member.missed.swap_remove(nth);
                let whole = whole.get_or_insert_with(|| self.room.texts.whole(self.workspace, writing));
                whole.iter().for_each(|whole| member.hear(whole));
            } else {
                added.iter().for_each(|added| member.hear(added));
            }
        }
        if behind {
            self.tell_later(writing);
        }
    }

    /// Somebody is behind: it is tried again in a while.
    fn tell_later(&mut self, writing: Writing) {
        self.texts.insert(writing);
        self.texts_due.get_or_insert_with(|| Instant::now() + TEXT_EVERY * 10);
    }
}
