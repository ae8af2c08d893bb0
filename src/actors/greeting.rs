//! Telling who is here to those who begin to listen, and to those who have read on in the log and may have missed who came
//! and went.
//!
//! Those who come in one moment are told the same, by the relay. Where the database has to be asked first how the agents
//! are, or where a socket has to take something else first, the client's actor does it.

use std::{cmp::Reverse, sync::Arc};

use serde_json::json;

use crate::{
    clock::Clock,
    domain::{
        ids::{Subject, WorkspaceId},
        presence::Presence as Status,
        principal::Principal,
    },
    persistence::attendance::{self, Attendance},
};

use super::{
    client_handle::ClientId,
    context::Context,
    feed::{Signal, Topics},
    knowledge::Knowledge,
    presence::{Presence, SIGNAL, Seen, seen},
    room::{Item, Room},
};

/// Of so many it is told how they are: the agents, and who came last. How many there are in all is told, too.
const SHOWN_MAX: usize = 1_000;

/// How the agents were when they were read.
pub(super) struct ReadAgents {
    pub agents: Arc<Vec<Seen>>,
    /// What [`Knowledge::changes_of_agents`] was before.
    pub changes: Option<u64>,
}

impl ReadAgents {
    /// Takes what was read, and remembers it for others.
    pub fn new(known: &Knowledge, workspace: WorkspaceId, read: Vec<Attendance>, changes: Option<u64>) -> Self {
        let agents = Arc::new(read.into_iter().map(seen).collect());
        known.remember_agents(workspace, &agents, changes);
        Self { agents, changes }
    }
}

/// Whether somebody is told who is here for the first time: then nobody is no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    First,
    Again,
}

/// Tells whether who listens to these topics is told who is here.
pub(super) fn concerns(workspace: WorkspaceId, topics: &Topics) -> bool {
    topics.let_through(&Subject::Workspace(workspace))
}

/// Knows who is here.
pub(super) struct Greeter {
    presence: Arc<Presence>,
    known: Arc<Knowledge>,
    clock: Clock,
}

impl Greeter {
    pub fn new(presence: Arc<Presence>, known: Arc<Knowledge>, clock: Clock) -> Self {
        Self { presence, known, clock }
    }

    /// Tells clients who is here; returns whether it could: how the agents are may have to be read first.
    pub fn greet(&self, workspace: WorkspaceId, room: &Room, clients: &[ClientId], time: Time) -> bool {
        while let Some(read) = self.known.agents(workspace) {
            if self.tell(workspace, room, (clients, time), &read) {
                return true;
            }
        }
        false
    }

    /// Tells who is here; returns whether that is still how the agents are. What one did between the look and the word
    /// was told before the word.
    fn tell(
        &self,
        workspace: WorkspaceId,
        room: &Room,
        (clients, time): (&[ClientId], Time),
        read: &ReadAgents,
    ) -> bool {
        self.presence.room(workspace, self.clock.now(), |here| {
            let (here, total) = shown(here, &read.agents);
            if total > 0 || time == Time::Again {
                // What changes from here on is told after this.
                let state = json!({"state": here, "total": total});
                let signal = Signal::new(workspace, Subject::Workspace(workspace), SIGNAL, state);
                let _ = room.post(Item::Greet(clients.to_vec(), time, Arc::new(signal)));
            }
        });
        self.known.changes_of_agents(workspace) == read.changes
    }
}

/// Picks who is shown, and counts who is here. Agents are as they work, whatever they say; services are not shown.
fn shown(here: Vec<Seen>, agents: &[Seen]) -> (Vec<Seen>, usize) {
    let mut people: Vec<_> = here.into_iter().filter(|seen| matches!(seen.who, Principal::User(_))).collect();
    people.sort_unstable_by_key(|seen| Reverse(seen.since));
    let mut all: Vec<_> = agents.iter().cloned().chain(people).filter(|seen| seen.status != Status::Offline).collect();
    let total = all.len();
    all.truncate(SHOWN_MAX);
    (all, total)
}

/// Tells one client who is here, after asking how the agents are where nobody remembers.
///
/// # Errors
/// When the database did not answer.
pub(super) async fn greet(
    context: &Context,
    workspace: WorkspaceId,
    (client, time): (ClientId, Time),
    mut read: Option<ReadAgents>,
) -> Result<(), sqlx::Error> {
    let room = context.feed.listen(workspace);
    loop {
        let read = agents(context, workspace, read.take()).await?;
        if context.feed.greeter.tell(workspace, &room, (&[client], time), &read) {
            return Ok(());
        }
    }
}

/// Returns how the agents are; asked anew only after something happened to one of them.
async fn agents(
    context: &Context,
    workspace: WorkspaceId,
    read: Option<ReadAgents>,
) -> Result<ReadAgents, sqlx::Error> {
    let known = &context.feed.known;
    if let Some(known) = known.agents(workspace) {
        return Ok(known);
    }
    let changes = known.changes_of_agents(workspace);
    if let Some(read) = read.filter(|read| read.changes == changes) {
        return Ok(read);
    }
    let tenant = context.tenant(workspace);
    let read = Box::pin(attendance::agents(&tenant)).await?;
    Ok(ReadAgents::new(known, workspace, read, changes))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;

    fn seen(who: Principal, status: Status, minute: u64) -> Seen {
        let since = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute as i64);
        Seen { who, status, text: None, since: Some(since) }
    }

    fn person(nth: u64) -> Seen {
        seen(Principal::User(Uuid::from_u128(nth.into()).into()), Status::Online, nth)
    }

    #[test]
    fn of_very_many_the_agents_and_who_came_last_are_shown_and_all_are_counted() {
        let agent = |nth: u128, status| seen(Principal::Agent(Uuid::from_u128(nth).into()), status, 0);
        let agents = [agent(1, Status::Working), agent(2, Status::Offline)];
        let many = SHOWN_MAX as u64 + 7;
        let (here, total) = shown((0..many).map(person).collect(), &agents);
        assert_eq!((here.len(), total), (SHOWN_MAX, many as usize + 1));
        assert_eq!((&here[0], &here[1]), (&agents[0], &person(many - 1)));
        assert!(!here.contains(&person(7)) && here.contains(&person(8)), "who has been here longest is left out");
    }

    #[test]
    fn an_agent_is_as_it_works_and_nobody_is_here_who_is_away() {
        let says = seen(Principal::Agent(Uuid::from_u128(1).into()), Status::Online, 1);
        let gone = Seen { status: Status::Offline, ..person(2) };
        assert_eq!(shown(vec![says, gone], &[]), (vec![], 0));
    }
}
