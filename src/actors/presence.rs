//! Who is here, on this node: several connections of one person count as one, each as long as its client lives;
//! what was said without a connection counts for a while. Kept in memory only, bounded by the members.
//!
//! A supervised keeper looks for what ended and tells the others what changed, gathered over a moment. The table
//! outlives the keeper: one that failed is started anew and tells what the one before did not.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use dashmap::DashMap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use serde::Serialize;
use serde_json::json;

use crate::{
    domain::{
        event::{AgentEvent, Event, Recorded, WorkspaceEvent},
        ids::{Subject, UserId, WorkspaceId},
        presence::Presence as Status,
        principal::Principal,
    },
    persistence::attendance::{self, Attendance},
};

use super::{client_handle::ClientHandle, context::Context};

/// The signal's type.
pub const SIGNAL: &str = "user:presence";
/// How often what ended is looked for.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// After a change of someone was told, the next ones are gathered for this long.
const GATHERED_FOR: TimeDelta = TimeDelta::milliseconds(100);
/// How long a word without a connection counts.
const WORD_COUNTS: TimeDelta = TimeDelta::seconds(60);
/// How long it is remembered since when someone is away.
const OFFLINE_KEPT: TimeDelta = TimeDelta::hours(24);
/// Connections of one person in one workspace that count; of more the newest do.
const CONNECTIONS_MAX: usize = 64;

/// How someone is and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Who.
    pub who: Principal,
    /// How.
    pub status: Status,
    /// In their own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Since when; unknown for who was not here lately.
    pub since: Option<DateTime<Utc>>,
}

/// Where a word about someone comes from.
struct Source {
    /// `None` without a connection.
    connection: Option<ClientHandle>,
    until: Option<DateTime<Utc>>,
    status: Status,
    text: Option<String>,
}

impl Source {
    fn counts(&self, now: DateTime<Utc>) -> bool {
        self.connection.as_ref().is_none_or(ClientHandle::is_open) && self.until.is_none_or(|until| now < until)
    }

    fn is_of(&self, connection: Option<&ClientHandle>) -> bool {
        self.connection.as_ref().map(|known| known.id()) == connection.map(ClientHandle::id)
    }
}

/// What is known of one person in one workspace.
struct Person {
    sources: Vec<Source>,
    status: Status,
    text: Option<String>,
    since: DateTime<Utc>,
    told: (Status, Option<String>),
    /// Nothing more is told before.
    quiet_until: DateTime<Utc>,
}

impl Person {
    /// Returns whether there is something to tell, and notes that it is told.
    fn is_news(&mut self, now: DateTime<Utc>) -> bool {
        let shown = (self.status, self.text.clone());
        let news = self.told != shown && now >= self.quiet_until;
        if news {
            (self.told, self.quiet_until) = (shown, now + GATHERED_FOR);
        }
        news
    }

    /// Lets go of what ended, and works out what follows from the rest.
    fn merge(&mut self, now: DateTime<Utc>) {
        self.sources.retain(|source| source.counts(now));
        // Of equal ones the newest has the word.
        let best = self.sources.iter().max_by_key(|source| source.status);
        let (status, text) = best.map_or((Status::Offline, None), |best| (best.status, best.text.clone()));
        if status != self.status {
            self.since = now;
        }
        (self.status, self.text) = (status, text);
    }

    fn seen(&self, who: Principal) -> Seen {
        Seen { who, status: self.status, text: self.text.clone(), since: Some(self.since) }
    }
}

/// Who is here, by workspace. Cheap to share.
#[derive(Default)]
pub struct Presence {
    rooms: DashMap<WorkspaceId, HashMap<Principal, Person>>,
}

impl Presence {
    /// Notes how someone is; returns how they are over all, and whether that has to be told now.
    fn set(
        &self,
        (workspace, who): (WorkspaceId, Principal),
        connection: Option<ClientHandle>,
        (status, text): (Status, Option<String>),
        now: DateTime<Utc>,
    ) -> (Seen, bool) {
        let mut room = self.rooms.entry(workspace).or_default();
        let person = room.entry(who).or_insert_with(|| Person {
            sources: vec![],
            status: Status::Offline,
            text: None,
            since: now,
            told: Default::default(),
            quiet_until: now,
        });
        person.sources.retain(|source| !source.is_of(connection.as_ref()));
        let until = connection.is_none().then(|| now + WORD_COUNTS);
        person.sources.push(Source { connection, until, status, text });
        let beyond = person.sources.len().saturating_sub(CONNECTIONS_MAX);
        person.sources.drain(..beyond);
        person.merge(now);
        (person.seen(who), person.is_news(now))
    }

    /// Shows how everyone is of whom this node knows; nobody changes while it is looked at.
    pub(super) fn room<T>(&self, workspace: WorkspaceId, now: DateTime<Utc>, look: impl FnOnce(Vec<Seen>) -> T) -> T {
        let mut room = self.rooms.entry(workspace).or_default();
        room.values_mut().for_each(|person| person.merge(now));
        look(room.iter().map(|(who, person)| person.seen(*who)).collect())
    }

    /// Knows nothing more of someone; returns how they were.
    pub fn forget(&self, workspace: WorkspaceId, who: Principal) -> Option<Status> {
        self.rooms.get_mut(&workspace)?.remove(&who).map(|person| person.status)
    }

    /// Returns what nobody was told yet, and forgets who left long ago.
    fn news(&self, now: DateTime<Utc>) -> Vec<(WorkspaceId, Seen)> {
        let mut news = vec![];
        self.rooms.retain(|workspace, room| {
            for (who, person) in room.iter_mut() {
                person.merge(now);
                if person.is_news(now) {
                    news.push((*workspace, person.seen(*who)));
                }
            }
            room.retain(|_, person| !person.sources.is_empty() || now - person.since < OFFLINE_KEPT);
            !room.is_empty()
        });
        news
    }
}

