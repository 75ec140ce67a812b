-- The Redis process (redis_epochs) before which this event had been published, when it is told again: every home timeline of that epoch
-- is built from SQL that had the change. NULL: not known.
ALTER TABLE outbox ADD COLUMN settled_epoch bigint;
