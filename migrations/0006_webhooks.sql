-- Webhooks: who hears of events, how far each has heard, and what was sent.

-- A read model, like those of 0003.
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    origin text NOT NULL,
    -- Address and secrets are in `sealed_texts`, under these names.
    url_id uuid NOT NULL,
    secret_id uuid NOT NULL,
    former_secret_id uuid,
    former_until timestamptz,
    description text NOT NULL,
    events jsonb NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text,
    -- The row stays: a repeated request has to find it.
    deleted boolean NOT NULL,
    created_by text NOT NULL,
    -- It hears of what comes after this offset.
    born bigint NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX webhooks_by_workspace ON webhooks (workspace_id, id);

-- Sealed with a key that is not in the database; written once, never changed.
CREATE TABLE sealed_texts (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    sealed bytea NOT NULL,
    kept_at timestamptz NOT NULL
);

-- How far a webhook has read the log, and how its endpoint does. No read model: it cannot be made from the log.
CREATE TABLE webhook_cursors (
    webhook_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    "offset" bigint NOT NULL,
    -- Attempts without a success in between, and since when.
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    -- Nothing is sent before.
    rest_until timestamptz
) WITH (fillfactor = 50);

-- One event for one webhook. Written in the transaction that moves the cursor past the event, so none is left out.
CREATE TABLE webhook_deliveries (
    webhook_id uuid NOT NULL,
    "offset" bigint NOT NULL,
    workspace_id uuid NOT NULL,
    -- Follows from the event and the webhook: the receiver knows a repetition by it.
    id uuid NOT NULL,
    type text NOT NULL,
    -- pending, delivered or failed
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    code integer,
    response text,
    error text,
    created_at timestamptz NOT NULL,
    attempted_at timestamptz,
    PRIMARY KEY (webhook_id, "offset")
);
CREATE INDEX webhook_deliveries_by_id ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, next_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_over ON webhook_deliveries (created_at) WHERE status <> 'pending';

-- Which attempts run on an instance.
CREATE INDEX agent_sessions_running ON agent_sessions (instance_id) WHERE ended_at IS NULL;
