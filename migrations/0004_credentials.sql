-- Credentials: logins and what ends them before their time, API keys, logins by another provider.

-- One login of a person. Its refresh tokens descend from each other; when it ends, all of them do.
CREATE TABLE logins (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    begun_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX logins_by_user ON logins (user_id) WHERE ended_at IS NULL;

INSERT INTO logins (id, user_id, begun_at, ended_at)
SELECT family, (array_agg(user_id))[1], min(issued_at), max(revoked_at) FROM refresh_tokens GROUP BY family;

ALTER TABLE refresh_tokens RENAME COLUMN family TO login_id;
ALTER TABLE refresh_tokens ADD FOREIGN KEY (login_id) REFERENCES logins (id) ON DELETE CASCADE;
ALTER TABLE refresh_tokens DROP COLUMN user_id, DROP COLUMN revoked_at;
ALTER INDEX refresh_tokens_by_family RENAME TO refresh_tokens_by_login;

-- What has ended and may still be shown somewhere: each node asks every second what is new here.
CREATE TABLE revocations (
    -- A login or an API key.
    id uuid PRIMARY KEY,
    -- By the clock of the database, which is the same for every node.
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- By then no access token of the login lives, and no node remembers the key.
    until timestamptz NOT NULL
);
CREATE INDEX revocations_by_time ON revocations (at);

-- Keys of people, agents and services. The key itself is nowhere.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    -- SHA-256 of the key.
    hash bytea NOT NULL UNIQUE,
    -- The key's beginning, so that people recognise it.
    prefix text NOT NULL,
    name text NOT NULL,
    -- Whose, as `kind:id`.
    holder text NOT NULL,
    scopes text[] NOT NULL,
    -- The only workspace that it is good for.
    workspace_id uuid,
    created_by uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_holder ON api_keys (holder, id);
CREATE INDEX api_keys_by_workspace ON api_keys (workspace_id, id);

-- A read model: services that are members of a workspace.
CREATE TABLE workspace_services (
    service_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX workspace_services_by_name ON workspace_services (workspace_id, name);

-- Someone who only ever logs in by another provider has no password.
ALTER TABLE users ALTER COLUMN password_hash DROP NOT NULL;

-- Who a person is for another provider.
CREATE TABLE user_identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    linked_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX user_identities_by_user ON user_identities (user_id);

-- Logins that are on their way through another provider. Each can be taken up once.
CREATE TABLE oidc_attempts (
    -- SHA-256 of the state that the provider brings back.
    state bytea PRIMARY KEY,
    -- SHA-256 of the cookie of the browser that began.
    browser bytea NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    expires_at timestamptz NOT NULL
);

-- What the front end changes into tokens, once.
CREATE TABLE login_codes (
    hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
