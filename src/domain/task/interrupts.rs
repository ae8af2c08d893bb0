//! Questions of an attempt: asked once, answered once by a person, gone when the attempt is.

use serde_json::Value;

use crate::domain::{
    event::TaskEvent,
    ids::{AttemptId, DelegationId, InterruptId},
    principal::Principal,
    rejection::Rejection,
    right::Stakes,
    run::InterruptKind,
    schema,
    text::{scrubbed, storable},
};

use super::{attempt::bounded, ladder::fnv, *};

/// The longest question that is kept.
const PROMPT_LENGTH_MAX: usize = 65_536;

/// A question and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interrupt {
    /// The driver's name for it.
    pub key: String,
    /// What kind of answer is needed.
    pub kind: InterruptKind,
    /// The attempt that asked.
    pub attempt: AttemptId,
    /// A number that stands for what is asked: the same again is the same question.
    pub about: u64,
    /// What an answer has to look like, where the driver says so.
    pub schema: Option<Value>,
    /// The instance waits for it no longer.
    pub lapsed: bool,
    /// What is at stake, where it says so.
    #[serde(default)]
    pub stakes: Stakes,
    /// When it expires, where that was agreed.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The answer, once there is one.
    #[serde(
        default,
        deserialize_with = "crate::domain::present::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub answer: Option<Value>,
}

impl Task {
    pub(super) fn asked(&self, open: &Delegation, opened: TaskEvent) -> Vec<TaskEvent> {
        let TaskEvent::InterruptOpened { interrupt, ref key, .. } = opened else { return vec![] };
        // An answered question that comes in again, as after a resumed stream, would stop the work for ever.
        if open.asked.contains_key(key) || open.asked.values().any(|known| *known == interrupt) {
            return vec![];
        }
        // Asked again after it lapsed, it is the same question, and its answer may be there already.
        if let TaskEvent::InterruptOpened { kind, ref prompt, ref details, .. } = opened {
            let same = about(kind, prompt, details);
            let known = open.interrupts.iter().find(|(_, asked)| asked.lapsed && asked.about == same);
            if let Some((known, _)) = known {
                return vec![TaskEvent::InterruptRenewed { interrupt: *known, key: key.clone() }];
            }
        }
        let mut events = vec![];
        if open.status == DelegationStatus::Dispatching {
            events.extend(self.accepted(open, open.attempt.map_or(AttemptId(Default::default()), |holder| holder.id)));
        }
        events.push(opened);
        events.push(TaskEvent::DelegationAwaiting { delegation: open.id, interrupt });
        let from = if events.len() > 2 { TaskStatus::InProgress } else { self.status };
        if from == TaskStatus::InProgress {
            let reason = "an agent asks".to_owned();
            events.push(TaskEvent::Transitioned { from, to: TaskStatus::AwaitingInput, reason });
        }
        events
    }

    pub(super) fn answer(
        &self,
        cx: Circumstance,
        id: DelegationId,
        interrupt: InterruptId,
        answer: Value,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let open = self.open_delegation(id)?;
        if self.has_expired(interrupt) {
            return Err(Rejection::Busy(
                "nobody answered in time: what was agreed for that case has decided the question",
            ));
        }
        let asked = open.interrupts.get(&interrupt).ok_or(Rejection::NotFound("interrupt"))?;
        if asked.answer.is_some() {
            return Err(Rejection::Busy("the question is answered already"));
        }
        if !may_answer(cx.by) {
            return Err(Rejection::Forbidden("only a person can answer an agent's question"));
        }
        if let Some(schema) = &asked.schema {
            let wrong = |message| Rejection::Invalid { path: "answer", message };
            schema::check(schema, &answer).map_err(wrong)?;
        }
        let mut events =
            vec![TaskEvent::InterruptResolved { interrupt, answer: scrubbed(answer), by: cx.by, policy: None }];
        events.extend(self.going_on_without(open, interrupt));
        Ok(events)
    }

    pub(super) fn withdrawn(&self, open: &Delegation, key: &str) -> Vec<TaskEvent> {
        let asked = open.interrupts.iter().find(|(_, asked)| asked.key == key && asked.answer.is_none());
        let Some((interrupt, asked)) = asked else { return vec![] };
        // At the instance an approval runs out after a while; the person's time does not.
        if asked.kind == InterruptKind::Approval {
            return if asked.lapsed { vec![] } else { vec![TaskEvent::InterruptLapsed { interrupt: *interrupt }] };
        }
        let mut events = vec![TaskEvent::InterruptClosed {
            interrupt: *interrupt,
            reason: "withdrawn by the agent".into(),
            policy: None,
        }];
        events.extend(self.going_on_without(open, *interrupt));
        events
    }

    /// The work goes on when no other question is open.
    pub(super) fn going_on_without(&self, open: &Delegation, gone: InterruptId) -> Vec<TaskEvent> {
        let others = open.interrupts.iter().any(|(id, asked)| *id != gone && asked.answer.is_none());
        if others || open.status != DelegationStatus::Awaiting {
            return vec![];
        }
        let mut events = vec![TaskEvent::DelegationRunning { delegation: open.id }];
        events.extend(self.brought_to(TaskStatus::InProgress, "the questions are answered"));
        events
    }
}

/// Returns a number that stands for what is asked.
pub(super) fn about(kind: InterruptKind, prompt: &str, details: &Value) -> u64 {
    fnv(format!("{kind:?}\n{prompt}\n{details}").as_bytes())
}

/// A question, as it is kept.
pub(super) fn question(
    interrupt: InterruptId,
    attempt: AttemptId,
    key: &str,
    kind: InterruptKind,
    prompt: &str,
    details: Value,
    expires_at: Option<DateTime<Utc>>,
) -> TaskEvent {
    let (key, prompt, details) = (bounded(key), storable(prompt, PROMPT_LENGTH_MAX), scrubbed(details));
    TaskEvent::InterruptOpened { interrupt, attempt, key, kind, prompt, details, expires_at }
}

/// Who may close a question is everybody but the agent that asked.
fn may_answer(by: Principal) -> bool {
    by.user().is_some()
}
