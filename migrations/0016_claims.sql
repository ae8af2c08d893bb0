-- The paths that a task's agent alone may write to while it works.
ALTER TABLE tasks ADD COLUMN claims jsonb NOT NULL DEFAULT '[]';
