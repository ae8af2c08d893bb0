-- To which other agent a delegation is offered, while that has not answered.
ALTER TABLE agent_assignments ADD COLUMN hand_off jsonb;
