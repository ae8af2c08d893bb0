-- Conversations grow branches, merges, reactions, read markers, deletions and search.

ALTER TABLE conversations
    ADD COLUMN turn_policy text NOT NULL DEFAULT 'enqueue',
    ADD COLUMN branch_parent_id uuid,
    ADD COLUMN branch_message_id uuid,
    -- The branch shares the parent's messages up to this number.
    ADD COLUMN branch_seq bigint,
    -- What the branch belongs to: the parent, and what that is a branch of, up to the root.
    ADD COLUMN branch_line uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN merged_into uuid,
    ADD COLUMN merge_entry_id uuid;
ALTER TABLE conversations ALTER COLUMN turn_policy DROP DEFAULT, ALTER COLUMN branch_line DROP DEFAULT;
CREATE INDEX conversations_by_parent ON conversations (branch_parent_id) WHERE branch_parent_id IS NOT NULL;

-- The words of a message, as far as they are searched: more would not fit into a tsvector.
CREATE FUNCTION message_words(parts jsonb) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple', left(coalesce(string_agg(part ->> 'text', E'\n'), ''), 100000))
    FROM jsonb_array_elements(parts) AS part
$$;

ALTER TABLE messages
    ADD COLUMN kind text NOT NULL DEFAULT 'said',
    ADD COLUMN mentions jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN merge jsonb,
    ADD COLUMN posted_offset bigint,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN words tsvector NOT NULL GENERATED ALWAYS AS (message_words(parts)) STORED;
ALTER TABLE messages ALTER COLUMN kind DROP DEFAULT, ALTER COLUMN mentions DROP DEFAULT;
UPDATE messages m SET posted_offset = e."offset" FROM events e
    WHERE e.type = 'conversation:message' AND e.workspace_id = m.workspace_id AND e.data ->> 'message' = m.id::text;
ALTER TABLE messages ALTER COLUMN posted_offset SET NOT NULL;
CREATE INDEX messages_by_words ON messages USING gin (words);
CREATE INDEX messages_by_parent ON messages (conversation_id, parent_id, seq) WHERE parent_id IS NOT NULL;

-- What a message said before each change stands in the log; edits are few.
CREATE INDEX events_of_edits ON events (workspace_id, (data ->> 'message'))
    WHERE type = 'conversation:message_edited';

CREATE TABLE message_reactions (
    message_id uuid NOT NULL,
    principal text NOT NULL,
    emoji text NOT NULL,
    workspace_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (message_id, principal, emoji)
);

CREATE TABLE read_markers (
    conversation_id uuid NOT NULL,
    principal text NOT NULL,
    workspace_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, principal)
);

-- Answers that agents owe, or gave.
CREATE TABLE conversation_turns (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    message_id uuid NOT NULL,
    asker text NOT NULL,
    -- queued, running, stopping; answered, failed, interrupted, rolled_back, dropped
    status text NOT NULL,
    instance_id uuid,
    answer_id uuid,
    failure_class text,
    reason text,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd double precision NOT NULL,
    queued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz
);
CREATE INDEX conversation_turns_by_conversation ON conversation_turns (conversation_id, id);
CREATE INDEX conversation_turns_by_message ON conversation_turns (message_id);
CREATE INDEX conversation_turns_open ON conversation_turns (workspace_id) WHERE ended_at IS NULL;

CREATE INDEX artifacts_by_id ON artifacts (id);

SELECT link_protect('message_reactions');
SELECT link_protect('read_markers');
SELECT link_protect('conversation_turns');
