//! Agents and their instances.

use serde_json::json;

use crate::domain::event::{AgentEvent, Recorded};

use super::{
    rows::Changes,
    tables::{AGENTS, INSTANCES},
};

pub(super) fn agent(changes: &mut Changes, recorded: &Recorded, event: &AgentEvent) {
    let (id, at, version) = (recorded.subject.id(), recorded.at, recorded.offset);
    match event {
        AgentEvent::Registered { name, runtime, skills, max_concurrency } => changes.insert(
            &AGENTS,
            json!({
                "id": id, "name": name, "runtime": runtime, "status": "idle", "availability": "active",
                "skills": skills, "max_concurrency": max_concurrency, "registered_by": recorded.actor,
                "version": version, "created_at": at, "updated_at": at,
            }),
        ),
        AgentEvent::Updated { name, skills, max_concurrency } => {
            let mut row = json!({"id": id, "version": version, "updated_at": at});
            if let Some(name) = name {
                row["name"] = json!(name);
            }
            if let Some(skills) = skills {
                row["skills"] = json!(skills);
            }
            if let Some(bound) = max_concurrency {
                row["max_concurrency"] = json!(bound);
            }
            changes.update(&AGENTS, row);
        }
        AgentEvent::Status { status, .. } => {
            changes.update(&AGENTS, json!({"id": id, "status": status, "version": version, "updated_at": at}));
        }
        AgentEvent::Availability { wanted } => {
            changes.update(&AGENTS, json!({"id": id, "availability": wanted, "version": version, "updated_at": at}));
        }
        AgentEvent::InstanceAdded { instance, url, model, slots, turns_max } => changes.insert(
            &INSTANCES,
            json!({
                "id": instance, "agent_id": id, "url": url, "model": model, "slots": slots, "turns_max": turns_max,
                "standing": "sound", "skills": [],
            }),
        ),
        AgentEvent::InstanceConnected { instance, slots, skills, boot } => changes.update(
            &INSTANCES,
            json!({
                "id": instance, "slots": slots, "skills": skills, "healthy": true, "boot": boot, "cause": null,
                "probed_at": at,
            }),
        ),
        AgentEvent::InstanceRemoved { instance } => changes.delete(&INSTANCES, json!({"id": instance})),
        AgentEvent::InstanceProbed { instance, healthy, boot, cause } => {
            let mut row = json!({"id": instance, "healthy": healthy, "cause": cause, "probed_at": at});
            if boot.is_some() {
                row["boot"] = json!(boot);
            }
            changes.update(&INSTANCES, row);
        }
        AgentEvent::InstanceStanding { instance, standing, cause } => {
            changes.update(&INSTANCES, json!({"id": instance, "standing": standing, "standing_cause": cause}));
        }
        // The status says it, and a route says it of each candidate.
        AgentEvent::Skill { .. } => {}
    }
}
