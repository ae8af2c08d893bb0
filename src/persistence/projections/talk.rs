//! Conversations, messages, reactions and read markers.

use serde_json::json;

use crate::domain::{
    conversation::{MessageKind, TurnPolicy},
    event::{ConversationEvent, Recorded},
};

use super::{
    rows::Changes,
    tables::{CONVERSATIONS, MESSAGES, PARTICIPANTS, REACTIONS, READ_MARKERS, TURNS},
};

pub(super) fn conversation(changes: &mut Changes, recorded: &Recorded, event: &ConversationEvent) {
    use ConversationEvent as E;
    let (id, at, offset) = (recorded.subject.id(), recorded.at, recorded.offset);
    match event {
        E::Created { kind, title, project, task, participants } => {
            changes.insert(
                &CONVERSATIONS,
                json!({
                    "id": id, "type": kind, "title": title, "project_id": project, "task_id": task,
                    "created_by": recorded.actor, "last_seq": 0, "turn_policy": TurnPolicy::default(), "branch_line": [],
                    "created_at": at, "updated_at": at,
                }),
            );
            joined(changes, recorded, participants);
        }
        E::Branched { kind, title, project, task, participants, parent, at: message, seq, line } => {
            changes.insert(
                &CONVERSATIONS,
                json!({
                    "id": id, "type": kind, "title": title, "project_id": project, "task_id": task,
                    "created_by": recorded.actor, "last_seq": seq, "turn_policy": TurnPolicy::default(),
                    "branch_parent_id": parent, "branch_message_id": message, "branch_seq": seq, "branch_line": line,
                    "created_at": at, "updated_at": at,
                }),
            );
            joined(changes, recorded, participants);
        }
        E::ParticipantAdded { participant } => {
            changes.insert(
                &PARTICIPANTS,
                json!({"conversation_id": id, "participant": participant, "joined_offset": offset, "left_offset": null}),
            );
        }
        E::ParticipantRemoved { participant } => {
            changes.update(
                &PARTICIPANTS,
                json!({"conversation_id": id, "participant": participant, "left_offset": offset}),
            );
        }
        E::Message { message, seq, author, parts, parent, mentions, kind } => {
            changes.insert(
                &MESSAGES,
                json!({
                    "id": message, "conversation_id": id, "seq": seq, "author": author, "kind": kind, "parts": parts,
                    "mentions": mentions, "parent_id": parent, "posted_offset": offset, "posted_at": at,
                }),
            );
            changes.update(&CONVERSATIONS, json!({"id": id, "last_seq": seq, "updated_at": at}));
        }
        E::MessageEdited { message, parts } => {
            changes.update(&MESSAGES, json!({"id": message, "parts": parts, "edited_at": at}));
        }
        // The words are gone from here, and from what was made of them; that there was a message stays.
        E::MessageDeleted { message, by: _ } => {
            let gone = json!({"id": message, "parts": [], "mentions": [], "merge": null, "deleted_at": at});
            changes.update(&MESSAGES, gone);
        }
        E::Reacted { message, who, emoji } => {
            changes.insert(
                &REACTIONS,
                json!({"message_id": message, "principal": who, "emoji": emoji, "conversation_id": id, "at": at}),
            );
        }
        E::Unreacted { message, who, emoji } => {
            changes.delete(&REACTIONS, json!({"message_id": message, "principal": who, "emoji": emoji}));
        }
        E::Read { reader, seq } => {
            changes.insert(&READ_MARKERS, json!({"conversation_id": id, "principal": reader, "seq": seq, "at": at}));
        }
        E::Merged { message, seq, author, branch, from, to, summary, decisions, artifacts, conflicts } => {
            let words = summary.as_ref().filter(|summary| !summary.trim().is_empty());
            let parts: Vec<_> = words.map(|words| json!({"type": "text", "text": words})).into_iter().collect();
            let merge = json!({
                "branch_id": branch, "from_seq": from, "to_seq": to, "decisions": decisions, "artifacts": artifacts,
                "conflicts": conflicts,
            });
            changes.insert(
                &MESSAGES,
                json!({
                    "id": message, "conversation_id": id, "seq": seq, "author": author, "kind": MessageKind::Merge,
                    "parts": parts, "mentions": [], "merge": merge, "posted_offset": offset, "posted_at": at,
                }),
            );
            changes.update(&CONVERSATIONS, json!({"id": id, "last_seq": seq, "updated_at": at}));
        }
        E::Sealed { into, entry } => {
            changes.update(
                &CONVERSATIONS,
                json!({"id": id, "merged_into": into, "merge_entry_id": entry, "updated_at": at}),
            );
        }
        E::Updated { title, turn_policy } => {
            let mut row = json!({"id": id, "updated_at": at});
            if let Some(title) = title {
                row["title"] = json!(title);
            }
            if let Some(policy) = turn_policy {
                row["turn_policy"] = json!(policy);
            }
            changes.update(&CONVERSATIONS, row);
        }
        E::RolledBack { .. } => changes.update(&CONVERSATIONS, json!({"id": id, "updated_at": at})),
        E::TurnQueued { .. } | E::TurnStarted { .. } | E::TurnStopping { .. } | E::TurnEnded { .. } => {
            turn(changes, recorded, event);
        }
    }
}

fn turn(changes: &mut Changes, recorded: &Recorded, event: &ConversationEvent) {
    use ConversationEvent as E;
    let at = recorded.at;
    match event {
        E::TurnQueued { turn, agent, message, asker, expires_at } => changes.insert(
            &TURNS,
            json!({
                "id": turn, "conversation_id": recorded.subject.id(), "agent_id": agent, "message_id": message,
                "asker": asker, "status": "queued", "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0,
                "queued_at": at, "expires_at": expires_at,
            }),
        ),
        E::TurnStarted { turn, instance, .. } => {
            let row = json!({"id": turn, "status": "running", "instance_id": instance, "started_at": at});
            changes.update(&TURNS, row);
        }
        E::TurnStopping { turn, .. } => changes.update(&TURNS, json!({"id": turn, "status": "stopping"})),
        E::TurnEnded { turn, outcome, answer, class, reason, usage, .. } => changes.update(
            &TURNS,
            json!({
                "id": turn, "status": outcome, "answer_id": answer, "failure_class": class, "reason": reason,
                "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": usage.cost_usd,
                "ended_at": at,
            }),
        ),
        _ => {}
    }
}

fn joined<'a>(
    changes: &mut Changes,
    recorded: &Recorded,
    participants: impl IntoIterator<Item = &'a crate::domain::principal::Principal>,
) {
    let (id, offset) = (recorded.subject.id(), recorded.offset);
    for participant in participants {
        changes
            .insert(&PARTICIPANTS, json!({"conversation_id": id, "participant": participant, "joined_offset": offset}));
    }
}
