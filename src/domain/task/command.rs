//! What can be asked of a task, and who decides about it.

use std::collections::BTreeSet;

use crate::domain::{
    checkpoint::TaskState, event::TaskEvent, ids::*, principal::Principal, rejection::Rejection, text::Prose,
    workspace::Gate,
};

use super::*;

/// What can be asked of a task.
#[derive(Clone, Debug)]
pub enum TaskCommand {
    /// Make it.
    Create(NewTask),
    /// Change fields.
    Update(TaskChange),
    /// Move it to another state by hand.
    Transition(TaskStatus),
    /// Move its card within a column; and to another state, where the column is another.
    Move {
        /// The new state, if it changes.
        status: Option<TaskStatus>,
        /// The new sort key.
        rank: String,
    },
    /// Let it wait for another task.
    AddDependency {
        /// For which.
        depends_on: TaskId,
        /// How.
        gate: Gate,
    },
    /// No longer let it wait.
    RemoveDependency {
        /// For which.
        depends_on: TaskId,
    },
    /// Remember what it is like now.
    Checkpoint(NewCheckpoint),
    /// Go back to what it was like.
    RollBack {
        /// To which checkpoint.
        to: CheckpointId,
        /// What it was like then.
        state: TaskState,
        /// What it is like now.
        before: NewCheckpoint,
    },
    /// Give it to an agent.
    Delegate(NewDelegation),
    /// Stop the delegation.
    Cancel {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// Stop the delegation for now.
    Pause(DelegationId),
    /// Queue a paused, escalated or failed delegation again.
    Resume(DelegationId),
    /// Give the open delegation to another agent.
    Reassign {
        /// Which.
        delegation: DelegationId,
        /// To whom.
        agent: AgentId,
    },
    /// Split it into parts, or end one.
    FanOut(FanOut),
    /// Offer the work to another agent, or answer such an offer.
    HandOff(HandOff),
    /// Answer a question.
    Answer {
        /// Of which delegation.
        delegation: DelegationId,
        /// Which question.
        interrupt: InterruptId,
        /// How.
        answer: serde_json::Value,
    },
    /// Approve the work, or not.
    Review {
        /// Of which delegation.
        delegation: DelegationId,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: Prose,
    },
    /// Name other approvers.
    SetApprovers {
        /// Of which delegation.
        delegation: DelegationId,
        /// Who.
        approvers: BTreeSet<Principal>,
    },
    /// Decide on a person's behalf.
    Decide {
        /// Of which delegation.
        delegation: DelegationId,
        /// With which right.
        right: RightId,
        /// On whose behalf.
        grantor: UserId,
        /// What.
        choice: Choice,
    },
    /// Tell those who can decide once more that nobody has.
    Remind {
        /// Of which delegation.
        delegation: DelegationId,
        /// Of which question, where it is one.
        interrupt: Option<InterruptId>,
        /// What of.
        matter: Matter,
        /// The how manyth.
        nth: u32,
    },
    /// Do what was agreed for a question that nobody answers.
    Expire {
        /// Of which delegation.
        delegation: DelegationId,
        /// Which question.
        interrupt: InterruptId,
    },
    /// Say that the delegation has been in the queue for too long.
    SayOverdue {
        /// Which.
        delegation: DelegationId,
        /// What it waits for.
        reason: String,
    },
    /// Hand the queued delegation to an instance.
    Dispatch {
        /// Which.
        delegation: DelegationId,
        /// The new attempt.
        attempt: AttemptId,
        /// By whom.
        agent: AgentId,
        /// Where.
        instance: InstanceId,
        /// Why there.
        route: Route,
    },
    /// Something that an attempt reports.
    Report {
        /// Which attempt.
        attempt: AttemptId,
        /// The fence that it was started with.
        fence: u64,
        /// What.
        report: Report,
    },
    /// Keep what an attempt that no longer counts still made.
    Archive {
        /// Which attempt.
        attempt: AttemptId,
        /// What it made.
        made: Made,
    },
    /// The agent of an attempt that no longer counts has stopped, or cannot be made to.
    Release {
        /// Which attempt.
        attempt: AttemptId,
        /// Whether it is known to have stopped.
        stopped: bool,
        /// What it still handed in.
        late_result: Option<Prose>,
    },
}

impl Task {
    /// Decides a command.
    pub fn decide(&self, id: TaskId, cx: Circumstance, command: TaskCommand) -> Result<Vec<TaskEvent>, Rejection> {
        use TaskCommand as C;
        if let C::Create(new) = command {
            return self.create(id, new);
        }
        if !self.exists {
            return Err(Rejection::NotFound("task"));
        }
        match command {
            C::Create(_) => unreachable!("handled above"),
            C::Update(change) => self.update(change),
            C::Transition(to) => self.transition(to),
            C::Move { status, rank } => self.move_card(status, rank),
            C::AddDependency { depends_on, gate } => Ok(vec![TaskEvent::DependencyAdded { depends_on, gate }]),
            C::RemoveDependency { depends_on } => Ok(vec![TaskEvent::DependencyRemoved { depends_on }]),
            C::Checkpoint(new) => self.checkpoint(cx, new),
            C::RollBack { to, state, before } => self.roll_back(cx, to, state, before),
            C::Delegate(new) => self.delegate(cx, new),
            C::Cancel { delegation, reason } => self.cancel(delegation, reason),
            C::Pause(delegation) => self.pause(delegation),
            C::Resume(delegation) => self.resume(cx, delegation),
            C::Reassign { delegation, agent } => self.reassign(cx, delegation, agent),
            C::FanOut(command) => self.fan_out(cx, command),
            C::HandOff(command) => self.hand_off(cx, command),
            C::Answer { delegation, interrupt, answer } => self.answer(cx, delegation, interrupt, answer),
            C::Review { delegation, verdict, comment } => self.review(cx, delegation, verdict, comment),
            C::SetApprovers { delegation, approvers } => self.set_approvers(cx, delegation, approvers),
            C::Decide { delegation, right, grantor, choice } => self.decide_for(cx, delegation, right, grantor, choice),
            C::Remind { delegation, interrupt, matter, nth } => self.remind(delegation, interrupt, matter, nth),
            C::Expire { delegation, interrupt } => self.expire(cx, delegation, interrupt),
            C::SayOverdue { delegation, reason } => self.say_overdue(cx, delegation, reason),
            C::Dispatch { delegation, attempt, agent, instance, route } => {
                self.dispatch(cx, delegation, attempt, agent, instance, route)
            }
            C::Report { attempt, fence, report } => self.report(cx, attempt, fence, report),
            C::Archive { attempt, made } => self.archive(attempt, made),
            C::Release { attempt, stopped, late_result } => self.release(attempt, stopped, late_result),
        }
    }
}
