//! Projects, tasks, delegations, attempts, questions and artifacts.

use serde_json::{Value, json};

use crate::domain::{
    event::{ProjectEvent, Recorded, SessionEvent, TaskEvent},
    ids::{AttemptId, DelegationId},
    principal::Principal,
    task::{DelegationStatus, PartStatus, QueueReason},
    workspace::Gate,
};

use super::{
    rows::Changes,
    tables::{
        ARTIFACTS, ASSIGNMENTS, CHECKPOINTS, DEPENDENCIES, FAN_OUTS, INTERRUPTS, PROJECTS, REVIEWS, SESSIONS, TASKS,
    },
};

pub(super) fn project(changes: &mut Changes, recorded: &Recorded, event: &ProjectEvent) {
    let (id, at, version) = (recorded.subject.id(), recorded.at, recorded.offset);
    match event {
        ProjectEvent::Created { name, key, description } => changes.insert(
            &PROJECTS,
            json!({
                "id": id, "name": name, "key": key, "description": description, "status": "active",
                "created_by": recorded.actor, "version": version, "created_at": at, "updated_at": at,
            }),
        ),
        ProjectEvent::Updated { name, description } => {
            let mut row = json!({"id": id, "version": version, "updated_at": at});
            if let Some(name) = name {
                row["name"] = json!(name);
            }
            if let Some(description) = description {
                row["description"] = json!(description);
            }
            changes.update(&PROJECTS, row);
        }
        ProjectEvent::Archived {} => {
            changes.update(&PROJECTS, json!({"id": id, "status": "archived", "version": version, "updated_at": at}));
        }
    }
}

pub(super) fn session(changes: &mut Changes, recorded: &Recorded, event: &SessionEvent) {
    match event {
        SessionEvent::Packed { hash, tokens, .. } => {
            let row = json!({"id": recorded.subject.id(), "pack_hash": hash, "pack_tokens": tokens});
            changes.update(&SESSIONS, row);
        }
        // Only a restarted driver reads these, and it reads the log.
        SessionEvent::Bound { .. } | SessionEvent::Followed { .. } => {}
    }
}

pub(super) fn task(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    use TaskEvent as E;
    let (id, at, version) = (recorded.subject.id(), recorded.at, recorded.offset);
    // What changes the task's own row; every event of the task moves its version.
    let mut row = json!({"id": id, "version": version, "updated_at": at});
    match event {
        E::Created {
            project,
            number,
            identifier,
            title,
            description,
            status,
            priority,
            assignee,
            parent,
            depends_on,
            claims,
            skills,
        } => {
            changes.insert(
                &TASKS,
                json!({
                    "id": id, "project_id": project, "number": number, "identifier": identifier, "title": title,
                    "description": description, "status": status, "priority": priority, "assignee": assignee,
                    "parent_id": parent, "claims": claims, "skills": skills, "rank": format!("n{number:010}"), "created_by": recorded.actor,
                    "version": version, "created_at": at, "updated_at": at,
                }),
            );
            for blocker in depends_on {
                changes.insert(
                    &DEPENDENCIES,
                    json!({"task_id": id, "depends_on": blocker, "dependency_type": Gate::Blocks}),
                );
            }
            return;
        }
        E::Updated { title, description, priority, assignee, claims, skills } => {
            set_some(&mut row, "title", title.as_ref());
            set_some(&mut row, "description", description.as_ref());
            set_some(&mut row, "priority", priority.as_ref());
            set_some(&mut row, "assignee", assignee.as_ref());
            set_some(&mut row, "claims", claims.as_ref());
            set_some(&mut row, "skills", skills.as_ref());
        }
        E::Transitioned { to, .. } => row["status"] = json!(to),
        E::Ready { .. } => row["status"] = json!("ready"),
        E::Moved { rank } => row["rank"] = json!(rank),
        E::DependencyAdded { depends_on, gate } => {
            changes.insert(&DEPENDENCIES, json!({"task_id": id, "depends_on": depends_on, "dependency_type": gate}));
        }
        E::DependencyRemoved { depends_on } => {
            changes.delete(&DEPENDENCIES, json!({"task_id": id, "depends_on": depends_on}));
        }
        E::Checkpointed { checkpoint, name, reason, made_at, manifest, dropped } => {
            changes.insert(
                &CHECKPOINTS,
                json!({
                    "id": checkpoint, "task_id": id, "name": name, "reason": reason, "manifest": manifest,
                    "made_by": recorded.actor, "made_at": made_at,
                }),
            );
            dropped.iter().for_each(|gone| changes.delete(&CHECKPOINTS, json!({"id": gone})));
        }
        E::RolledBack { state, .. } => {
            set_some(&mut row, "title", state.title.as_ref());
            row["description"] = json!(state.description);
            row["priority"] = json!(state.priority);
            row["assignee"] = json!(state.assignee);
        }
        E::Progress { attempt, percent, phase, .. } => {
            row["progress"] = json!(percent);
            row["phase"] = json!(phase);
            changes.update(&SESSIONS, json!({"id": attempt, "progress": percent, "phase": phase}));
        }
        E::DelegationQueued { delegation, agent, .. } => {
            row["delegation_id"] = json!(delegation);
            row["delegate_agent_id"] = json!(agent);
        }
        E::AttemptStarted { agent, .. } => {
            row["delegate_agent_id"] = json!(agent);
            row["progress"] = Value::Null;
            row["phase"] = Value::Null;
        }
        E::DelegationCompleted { .. } => row["progress"] = json!(100),
        E::DelegationCancelled { .. } | E::DelegationFailed { .. } => row["delegate_agent_id"] = Value::Null,
        _ => {}
    }
    fan_out(changes, recorded, event);
    delegation(changes, recorded, event);
    super::desk::task(changes, recorded, event);
    attempt(changes, recorded, event);
    changes.update(&TASKS, row);
}

