//! The tables of the read models: their keys and columns, and the statements that change them in bulk.

use sqlx::{AssertSqlSafe, PgTransaction};

use crate::domain::ids::WorkspaceId;

/// One read model.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What names a row.
    pub key: &'static [&'static str],
    /// All other columns that are written; generated ones are not.
    pub columns: &'static [&'static str],
    /// The column that holds the workspace's id.
    pub tenant: &'static str,
}

macro_rules! tables {
    ($($const:ident = $name:literal ($($key:literal),+) [$($column:literal),* $(,)?] of $tenant:literal;)+) => {
        $(
            #[doc = concat!("See the table `", $name, "`.")]
            pub const $const: Table =
                Table { name: $name, key: &[$($key),+], columns: &[$($column),*], tenant: $tenant };
        )+
        /// Every read model.
        pub const TABLES: &[Table] = &[$($const),+];
    };
}

tables! {
    WORKSPACES = "workspaces" ("id") ["name", "owner_id", "settings", "version", "created_at"] of "id";
    MEMBERS = "workspace_members" ("workspace_id", "user_id") ["role", "joined_at"] of "workspace_id";
    TEAMS = "teams" ("id") ["workspace_id", "name", "members", "lead", "policy", "created_at"] of "workspace_id";
    ROLES = "roles" ("id") ["workspace_id", "name", "permissions", "created_at"] of "workspace_id";
    GRANTS = "grants" ("id") ["workspace_id", "subject", "principal", "effect", "permissions", "created_at"]
        of "workspace_id";
    RIGHTS = "decision_rights" ("id") ["workspace_id", "agent_id", "grantor", "subject", "decides", "cost_usd_max",
        "risk_max", "uses_max", "uses", "expires_at", "created_at"] of "workspace_id";
    SERVICES = "workspace_services" ("service_id") ["workspace_id", "name", "role", "added_at"] of "workspace_id";
    PROJECTS = "projects" ("id") ["workspace_id", "name", "key", "description", "status", "created_by", "version",
        "created_at", "updated_at"] of "workspace_id";
    TASKS = "tasks" ("id") ["workspace_id", "project_id", "number", "identifier", "title", "description", "status",
        "priority", "assignee", "delegate_agent_id", "delegation_id", "parent_id", "claims", "skills", "progress", "phase", "rank",
        "created_by", "version", "created_at", "updated_at"] of "workspace_id";
    CHECKPOINTS = "task_checkpoints" ("id") ["workspace_id", "task_id", "name", "reason", "manifest", "made_by", "made_at"]
        of "workspace_id";
    DEPENDENCIES = "task_dependencies" ("task_id", "depends_on") ["workspace_id", "dependency_type"] of "workspace_id";
    CONVERSATIONS = "conversations" ("id") ["workspace_id", "type", "title", "project_id", "task_id", "created_by",
        "last_seq", "turn_policy", "branch_parent_id", "branch_message_id", "branch_seq", "branch_line", "merged_into",
        "merge_entry_id", "created_at", "updated_at"] of "workspace_id";
    PARTICIPANTS = "conversation_participants" ("conversation_id", "participant") ["workspace_id", "joined_offset",
        "left_offset"] of "workspace_id";
    MESSAGES = "messages" ("id") ["workspace_id", "conversation_id", "seq", "author", "kind", "parts", "mentions",
        "parent_id", "merge", "posted_offset", "posted_at", "edited_at", "deleted_at"] of "workspace_id";
    REACTIONS = "message_reactions" ("message_id", "principal", "emoji") ["workspace_id", "conversation_id", "at"]
        of "workspace_id";
    TURNS = "conversation_turns" ("id") ["workspace_id", "conversation_id", "agent_id", "message_id", "asker", "status",
        "instance_id", "answer_id", "failure_class", "reason", "input_tokens", "output_tokens", "cost_usd", "queued_at",
        "expires_at", "started_at", "ended_at"] of "workspace_id";
    READ_MARKERS = "read_markers" ("conversation_id", "principal") ["workspace_id", "seq", "at"] of "workspace_id";
    AGENTS = "agents" ("id") ["workspace_id", "name", "runtime", "status", "availability", "skills",
        "max_concurrency", "registered_by", "version", "created_at", "updated_at"] of "workspace_id";
    INSTANCES = "agent_instances" ("id") ["workspace_id", "agent_id", "url", "model", "slots", "turns_max", "skills",
        "healthy", "boot", "cause", "probed_at", "standing", "standing_cause"] of "workspace_id";
    ASSIGNMENTS = "agent_assignments" ("id") ["workspace_id", "task_id", "agent_id", "team_id", "status", "reason",
        "instructions", "delegator", "review", "round", "tries", "not_before", "step", "owner", "options", "proposal",
        "hand_off", "queued_offset", "attempt_id", "output", "evidence", "review_missing", "waiting_since", "terms",
        "overdue", "reminders", "reminded", "version",
        "created_at", "updated_at", "ended_at"] of "workspace_id";
    SESSIONS = "agent_sessions" ("id") ["workspace_id", "task_id", "delegation_id", "agent_id", "instance_id",
        "fence", "status", "outcome", "failure_class", "failure_message", "route", "progress", "phase",
        "input_tokens", "output_tokens", "cost_usd", "stopping", "late_result", "next_step", "pack_hash", "pack_tokens",
        "nudges", "started_at", "ended_at"] of "workspace_id";
    INTERRUPTS = "interrupts" ("id") ["workspace_id", "task_id", "delegation_id", "attempt_id", "kind", "prompt",
        "details", "status", "answer", "answered_by", "decided_by", "opened_at", "expires_at", "policy", "reminders", "reminded",
        "closed_at"] of "workspace_id";
    ARTIFACTS = "artifacts" ("attempt_id", "kind", "name") ["id", "workspace_id", "task_id", "content", "details",
        "recorded_at"] of "workspace_id";
    FAN_OUTS = "fan_outs" ("id") ["workspace_id", "task_id", "join", "child_policy", "review", "owner", "opened_by",
        "expires_at", "parts", "outcome", "results", "failed_id", "decided_offset", "opened_at", "decided_at"]
        of "workspace_id";
    REVIEWS = "reviews" ("workspace_id", "offset") ["delegation_id", "reviewer", "decided_by", "verdict",
        "comment", "at"]
        of "workspace_id";
    DOCUMENTS = "documents" ("id") ["workspace_id", "project_id", "title", "archived", "seq", "created_by",
        "edited_by", "version", "created_at", "updated_at"] of "workspace_id";
    SUGGESTIONS = "document_suggestions" ("id") ["workspace_id", "document_id", "author", "note", "changes",
        "created_at"] of "workspace_id";
    SUGGESTED = "document_changes" ("suggestion_id", "change") ["workspace_id", "document_id", "status", "resolved_by",
        "resolved_at"] of "workspace_id";
    WEBHOOKS = "webhooks" ("id") ["workspace_id", "origin", "url_id", "secret_id", "former_secret_id", "former_until",
        "description", "events", "enabled", "disabled_reason", "deleted", "created_by", "born", "version", "created_at",
        "updated_at"] of "workspace_id";
}

