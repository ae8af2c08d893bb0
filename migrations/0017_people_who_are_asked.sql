-- Reviews that their approvers can no longer end, and since when a delegation waits for whom it waits for.
ALTER TABLE agent_assignments
    ADD COLUMN review_missing integer,
    ADD COLUMN waiting_since timestamptz;