fn fan_out(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    let (at, offset) = (recorded.at, recorded.offset);
    match event {
        TaskEvent::FanOutOpened { fan_out, parts, join, policy, review, owner, by, expires_at } => {
            let parts: Vec<Value> = parts
                .iter()
                .map(|part| {
                    json!({
                        "task_id": part.task, "delegation_id": part.delegation, "title": part.title,
                        "agent_id": part.agent,
                    })
                })
                .collect();
            let row = json!({
                "id": fan_out, "task_id": recorded.subject.id(), "join": join, "child_policy": policy,
                "review": review, "owner": owner, "opened_by": by, "expires_at": expires_at, "parts": parts,
                "opened_at": at,
            });
            changes.insert(&FAN_OUTS, row);
        }
        TaskEvent::FanOutJoined { fan_out, outcome, parts, .. } => {
            let failed = parts.iter().find(|part| part.status == PartStatus::Failed).map(|part| part.delegation);
            let row = json!({
                "id": fan_out, "outcome": outcome, "results": parts, "failed_id": failed, "decided_offset": offset,
                "decided_at": at,
            });
            changes.update(&FAN_OUTS, row);
        }
        _ => {}
    }
}

fn set_some<T: serde::Serialize>(row: &mut Value, column: &str, value: Option<&T>) {
    if let Some(value) = value {
        row[column] = json!(value);
    }
}

fn delegation(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    use DelegationStatus as D;
    use TaskEvent as E;
    let (at, version) = (recorded.at, recorded.offset);
    let mut set = |id: &DelegationId, status: D, more: Value| {
        let mut row = json!({"id": id, "status": status, "version": version, "updated_at": at});
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        if matches!(status, D::Completed | D::Failed | D::Cancelled) {
            row["ended_at"] = json!(at);
        }
        changes.update(&ASSIGNMENTS, row);
    };
    match event {
        E::DelegationQueued {
            delegation,
            agent,
            team,
            instructions,
            delegator,
            review,
            not_before,
            tries,
            round,
            reason,
            step,
            terms,
        } => {
            let row = json!({
                "id": delegation, "task_id": recorded.subject.id(), "agent_id": agent, "team_id": team, "status": D::Queued,
                "reason": reason, "instructions": instructions, "delegator": delegator, "review": review,
                "round": round, "tries": tries, "not_before": not_before, "step": step, "owner": null,
                "options": null, "proposal": null, "review_missing": null,
                "terms": terms, "queued_offset": version, "attempt_id": null, "evidence": [], "version": version,
                "updated_at": at,
            });
            if *reason == QueueReason::Created {
                let mut row = row;
                row["created_at"] = json!(at);
                changes.insert(&ASSIGNMENTS, row);
            } else {
                changes.update(&ASSIGNMENTS, row);
            }
            if let Some(step) = step {
                changes.update(&SESSIONS, json!({"id": step.attempt, "next_step": step}));
            }
        }
        E::AttemptStarted { delegation, attempt, agent, .. } => {
            set(delegation, D::Dispatching, json!({"attempt_id": attempt, "agent_id": agent}));
        }
        E::HandOffOffered { delegation, from, to, by, reason, expires_at, .. } => {
            let offer = json!({"from": from, "to": to, "by": by, "reason": reason, "expires_at": expires_at});
            let row = json!({"id": delegation, "hand_off": offer, "version": version, "updated_at": at});
            changes.update(&ASSIGNMENTS, row);
        }
        E::HandOffAccepted { delegation, .. }
        | E::HandOffDeclined { delegation, .. }
        | E::HandOffLapsed { delegation, .. } => {
            let row = json!({"id": delegation, "hand_off": null, "version": version, "updated_at": at});
            changes.update(&ASSIGNMENTS, row);
        }
        E::DelegationRunning { delegation } => set(delegation, D::Running, json!({})),
        E::DelegationAwaiting { delegation, .. } => set(delegation, D::Awaiting, json!({})),
        E::DelegationPaused { delegation } => set(delegation, D::Paused, json!({"attempt_id": null})),
        E::DelegationSubmitted { delegation, text, evidence, .. } => {
            set(delegation, D::Reviewing, json!({"output": text, "evidence": evidence}));
        }
        E::DelegationReviewing { delegation, .. } => set(delegation, D::Reviewing, json!({})),
        E::DelegationReviewed { delegation, reviewer, verdict, comment } => changes.insert(
            &REVIEWS,
            json!({
                "offset": version, "delegation_id": delegation, "reviewer": reviewer, "decided_by": decided_by(recorded), "verdict": verdict,
                "comment": comment, "at": at,
            }),
        ),
        E::DelegationEscalated { delegation, reason, options, owner, proposal, step, .. } => {
            let more =
                json!({"reason": reason, "options": options, "owner": owner, "proposal": proposal, "step": step});
            set(delegation, D::Escalated, more);
            if let Some(step) = step {
                changes.update(&SESSIONS, json!({"id": step.attempt, "next_step": step}));
            }
        }
        E::DelegationCancelling { delegation, reason } => set(delegation, D::Cancelling, json!({"reason": reason})),
        E::DelegationCompleted { delegation } => set(delegation, D::Completed, json!({})),
        E::DelegationCancelled { delegation, reason } => set(delegation, D::Cancelled, json!({"reason": reason})),
        E::DelegationFailed { delegation, reason } => set(delegation, D::Failed, json!({"reason": reason})),
        _ => {}
    }
}