/// `offset` is a word of SQL.
fn quoted(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| format!("\"{column}\"")).collect()
}

impl Table {
    pub(super) async fn clear(&self, tx: &mut PgTransaction<'_>, workspace: WorkspaceId) -> Result<(), sqlx::Error> {
        let sql = format!("DELETE FROM {} WHERE {} = $1", self.name, self.tenant);
        sqlx::query(AssertSqlSafe(sql)).bind(workspace.0).execute(&mut **tx).await.map(|_| ())
    }

    /// The statement that inserts full rows, or replaces them, from a JSON array of objects.
    pub(super) fn insert_sql(&self) -> String {
        let all = quoted(&[self.key, self.columns].concat()).join(", ");
        let set: Vec<String> =
            quoted(self.columns).iter().map(|column| format!("{column} = excluded.{column}")).collect();
        format!(
            "INSERT INTO {name} ({all}) SELECT {all} FROM jsonb_populate_recordset(NULL::{name}, $1)
             ON CONFLICT ({key}) DO UPDATE SET {set}",
            name = self.name,
            key = quoted(self.key).join(", "),
            set = set.join(", "),
        )
    }

    /// The statement that changes the columns named in each object of a JSON array, and leaves the others.
    ///
    /// Functions stand in FROM: there each is called once per row, and the key finds the row by its index. In a
    /// select list, `(f(…)).*` calls `f` once per column.
    pub(super) fn update_sql(&self) -> String {
        let columns = quoted(self.columns).join(", ");
        let values: Vec<String> = quoted(self.columns).iter().map(|column| format!("n.{column}")).collect();
        let same: Vec<String> = quoted(self.key).iter().map(|key| format!("t.{key} = k.{key}")).collect();
        format!(
            "UPDATE {name} AS t SET ({columns}) = (SELECT {values} FROM jsonb_populate_record(t, p) AS n)
             FROM jsonb_array_elements($1) AS p, jsonb_populate_record(NULL::{name}, p) AS k
             WHERE {same}",
            name = self.name,
            values = values.join(", "),
            same = same.join(" AND "),
        )
    }

    /// The statement that deletes the rows whose keys are in a JSON array.
    pub(super) fn delete_sql(&self) -> String {
        let same: Vec<String> = quoted(self.key).iter().map(|key| format!("t.{key} = p.{key}")).collect();
        format!(
            "DELETE FROM {name} AS t USING jsonb_populate_recordset(NULL::{name}, $1) AS p WHERE {same}",
            name = self.name,
            same = same.join(" AND "),
        )
    }
}
