-- name: upkeep_create
SELECT upkeep_create('outbox', $1) + upkeep_create('counted_events', $1);

-- name: upkeep_begin_progress
-- None when the current Redis has still to be told what it missed.
SELECT floor(extract(epoch FROM now()) * 1000)::bigint
WHERE EXISTS (SELECT FROM redis_epochs WHERE epoch = $1 AND republished);

-- name: upkeep_set_progress
UPDATE upkeep
SET processed_until = to_timestamp($1::bigint / 1000.0)
WHERE processed_until < to_timestamp($1::bigint / 1000.0);

-- name: upkeep_detach_outbox
SELECT upkeep_detach_outbox($1);

-- name: upkeep_drop_outbox
SELECT upkeep_drop_outbox($1);

-- name: upkeep_clean_outbox
WITH old AS (
    SELECT ctid FROM outbox_default WHERE published_at < upkeep_keep_from($1) LIMIT $2
), gone AS (
    DELETE FROM outbox_default WHERE ctid IN (SELECT ctid FROM old)
    RETURNING 1
)
SELECT count(*)
FROM gone;

-- name: upkeep_move_counted_below
SELECT upkeep_move_counted_below($1);

-- name: upkeep_drop_counted
SELECT upkeep_drop_counted();

-- name: upkeep_clean_counted
WITH old AS (
    SELECT event_id
    FROM counted_events_default, upkeep
    WHERE event_id < counted_below AND counted_below_since < now() - interval '1 minute'
    ORDER BY event_id
    LIMIT $1
), gone AS (
    DELETE FROM counted_events_default WHERE event_id IN (SELECT event_id FROM old)
    RETURNING 1
)
SELECT count(*)
FROM gone;

-- name: upkeep_clean_sessions
-- Some time after they have ended, so that a list of sessions does not shrink under a reader.
WITH old AS (
    SELECT id FROM sessions WHERE expires_at < now() - interval '1 minute' LIMIT $1
), gone AS (
    DELETE FROM sessions WHERE id IN (SELECT id FROM old)
    RETURNING 1
)
SELECT count(*)
FROM gone;