fn attempt(changes: &mut Changes, recorded: &Recorded, event: &TaskEvent) {
    use TaskEvent as E;
    let (task, at) = (recorded.subject.id(), recorded.at);
    let mut ended = |id: &AttemptId, status: &str, more: Value| {
        let stopping = event.leaves_an_agent_at_work();
        let mut row = json!({"id": id, "status": status, "outcome": status, "ended_at": at, "stopping": stopping});
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        changes.update(&SESSIONS, row);
    };
    match event {
        E::AttemptStarted { attempt, delegation, agent, instance, fence, route } => changes.insert(
            &SESSIONS,
            json!({
                "id": attempt, "task_id": task, "delegation_id": delegation, "agent_id": agent,
                "instance_id": instance, "fence": fence, "status": "leased", "route": route, "input_tokens": 0,
                "output_tokens": 0, "cost_usd": 0.0, "stopping": false, "nudges": 0, "started_at": at,
            }),
        ),
        E::AttemptAccepted { attempt } => changes.update(&SESSIONS, json!({"id": attempt, "status": "active"})),
        E::AttemptNudged { attempt, nth, .. } => {
            changes.update(&SESSIONS, json!({"id": attempt, "nudges": nth}));
        }
        E::AttemptUsage { attempt, usage } => changes.update(
            &SESSIONS,
            json!({
                "id": attempt, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
                "cost_usd": usage.cost_usd,
            }),
        ),
        E::AttemptSucceeded { attempt } => ended(attempt, "succeeded", json!({})),
        E::AttemptFailed { attempt, class, message, .. } => {
            ended(attempt, "failed", json!({"failure_class": class, "failure_message": message}));
        }
        E::AttemptLost { attempt, class, message } => {
            ended(attempt, "lost", json!({"failure_class": class, "failure_message": message}));
        }
        E::AttemptCancelled { attempt, late_result } => {
            ended(attempt, "cancelled", json!({"late_result": late_result}));
        }
        E::AttemptSuperseded { attempt } => ended(attempt, "superseded", json!({})),
        E::AttemptReleased { attempt, late_result, .. } => {
            changes.update(&SESSIONS, json!({"id": attempt, "stopping": false, "late_result": late_result}));
        }
        E::InterruptOpened { interrupt, attempt, kind, prompt, details, expires_at, .. } => changes.insert(
            &INTERRUPTS,
            json!({
                "id": interrupt, "task_id": task, "delegation_id": null, "attempt_id": attempt, "kind": kind,
                "prompt": prompt, "details": details, "status": "open", "opened_at": at, "expires_at": expires_at,
                "reminders": 0, "reminded": [],
            }),
        ),
        E::DelegationAwaiting { delegation, interrupt } => {
            changes.update(&INTERRUPTS, json!({"id": interrupt, "delegation_id": delegation}));
        }
        E::InterruptResolved { interrupt, answer, by, policy } => changes.update(
            &INTERRUPTS,
            json!({
                "id": interrupt, "status": "answered", "answer": answer, "answered_by": by, "decided_by": decided_by(recorded),
                "closed_at": at,
                "policy": policy,
            }),
        ),
        E::InterruptDelivered { interrupt } => {
            changes.update(&INTERRUPTS, json!({"id": interrupt, "status": "delivered"}));
        }
        E::InterruptClosed { interrupt, policy, .. } => {
            let row = json!({"id": interrupt, "status": "closed", "closed_at": at, "policy": policy});
            changes.update(&INTERRUPTS, row);
        }
        E::ArtifactRecorded { artifact, attempt, kind, name, content, details } => changes.insert(
            &ARTIFACTS,
            json!({
                "attempt_id": attempt, "kind": kind, "name": name, "id": artifact, "task_id": task,
                "content": content, "details": details, "recorded_at": at,
            }),
        ),
        _ => {}
    }
}

/// Who decided, where it was on somebody's behalf.
fn decided_by(recorded: &Recorded) -> Option<Principal> {
    recorded.on_behalf_of.map(|_| recorded.actor)
}
