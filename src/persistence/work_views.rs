//! What readers see of work that is delegated: attempts, questions, reviews, artifacts.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    failure::FailureClass,
    ids::*,
    principal::Principal,
    right::{Decides, Risk},
    run::InterruptKind,
    task::{
        ChildPolicy, DelegationStatus, Expiry, Join, JoinOutcome, PartResult, Priority, Review, Route, Step, Terms,
        Verdict,
    },
};

use super::views::views;

views! {
    /// An attempt of a delegation.
    AttemptView {
        /// Its id.
        id: AttemptId,
        /// By whom.
        agent_id: AgentId,
        /// Where.
        instance_id: InstanceId,
        /// Its fence.
        fence: u64,
        /// leased, active, succeeded, failed, lost, cancelled or superseded.
        #[schemars(extend(
            "enum" = ["leased", "active", "succeeded", "failed", "lost", "cancelled", "superseded"]
        ))]
        status: String,
        /// How it failed.
        failure_class: Option<FailureClass>,
        /// In words.
        failure_message: Option<String>,
        /// Why this agent and this instance.
        route: Route,
        /// What was done about its failure, and why.
        next_step: Option<Step>,
        /// It no longer counts, and its agent is still being told to stop.
        stopping: bool,
        /// What it handed in when it no longer counted: kept, never applied.
        late_result: Option<String>,
        /// What it was told, as the SHA-256 of the whole text.
        pack_hash: Option<String>,
        /// About how many tokens that was.
        pack_tokens: Option<u64>,
        /// How often it was told that it does not move, or could not be told.
        nudges: u32,
        /// 0–100 from evidence, or unknown.
        progress: Option<u8>,
        /// What it does, in a word.
        phase: Option<String>,
        /// Tokens read by the model.
        input_tokens: u64,
        /// Tokens written by the model.
        output_tokens: u64,
        /// Cost in US dollars.
        cost_usd: f64,
        /// Since when.
        started_at: DateTime<Utc>,
        /// Until when.
        ended_at: Option<DateTime<Utc>>,
    }
    /// A question of an attempt.
    InterruptView {
        /// Its id.
        id: InterruptId,
        /// Of which attempt.
        attempt_id: AttemptId,
        /// What kind.
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        details: Value,
        /// open, answered, delivered or closed.
        #[schemars(extend("enum" = ["open", "answered", "delivered", "closed"]))]
        status: String,
        /// The answer.
        answer: Option<Value>,
        /// By whom.
        answered_by: Option<Principal>,
        /// Which agent decided, where it was on their behalf.
        decided_by: Option<Principal>,
        /// Since when.
        opened_at: DateTime<Utc>,
        /// When it expires, where that was agreed.
        expires_at: Option<DateTime<Utc>>,
        /// What was agreed for questions that nobody answers, where that decided it.
        policy: Option<Expiry>,
    }
    /// Something that waits for a person's decision.
    InboxItemView {
        /// Its id: the question's, or the delegation's.
        id: uuid::Uuid,
        /// `question`, `approval`, `auth` or `budget`: to answer; `review`: to review; `escalation`: to decide;
        /// `review_stuck`: to name other approvers, those who were named are too few by now; `queue`: nobody takes it;
        /// `join`: too many parts of the task failed.
        #[schemars(extend(
            "enum" = ["question", "approval", "auth", "budget", "review", "escalation", "review_stuck", "queue", "join"]
        ))]
        kind: String,
        /// Of which task.
        task_id: TaskId,
        /// `KEY-12`.
        identifier: String,
        /// The task, in a line.
        title: String,
        /// How urgent.
        priority: Priority,
        /// Where the task belongs.
        project_id: ProjectId,
        /// Of which delegation; of a join, that of a part that failed.
        delegation_id: DelegationId,
        /// Of which agent.
        agent_id: Option<AgentId>,
        /// Of which attempt.
        attempt_id: Option<AttemptId>,
        /// The question, what was handed in, or why it does not go on.
        text: String,
        /// Options and the schema of the answer; for an escalation the step that was taken last.
        details: Option<Value>,
        /// What can be done, where it is no question.
        options: Option<Vec<String>>,
        /// What Link would do, to agree to.
        proposal: Option<String>,
        /// Who delegated the work.
        delegator: Principal,
        /// Who is asked first, where it is somebody.
        owner: Option<Principal>,
        /// It is for the caller first: they delegated the work, answer for the task, are of the team that does, or were named
        /// to approve it. To an agent: for the person on whose behalf it may decide.
        mine: bool,
        /// The right with which the calling agent may decide it: see `decisions.decide`.
        right_id: Option<RightId>,
        /// On whose behalf.
        on_behalf_of: Option<Principal>,
        /// How often those who can decide were reminded.
        reminders: u32,
        /// Since when it waits.
        since: DateTime<Utc>,
    }
    /// What an agent may decide on somebody's behalf.
    RightView {
        /// Its id.
        id: RightId,
        /// Whose it is.
        agent_id: AgentId,
        /// On whose behalf.
        grantor: UserId,
        /// The project or the task.
        subject: Subject,
        /// What.
        decides: Vec<Decides>,
        /// Nothing that costs more, in US dollars.
        cost_usd_max: Option<f64>,
        /// Nothing that is riskier.
        risk_max: Option<Risk>,
        /// So often.
        uses_max: u32,
        /// How often so far.
        uses: u32,
        /// Until then.
        expires_at: DateTime<Utc>,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// A reviewer's word on a delegation.
    ReviewView {
        /// Who.
        reviewer: Principal,
        /// Which agent decided, where it was on their behalf.
        decided_by: Option<Principal>,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: String,
        /// When.
        at: DateTime<Utc>,
    }
    /// A part of a task that was split.
    PartView {
        /// The task that was made of it.
        task_id: TaskId,
        /// The delegation of that.
        delegation_id: DelegationId,
        /// In a line.
        title: String,
        /// Who was named for it; nobody lets Link choose.
        agent_id: Option<AgentId>,
    }
    /// A splitting of a task into parts, and how they were joined.
    FanOutView {
        /// Its id.
        id: FanOutId,
        /// The task.
        task_id: TaskId,
        /// How many parts are enough.
        join: Join,
        /// What becomes of those that are open when the join is decided.
        child_policy: ChildPolicy,
        /// Who has to approve each part.
        review: Review,
        /// The person who answers for it.
        owner: Option<Principal>,
        /// Who split it.
        opened_by: Principal,
        /// When the join is decided with what there is.
        expires_at: Option<DateTime<Utc>>,
        /// The parts.
        parts: Vec<PartView>,
        /// How the join was decided; absent until it is.
        outcome: Option<JoinOutcome>,
        /// What came of each part, and from whom, once it is decided.
        results: Option<Vec<PartResult>>,
        /// Since when.
        opened_at: DateTime<Utc>,
        /// When it was decided.
        decided_at: Option<DateTime<Utc>>,
    }
    /// Work that is offered to another agent.
    HandOffView {
        /// Whose work it is.
        from: AgentId,
        /// Who is asked.
        to: AgentId,
        /// Who wants it.
        by: Principal,
        /// Why, and what the other one should know.
        reason: String,
        /// After this the offer is void.
        expires_at: DateTime<Utc>,
    }
    /// A delegation with its attempts, questions and reviews.
    DelegationView {
        /// Its id.
        id: DelegationId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// Of what.
        task_id: TaskId,
        /// To whom.
        agent_id: Option<AgentId>,
        /// The team that Link chooses from.
        team_id: Option<TeamId>,
        /// Where it stands.
        status: DelegationStatus,
        /// Why it stands there.
        reason: Option<String>,
        /// Why it is not handed out while it is queued, where this node runs its workspace.
        #[serde(default)]
        waits: Option<String>,
        /// What to do beyond the task's own words.
        instructions: String,
        /// Who asked for it.
        delegator: Principal,
        /// Who has to approve.
        review: Review,
        /// How many approvals cannot come together any more: other approvers have to be named.
        review_missing: Option<u32>,
        /// What else was agreed.
        terms: Terms,
        /// Why it has been in the queue for too long, where it has.
        overdue: Option<String>,
        /// Rounds of requested changes so far.
        round: u32,
        /// Attempts at the task since a person last had a say, when it was queued.
        tries: u32,
        /// The next attempt does not start before this time.
        not_before: Option<DateTime<Utc>>,
        /// The step of the ladder that was taken last, and why.
        step: Option<Step>,
        /// Who is asked, where a person has to decide.
        owner: Option<Principal>,
        /// What they can do.
        options: Option<Vec<String>>,
        /// What Link would do, for them to agree to.
        proposal: Option<String>,
        /// To which other agent it is offered, while that has not answered.
        hand_off: Option<HandOffView>,
        /// The attempt that holds it, or held it last.
        attempt_id: Option<AttemptId>,
        /// The agent's final words.
        output: Option<String>,
        /// All attempts, oldest first.
        attempts: Vec<AttemptView>,
        /// All questions, oldest first.
        interrupts: Vec<InterruptView>,
        /// All reviews, oldest first.
        reviews: Vec<ReviewView>,
        /// Rises with each change.
        version: u64,
        /// Since when.
        created_at: DateTime<Utc>,
        /// Last changed.
        updated_at: DateTime<Utc>,
        /// Until when.
        ended_at: Option<DateTime<Utc>>,
    }
    /// Something that an attempt made or changed.
    ArtifactView {
        /// Its id.
        id: ArtifactId,
        /// By which attempt.
        attempt_id: AttemptId,
        /// `file`, `text`, `diff` or `link`.
        kind: String,
        /// Path or title.
        name: String,
        /// The content, where it is small text.
        content: Option<String>,
        /// Anything else.
        details: Option<Value>,
        /// When.
        recorded_at: DateTime<Utc>,
    }
}
