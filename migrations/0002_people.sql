-- People and secrets: they belong to the installation, not to one workspace, so they are not in a workspace's log.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_by_email ON users (lower(email));

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token; the token itself is nowhere.
    hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- All tokens that descend from one login; reuse of a spent one ends the family.
    family uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);

-- What Link needs to talk to an agent's server, sealed with a key that is not in the database.
CREATE TABLE instance_secrets (
    instance_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    sealed bytea NOT NULL
);
