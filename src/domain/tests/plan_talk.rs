//! Random commands about conversations and sessions.

use serde_json::{Value, json};

use crate::domain::{
    conversation::{
        ConversationCommand, ConversationKind as K, Decision, Emoji, Merge, NewBranch, Part, Standing, TurnPolicy,
        TurnReport,
    },
    document::{Blob, Change, DocumentCommand},
    failure::FailureClass,
    ids::*,
    model::Command,
    principal::{Principal, Service},
    routing::Bulkheads,
    run::Usage,
    session::SessionCommand,
    text::{Label, Prose, Title, Words},
    webhook::{Description, Pattern, WebhookCommand},
    workspace::NextTurn,
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
    let (id, command) = match (a % 20, known) {
        (0 | 1, _) | (_, None) => {
            let create = ConversationCommand::Create {
                kind: [K::Channel, K::Dm, K::Task, K::AgentSession][c % 4],
                title: None,
                project: choose(world.ledger.projects.keys().copied(), b).filter(|_| c % 2 == 0),
                task: choose(world.ledger.tasks.keys().copied(), b).filter(|_| c % 4 == 0),
                participants: [Principal::User(person(c))].into_iter().chain(agents(world)).collect(),
                turn_policy: policy(b),
            };
            (world.fresh().into(), create)
        }
        (2, Some(id)) => (id, ConversationCommand::AddParticipant(Principal::User(person(c)))),
        (3, Some(id)) => {
            let agent = choose(agents(world), b).filter(|_| b % 4 == 0);
            (id, ConversationCommand::RemoveParticipant(agent.unwrap_or(Principal::User(person(c)))))
        }
        (4..=8, Some(_)) => {
            let (id, message, author, _) = *choose(&world.ledger.messages, c)?;
            by = if b % 3 == 0 { by } else { author };
            let emoji = || Emoji::fitted(["+1", "-1"][b % 2]);
            let standing = [Standing::Author, Standing::Moderator][b % 2];
            let command = match a % 20 {
                4 => ConversationCommand::Edit { message, author, parts: parts() },
                5 => ConversationCommand::Delete { message, author, standing },
                6 | 7 => ConversationCommand::React { message, emoji: emoji() },
                _ => ConversationCommand::Unreact { message, emoji: emoji() },
            };
            (id, command)
        }
        (9, Some(id)) if b % 2 == 0 => (id, ConversationCommand::Update { title: None, turn_policy: Some(policy(c)) }),
        (9, Some(id)) => (id, ConversationCommand::MarkRead(b as u64 % 5)),
        (10 | 11, Some(_)) => branch(world, b, c)?,
        (12..=14, Some(_)) => merge(world, b, c)?,
        (_, Some(any)) => {
            // A branch, where people are among themselves; an agent that is busy; or anybody anywhere.
            let branch = choose(world.ledger.branches.keys().copied(), b).filter(|_| c % 3 == 0);
            let busy = choose(world.ledger.turns.values().filter(|turn| turn.running), b).filter(|_| c % 3 == 1);
            let id = branch.or(busy.map(|turn| turn.conversation)).unwrap_or(any);
            let agent = busy.map(|turn| Principal::Agent(turn.agent));
            let agent = agent.or(choose(agents(world), b).filter(|_| c % 3 == 2));
            let whom = agent.unwrap_or(Principal::User(person(c)));
            let (message, mentions) = (world.fresh().into(), [whom].into());
            (id, ConversationCommand::Post { message, parts: parts(), parent: None, mentions })
        }
    };
    Some(Ask { subject: Subject::Conversation(id), by, command: Command::Conversation(command) })
}

fn policy(pick: usize) -> TurnPolicy {
    [TurnPolicy::Enqueue, TurnPolicy::Interrupt, TurnPolicy::RollBack, TurnPolicy::Reject][pick % 4]
}

fn agents(world: &World) -> impl Iterator<Item = Principal> {
    world.ledger.agents.keys().map(|id| Principal::Agent(*id)).take(2)
}

/// Begins what the agenda offers, or gives up what it calls lapsed, or reports on a turn, sometimes on one that is over.
pub(super) fn turn(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let conductor = Principal::Service(Service::Conductor);
    let ask =
        |id, by, command| Some(Ask { subject: Subject::Conversation(id), by, command: Command::Conversation(command) });
    let parts = |empty| if empty { vec![] } else { vec![Part::Text { text: Words::fitted("so far") }] };
    let failed = |message| TurnReport::Failed {
        message,
        parts: parts(false),
        class: FailureClass::Unknown,
        reason: "broke".into(),
    };
    let agenda = world.workspace.schedule().agenda(world.now, 7, Bulkheads::default());
    if a % 5 == 0 || !agenda.turns.is_empty() && a % 4 != 0 {
        if let Some(lapsed) = choose(agenda.lapsed, b) {
            let (turn, agent, usage) = (lapsed.turn, lapsed.agent, Default::default());
            let report = failed(world.fresh().into());
            let end = ConversationCommand::EndTurn { turn, agent, usage, report };
            return ask(lapsed.conversation, conductor, end);
        }
        let NextTurn { turn, route } = choose(agenda.turns, b)?;
        let (agent, instance) = (turn.agent, turn.instance);
        let start = ConversationCommand::StartTurn { turn: turn.turn, agent, instance, route };
        return ask(turn.conversation, conductor, start);
    }
    let known = choose(world.ledger.turns.iter().filter(|(_, turn)| c % 5 == 0 || turn.running), b)?;
    let (turn, agent, message) = (*known.0, known.1.agent, world.fresh().into());
    let (by, report) = match c % 4 {
        0 => (conductor, failed(message)),
        1 => (Principal::Agent(agent), TurnReport::Stopped { message, parts: parts(b % 2 == 0) }),
        _ => (Principal::Agent(agent), TurnReport::Answered { message, parts: parts(false) }),
    };
    let usage = Usage { input_tokens: 1, ..Usage::default() };
    ask(known.1.conversation, by, ConversationCommand::EndTurn { turn, agent, usage, report })
}

fn branch(world: &World, b: usize, c: usize) -> Option<(ConversationId, ConversationCommand)> {
    let (parent, at, _, seq) = *choose(&world.ledger.messages, c * 7 + b)?;
    let kind = world.ledger.kinds[&parent];
    Some((world.fresh().into(), ConversationCommand::Branch(NewBranch { kind, title: None, parent, at, seq })))
}

/// Merges a branch into what it is a branch of, or anywhere.
fn merge(world: &World, b: usize, c: usize) -> Option<(ConversationId, ConversationCommand)> {
    let (branch, parent) = choose(&world.ledger.branches, c)?;
    let anywhere = choose(world.ledger.conversations.iter().copied(), b)?;
    let decision = Decision { key: Label::fitted("salt"), value: Title::fitted(["more", "less"][b % 2]) };
    let merge = Merge {
        message: world.fresh().into(),
        branch: *branch,
        summary: None,
        decisions: vec![decision],
        artifacts: vec![],
    };
    Some((if b.is_multiple_of(4) { anywhere } else { *parent }, ConversationCommand::Merge(merge)))
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
