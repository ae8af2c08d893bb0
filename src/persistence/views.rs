//! What readers see: the shapes of tasks, boards, agents and the rest on every door.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    access::Effect,
    agent::{AgentStatus, Availability, RuntimeKind},
    ids::*,
    permission::Permissions,
    principal::Principal,
    task::{Priority, TaskStatus},
    workspace::{Gate, MemberRole, TeamPolicy},
};

pub use super::instances::{HealthView, InstanceView};

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),+ }
    )+};
}
pub(super) use views;

pub use super::work_views::*;

mod talk;
pub use talk::*;

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
        /// Who leads it.
        lead: Option<Principal>,
        /// How it decides who of it gets the work.
        policy: TeamPolicy,
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
    /// What moves a task on.
    NextMoveView {
        /// `agent`, `queue`, `person` or `task`.
        #[schemars(extend("enum" = ["agent", "queue", "person", "task"]))]
        by: String,
        /// Which of them, where it is one: `user:ID`, `agent:ID`, `team:ID`, `task:ID`.
        who: Option<String>,
        /// In words.
        what: String,
        /// Not before this time.
        at: Option<DateTime<Utc>>,
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
        /// Paths that nobody else's agent writes to while this task's is at work.
        claims: Vec<String>,
        /// What whoever does it has to be good at.
        skills: Vec<String>,
        /// What it waits for.
        dependencies: Vec<DependencyView>,
        /// What moves it on; nothing where it is closed.
        next_move: Option<NextMoveView>,
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
}
