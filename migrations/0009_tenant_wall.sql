-- The second wall between tenants: a role that sees the rows of one workspace at a time, the one that the setting
-- `link.workspace` names. Link's reads for its callers run under this role; its writers and the look-up of who may do
-- what do not.

-- Roles belong to the whole server, so another database may have made this one already, or makes it right now.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'link_tenant') THEN
        CREATE ROLE link_tenant NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the database user % may not create the role that reads of tenants run under: as an administrator, run CREATE ROLE link_tenant NOLOGIN; GRANT link_tenant TO %; and start Link again',
            current_user, quote_ident(current_user);
END $$;

-- A superuser may take on every role.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT link_tenant TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR invalid_grant_operation THEN
        IF NOT pg_has_role(current_user, 'link_tenant', 'MEMBER') THEN
            RAISE EXCEPTION 'the database user % may not take on the role that reads of tenants run under: as an administrator, run GRANT link_tenant TO %; and start Link again',
                current_user, quote_ident(current_user);
        END IF;
END $$;

DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO link_tenant', current_schema()); END $$;

-- Which workspace the connection reads; none unless it was said.
CREATE FUNCTION link_workspace() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('link.workspace', true), '')::uuid $$;

-- Puts a table behind the wall. Every migration that makes a table with a workspace in it calls this, and a test walks
-- the catalog for tables that it was forgotten for. What holds secrets is behind it too, and not readable at all.
CREATE FUNCTION link_protect(protected regclass, tenant name DEFAULT 'workspace_id', readable boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', protected);
    EXECUTE format('CREATE POLICY tenant ON %s TO link_tenant USING (%I = link_workspace())', protected, tenant);
    IF readable THEN
        EXECUTE format('GRANT SELECT ON %s TO link_tenant', protected);
    END IF;
END $$;

DO $$
DECLARE protected regclass;
BEGIN
    FOR protected IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
            AND a.attname = 'workspace_id' AND NOT a.attisdropped
            AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)
    LOOP
        -- Only what callers are shown can be read; what holds secrets, or is the node's own, cannot.
        PERFORM link_protect(protected, readable => protected::text IN (
            'events', 'commands', 'workspace_members', 'workspace_services', 'teams', 'roles', 'grants', 'projects', 'tasks',
            'task_dependencies', 'conversations', 'conversation_participants', 'messages', 'agents',
            'agent_instances', 'agent_assignments', 'agent_sessions', 'interrupts', 'artifacts', 'reviews'
        ));
    END LOOP;
    PERFORM link_protect('workspaces', 'id');
END $$;

-- Of people a tenant sees its members, and of them no secrets.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users TO link_tenant USING (
    EXISTS (SELECT 1 FROM workspace_members m WHERE m.user_id = users.id AND m.workspace_id = link_workspace())
);
GRANT SELECT (id, email, name, created_at) ON users TO link_tenant;

-- What the wall adds to every condition, by index.
CREATE INDEX tasks_by_workspace ON tasks (workspace_id, id);
CREATE INDEX agent_assignments_by_workspace ON agent_assignments (workspace_id, id);
