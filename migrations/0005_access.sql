-- Who may do what: custom roles, and grants on single projects, tasks and conversations.

CREATE TABLE roles (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    permissions jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX roles_by_workspace ON roles (workspace_id, id);

CREATE TABLE grants (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    -- `project:ID`, `task:ID` or `conversation:ID`
    subject text NOT NULL,
    -- `user:ID`, `agent:ID` or `team:ID`; a team means its members.
    principal text COLLATE "C" NOT NULL,
    effect text NOT NULL,
    permissions jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX grants_by_principal ON grants (workspace_id, principal, subject);
