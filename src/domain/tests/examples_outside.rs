//! One value of every event of webhooks and of documents.

use chrono::DateTime;

use crate::domain::{
    document::{Blob, Change},
    event::{DocumentEvent, WebhookEvent},
    principal::Principal,
    webhook::{Description, Pattern},
};

use super::examples::{id, prose, title};

pub(super) fn webhook() -> Vec<WebhookEvent> {
    use WebhookEvent as E;
    let description = Description::fitted("tells the kitchen");
    let pattern = |text| Pattern::new(text).expect("it is one");
    vec![
        E::Created {
            origin: "https://example.org".into(),
            url: id(70),
            secret: id(71),
            description: description.clone(),
            events: [pattern("*")].into(),
        },
        E::Updated {
            origin: Some("https://example.com".into()),
            url: Some(id(72)),
            description: Some(description),
            events: Some([pattern("task:*"), pattern("agent:status")].into()),
        },
        E::Updated { origin: None, url: None, description: None, events: None },
        E::SecretRotated {
            secret: id(73),
            former: id(71),
            former_until: DateTime::from_timestamp_millis(1_700_000_000_500).expect("a time"),
        },
        E::Disabled { reason: "410 Gone".into() },
        E::Enabled {},
        E::Deleted {},
    ]
}

pub(super) fn document() -> Vec<DocumentEvent> {
    use DocumentEvent as E;
    let (suggestion, author) = (id(81), Principal::Agent(id(20)));
    let change = Change { from: Blob(vec![1]), to: Blob(vec![2, 3]), removes: prose("salt"), inserts: prose("") };
    vec![
        E::Created { project: id(10), title: title("Menu") },
        E::Renamed { title: title("The menu") },
        E::Edited { seq: 1, author, update: Blob(vec![0, 255]) },
        E::Suggested { suggestion, author, note: prose("less salt"), changes: vec![change] },
        E::Resolved { suggestion, change: 0, accepted: true },
        E::Archived {},
    ]
}
