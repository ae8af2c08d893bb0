//! What time alone brings: reminders, questions that expire, and a queue that takes too long. When it is due, the
//! workspace says (see `Schedule::due`).

use serde_json::{Value, json};

use crate::domain::{
    event::TaskEvent,
    ids::{DelegationId, InterruptId},
    run::InterruptKind,
    schema,
    text::{scrubbed, storable},
};

use super::{
    delegation::{REASON_LENGTH_MAX, escalated},
    *,
};

/// Questions that expired and are remembered, so that a late answer hears why it comes too late.
const EXPIRED_MAX: usize = 256;
const LATE: &str = "nobody answered in time";

impl Task {
    pub(super) fn remind(
        &self,
        id: DelegationId,
        interrupt: Option<InterruptId>,
        matter: Matter,
        nth: u32,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        // Whom else it concerns, the workspace knows.
        let to = self.owner(open).into_iter().collect();
        Ok(vec![TaskEvent::ReminderSent { delegation: id, interrupt, matter, nth, to }])
    }

    pub(super) fn say_overdue(
        &self,
        cx: Circumstance,
        id: DelegationId,
        reason: String,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        if open.status != DelegationStatus::Queued {
            return Err(Rejection::Busy("the delegation is not in the queue"));
        }
        let reason = storable(&reason, REASON_LENGTH_MAX);
        Ok(vec![TaskEvent::DelegationOverdue { delegation: id, owner: self.owner(open), reason, since: cx.now }])
    }

    pub(super) fn expire(
        &self,
        cx: Circumstance,
        id: DelegationId,
        interrupt: InterruptId,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        let asked = open.interrupts.get(&interrupt).ok_or(Rejection::NotFound("interrupt"))?;
        if asked.answer.is_some() {
            return Ok(vec![]);
        }
        let Some(policy) = open.terms.expiry.clone() else {
            return Err(Rejection::Busy("questions of this delegation never expire"));
        };
        if asked.expires_at.is_none_or(|time| time > cx.now) {
            return Err(Rejection::Busy("the question has not expired yet"));
        }
        let fits = |answer: &Value| asked.schema.as_ref().is_none_or(|schema| schema::check(schema, answer).is_ok());
        let answer = match &policy.then {
            Lapse::Deny if asked.kind == InterruptKind::Approval => Some(json!({"approve": false, "message": LATE})),
            Lapse::Deny => Some(json!(format!("No: {LATE}."))),
            Lapse::Answer(answer) => Some(answer.clone()),
            Lapse::Escalate => None,
        };
        let Some(answer) = answer.filter(fits) else {
            return Ok(self.given_up(open, interrupt, policy));
        };
        let policy = Some(policy);
        let mut events = vec![TaskEvent::InterruptResolved { interrupt, answer: scrubbed(answer), by: cx.by, policy }];
        events.extend(self.going_on_without(open, interrupt));
        Ok(events)
    }

    /// Nobody answered: the attempt is fenced off, and a person decides.
    fn given_up(&self, open: &Delegation, gone: InterruptId, decided: Expiry) -> Vec<TaskEvent> {
        let mut events = self.superseded(LATE);
        for event in &mut events {
            if let TaskEvent::InterruptClosed { interrupt, policy, .. } = event
                && *interrupt == gone
            {
                *policy = Some(decided.clone());
            }
        }
        let mut escalated = escalated(open.id, format!("{LATE} what the agent asked"));
        if let TaskEvent::DelegationEscalated { owner, evidence, .. } = &mut escalated {
            (*owner, *evidence) = (self.owner(open), open.evidence.clone());
        }
        events.push(escalated);
        let (from, to) = (TaskStatus::InProgress, TaskStatus::AwaitingInput);
        if self.status == to {
            events.push(TaskEvent::Transitioned { from, to, reason: "a person has to decide".into() });
        }
        events
    }

    pub(super) fn note_expired(&mut self, interrupt: InterruptId) {
        self.expired.insert(interrupt);
        if self.expired.len() > EXPIRED_MAX {
            self.expired.pop_first();
        }
    }

    /// Tells whether a question was decided because nobody answered in time.
    pub(super) fn has_expired(&self, interrupt: InterruptId) -> bool {
        self.expired.contains(&interrupt)
    }
}
