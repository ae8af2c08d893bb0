//! Decisions of an agent on a person's behalf. Whether it has the right to, the workspace knows (see `must_have_right`);
//! here is what no right is good for: its own work, and work that it delegated itself.

use crate::domain::{
    event::TaskEvent,
    ids::{DelegationId, InterruptId, RightId, UserId},
    principal::Principal,
    right::{Decides, Stakes},
    text::Prose,
};

use super::*;

/// What is decided.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A question.
    Answer {
        /// Which.
        interrupt: InterruptId,
        /// How.
        answer: serde_json::Value,
    },
    /// A review.
    Review {
        /// How.
        verdict: Verdict,
        /// Why.
        comment: Prose,
    },
}

impl Task {
    pub(super) fn decide_for(
        &self,
        cx: Circumstance,
        id: DelegationId,
        right: RightId,
        grantor: UserId,
        choice: Choice,
    ) -> Result<Vec<TaskEvent>, Rejection> {
        let Principal::Agent(agent) = cx.by else {
            return Err(Rejection::Forbidden("only agents decide on somebody's behalf: decide it yourself"));
        };
        let open = self.open_delegation(id)?;
        if open.delegator == cx.by {
            return Err(Rejection::Forbidden("an agent never decides about work that it delegated itself"));
        }
        let tried = self.attempts.values().any(|known| known.delegation == id && known.agent == agent);
        if tried || open.agent == Some(agent) {
            return Err(Rejection::Forbidden("an agent never decides about its own work"));
        }
        // What the person could not do, nobody can do for them.
        let person = Circumstance { by: Principal::User(grantor), now: cx.now };
        let (interrupt, decides, stakes, mut events) = match choice {
            Choice::Answer { interrupt, answer } => {
                let events = self.answer(person, id, interrupt, answer)?;
                let asked = open.interrupts.get(&interrupt).ok_or(Rejection::NotFound("interrupt"))?;
                let decides = Decides::of(asked.kind).ok_or(Rejection::Forbidden("only a person gives credentials"))?;
                (Some(interrupt), decides, asked.stakes, events)
            }
            Choice::Review { verdict, comment } => {
                let events = self.review(person, id, verdict, comment)?;
                (None, Decides::Review, Stakes::default(), events)
            }
        };
        if events.is_empty() {
            return Ok(events);
        }
        for event in &mut events {
            if let TaskEvent::DelegationQueued { tries, .. } = event {
                // Only a person's own say gives tries back.
                if self.tries >= TRIES_MAX {
                    return Err(Rejection::Forbidden("the task has used up its tries: a person has to let it go on"));
                }
                *tries = self.tries;
            }
        }
        let made = TaskEvent::DecisionMade {
            delegation: id,
            interrupt,
            right,
            agent,
            on_behalf_of: Principal::User(grantor),
            decides,
            stakes,
            nth: 0,
        };
        Ok(std::iter::once(made).chain(events).collect())
    }
}
