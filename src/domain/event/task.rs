//! Everything that can happen to a task: to itself, its delegations, its attempts, their questions and artifacts.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    checkpoint::{CheckpointReason, Manifest, TalkMark, TaskState},
    claim::Claims,
    failure::{Blame, FailureClass},
    ids::*,
    principal::Principal,
    right::{Decides, Stakes},
    run::{InterruptKind, Usage},
    task::{
        ChildPolicy, Expiry, Join, JoinOutcome, Matter, Part, PartResult, Priority, QueueReason, Review, Route,
        Standstill, Step, TaskStatus, Terms, Verdict,
    },
    text::{Label, Prose, Title},
    workspace::Gate,
};

use super::ArtifactName;

/// What happens to a task, its delegations and its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum TaskEvent {
    /// The task was made.
    #[serde(rename = "task:created")]
    Created {
        /// Where it belongs.
        project: ProjectId,
        /// The `12` of `KEY-12`.
        number: u64,
        /// `KEY-12`.
        identifier: String,
        /// What is to be done, in a line.
        title: Title,
        /// What is to be done.
        description: Prose,
        /// backlog, ready or blocked.
        status: TaskStatus,
        /// How urgent.
        priority: Priority,
        /// Who answers for it.
        assignee: Option<Principal>,
        /// The task that it is a part of; structure only, never a gate.
        parent: Option<TaskId>,
        /// What it waits for.
        depends_on: BTreeSet<TaskId>,
        /// The paths that its agent alone may write to while it works.
        #[serde(default, skip_serializing_if = "Claims::is_empty")]
        claims: Claims,
        /// What whoever does it has to be good at.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        skills: BTreeSet<Label>,
    },
    /// Fields changed; `None` means unchanged.
    #[serde(rename = "task:updated")]
    Updated {
        /// The new title.
        title: Option<Title>,
        /// The new description.
        description: Option<Prose>,
        /// The new priority.
        priority: Option<Priority>,
        /// The new assignee; `Some(None)` takes it away.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        assignee: Option<Option<Principal>>,
        /// The new claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claims: Option<Claims>,
        /// What whoever does it has to be good at from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skills: Option<BTreeSet<Label>>,
    },
    /// The task went from one state to another.
    #[serde(rename = "task:transitioned")]
    Transitioned {
        /// From.
        from: TaskStatus,
        /// To.
        to: TaskStatus,
        /// Why, in one word or line.
        reason: String,
    },
    /// The last gate opened: the task can be started. Once per unblocking.
    #[serde(rename = "task:ready")]
    Ready {
        /// The task whose completion or removal opened the last gate.
        by: Option<TaskId>,
    },
    /// The card moved within its column.
    #[serde(rename = "task:moved")]
    Moved {
        /// Sort key in the column.
        rank: String,
    },
    /// The task waits for another one.
    #[serde(rename = "task:dependency_added")]
    DependencyAdded {
        /// For which.
        depends_on: TaskId,
        /// How.
        gate: Gate,
    },
    /// The task no longer waits for another one.
    #[serde(rename = "task:dependency_removed")]
    DependencyRemoved {
        /// For which.
        depends_on: TaskId,
    },
    /// The task has a checkpoint that it can go back to.
    #[serde(rename = "task:checkpointed")]
    Checkpointed {
        /// Which.
        checkpoint: CheckpointId,
        /// Its name, where somebody gave it one.
        name: Option<Title>,
        /// Why it was made.
        reason: CheckpointReason,
        /// When.
        made_at: DateTime<Utc>,
        /// What it is made of.
        manifest: Box<Manifest>,
        /// Older ones that are no longer kept; what they were of stays in the log.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        dropped: BTreeSet<CheckpointId>,
    },
    /// The task's fields and results are again what they were at a checkpoint. Nothing is deleted.
    #[serde(rename = "task:rolled_back")]
    RolledBack {
        /// To which.
        checkpoint: CheckpointId,
        /// The checkpoint that was made right before this: going back to it undoes it.
        before: CheckpointId,
        /// The offset that it went back to: what came between it and this event is not in force.
        at: u64,
        /// What is again.
        state: TaskState,
        /// The conversations about it, as far as they are in force.
        conversations: Vec<TalkMark>,
    },
    /// The running attempt moved on.
    #[serde(rename = "task:progress")]
    Progress {
        /// Which attempt.
        attempt: AttemptId,
        /// 0–100 from evidence, or unknown.
        percent: Option<u8>,
        /// One word.
        phase: String,
        /// One line for people.
        message: Option<String>,
    },

    /// A delegation waits for a free slot.
    #[serde(rename = "delegation:queued")]
    DelegationQueued {
        /// Which.
        delegation: DelegationId,
        /// To whom; `None` lets Link choose when a slot is free.
        agent: Option<AgentId>,
        /// The team that Link chooses from, where it is for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        team: Option<TeamId>,
        /// What to do beyond the task's own words.
        instructions: Prose,
        /// Who asked for it.
        delegator: Principal,
        /// Who has to approve.
        review: Review,
        /// Not to be dispatched before this time.
        not_before: Option<DateTime<Utc>>,
        /// Attempts at the task since a person last had a say.
        tries: u32,
        /// Rounds of requested changes so far.
        round: u32,
        /// Why it is in the queue.
        reason: QueueReason,
        /// After a failure: what is done about it, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Box<Step>>,
        /// What else was agreed.
        #[serde(default, skip_serializing_if = "Terms::are_usual")]
        terms: Terms,
    },
    /// It has waited in the queue for longer than it should. It stays there.
    #[serde(rename = "delegation:overdue")]
    DelegationOverdue {
        /// Which.
        delegation: DelegationId,
        /// Who is asked first: who delegated, or who answers for the task.
        owner: Option<Principal>,
        /// What it waits for.
        reason: String,
        /// Since when it waits.
        since: DateTime<Utc>,
    },
    /// Nobody has decided yet: those who can were told once more.
    #[serde(rename = "reminder:sent")]
    ReminderSent {
        /// Of which delegation.
        delegation: DelegationId,
        /// Of which question, where it is one.
        interrupt: Option<InterruptId>,
        /// What of.
        matter: Matter,
        /// The how manyth: 1, 2, 3 …
        nth: u32,
        /// Who was told.
        to: BTreeSet<Principal>,
    },
    /// An agent decides on a person's behalf; what it decides follows in the same commit.
    #[serde(rename = "decision:made")]
    DecisionMade {
        /// About which delegation.
        delegation: DelegationId,
        /// About which question, where it is one.
        interrupt: Option<InterruptId>,
        /// With which right.
        right: RightId,
        /// Who decides.
        agent: AgentId,
        /// On whose behalf.
        on_behalf_of: Principal,
        /// What kind of decision it is.
        decides: Decides,
        /// What was at stake, where the question said so.
        stakes: Stakes,
        /// The how manyth with this right: 1, 2, 3 …
        nth: u32,
    },
    /// The agent works on it.
    #[serde(rename = "delegation:running")]
    DelegationRunning {
        /// Which.
        delegation: DelegationId,
    },
    /// An open question stops it.
    #[serde(rename = "delegation:awaiting")]
    DelegationAwaiting {
        /// Which.
        delegation: DelegationId,
        /// The question.
        interrupt: InterruptId,
    },
    /// A person stopped it for now; it goes back to the queue when resumed.
    #[serde(rename = "delegation:paused")]
    DelegationPaused {
        /// Which.
        delegation: DelegationId,
    },
    /// The agent handed in its work.
    #[serde(rename = "delegation:submitted")]
    DelegationSubmitted {
        /// Which.
        delegation: DelegationId,
        /// By which attempt.
        attempt: AttemptId,
        /// The agent's final words.
        text: Prose,
        /// What proves the work.
        evidence: Vec<ArtifactId>,
    },
    /// Reviewers have to decide.
    #[serde(rename = "delegation:reviewing")]
    DelegationReviewing {
        /// Which.
        delegation: DelegationId,
        /// Approvals that are needed.
        required: u8,
    },
    /// A reviewer decided.
    #[serde(rename = "delegation:reviewed")]
    DelegationReviewed {
        /// Which.
        delegation: DelegationId,
        /// Who.
        reviewer: Principal,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: Prose,
    },
    /// Those who may approve are too few: somebody has to name others.
    #[serde(rename = "delegation:review_stuck")]
    DelegationReviewStuck {
        /// Which.
        delegation: DelegationId,
        /// How many approvals cannot come together.
        missing: u8,
        /// Who is asked first: who delegated.
        owner: Option<Principal>,
    },
    /// Other people have to approve.
    #[serde(rename = "delegation:approvers_set")]
    DelegationApproversSet {
        /// Which.
        delegation: DelegationId,
        /// Who has to approve from now on.
        review: Review,
        /// Approvals that were given and still count.
        approvals: Vec<Principal>,
    },
    /// The work is accepted.
    #[serde(rename = "delegation:completed")]
    DelegationCompleted {
        /// Which.
        delegation: DelegationId,
    },
    /// An attempt failed; Link looks for the next step.
    #[serde(rename = "delegation:recovering")]
    DelegationRecovering {
        /// Which.
        delegation: DelegationId,
        /// Why.
        class: FailureClass,
        /// Whom that is charged to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blame: Option<Blame>,
        /// What the failure has in common with others of its kind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
    },
    /// A person has to decide how to go on.
    #[serde(rename = "delegation:escalated")]
    DelegationEscalated {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
        /// What can be done.
        options: Vec<String>,
        /// Who is asked first: who delegated, or who answers for the task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Principal>,
        /// What the attempts have produced.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<ArtifactId>,
        /// What Link would do, for the person to agree to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proposal: Option<String>,
        /// The failure, and the steps that did not help.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Box<Step>>,
    },
    /// The running attempt is being stopped.
    #[serde(rename = "delegation:cancelling")]
    DelegationCancelling {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// It ended because someone wanted it to.
    #[serde(rename = "delegation:cancelled")]
    DelegationCancelled {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// It ended without a result.
    #[serde(rename = "delegation:failed")]
    DelegationFailed {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },

    /// Work that an agent does is offered to another one, which has until then to answer. The first goes on meanwhile.
    #[serde(rename = "handoff:offered")]
    HandOffOffered {
        /// Of which delegation.
        delegation: DelegationId,
        /// The attempt that runs.
        attempt: AttemptId,
        /// Whose attempt it is.
        from: AgentId,
        /// Who is asked.
        to: AgentId,
        /// Who wants it.
        by: Principal,
        /// Why, and what the other one should know.
        reason: Prose,
        /// After this the offer is void.
        expires_at: DateTime<Utc>,
    },
    /// The other agent has the work now.
    #[serde(rename = "handoff:accepted")]
    HandOffAccepted {
        /// Of which delegation.
        delegation: DelegationId,
        /// Who had it.
        from: AgentId,
        /// Who has it.
        to: AgentId,
    },
    /// The other agent does not take it.
    #[serde(rename = "handoff:declined")]
    HandOffDeclined {
        /// Of which delegation.
        delegation: DelegationId,
        /// Who offered it.
        from: AgentId,
        /// Who was asked.
        to: AgentId,
        /// Why not.
        reason: String,
    },
    /// The offer is void: nobody answered in time, or something else was decided.
    #[serde(rename = "handoff:lapsed")]
    HandOffLapsed {
        /// Of which delegation.
        delegation: DelegationId,
        /// Who offered it.
        from: AgentId,
        /// Who was asked.
        to: AgentId,
        /// Why.
        reason: String,
    },

    /// The task was split into parts, each a task of its own; it waits until they are joined.
    #[serde(rename = "fanout:opened")]
    FanOutOpened {
        /// Which.
        fan_out: FanOutId,
        /// The parts.
        parts: Vec<Part>,
        /// How many of them are enough.
        join: Join,
        /// What becomes of those that are open when the join is decided.
        policy: ChildPolicy,
        /// Who has to approve each part.
        review: Review,
        /// The person who answers for it.
        owner: Option<Principal>,
        /// Who split it.
        by: Principal,
        /// When the join is decided with what there is.
        expires_at: Option<DateTime<Utc>>,
    },
    /// The join of the parts is decided: the task can go on with what came of them.
    #[serde(rename = "fanout:joined")]
    FanOutJoined {
        /// Which.
        fan_out: FanOutId,
        /// How.
        outcome: JoinOutcome,
        /// The person who answers for it.
        owner: Option<Principal>,
        /// What came of each part, and from whom.
        parts: Vec<PartResult>,
    },

    /// An attempt holds the lease on the delegation.
    #[serde(rename = "attempt:started")]
    AttemptStarted {
        /// Which.
        attempt: AttemptId,
        /// Of what.
        delegation: DelegationId,
        /// By whom.
        agent: AgentId,
        /// Where.
        instance: InstanceId,
        /// Rises with each attempt of the task; a report with an older fence changes nothing.
        fence: u64,
        /// Why this agent and this instance.
        route: Route,
    },
    /// The instance has the work.
    #[serde(rename = "attempt:accepted")]
    AttemptAccepted {
        /// Which.
        attempt: AttemptId,
    },
    /// A tool call of the agent ended.
    #[serde(rename = "attempt:tool")]
    AttemptTool {
        /// Which.
        attempt: AttemptId,
        /// The tool.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// One line.
        summary: String,
    },
    /// The agent lives and does not move, and was told so.
    #[serde(rename = "attempt:nudged")]
    AttemptNudged {
        /// Which.
        attempt: AttemptId,
        /// The how manyth of this attempt.
        nth: u32,
        /// How it does not move.
        why: Standstill,
        /// Since when.
        since: DateTime<Utc>,
        /// Why it could not be told, where it could not.
        untold: Option<String>,
    },
    /// Tokens and cost of the attempt so far.
    #[serde(rename = "attempt:usage")]
    AttemptUsage {
        /// Which.
        attempt: AttemptId,
        /// Totals.
        usage: Usage,
    },
    /// It ended with a result.
    #[serde(rename = "attempt:succeeded")]
    AttemptSucceeded {
        /// Which.
        attempt: AttemptId,
    },
    /// It ended without one.
    #[serde(rename = "attempt:failed")]
    AttemptFailed {
        /// Which.
        attempt: AttemptId,
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
        /// How long the instance, or the model's provider, wants to be left alone, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Its instance is gone.
    #[serde(rename = "attempt:lost")]
    AttemptLost {
        /// Which.
        attempt: AttemptId,
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// It was stopped.
    #[serde(rename = "attempt:cancelled")]
    AttemptCancelled {
        /// Which.
        attempt: AttemptId,
        /// A result came in after the cancel: kept, never applied.
        late_result: Option<Prose>,
    },
    /// Another attempt or agent took its place.
    #[serde(rename = "attempt:superseded")]
    AttemptSuperseded {
        /// Which.
        attempt: AttemptId,
    },
    /// The agent of an attempt that no longer counts was told to stop, and nothing more is expected of it.
    #[serde(rename = "attempt:released")]
    AttemptReleased {
        /// Which.
        attempt: AttemptId,
        /// Whether the agent is known to have stopped.
        stopped: bool,
        /// A result that came in too late: kept, never applied.
        late_result: Option<Prose>,
    },

    /// A question is open.
    #[serde(rename = "interrupt:opened")]
    InterruptOpened {
        /// Which.
        interrupt: InterruptId,
        /// Of which attempt.
        attempt: AttemptId,
        /// The driver's name for it.
        key: String,
        /// What kind.
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        details: Value,
        /// When it expires, where that was agreed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// It is answered.
    #[serde(rename = "interrupt:resolved")]
    InterruptResolved {
        /// Which.
        interrupt: InterruptId,
        /// How.
        answer: Value,
        /// By whom.
        by: Principal,
        /// What was agreed for questions that nobody answers, where that decided it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Expiry>,
    },
    /// The agent has the answer.
    #[serde(rename = "interrupt:delivered")]
    InterruptDelivered {
        /// Which.
        interrupt: InterruptId,
    },
    /// The instance waits for the answer no longer; the person who is asked still may give it.
    #[serde(rename = "interrupt:lapsed")]
    InterruptLapsed {
        /// Which.
        interrupt: InterruptId,
    },
    /// The agent asks the same again: the answer, given or to come, goes there.
    #[serde(rename = "interrupt:renewed")]
    InterruptRenewed {
        /// Which.
        interrupt: InterruptId,
        /// The driver's new name for it.
        key: String,
    },
    /// It went away unanswered.
    #[serde(rename = "interrupt:closed")]
    InterruptClosed {
        /// Which.
        interrupt: InterruptId,
        /// Why.
        reason: String,
        /// What was agreed for questions that nobody answers, where that decided it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Expiry>,
    },

    /// An attempt made or changed something; a later one with the same attempt, kind and name replaces it.
    #[serde(rename = "artifact:recorded")]
    ArtifactRecorded {
        /// Which.
        artifact: ArtifactId,
        /// By which attempt.
        attempt: AttemptId,
        /// `file`, `text`, `diff`, `link`.
        kind: Label,
        /// Path or title.
        name: ArtifactName,
        /// The content, where it is small text.
        content: Option<String>,
        /// Anything else.
        details: Value,
    },
}

impl TaskEvent {
    /// Tells whether it ends an attempt whose agent may not know that: it has to be told to stop.
    pub fn leaves_an_agent_at_work(&self) -> bool {
        match self {
            Self::AttemptSuperseded { .. } => true,
            Self::AttemptLost { class, .. } | Self::AttemptFailed { class, .. } => class.may_still_run(),
            _ => false,
        }
    }
}

mod double_option {
    //! Tells "unchanged" (absent) from "taken away" (null).
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<Option<T>>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(to)
    }
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(from).map(Some)
    }
}
