-- What whoever does a task has to be good at.
ALTER TABLE tasks ADD COLUMN skills jsonb NOT NULL DEFAULT '[]';
