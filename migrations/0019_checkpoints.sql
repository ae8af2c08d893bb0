-- States of tasks that they can go back to. What they are of is in the log; a row names an offset and says with digests what
-- is found there.

CREATE TABLE task_checkpoints (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    task_id uuid NOT NULL,
    name text,
    reason text NOT NULL,
    manifest jsonb NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX task_checkpoints_by_task ON task_checkpoints (task_id, id);
CREATE INDEX task_checkpoints_by_workspace ON task_checkpoints (workspace_id, id);
SELECT link_protect('task_checkpoints');
