-- What a server says that it is good at, where it connects by itself.
ALTER TABLE agent_instances ADD COLUMN skills jsonb NOT NULL DEFAULT '[]';
