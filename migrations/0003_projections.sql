-- Read models: what the events amount to, written in the transaction of the events. Each can be dropped and made
-- again from the log (`link rebuild-projections`).

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner_id uuid NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE workspace_members (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX workspace_members_by_user ON workspace_members (user_id);

CREATE TABLE teams (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    members jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX teams_by_workspace ON teams (workspace_id, id);

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    key text NOT NULL,
    description text NOT NULL,
    status text NOT NULL,
    created_by text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    project_id uuid NOT NULL,
    number bigint NOT NULL,
    identifier text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    status text NOT NULL,
    priority text NOT NULL,
    -- `user:ID`, `agent:ID` or `team:ID`
    assignee text,
    assigned_type text GENERATED ALWAYS AS (split_part(assignee, ':', 1)) STORED,
    assigned_to uuid GENERATED ALWAYS AS (nullif(split_part(assignee, ':', 2), '')::uuid) STORED,
    delegate_agent_id uuid,
    delegation_id uuid,
    parent_id uuid,
    progress integer,
    phase text,
    rank text COLLATE "C" NOT NULL,
    created_by text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (project_id, number)
);
CREATE INDEX tasks_by_project ON tasks (project_id, id);
CREATE INDEX tasks_by_words ON tasks USING gin (to_tsvector('simple', identifier || ' ' || title || ' ' || description));

CREATE TABLE task_dependencies (
    task_id uuid NOT NULL,
    depends_on uuid NOT NULL,
    workspace_id uuid NOT NULL,
    dependency_type text NOT NULL,
    PRIMARY KEY (task_id, depends_on)
);
CREATE INDEX task_dependencies_back ON task_dependencies (depends_on);

CREATE TABLE conversations (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    type text NOT NULL,
    title text,
    project_id uuid,
    task_id uuid,
    created_by text NOT NULL,
    last_seq bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX conversations_by_workspace ON conversations (workspace_id, id);

CREATE TABLE conversation_participants (
    conversation_id uuid NOT NULL,
    participant text NOT NULL,
    workspace_id uuid NOT NULL,
    joined_offset bigint NOT NULL,
    left_offset bigint,
    PRIMARY KEY (conversation_id, participant)
);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    author text NOT NULL,
    parts jsonb NOT NULL,
    parent_id uuid,
    posted_at timestamptz NOT NULL,
    edited_at timestamptz,
    UNIQUE (conversation_id, seq)
);

CREATE TABLE agents (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    runtime text NOT NULL,
    status text NOT NULL,
    availability text NOT NULL,
    skills jsonb NOT NULL,
    max_concurrency integer NOT NULL,
    registered_by text NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX agents_by_workspace ON agents (workspace_id, id);

CREATE TABLE agent_instances (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    url text NOT NULL,
    model text,
    slots integer NOT NULL,
    turns_max integer NOT NULL,
    healthy boolean,
    boot text,
    cause text,
    probed_at timestamptz
);
CREATE INDEX agent_instances_by_agent ON agent_instances (agent_id);

-- A delegation: one request to move a task forward with an agent.
CREATE TABLE agent_assignments (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    agent_id uuid,
    status text NOT NULL,
    reason text,
    instructions text NOT NULL,
    delegator text NOT NULL,
    review jsonb NOT NULL,
    round integer NOT NULL,
    -- Reviews before this offset were of an earlier round.
    queued_offset bigint NOT NULL,
    attempt_id uuid,
    output text,
    evidence jsonb NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX agent_assignments_by_task ON agent_assignments (task_id, id);
CREATE INDEX agent_assignments_open ON agent_assignments (workspace_id) WHERE ended_at IS NULL;

-- An attempt: one try of a delegation on one instance.
CREATE TABLE agent_sessions (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    delegation_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    fence bigint NOT NULL,
    status text NOT NULL,
    outcome text,
    failure_class text,
    failure_message text,
    route jsonb NOT NULL,
    progress integer,
    phase text,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd double precision NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX agent_sessions_by_delegation ON agent_sessions (delegation_id, id);

CREATE TABLE interrupts (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    delegation_id uuid,
    attempt_id uuid NOT NULL,
    kind text NOT NULL,
    prompt text NOT NULL,
    details jsonb,
    status text NOT NULL,
    answer jsonb,
    answered_by text,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX interrupts_by_delegation ON interrupts (delegation_id, id);

CREATE TABLE artifacts (
    attempt_id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    content text,
    details jsonb,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, kind, name)
);
CREATE INDEX artifacts_by_task ON artifacts (task_id);

CREATE TABLE reviews (
    workspace_id uuid NOT NULL,
    "offset" bigint NOT NULL,
    delegation_id uuid NOT NULL,
    reviewer text NOT NULL,
    verdict text NOT NULL,
    comment text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, "offset")
);
CREATE INDEX reviews_by_delegation ON reviews (delegation_id, "offset");
