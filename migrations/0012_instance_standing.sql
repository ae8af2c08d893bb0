-- How an instance serves, by what became of the work on it.
ALTER TABLE agent_instances ADD COLUMN standing text NOT NULL DEFAULT 'sound';
ALTER TABLE agent_instances ADD COLUMN standing_cause text;
