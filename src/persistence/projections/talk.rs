//! Workspaces, members, teams, conversations and messages.

use serde_json::json;

use crate::domain::{
    event::{ConversationEvent, Recorded, WorkspaceEvent},
    workspace::Role,
};

use super::{
    rows::Changes,
    tables::{CONVERSATIONS, GRANTS, MEMBERS, MESSAGES, PARTICIPANTS, ROLES, SERVICES, TEAMS, WORKSPACES},
};

pub(super) fn workspace(changes: &mut Changes, recorded: &Recorded, event: &WorkspaceEvent) {
    let (id, at, offset) = (changes.workspace(), recorded.at, recorded.offset);
    match event {
        WorkspaceEvent::Created { name, owner } => {
            let settings = json!({});
            changes.insert(
                &WORKSPACES,
                json!({"id": id, "name": name, "owner_id": owner, "settings": settings, "version": offset, "created_at": at}),
            );
            changes
                .insert(&MEMBERS, json!({"workspace_id": id, "user_id": owner, "role": Role::Owner, "joined_at": at}));
        }
        WorkspaceEvent::Renamed { name } => {
            changes.update(&WORKSPACES, json!({"id": id, "name": name, "version": offset}));
        }
        WorkspaceEvent::MemberAdded { user, role } => {
            changes.insert(&MEMBERS, json!({"workspace_id": id, "user_id": user, "role": role, "joined_at": at}));
        }
        WorkspaceEvent::MemberUpdated { user, role } => {
            changes.update(&MEMBERS, json!({"workspace_id": id, "user_id": user, "role": role}));
        }
        WorkspaceEvent::MemberRemoved { user } => {
            changes.delete(&MEMBERS, json!({"workspace_id": id, "user_id": user}));
        }
        WorkspaceEvent::TeamFormed { team, name, members } => {
            changes.insert(&TEAMS, json!({"id": team, "name": name, "members": members, "created_at": at}));
        }
        WorkspaceEvent::RoleCreated { role, name, permissions } => {
            changes.insert(&ROLES, json!({"id": role, "name": name, "permissions": permissions, "created_at": at}));
        }
        WorkspaceEvent::RoleUpdated { role, name, permissions } => {
            changes.update(&ROLES, json!({"id": role, "name": name, "permissions": permissions}));
        }
        WorkspaceEvent::RoleDeleted { role } => changes.delete(&ROLES, json!({"id": role})),
        WorkspaceEvent::GrantSet { grant, subject, principal, effect, permissions } => changes.insert(
            &GRANTS,
            json!({
                "id": grant, "subject": subject, "principal": principal, "effect": effect,
                "permissions": permissions, "created_at": at,
            }),
        ),
        WorkspaceEvent::GrantRemoved { grant, .. } => changes.delete(&GRANTS, json!({"id": grant})),
        WorkspaceEvent::ServiceAdded { service, name, role } => {
            changes.insert(&SERVICES, json!({"service_id": service, "name": name, "role": role, "added_at": at}));
        }
        WorkspaceEvent::ServiceRemoved { service } => changes.delete(&SERVICES, json!({"service_id": service})),
        // Keys are read where their hashes are.
        WorkspaceEvent::KeyIssued { .. } | WorkspaceEvent::KeyRevoked { .. } => {}
    }
}

pub(super) fn conversation(changes: &mut Changes, recorded: &Recorded, event: &ConversationEvent) {
    let (id, at, offset) = (recorded.subject.id(), recorded.at, recorded.offset);
    match event {
        ConversationEvent::Created { kind, title, project, task, participants } => {
            changes.insert(
                &CONVERSATIONS,
                json!({
                    "id": id, "type": kind, "title": title, "project_id": project, "task_id": task,
                    "created_by": recorded.actor, "last_seq": 0, "created_at": at, "updated_at": at,
                }),
            );
            for participant in participants {
                changes.insert(
                    &PARTICIPANTS,
                    json!({"conversation_id": id, "participant": participant, "joined_offset": offset}),
                );
            }
        }
        ConversationEvent::ParticipantAdded { participant } => {
            changes.insert(
                &PARTICIPANTS,
                json!({"conversation_id": id, "participant": participant, "joined_offset": offset, "left_offset": null}),
            );
        }
        ConversationEvent::ParticipantRemoved { participant } => {
            changes.update(
                &PARTICIPANTS,
                json!({"conversation_id": id, "participant": participant, "left_offset": offset}),
            );
        }
        ConversationEvent::Message { message, seq, author, parts, parent } => {
            changes.insert(
                &MESSAGES,
                json!({
                    "id": message, "conversation_id": id, "seq": seq, "author": author, "parts": parts,
                    "parent_id": parent, "posted_at": at,
                }),
            );
            changes.update(&CONVERSATIONS, json!({"id": id, "last_seq": seq, "updated_at": at}));
        }
        ConversationEvent::MessageEdited { message, parts } => {
            changes.update(&MESSAGES, json!({"id": message, "parts": parts, "edited_at": at}));
        }
    }
}
