-- name: epoch_beat
-- Of a process whose Redis has the newest epoch. It keeps the row locked until its transaction has looked.
UPDATE pulse
SET beat = beat + 1, beaten_at = clock_timestamp()
WHERE beaten_at NOT BETWEEN now() - interval '400 ms' AND now() + interval '1 s'
  AND EXISTS (SELECT FROM redis_epochs
              WHERE epoch = (SELECT max(epoch) FROM redis_epochs) AND run_id = $1 AND NOT superseded);

-- name: epoch_look
WITH newest AS (
    SELECT * FROM redis_epochs ORDER BY epoch DESC LIMIT 1
)
SELECT coalesce((SELECT epoch FROM newest), 0),
       coalesce((SELECT run_id FROM newest), ''),
       EXISTS (SELECT FROM redis_epochs WHERE run_id = $1),
       beaten_at < now() - $2 * interval '1 ms',
       (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
       (pg_current_wal_flush_lsn() - '0/0')::bigint,
       beat,
       floor(extract(epoch FROM now()))::bigint,
       coalesce((SELECT superseded FROM newest), false),
       EXISTS (SELECT FROM newest n JOIN pg_database d ON d.datname = current_database()
               WHERE n.database IS DISTINCT FROM d.oid OR n.server_started IS DISTINCT FROM pg_postmaster_start_time())
FROM pulse;

-- name: epoch_open
WITH old AS (
    UPDATE redis_epochs SET superseded = true WHERE epoch = $3
    RETURNING epoch
)
INSERT INTO redis_epochs (epoch, run_id, opened_at, database, server_started)
SELECT $1, $2, clock_timestamp(), (SELECT oid FROM pg_database WHERE datname = current_database()),
       pg_postmaster_start_time()
WHERE $3 = (SELECT coalesce(max(epoch), 0) FROM redis_epochs)
  AND ($3 = 0 OR EXISTS (SELECT FROM old));

-- name: epoch_opened
-- An opening is a beat: a process with another Redis must not find the new epoch unused.
UPDATE pulse
SET beat = beat + 1, beaten_at = clock_timestamp()
WHERE EXISTS (SELECT FROM redis_epochs WHERE epoch = $1 AND run_id = $2);

-- name: epoch_lock_opening
-- Of several openers each sees what the one before has written.
SELECT pg_advisory_xact_lock(hashtextextended('epoch', 0));

-- name: epoch_beats read_only
-- For a process that has no Redis: how many beats there were.
SELECT beat
FROM pulse;

-- name: epoch_abandon
-- If there was no beat since. It takes the same lock as a beat.
WITH still AS (
    SELECT FROM pulse WHERE beat = $1 FOR UPDATE
)
UPDATE redis_epochs
SET superseded = true
WHERE EXISTS (SELECT FROM still)
  AND epoch = (SELECT max(epoch) FROM redis_epochs) AND NOT superseded;
