//! What waits for people.

use serde_json::json;

use crate::domain::event::{Recorded, TaskEvent};

use super::{rows::Changes, tables::ASSIGNMENTS};

pub(super) fn task(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    use TaskEvent as E;
    let (at, version) = (recorded.at, recorded.offset);
    match event {
        E::DelegationQueued { delegation, .. }
        | E::DelegationReviewing { delegation, .. }
        | E::DelegationEscalated { delegation, .. } => {
            changes.update(&ASSIGNMENTS, json!({"id": delegation, "waiting_since": at}));
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
