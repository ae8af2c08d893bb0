//! What a relay tells beside the log: who is here, and running texts. Whoever is behind loses such things, and is told
//! anew once it takes them again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::actors::{
    client_handle::ClientId,
    feed::Signal,
    greeting::{self, Time},
    member::Member,
    texts::Writing,
};

use super::Relay;

/// How often it is looked whether somebody takes again what it lost.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Nobody is told again who is here sooner: all of it may be what makes a slow reader lose the next change.
const GREETED_FOR: Duration = Duration::from_secs(10);

impl Relay {
    /// Tells a member who is here, and what is being written; also who heard live before may have missed something.
    pub(super) fn welcome(&mut self, member: &mut Member, time: Time) {
        let is_behind = member.is_behind();
        if member.ear.socket().is_some() && greeting::concerns(self.workspace, &member.topics) {
            match time {
                _ if is_behind => member.ask_who_is_here(self.workspace, time),
                Time::First => self.newcomers.push(member.client.id()),
                Time::Again => self.returning.push(member.client.id()),
            }
        }
        for writing in self.room.texts.all(self.workspace) {
            if !member.topics.let_through(&writing.topic) {
                continue;
            }
            // The others hear the rest of it first: what is added from here on is added for all.
            if let Some(added) = self.room.texts.added(self.workspace, writing) {
                self.spread(writing, Some(&added));
            }
            if is_behind {
                member.missed.push(writing);
                self.texts.insert(writing);
                self.look_within(LOOK_EVERY);
            } else {
                self.room.texts.whole(self.workspace, writing).iter().for_each(|whole| member.hear(whole));
            }
        }
    }

    /// Tells those who have come who is here.
    pub(super) async fn greet(&mut self) {
        let first = (std::mem::take(&mut self.newcomers), Time::First);
        let again = (std::mem::take(&mut self.returning), Time::Again);
        for (clients, time) in [first, again] {
            if clients.is_empty() || self.room.greeter.greet(self.workspace, &self.room, &clients, time) {
                continue;
            }
            let workspace = self.workspace;
            for id in clients {
                self.find(id).into_iter().for_each(|member| member.ask_who_is_here(workspace, time));
                self.turn().await;
            }
        }
    }

    /// Notes that a member has lost who is how.
    pub(super) fn lag(&mut self, id: ClientId) {
        if self.lagging.insert(id) {
            self.look_within(LOOK_EVERY);
        }
    }

    /// Has those told anew who is here who have lost some of it and take signals again.
    pub(super) fn look_after(&mut self) {
        let workspace = self.workspace;
        for id in std::mem::take(&mut self.lagging) {
            let Some(member) = self.find(id) else { continue };
            if member.is_behind() || member.greeted.is_some_and(|at| at.elapsed() < GREETED_FOR) {
                self.lag(id);
                continue;
            }
            member.lost = false;
            if greeting::concerns(workspace, &member.topics) {
                self.returning.push(id);
            }
        }
    }

    /// Hands on what was added to a running text; who missed something hears all of it, as long as it runs.
    pub(super) fn tell_text(&mut self, writing: Writing) {
        let added = self.room.texts.added(self.workspace, writing);
        self.spread(writing, added.as_ref());
    }

    fn spread(&mut self, writing: Writing, added: Option<&Arc<Signal>>) {
        let runs = self.room.texts.is_running(self.workspace, writing);
        let (mut whole, mut behind) = (None, false);
        let grouped = self.groups.values_mut().flat_map(|group| group.members.values_mut());
        for member in grouped.chain(self.apart.members.values_mut()) {
            if member.ear.socket().is_none() || !member.topics.let_through(&writing.topic) {
                continue;
            }
            let missed = member.missed.iter().position(|missed| *missed == writing);
            if runs && member.is_behind() {
                if missed.is_none() && added.is_some() {
                    member.missed.push(writing);
                }
                behind = behind || missed.is_some() || added.is_some();
            } else if let Some(nth) = missed {
                member.missed.swap_remove(nth);
                let whole = whole.get_or_insert_with(|| self.room.texts.whole(self.workspace, writing));
                whole.iter().for_each(|whole| member.hear(whole));
            } else {
                added.into_iter().for_each(|added| member.hear(added));
            }
        }
        if behind {
            self.texts.insert(writing);
            self.look_within(LOOK_EVERY);
        }
    }

    /// Makes sure that it is looked again in so long at the latest.
    pub(super) fn look_within(&mut self, pause: Duration) {
        let due = Instant::now() + pause;
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }
}
