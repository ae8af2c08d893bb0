//! What waits for people.

use serde_json::json;

use crate::domain::event::{Recorded, TaskEvent};

use super::{
    rows::Changes,
    tables::{ASSIGNMENTS, INTERRUPTS, RIGHTS},
};

pub(super) fn task(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    use TaskEvent as E;
    let (at, version) = (recorded.at, recorded.offset);
    match event {
        E::DelegationQueued { delegation, .. }
        | E::DelegationReviewing { delegation, .. }
        | E::DelegationEscalated { delegation, .. } => {
            let row = json!({"id": delegation, "waiting_since": at, "overdue": null, "reminders": 0, "reminded": []});
            changes.update(&ASSIGNMENTS, row);
        }
        E::AttemptStarted { delegation, .. } | E::DelegationPaused { delegation } => {
            changes.update(&ASSIGNMENTS, json!({"id": delegation, "overdue": null}));
        }
        E::DelegationOverdue { delegation, owner, reason, .. } => {
            let row =
                json!({"id": delegation, "version": version, "updated_at": at, "overdue": reason, "owner": owner});
            changes.update(&ASSIGNMENTS, row);
        }
        E::DecisionMade { right, nth, .. } => changes.update(&RIGHTS, json!({"id": right, "uses": nth})),
        E::ReminderSent { interrupt: Some(interrupt), nth, to, .. } => {
            changes.update(&INTERRUPTS, json!({"id": interrupt, "reminders": nth, "reminded": to}));
        }
        E::ReminderSent { delegation, interrupt: None, nth, to, .. } => {
            changes.update(&ASSIGNMENTS, json!({"id": delegation, "reminders": nth, "reminded": to}));
        }
        E::DelegationReviewStuck { delegation, missing, owner } => {
            let row = json!({"id": delegation, "version": version, "updated_at": at, "review_missing": missing,
                "owner": owner});
            changes.update(&ASSIGNMENTS, row);
        }
        E::DelegationApproversSet { delegation, review, approvals: _ } => changes.update(
            &ASSIGNMENTS,
            json!({"id": delegation, "version": version, "updated_at": at, "review": review, "review_missing": null}),
        ),
        _ => {}
    }
}
