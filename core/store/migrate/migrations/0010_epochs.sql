-- Epochs: a Redis process may come to have several (it was replaced and came back; PostgreSQL went back), and numbers are chosen by
-- whoever opens one, above any that was ever used (core/event/epoch.h).
ALTER TABLE redis_epochs DROP CONSTRAINT redis_epochs_run_id_key;
ALTER TABLE redis_epochs ALTER COLUMN epoch DROP IDENTITY;
-- Set by whoever opens the next; what marks events as published locks the row, so that no mark straddles an opening.
ALTER TABLE redis_epochs ADD COLUMN superseded boolean NOT NULL DEFAULT false;
UPDATE redis_epochs SET superseded = true WHERE epoch < (SELECT max(epoch) FROM redis_epochs);

-- One row, changed about twice a second by processes that know the newest epoch: that it is in use, and how far this database has come.
CREATE TABLE pulse (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    beat bigint NOT NULL DEFAULT 0,
    beaten_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
INSERT INTO pulse DEFAULT VALUES;
