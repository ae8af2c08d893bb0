//! Random commands about conversations and sessions.

use serde_json::{Value, json};

use crate::domain::{
    conversation::{ConversationCommand, ConversationKind, Part},
    document::{Blob, Change, DocumentCommand},
    ids::*,
    model::Command,
    principal::Principal,
    session::SessionCommand,
    text::{Prose, Title, Words},
    webhook::{Description, Pattern, WebhookCommand},
};

use super::{
    plan::{choose, person},
    world::{Ask, World},
};

pub(super) fn talk(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let mut by = Principal::User(person(b));
    let parts = || match c % 5 {
        0 => vec![],
        1 => vec![Part::Data { data: json!({"x": "\0"}) }],
        _ => vec![Part::Text { text: Words::fitted("hello") }],
    };
    let known = choose(world.ledger.conversations.iter().copied(), c);
    let (id, command) = match (a % 8, known) {
        (0 | 1, _) | (_, None) => {
            let create = ConversationCommand::Create {
                kind: [ConversationKind::Channel, ConversationKind::Dm, ConversationKind::Task][c % 3],
                title: None,
                project: choose(world.ledger.projects.keys().copied(), b).filter(|_| c % 2 == 0),
                task: choose(world.ledger.tasks.keys().copied(), b).filter(|_| c % 4 == 0),
                participants: [Principal::User(person(c))].into(),
            };
            (world.fresh().into(), create)
        }
        (2, Some(id)) => (id, ConversationCommand::AddParticipant(Principal::User(person(c)))),
        (3, Some(id)) => (id, ConversationCommand::RemoveParticipant(Principal::User(person(c)))),
        (4, Some(_)) => {
            let (id, message, author) = *choose(&world.ledger.messages, c)?;
            by = if b % 3 == 0 { by } else { author };
            (id, ConversationCommand::Edit { message, author, parts: parts() })
        }
        (_, Some(id)) => {
            let message = world.fresh().into();
            (id, ConversationCommand::Post { message, parts: parts(), parent: None })
        }
    };
    Some(Ask { subject: Subject::Conversation(id), by, command: Command::Conversation(command) })
}

/// What a driver remembers of a run; a driver may have nothing to say.
pub(super) fn follow(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, _] = *pick;
    let attempt = choose(world.ledger.attempts.values(), a)?;
    let notes = [Value::Null, json!({"session": "s"}), json!(7)][b % 3].clone();
    let command = match b % 5 {
        0 => SessionCommand::Pack { hash: format!("ab{}", b % 2), tokens: 7, left_out: vec![] },
        1 | 2 => SessionCommand::Bind(notes),
        _ => SessionCommand::Follow(notes),
    };
    let by = Principal::Agent(attempt.agent);
    Some(Ask { subject: Subject::Session(attempt.id), by, command: Command::Session(command) })
}

/// What is asked of an endpoint outside, now and then of one that is gone.
pub(super) fn webhook(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let sealed = || SealedId(world.fresh());
    let events = || if c % 7 == 0 { [].into() } else { [Pattern::any()].into() };
    let (id, command) = match (a % 6, choose(world.ledger.webhooks.iter().copied(), b)) {
        (0, _) | (_, None) => {
            let (origin, url, secret) = ("https://example.org".into(), sealed(), sealed());
            let description = Description::default();
            (world.fresh().into(), WebhookCommand::Create { origin, url, secret, description, events: events() })
        }
        (1, Some(id)) => (id, WebhookCommand::RotateSecret(sealed())),
        (2, Some(id)) => (id, WebhookCommand::Disable("it failed for long".into())),
        (3, Some(id)) if c % 3 == 0 => (id, WebhookCommand::Delete),
        (_, Some(id)) => {
            let (events, enabled) = (Some(events()), Some(c % 2 == 0));
            (id, WebhookCommand::Update { address: None, description: None, events, enabled })
        }
    };
    let by = Principal::User(person(b));
    Some(Ask { subject: Subject::Webhook(id), by, command: Command::Webhook(command) })
}

/// What is asked of a shared document, now and then after an update that was not the last one.
pub(super) fn document(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let by = match choose(world.ledger.agents.keys().copied(), c).filter(|_| c % 3 == 0) {
        Some(agent) => Principal::Agent(agent),
        None => Principal::User(person(b)),
    };
    let known = choose(world.ledger.documents.iter().map(|(id, seq)| (*id, *seq)), b);
    let update = || Blob(vec![7; c % 3]);
    let (id, command) = match (a % 8, known) {
        (0, _) | (_, None) => {
            let project = choose(world.ledger.projects.keys().copied(), c)?;
            (world.fresh().into(), DocumentCommand::Create { project, title: Title::fitted("Menu") })
        }
        (1, Some((id, _))) if c % 5 == 0 => (id, DocumentCommand::Archive),
        (1, Some((id, _))) => (id, DocumentCommand::Rename(Title::fitted("The menu"))),
        (2, Some((id, _))) => {
            let change = Change { from: update(), to: update(), removes: Prose::default(), inserts: Prose::default() };
            let changes = vec![change; c % 4];
            (id, DocumentCommand::Suggest { suggestion: world.fresh().into(), note: Prose::default(), changes })
        }
        (3 | 4, Some((_, _))) => {
            let (id, suggestion) = choose(world.ledger.suggestions.iter().copied(), c)?;
            let after = world.ledger.documents.get(&id).copied().unwrap_or_default();
            let accepted = (c % 2 == 0).then(|| (after, update()));
            let change = u32::try_from(b % 3).unwrap_or_default();
            (id, DocumentCommand::Resolve { suggestion, change, accepted })
        }
        (_, Some((id, seq))) => {
            (id, DocumentCommand::Edit { after: seq - seq.min((c % 4 == 0).into()), update: update() })
        }
    };
    Some(Ask { subject: Subject::Document(id), by, command: Command::Document(command) })
}
