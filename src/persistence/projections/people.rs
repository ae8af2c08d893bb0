//! Workspaces, members, teams, roles, grants and services.

use serde_json::json;

use crate::domain::{
    event::{Recorded, WorkspaceEvent},
    workspace::Role,
};

use super::{
    rows::Changes,
    tables::{GRANTS, MEMBERS, RIGHTS, ROLES, SERVICES, TEAMS, WORKSPACES},
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
        WorkspaceEvent::TeamFormed { team, name, members, lead, policy } => changes.insert(
            &TEAMS,
            json!({
                "id": team, "name": name, "members": members, "lead": lead, "policy": policy, "created_at": at,
            }),
        ),
        WorkspaceEvent::TeamUpdated { team, name, members, lead, policy } => changes
            .update(&TEAMS, json!({"id": team, "name": name, "members": members, "lead": lead, "policy": policy})),
        WorkspaceEvent::TeamDissolved { team } => changes.delete(&TEAMS, json!({"id": team})),
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
        WorkspaceEvent::RightGiven {
            right,
            agent,
            grantor,
            subject,
            decides,
            cost_usd_max,
            risk_max,
            uses_max,
            expires_at,
        } => changes.insert(
            &RIGHTS,
            json!({
                "id": right, "agent_id": agent, "grantor": grantor, "subject": subject, "decides": decides,
                "cost_usd_max": cost_usd_max, "risk_max": risk_max, "uses_max": uses_max, "uses": 0,
                "expires_at": expires_at, "created_at": at,
            }),
        ),
        WorkspaceEvent::RightRevoked { right, .. } => changes.delete(&RIGHTS, json!({"id": right})),
        WorkspaceEvent::ServiceAdded { service, name, role } => {
            changes.insert(&SERVICES, json!({"service_id": service, "name": name, "role": role, "added_at": at}));
        }
        WorkspaceEvent::ServiceRemoved { service } => changes.delete(&SERVICES, json!({"service_id": service})),
        // Keys are read where their hashes are.
        WorkspaceEvent::KeyIssued { .. } | WorkspaceEvent::KeyRevoked { .. } => {}
    }
}
