-- What is done after a failure, what attempts were told, and what of them comes too late.

ALTER TABLE agent_assignments
    ADD COLUMN tries integer NOT NULL DEFAULT 0,
    ADD COLUMN not_before timestamptz,
    ADD COLUMN step jsonb,
    ADD COLUMN owner text,
    ADD COLUMN options jsonb,
    ADD COLUMN proposal text;

ALTER TABLE agent_sessions
    ADD COLUMN stopping boolean NOT NULL DEFAULT false,
    ADD COLUMN late_result text,
    ADD COLUMN next_step jsonb,
    ADD COLUMN pack_hash text,
    ADD COLUMN pack_tokens bigint;

-- Agents that have to be told to stop, also after a restart.
CREATE INDEX agent_sessions_stopping ON agent_sessions (workspace_id) WHERE stopping;
