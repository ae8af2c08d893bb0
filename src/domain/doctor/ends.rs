//! What has to be true at the end of a log: nothing waits in a circle, and everything is moved on by something.

use std::collections::BTreeMap;

use crate::domain::{ids::*, task::TaskStatus, workspace::Gate};

use super::ledger::{Card, Doctor};

impl Doctor {
    pub(super) fn look_at_gates(&mut self) {
        let closing = |card: &Card| -> Vec<TaskId> {
            let gates = card.gates.iter().filter(|(_, gate)| matches!(gate, Gate::Blocks | Gate::ReviewReadyOk));
            gates.map(|(id, _)| *id).collect()
        };
        let mut left: BTreeMap<TaskId, Vec<TaskId>> =
            self.tasks.iter().map(|(id, card)| (*id, closing(card))).collect();
        // What waits for nothing that is left is taken away, until nothing changes: a rest is a circle.
        loop {
            let free: Vec<TaskId> = left
                .iter()
                .filter(|(_, gates)| !gates.iter().any(|id| left.contains_key(id)))
                .map(|(id, _)| *id)
                .collect();
            if free.is_empty() {
                break;
            }
            for id in free {
                left.remove(&id);
            }
        }
        if let Some(id) = left.keys().next() {
            self.found("I6", 0, format!("task {id} and {} other(s) wait in a circle", left.len() - 1));
        }
        let stuck: Vec<TaskId> =
            self.tasks.iter().filter(|(_, card)| card.status == TaskStatus::Blocked).map(|(id, _)| *id).collect();
        let stuck: Vec<TaskId> = stuck.into_iter().filter(|id| self.gates_are_open(*id)).collect();
        for id in stuck {
            self.found("I28", 0, format!("task {id} is blocked and every gate is open"));
        }
    }

    pub(super) fn look_at_delegations(&mut self) {
        let open = |attempt: AttemptId| self.questions.values().any(|(of, open)| *of == attempt && *open);
        let mut wrong = vec![];
        for (id, mandate) in &self.delegations {
            let asked = mandate.live.is_some_and(open);
            let fine = match mandate.status {
                "queued" | "paused" | "reviewing" | "escalated" => mandate.live.is_none(),
                "dispatching" | "running" | "cancelling" => mandate.live.is_some(),
                "awaiting" => mandate.live.is_some() && asked,
                _ => mandate.live.is_none(),
            };
            if !fine {
                wrong.push(("I9", format!("delegation {id} is {} and nothing moves it on", mandate.status)));
            }
        }
        for (id, (attempt, _)) in self.questions.iter().filter(|(_, (_, open))| *open) {
            if !self.attempts.get(attempt).is_some_and(|known| known.live) {
                wrong.push(("I12", format!("question {id} is open and its attempt is over")));
            }
        }
        for (invariant, detail) in wrong {
            self.found(invariant, 0, detail);
        }
    }
}
