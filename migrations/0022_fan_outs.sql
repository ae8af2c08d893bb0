-- Tasks that were split into parts, and how the parts were joined.

CREATE TABLE fan_outs (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    "join" jsonb NOT NULL,
    child_policy text NOT NULL,
    review jsonb NOT NULL,
    owner text,
    opened_by text NOT NULL,
    expires_at timestamptz,
    parts jsonb NOT NULL,
    outcome text,
    results jsonb,
    -- The delegation of a part that failed.
    failed_id uuid,
    decided_offset bigint,
    opened_at timestamptz NOT NULL,
    decided_at timestamptz
);
CREATE INDEX fan_outs_by_task ON fan_outs (task_id, id);
CREATE INDEX fan_outs_impossible ON fan_outs (workspace_id) WHERE outcome = 'impossible';
-- What waits, also after a restart.
CREATE INDEX fan_outs_open ON fan_outs (workspace_id) WHERE outcome IS NULL;
SELECT link_protect('fan_outs');
