-- What agents may decide on somebody's behalf, and what they have decided.
CREATE TABLE decision_rights (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    grantor uuid NOT NULL,
    -- `project:ID` or `task:ID`
    subject text NOT NULL,
    decides jsonb NOT NULL,
    cost_usd_max double precision,
    risk_max text,
    uses_max integer NOT NULL,
    uses integer NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX decision_rights_of_a_workspace ON decision_rights (workspace_id, id);
SELECT link_protect('decision_rights');

ALTER TABLE interrupts ADD COLUMN decided_by text;
ALTER TABLE reviews ADD COLUMN decided_by text;
