-- What time alone brings: reminders, questions that expire, and queues that take too long.
ALTER TABLE agent_assignments
    ADD COLUMN terms jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN overdue text,
    ADD COLUMN reminders integer NOT NULL DEFAULT 0,
    ADD COLUMN reminded jsonb NOT NULL DEFAULT '[]';

ALTER TABLE interrupts
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN policy jsonb,
    ADD COLUMN reminders integer NOT NULL DEFAULT 0,
    ADD COLUMN reminded jsonb NOT NULL DEFAULT '[]';
