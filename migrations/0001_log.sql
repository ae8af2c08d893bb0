-- The log: one ordered sequence of events per workspace, and what fences and remembers its writes.

CREATE TABLE events (
    workspace_id uuid NOT NULL,
    "offset" bigint NOT NULL CHECK ("offset" > 0),
    id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    -- What else the event concerns; topic filters match these too.
    refs text[] NOT NULL DEFAULT '{}',
    actor text NOT NULL,
    on_behalf_of text,
    at timestamptz NOT NULL,
    cause bigint,
    trace_id text NOT NULL,
    -- Who may see the event; NULL means every member.
    audience text[],
    -- json, not jsonb: the text is kept as it was hashed.
    data json NOT NULL,
    -- SHA-256 over the previous event's hash and this event (see persistence/audit.rs).
    hash bytea NOT NULL,
    PRIMARY KEY (workspace_id, "offset")
);
CREATE INDEX events_by_subject ON events (workspace_id, subject, "offset");

CREATE TABLE snapshots (
    workspace_id uuid NOT NULL,
    subject text NOT NULL,
    "offset" bigint NOT NULL,
    schema integer NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (workspace_id, subject)
);

-- One row per command that carried a key, written in the transaction of its events.
CREATE TABLE commands (
    workspace_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer jsonb NOT NULL,
    -- What the door answered, so that a repeated call hears the same words.
    response jsonb,
    at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX commands_by_age ON commands (at);

CREATE TABLE shard_leases (
    shard integer PRIMARY KEY,
    node text NOT NULL,
    -- Rises each time that the lease changes hands; a commit with an older one is refused.
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Makes the epoch a key: a commit's lock (FOR KEY SHARE) holds back a takeover, and not the renewal of the time.
CREATE UNIQUE INDEX shard_leases_by_epoch ON shard_leases (shard, epoch);

CREATE TABLE nodes (
    node text PRIMARY KEY,
    -- New at every start of the process.
    incarnation uuid NOT NULL,
    addr text NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE VIEW audit AS
    SELECT workspace_id, "offset", at, actor, on_behalf_of, type, subject, trace_id, data, encode(hash, 'hex') AS hash
    FROM events;
