//! What was said about a task, as far as everybody may read it.

use std::collections::BTreeMap;

use crate::domain::{
    conversation::{ConversationKind, Part},
    event::{ConversationEvent, Event, Recorded},
    principal::Principal,
};

use super::material::{Said, newest};

/// The most that is read of it; the newest count.
const TALK_MAX: usize = 40;

/// What was said where everybody may read it, oldest first.
pub(super) fn dialog(talks: &[&[Recorded]]) -> Vec<Said> {
    let mut said = vec![];
    for log in talks {
        let mut words = BTreeMap::new();
        for recorded in *log {
            match &recorded.event {
                Event::Conversation(ConversationEvent::Created { kind: ConversationKind::Dm, .. }) => {
                    words.clear();
                    break;
                }
                Event::Conversation(ConversationEvent::Message { message, author, parts, .. }) => {
                    words.insert(*message, (recorded.offset, *author, text_of(parts)));
                }
                Event::Conversation(ConversationEvent::MessageEdited { message, parts }) => {
                    if let Some((_, _, text)) = words.get_mut(message) {
                        *text = text_of(parts);
                    }
                }
                Event::Conversation(ConversationEvent::MessageDeleted { message, .. }) => {
                    words.remove(message);
                }
                _ => {}
            }
        }
        said.extend(words.into_values());
    }
    said.sort_unstable_by_key(|(offset, _, _)| *offset);
    let said = newest(said, TALK_MAX);
    let count = said.len();
    let said = said.into_iter().enumerate().map(|(place, (_, who, text))| {
        let age = u8::try_from(count - place - 1).unwrap_or(u8::MAX);
        Said { who: called(who), text, age }
    });
    said.filter(|said| !said.text.trim().is_empty()).collect()
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().map(|part| match part {
        Part::Text { text } => text.to_string(),
        Part::File { name, url } => format!("[{name}]({url})"),
        Part::Data { data } => data.to_string(),
        Part::Decision { decision } => format!("[decided: {} = {}]", decision.key, decision.value),
        Part::Mention { principal } => format!("@{}", called(*principal)),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Who it was, told apart by the last digits of the id.
pub(super) fn called(who: Principal) -> String {
    let (id, kind) = (who.id(), if who.user().is_some() { "person" } else { "agent" });
    let tail: String = id.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{kind} {tail}")
}
