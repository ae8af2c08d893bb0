-- How a team gets work, and which team a delegation is for.
ALTER TABLE teams ADD COLUMN lead text, ADD COLUMN policy text NOT NULL DEFAULT 'learned';
ALTER TABLE agent_assignments ADD COLUMN team_id uuid;
