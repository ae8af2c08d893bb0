-- Shared documents. Their updates are in the log; a snapshot is what they came to up to one of them, and can be made anew.

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    project_id uuid NOT NULL,
    title text NOT NULL,
    archived boolean NOT NULL,
    -- The number of the last update.
    seq bigint NOT NULL,
    created_by text NOT NULL,
    edited_by text,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX documents_by_project ON documents (project_id, id);
CREATE INDEX documents_by_workspace ON documents (workspace_id, id);
SELECT link_protect('documents');

CREATE TABLE document_suggestions (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    document_id uuid NOT NULL,
    author text NOT NULL,
    note text NOT NULL,
    changes jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX document_suggestions_by_document ON document_suggestions (document_id, id);
SELECT link_protect('document_suggestions');

CREATE TABLE document_changes (
    suggestion_id uuid NOT NULL,
    change integer NOT NULL,
    workspace_id uuid NOT NULL,
    document_id uuid NOT NULL,
    status text NOT NULL,
    resolved_by text,
    resolved_at timestamptz,
    PRIMARY KEY (suggestion_id, change)
);
CREATE INDEX document_changes_by_document ON document_changes (document_id);
SELECT link_protect('document_changes');

CREATE TABLE document_snapshots (
    document_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    seq bigint NOT NULL,
    "offset" bigint NOT NULL,
    state bytea NOT NULL
);
SELECT link_protect('document_snapshots', readable => false);
