//! Events of several agents on one piece of work, in the order of `events.jsonl`.

use crate::domain::{
    event::{Event, TaskEvent},
    task::TaskStatus,
};

use super::{
    examples::{id, prose, title},
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
    };
    let claims = Some(paths_of(&["oven"]));
    let narrowed = E::Updated { title: None, description: None, priority: None, assignee: None, claims };
    [claimed, narrowed].into_iter().map(Event::Task).collect()
}
