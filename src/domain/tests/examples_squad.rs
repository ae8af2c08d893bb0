//! Events of several agents on one piece of work, in the order of `events.jsonl`.

use std::collections::BTreeSet;

use chrono::DateTime;

use crate::domain::{
    event::{Event, TaskEvent, WorkspaceEvent},
    task::{ChildPolicy, Join, JoinOutcome, Part, PartResult, PartStatus, Review, Standstill, TaskStatus},
    text::{Label, Text},
    workspace::TeamPolicy,
};

use super::{
    examples::{id, person, prose, title},
    scene::paths_of,
};

pub(super) fn squad() -> Vec<Event> {
    use TaskEvent as E;
    let claimed = E::Created {
        project: id(10),
        number: 13,
        identifier: "LINK-13".into(),
        title: title("bake"),
        description: prose("a cake"),
        status: TaskStatus::Ready,
        priority: Default::default(),
        assignee: None,
        parent: None,
        depends_on: Default::default(),
        claims: paths_of(&["oven", "shelf/top"]),
        skills: Default::default(),
    };
    let claims = Some(paths_of(&["oven"]));
    let narrowed = E::Updated { title: None, description: None, priority: None, assignee: None, claims, skills: None };
    [claimed, narrowed].into_iter().map(Event::Task).collect()
}

pub(super) fn hand_offs_and_parts() -> Vec<Event> {
    use TaskEvent as E;
    let (delegation, from, to) = (id(20), id(5), id(15));
    let expires_at = DateTime::from_timestamp(1_700_000_600, 0).expect("it is in range");
    let (attempt, by, reason) = (id(30), person(), prose("it needs an oven"));
    let offered = E::HandOffOffered { delegation, attempt, from, to, by, reason, expires_at };
    let accepted = E::HandOffAccepted { delegation, from, to };
    let declined = E::HandOffDeclined { delegation, from, to, reason: "no oven".into() };
    let lapsed = E::HandOffLapsed { delegation, from, to, reason: "nobody answered in time".into() };
    let instructions = Text::fitted("whip the cream");
    let part = Part {
        task: id(90),
        delegation,
        title: title("cream"),
        instructions,
        agent: Some(from),
        team: None,
        claims: Default::default(),
    };
    let other = Part { agent: None, claims: paths_of(&["bowl"]), ..part.clone() };
    let opened = E::FanOutOpened {
        fan_out: id(91),
        parts: vec![part, other],
        join: Join::Quorum(1),
        policy: ChildPolicy::Terminate,
        review: Review::default(),
        owner: Some(person()),
        by,
        expires_at: Some(expires_at),
    };
    let (agent, attempt, artifacts) = (Some(from), Some(attempt), vec![id(50)]);
    let result = PartResult { task: id(90), delegation, status: PartStatus::Done, agent, attempt, artifacts };
    let joined = E::FanOutJoined { fan_out: id(91), outcome: JoinOutcome::Enough, owner: None, parts: vec![result] };
    let all = [offered, accepted, declined, lapsed, opened, joined];
    all.into_iter().map(Event::Task).collect()
}

pub(super) fn teams() -> Vec<Event> {
    use WorkspaceEvent as E;
    let (team, name, lead, members) = (id(3), title("cooks"), Some(person()), BTreeSet::from([person()]));
    let all = [
        E::TeamFormed { team, name: name.clone(), members: members.clone(), lead, policy: TeamPolicy::Leader },
        E::TeamUpdated { team, name, members, lead: None, policy: TeamPolicy::RoundRobin },
        E::TeamDissolved { team },
    ];
    all.into_iter().map(Event::Workspace).collect()
}

pub(super) fn nudges() -> Vec<Event> {
    let since = DateTime::from_timestamp(1_700_000_000, 0).expect("it is in range");
    let nudged = |nth, why, untold| TaskEvent::AttemptNudged { attempt: id(30), nth, why, since, untold };
    let all = [nudged(1, Standstill::Silent, None), nudged(2, Standstill::Circling, Some("not connected".into()))];
    all.into_iter().map(Event::Task).collect()
}

pub(super) fn skilled() -> Vec<Event> {
    let skills = Some([Label::fitted("salad")].into());
    let (title, description, priority, assignee, claims) = Default::default();
    vec![Event::Task(TaskEvent::Updated { title, description, priority, assignee, claims, skills })]
}
