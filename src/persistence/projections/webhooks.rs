//! Webhooks.

use serde_json::{Value, json};

use crate::domain::event::{Recorded, WebhookEvent};

use super::{rows::Changes, tables::WEBHOOKS};

pub(super) fn webhook(changes: &mut Changes, recorded: &Recorded, event: &WebhookEvent) {
    let (id, at, version) = (recorded.subject.id(), recorded.at, recorded.offset);
    let mut change = |fields: Value| {
        let mut row = json!({"id": id, "version": version, "updated_at": at});
        if let (Value::Object(row), Value::Object(fields)) = (&mut row, fields) {
            row.extend(fields);
        }
        changes.update(&WEBHOOKS, row);
    };
    match event {
        WebhookEvent::Created { origin, url, secret, description, events } => changes.insert(
            &WEBHOOKS,
            json!({
                "id": id, "origin": origin, "url_id": url, "secret_id": secret, "description": description,
                "events": events, "enabled": true, "deleted": false, "created_by": recorded.actor, "born": version, "version": version,
                "created_at": at, "updated_at": at,
            }),
        ),
        WebhookEvent::Updated { origin, url, description, events } => {
            let fields = [
                ("origin", json!(origin)),
                ("url_id", json!(url)),
                ("description", json!(description)),
                ("events", json!(events)),
            ];
            let changed = fields.into_iter().filter(|(_, value)| !value.is_null());
            change(changed.map(|(name, value)| (name.to_owned(), value)).collect());
        }
        WebhookEvent::SecretRotated { secret, former, former_until } => {
            change(json!({"secret_id": secret, "former_secret_id": former, "former_until": former_until}));
        }
        WebhookEvent::Disabled { reason } => change(json!({"enabled": false, "disabled_reason": reason})),
        WebhookEvent::Enabled {} => change(json!({"enabled": true, "disabled_reason": null})),
        WebhookEvent::Deleted {} => change(json!({"enabled": false, "deleted": true})),
    }
}
