//! Shared documents, and what is proposed for them.

use serde_json::json;

use crate::domain::event::{DocumentEvent, Recorded};

use super::{
    rows::Changes,
    tables::{DOCUMENTS, SUGGESTED, SUGGESTIONS},
};

pub(super) fn document(changes: &mut Changes, recorded: &Recorded, event: &DocumentEvent) {
    let (id, at, version) = (recorded.subject.id(), recorded.at, recorded.offset);
    match event {
        DocumentEvent::Created { project, title } => changes.insert(
            &DOCUMENTS,
            json!({
                "id": id, "project_id": project, "title": title, "archived": false, "seq": 0,
                "created_by": recorded.actor, "version": version, "created_at": at, "updated_at": at,
            }),
        ),
        DocumentEvent::Renamed { title } => {
            changes.update(&DOCUMENTS, json!({"id": id, "title": title, "version": version, "updated_at": at}));
        }
        DocumentEvent::Archived {} => {
            changes.update(&DOCUMENTS, json!({"id": id, "archived": true, "version": version, "updated_at": at}));
        }
        DocumentEvent::Edited { seq, author, .. } => {
            let row = json!({"id": id, "seq": seq, "edited_by": author, "version": version, "updated_at": at});
            changes.update(&DOCUMENTS, row);
        }
        DocumentEvent::Suggested { suggestion, author, note, changes: proposed } => {
            changes.insert(
                &SUGGESTIONS,
                json!({
                    "id": suggestion, "document_id": id, "author": author, "note": note, "changes": proposed,
                    "created_at": at,
                }),
            );
            for (change, _) in proposed.iter().enumerate() {
                let row = json!({"suggestion_id": suggestion, "change": change, "document_id": id, "status": "open"});
                changes.insert(&SUGGESTED, row);
            }
        }
        DocumentEvent::Resolved { suggestion, change, accepted } => {
            let status = if *accepted { "accepted" } else { "declined" };
            let row = json!({
                "suggestion_id": suggestion, "change": change, "status": status, "resolved_by": recorded.actor,
                "resolved_at": at,
            });
            changes.update(&SUGGESTED, row);
        }
    }
}
