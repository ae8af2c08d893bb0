//! Values of the events of branches, merges, reactions and turns; the older ones are among the other examples.

use chrono::DateTime;

use crate::domain::{
    conversation::{
        Conflict, ConversationKind, Decision, Emoji, MessageKind, Part, StopReason, TurnOutcome, TurnPolicy,
    },
    event::ConversationEvent,
    failure::FailureClass,
    principal::Principal,
    run::Usage,
    task::Route,
    text::Label,
};

use super::examples::{id, person, prose, title};

pub(super) fn talk() -> Vec<ConversationEvent> {
    use ConversationEvent as E;
    let (message, who, emoji) = (id(60), person(), Emoji::fitted("🧂"));
    let decision = Decision { key: Label::fitted("salt"), value: title("more") };
    let conflict = Conflict { key: Label::fitted("salt"), here: vec![title("less")], there: title("more") };
    let cook = Principal::Agent(id(5));
    vec![
        E::Message {
            message: id(61),
            seq: 2,
            author: cook,
            parts: vec![Part::Mention { principal: person() }, Part::Decision { decision: decision.clone() }],
            parent: Some(id(60)),
            mentions: vec![person()],
            kind: MessageKind::Partial,
        },
        E::Branched {
            kind: ConversationKind::Channel,
            title: None,
            project: Some(id(10)),
            task: None,
            participants: [person(), cook].into(),
            parent: id(70),
            at: id(60),
            seq: 1,
            line: vec![id(70)],
        },
        E::MessageDeleted { message, by: who },
        E::Reacted { message, who, emoji: emoji.clone() },
        E::Unreacted { message, who, emoji },
        E::Read { reader: who, seq: 2 },
        E::Merged {
            message: id(62),
            seq: 3,
            author: who,
            branch: id(71),
            from: 2,
            to: 4,
            summary: Some(prose("more salt it is")),
            decisions: vec![decision],
            artifacts: vec![id(50)],
            conflicts: vec![conflict],
        },
        E::Sealed { into: id(70), entry: id(62) },
        E::Updated { title: None, turn_policy: Some(TurnPolicy::RollBack) },
        E::TurnQueued {
            turn: id(80),
            agent: id(5),
            message: id(60),
            asker: who,
            expires_at: DateTime::from_timestamp_millis(1_700_000_000_500).expect("it is a time"),
        },
        E::TurnStarted {
            turn: id(80),
            agent: id(5),
            instance: id(6),
            upto: 3,
            route: Route { reason: "least loaded".into(), candidates: 2, team: None, decision: None },
        },
        E::TurnStopping { turn: id(80), agent: id(5), why: StopReason::Interrupted },
        E::TurnEnded {
            turn: id(80),
            agent: id(5),
            outcome: TurnOutcome::Failed,
            answer: None,
            class: Some(FailureClass::ProviderQuota),
            reason: Some("no money".into()),
            usage: Usage { input_tokens: 10, output_tokens: 5, cost_usd: 0.25 },
        },
    ]
}
