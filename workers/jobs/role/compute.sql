-- name: role_state read_only
SELECT state FROM jobs WHERE id = $1
UNION ALL
SELECT state FROM datasets WHERE id = $2;

-- name: role_touch
-- So that what only takes long is not taken for lost (requeue.h).
WITH d AS (
    UPDATE datasets SET touched_at = now() WHERE id = $2
)
UPDATE jobs
SET touched_at = now()
WHERE id = $1;