/// Notes how someone is, for as long as the connection lives or for a while without one, and tells the others.
pub fn set(
    context: &Context,
    whose: (WorkspaceId, Principal),
    connection: Option<ClientHandle>,
    word: (Status, Option<String>),
) -> Seen {
    let (seen, news) = context.presence.set(whose, connection, word, context.clock.now());
    if news {
        context.feed.signal(whose.0, Subject::Workspace(whose.0), SIGNAL, json!(seen));
    }
    seen
}

/// Follows what was committed: tells how an agent is when that changed what it does, and forgets who was removed.
pub(super) fn follow(context: &Context, workspace: WorkspaceId, event: &Recorded) {
    match (event.subject, &event.event) {
        (Subject::Agent(id), Event::Agent(AgentEvent::Status { status, .. })) => {
            let seen = seen((id, *status, event.at));
            context.feed.signal(workspace, Subject::Workspace(workspace), SIGNAL, json!(seen));
        }
        (_, Event::Workspace(WorkspaceEvent::MemberRemoved { user })) => {
            let who = Principal::User(*user);
            if context.presence.forget(workspace, who).is_some_and(|status| status != Status::Offline) {
                let gone = Seen { who, status: Status::Offline, text: None, since: Some(event.at) };
                context.feed.signal(workspace, Subject::Workspace(workspace), SIGNAL, json!(gone));
            }
        }
        _ => {}
    }
}

/// Forgets whoever is no member any more: of some who left nobody was told.
pub(super) async fn look_again(context: &Context, workspace: WorkspaceId) {
    let people = context.presence.rooms.get(&workspace).map(|room| room.keys().filter_map(Principal::user).collect());
    let people: Vec<_> = people.unwrap_or_default();
    if people.is_empty() {
        return;
    }
    let Ok(left) = attendance::left(&context.tenant(workspace), &people).await else { return };
    for user in left {
        context.presence.forget(workspace, Principal::User(user));
    }
}

/// Returns how everyone in a workspace is: members, and agents by what they do.
pub async fn everyone(context: &Context, workspace: WorkspaceId) -> Result<Vec<Seen>, sqlx::Error> {
    let members = attendance::members(&context.tenant(workspace)).await?;
    let agents = attendance::agents(&context.tenant(workspace)).await?.into_iter().map(seen);
    let now = context.clock.now();
    Ok(context.presence.room(workspace, now, |room| together(members, agents, room)))
}

pub(super) fn seen((id, status, since): Attendance) -> Seen {
    Seen { who: Principal::Agent(id), status: status.into(), text: None, since: Some(since) }
}

fn together(members: Vec<UserId>, agents: impl Iterator<Item = Seen>, room: Vec<Seen>) -> Vec<Seen> {
    let mut known: HashMap<Principal, Seen> = room.into_iter().map(|seen| (seen.who, seen)).collect();
    let people = members.into_iter().map(Principal::User).map(|who| {
        let away = Seen { who, status: Status::Offline, text: None, since: None };
        known.remove(&who).unwrap_or(away)
    });
    people.chain(agents).collect()
}

/// What the keeper is told.
#[derive(RactorMessage)]
pub(super) enum KeeperMessage {
    /// Tell what changed.
    Tell,
}

/// Tells everyone who listens what changed.
pub(super) struct Keeper;

impl Actor for Keeper {
    type Msg = KeeperMessage;
    type State = Arc<Context>;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<KeeperMessage>,
        context: Arc<Context>,
    ) -> Result<Arc<Context>, ActorProcessingErr> {
        myself.send_interval(TELL_EVERY, || KeeperMessage::Tell);
        Ok(context)
    }

    async fn handle(
        &self,
        _: ActorRef<KeeperMessage>,
        KeeperMessage::Tell: KeeperMessage,
        context: &mut Arc<Context>,
    ) -> Result<(), ActorProcessingErr> {
        context.feed.sweep();
        for (workspace, seen) in context.presence.news(context.clock.now()) {
            context.feed.signal(workspace, Subject::Workspace(workspace), SIGNAL, json!(seen));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn ada() -> (WorkspaceId, Principal) {
        (WorkspaceId(Uuid::from_u128(1)), Principal::User(UserId(Uuid::from_u128(2))))
    }

    #[test]
    fn a_word_without_a_connection_counts_for_a_while_and_changes_are_told_once() {
        let presence = Presence::default();
        assert!(presence.set(ada(), None, (Status::Online, None), NOW).1);
        assert!(!presence.set(ada(), None, (Status::Away, None), NOW).1);
        assert!(!presence.set(ada(), None, (Status::Working, Some("soup".into())), NOW).1);
        assert_eq!(presence.news(NOW), []);
        let told = presence.news(NOW + GATHERED_FOR);
        assert_eq!(told.len(), 1, "gathered: {told:?}");
        assert_eq!((told[0].1.status, told[0].1.text.as_deref()), (Status::Working, Some("soup")));
        assert_eq!(presence.news(NOW + TimeDelta::seconds(59)), []);
        let later = NOW + WORD_COUNTS;
        let told = presence.news(later);
        assert_eq!((told.len(), told[0].1.status, told[0].1.since), (1, Status::Offline, Some(later)));
        assert_eq!(presence.news(later + OFFLINE_KEPT), []);
        assert!(presence.rooms.is_empty(), "who left long ago is forgotten");
    }

    #[test]
    fn who_was_never_here_is_no_news() {
        let presence = Presence::default();
        assert!(!presence.set(ada(), None, (Status::Offline, None), NOW).1);
        assert_eq!(presence.news(NOW), []);
    }
}
