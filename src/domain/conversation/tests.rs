use std::collections::BTreeSet;

use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::domain::text::Words;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn person(n: u128) -> Principal {
    Principal::User(id(n).into())
}

fn text(words: &str) -> Vec<Part> {
    vec![Part::Text { text: Words::fitted(words) }]
}

/// A conversation between persons, with what it decides folded in.
struct Room(Conversation);

const HERE: ConversationId = ConversationId(Uuid::from_u128(2));

impl Room {
    fn of(kind: ConversationKind) -> Self {
        let mut room = Self(Conversation::default());
        let (participants, turn_policy) = (BTreeSet::new(), TurnPolicy::default());
        let create =
            ConversationCommand::Create { kind, title: None, project: None, task: None, participants, turn_policy };
        room.does(1, create).unwrap();
        room
    }

    fn does(&mut self, by: u128, command: ConversationCommand) -> Result<Vec<ConversationEvent>, Rejection> {
        let events = self.0.decide(HERE, Circumstance { by: person(by), now: DateTime::UNIX_EPOCH }, command)?;
        events.iter().for_each(|event| self.0.apply(HERE, event));
        Ok(events)
    }

    fn posts(&mut self, by: u128, message: u128, parts: Vec<Part>) -> Result<Vec<ConversationEvent>, Rejection> {
        let mentions = BTreeSet::new();
        self.does(by, ConversationCommand::Post { message: id(message).into(), parts, parent: None, mentions })
    }
}

#[test]
fn messages_are_numbered_without_gaps() {
    let mut room = Room::of(ConversationKind::Channel);
    for n in 1..=5u64 {
        let events = room.posts(1, 10 + u128::from(n), text("hello")).unwrap();
        assert!(matches!(events[..], [ConversationEvent::Message { seq, .. }] if seq == n));
    }
}

#[test]
fn a_stranger_does_not_see_that_a_direct_conversation_exists() {
    let mut room = Room::of(ConversationKind::Dm);
    assert_eq!(room.posts(9, 3, text("hm")), Err(Rejection::NotFound("conversation")));
}

#[test]
fn only_its_author_or_a_moderator_deletes_a_message_and_then_it_stays_as_it_is() {
    let mut room = Room::of(ConversationKind::Channel);
    room.posts(1, 3, text("hello")).unwrap();
    let (message, author) = (id(3).into(), person(1));
    let delete = |standing| ConversationCommand::Delete { message, author, standing };
    assert!(matches!(room.does(9, delete(Standing::Author)), Err(Rejection::Forbidden(_))));
    assert_eq!(room.does(9, delete(Standing::Moderator)).unwrap().len(), 1);
    assert_eq!(room.does(1, delete(Standing::Author)).unwrap(), []);
    let edit = ConversationCommand::Edit { message, author, parts: text("again") };
    assert_eq!(room.does(1, edit), Err(Rejection::NotFound("message")));
    let react = ConversationCommand::React { message, emoji: Emoji::fitted("+1") };
    assert_eq!(room.does(1, react), Err(Rejection::NotFound("message")));
}

#[test]
fn a_message_holds_so_many_kinds_of_reactions_and_no_more() {
    let mut room = Room::of(ConversationKind::Channel);
    let react = |n: usize| ConversationCommand::React { message: id(3).into(), emoji: Emoji::fitted(&n.to_string()) };
    for n in 0..EMOJIS_MAX {
        room.does(1, react(n)).unwrap();
    }
    assert!(matches!(room.does(1, react(EMOJIS_MAX)), Err(Rejection::Busy(_))));
    assert_eq!(room.does(2, react(0)).unwrap().len(), 1, "one that is there already can be joined");
}

#[test]
fn nobody_reads_what_was_not_said_yet() {
    let mut room = Room::of(ConversationKind::Channel);
    room.posts(1, 3, text("hello")).unwrap();
    let read = room.does(1, ConversationCommand::MarkRead(9)).unwrap();
    assert!(matches!(read[..], [ConversationEvent::Read { seq: 1, .. }]), "{read:?}");
    assert_eq!(room.does(1, ConversationCommand::MarkRead(1)).unwrap(), []);
    assert_eq!(room.does(1, ConversationCommand::MarkRead(0)).unwrap(), []);
}

#[test]
fn a_merge_keeps_both_of_two_decisions_that_differ() {
    let mut room = Room::of(ConversationKind::Channel);
    let decision = |value: &str| Decision { key: Label::fitted("paint"), value: Title::fitted(value) };
    room.posts(1, 3, vec![Part::Decision { decision: decision("red") }]).unwrap();
    let merge = |branch: u128, message: u128, value: &str| {
        ConversationCommand::Merge(Merge {
            message: id(message).into(),
            branch: id(branch).into(),
            summary: None,
            decisions: vec![decision(value)],
            artifacts: vec![],
        })
    };
    let flagged = |events: Vec<ConversationEvent>| -> Vec<usize> {
        let [ConversationEvent::Merged { conflicts, .. }] = &events[..] else { panic!("{events:?}") };
        conflicts.iter().map(|known| known.here.len()).collect()
    };
    assert!(flagged(room.does(1, merge(20, 4, "red")).unwrap()).is_empty());
    assert_eq!(flagged(room.does(1, merge(21, 5, "blue")).unwrap()), [1]);
    assert_eq!(flagged(room.does(1, merge(22, 6, "green")).unwrap()), [2], "both are kept");
    assert_eq!(room.does(1, merge(21, 7, "blue")).unwrap(), [], "a branch is merged once");
}
