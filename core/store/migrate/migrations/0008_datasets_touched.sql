-- When a step last did something for the dataset: one that waits for a step which is lost is told again.
ALTER TABLE datasets ADD COLUMN touched_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX datasets_unsettled ON datasets (touched_at) WHERE state = 2 OR (state = 1 AND source <> 1);
