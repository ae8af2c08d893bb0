-- How often the agent of an attempt was told that it does not move.
ALTER TABLE agent_sessions ADD COLUMN nudges integer NOT NULL DEFAULT 0;
