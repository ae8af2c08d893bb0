//! One value of every event about checkpoints.

use chrono::DateTime;
use serde_json::json;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, SessionMark, TalkMark, TaskState},
    event::{ConversationEvent, Event, TaskEvent},
    task::Priority,
};

use super::examples::{id, person, prose, title};

pub(super) fn all() -> Vec<Event> {
    let talk = TalkMark { conversation: id(70), seq: 2, digest: "cd34".into() };
    let session =
        SessionMark { attempt: id(30), agent: id(5), instance: id(6), remote: Some(json!({"session": "s1"})) };
    let manifest = Manifest { at: 7, task: "ab12".into(), conversations: vec![talk.clone()], session: Some(session) };
    vec![
        Event::Task(TaskEvent::Checkpointed {
            checkpoint: id(90),
            name: Some(title("before the salt")),
            reason: CheckpointReason::Manual,
            made_at: DateTime::from_timestamp_millis(1_700_000_000_500).expect("it is a time"),
            manifest: Box::new(manifest),
            dropped: [id(91)].into(),
        }),
        Event::Task(TaskEvent::RolledBack {
            checkpoint: id(90),
            before: id(92),
            at: 7,
            state: TaskState {
                title: Some(title("Soup")),
                description: prose("hot"),
                priority: Priority::High,
                assignee: Some(person()),
                results: [id(50)].into(),
            },
            conversations: vec![talk],
        }),
        Event::Conversation(ConversationEvent::RolledBack { task: id(11), checkpoint: id(90), seq: 2 }),
    ]
}
