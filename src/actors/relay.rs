//! One relay per workspace that somebody listens to: it takes what was published since it last looked, and writes it to
//! every member in one piece.
//!
//! Members that see the same are one group: what they hear is put together once and shared. Everyone else hears what is
//! picked for them. All members are at the end of what was relayed; whoever is not, or cannot take more, goes back to
//! its own actor, which reads the log.

mod beside;

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
    greeting::Time,
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
    /// Those who are to be told who is here, and those who are to be told again.
    newcomers: Vec<ClientId>,
    returning: Vec<ClientId>,
    /// Those who have lost who is how.
    lagging: HashSet<ClientId>,
    /// Running texts of which there is more to tell.
    texts: HashSet<Writing>,
    /// When texts are told, and those looked after who lag.
    due: Option<Instant>,
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
            returning: vec![],
            lagging: HashSet::new(),
            texts: HashSet::new(),
            due: None,
            writes: 0,
        }
    }

    /// Relays for as long as it is let.
    pub async fn run(mut self) {
        loop {
            let items = match self.due {
                Some(due) => tokio::time::timeout_at(due, self.room.next()).await.unwrap_or_default(),
                None => self.room.next().await,
            };
            self.carry(items).await;
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.due = None;
                for writing in std::mem::take(&mut self.texts) {
                    self.tell_text(writing);
                }
                self.look_after();
            }
            self.greet().await;
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
                Item::Greet(clients, time, signal) => {
                    self.deliver(std::mem::take(&mut run)).await;
                    bytes = 0;
                    for id in clients {
                        self.find(id).into_iter().for_each(|member| member.be_greeted(&signal, time));
                        self.turn().await;
                    }
                }
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
            Item::Join(joining, known) => self.join(joining, known),
            Item::Leave(id, done) => {
                self.take(id);
                let _ = done.map(|done| done.send(()));
            }
            Item::Text(writing) => {
                self.texts.insert(writing);
                self.look_within(TEXT_EVERY);
            }
            Item::Lost => {
                let everyone: Vec<_> = self.placed.keys().chain(self.apart.members.keys()).copied().collect();
                everyone.into_iter().for_each(|id| self.lag(id));
            }
            Item::Head(_) | Item::Batch(_) | Item::Signal(_) | Item::Greet(..) => {}
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
        let time = if std::mem::replace(&mut member.caught_up, true) { Time::Again } else { Time::First };
        if time == Time::First {
            member.ear.mention(Told::CaughtUp { workspace: self.workspace, offset: member.cursor });
        }
        self.welcome(member, time);
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
                if member.lost {
                    self.lag(*id);
                }
                self.turn().await;
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

    /// Counts a write; after some of them others get their turn.
    async fn turn(&mut self) {
        self.writes += 1;
        if self.writes.is_multiple_of(WRITES_IN_A_ROW) {
            tokio::task::yield_now().await;
        }
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
            if member.lost {
                self.lag(*id);
            }
            self.turn().await;
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
}
