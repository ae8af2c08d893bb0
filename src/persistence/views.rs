//! What readers see: the shapes of tasks, boards, agents and the rest on every door.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    access::Effect,
    agent::{AgentStatus, Availability, RuntimeKind},
    conversation::{ConversationKind, Part},
    failure::FailureClass,
    ids::*,
    permission::Permissions,
    principal::Principal,
    run::InterruptKind,
    task::{DelegationStatus, Priority, Review, Route, TaskStatus, Verdict},
    workspace::{Gate, MemberRole},
};

pub use super::instances::{HealthView, InstanceView};

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),+ }
    )+};
}

views! {
    /// A workspace.
    WorkspaceView {
        /// Its id.
        id: WorkspaceId,
        /// Its name.
        name: String,
        /// Who made it.
        owner_id: UserId,
        /// The caller's role in it; absent for agents.
        role: Option<MemberRole>,
        /// Rises with each change.
        version: u64,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// A member of a workspace.
    MemberView {
        /// Who.
        user_id: UserId,
        /// Their address.
        email: String,
        /// Their name.
        name: String,
        /// Their role: what they may do.
        role: MemberRole,
        /// Since when.
        joined_at: DateTime<Utc>,
    }
    /// A team.
    TeamView {
        /// Its id.
        id: TeamId,
        /// Its name.
        name: String,
        /// Who is in it.
        members: Vec<Principal>,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// A role that the workspace made.
    RoleView {
        /// Its id, which is also what a member's `role` says.
        id: RoleId,
        /// Its name.
        name: String,
        /// What its members may do.
        permissions: Permissions,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// What somebody may, or may not, do with one thing and with what is below it.
    GrantView {
        /// Its id.
        id: GrantId,
        /// The project, task or conversation.
        subject: Subject,
        /// Who; a team means its members.
        principal: Principal,
        /// Whether it gives or takes.
        effect: Effect,
        /// What.
        permissions: Permissions,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// A project.
    ProjectView {
        /// Its id.
        id: ProjectId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// Its name.
        name: String,
        /// The `KEY` of `KEY-12`.
        key: String,
        /// What it is for.
        description: String,
        /// `active` or `archived`.
        #[schemars(extend("enum" = ["active", "archived"]))]
        status: String,
        /// Who made it.
        created_by: Principal,
        /// Rises with each change.
        version: u64,
        /// Since when.
        created_at: DateTime<Utc>,
        /// Last changed.
        updated_at: DateTime<Utc>,
    }
    /// A dependency of a task.
    DependencyView {
        /// On which task.
        depends_on: TaskId,
        /// How.
        #[serde(rename = "type")]
        gate: Gate,
    }
    /// A task.
    TaskView {
        /// Its id.
        id: TaskId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// Where it belongs.
        project_id: ProjectId,
        /// `KEY-12`.
        identifier: String,
        /// The `12`.
        number: u64,
        /// What is to be done, in a line.
        title: String,
        /// What is to be done.
        description: String,
        /// Where it stands.
        status: TaskStatus,
        /// How urgent.
        priority: Priority,
        /// Who answers for it.
        assignee: Option<Principal>,
        /// The agent that works on it.
        delegate_agent_id: Option<AgentId>,
        /// The newest delegation.
        delegation_id: Option<DelegationId>,
        /// What it is a part of.
        parent_id: Option<TaskId>,
        /// What it waits for.
        dependencies: Vec<DependencyView>,
        /// 0–100 from evidence, or unknown.
        progress: Option<u8>,
        /// What the agent does, in a word.
        phase: Option<String>,
        /// Sort key in its column.
        rank: String,
        /// Who made it.
        created_by: Principal,
        /// Rises with each change.
        version: u64,
        /// Since when.
        created_at: DateTime<Utc>,
        /// Last changed.
        updated_at: DateTime<Utc>,
    }
    /// A column of a board.
    ColumnView {
        /// backlog, todo, in_progress, review, done or cancelled.
        #[schemars(extend("enum" = ["backlog", "todo", "in_progress", "review", "done", "cancelled"]))]
        name: String,
        /// Its tasks, in order.
        tasks: Vec<TaskView>,
    }
    /// A project's board.
    BoardView {
        /// Which project.
        project_id: ProjectId,
        /// The workspace's offset that the board shows at least.
        offset: u64,
        /// The columns, in order.
        columns: Vec<ColumnView>,
    }
    /// An agent.
    AgentView {
        /// Its id.
        id: AgentId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// Its name.
        name: String,
        /// How it is driven.
        runtime: RuntimeKind,
        /// What it does now.
        status: AgentStatus,
        /// Whether it takes work.
        availability: Availability,
        /// What it is good at.
        skills: Vec<String>,
        /// Most attempts at the same time.
        max_concurrency: u32,
        /// Its servers.
        instances: Vec<InstanceView>,
        /// Rises with each change.
        version: u64,
        /// Since when.
        created_at: DateTime<Utc>,
    }
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
        /// Since when.
        opened_at: DateTime<Utc>,
    }
    /// A reviewer's word on a delegation.
    ReviewView {
        /// Who.
        reviewer: Principal,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: String,
        /// When.
        at: DateTime<Utc>,
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
        /// Rounds of requested changes so far.
        round: u32,
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
    /// A conversation.
    ConversationView {
        /// Its id.
        id: ConversationId,
        /// The tenant.
        workspace_id: WorkspaceId,
        /// What for.
        #[serde(rename = "type")]
        kind: ConversationKind,
        /// Its title.
        title: Option<String>,
        /// The project that it is about.
        project_id: Option<ProjectId>,
        /// The task that it is about.
        task_id: Option<TaskId>,
        /// Who is in it.
        participants: Vec<Principal>,
        /// The number of the newest message.
        last_seq: u64,
        /// Since when.
        created_at: DateTime<Utc>,
    }
    /// A message.
    MessageView {
        /// Its id.
        id: MessageId,
        /// Where.
        conversation_id: ConversationId,
        /// Its number in the conversation: 1, 2, 3 …
        seq: u64,
        /// Who.
        author: Principal,
        /// What.
        parts: Vec<Part>,
        /// The message that it answers.
        parent_id: Option<MessageId>,
        /// When.
        posted_at: DateTime<Utc>,
        /// When it was changed.
        edited_at: Option<DateTime<Utc>>,
    }
}
