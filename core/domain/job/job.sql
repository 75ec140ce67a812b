-- name: job_get read_only
-- A succeeded job keeps no rows of its tasks.
SELECT id, dataset_id, spec, state, tasks,
       CASE WHEN state = :JOB_STATE_SUCCEEDED THEN tasks
            ELSE (SELECT count(*) FROM job_tasks t WHERE t.job_id = jobs.id AND t.done) END::bigint,
       error, notes, result_bytes, ended_at
FROM jobs
WHERE id = $1 AND owner_id = $2;

-- name: job_list read_only
SELECT id, dataset_id, spec, state, tasks,
       CASE WHEN state = :JOB_STATE_SUCCEEDED THEN tasks
            ELSE (SELECT count(*) FROM job_tasks t WHERE t.job_id = jobs.id AND t.done) END::bigint,
       error, notes, result_bytes, ended_at
FROM jobs
WHERE owner_id = $1 AND id < $2
ORDER BY id DESC
LIMIT $3;

-- name: job_result read_only
SELECT bytes
FROM job_results
WHERE job_id = $1 AND task = :JOB_WHOLE_TABLE AND seq = $2;

-- name: job_find_by_key read_only
SELECT id, dataset_id, spec, state, tasks,
       CASE WHEN state = :JOB_STATE_SUCCEEDED THEN tasks
            ELSE (SELECT count(*) FROM job_tasks t WHERE t.job_id = jobs.id AND t.done) END::bigint,
       error, notes, result_bytes, ended_at
FROM jobs
WHERE owner_id = $1 AND idempotency_key = $2;

-- name: job_lock_owner
SELECT id
FROM accounts
WHERE id = $1
FOR NO KEY UPDATE;

-- name: job_drop_old
DELETE FROM jobs
WHERE id IN (SELECT id FROM jobs WHERE owner_id = $1 AND ended_at IS NOT NULL ORDER BY id DESC OFFSET $2);

-- name: job_insert
WITH running AS (
    SELECT count(*) AS n FROM jobs WHERE owner_id = $2 AND ended_at IS NULL
), ins AS (
    INSERT INTO jobs (id, owner_id, dataset_id, idempotency_key, spec, state)
    SELECT $1, $2, $3, $4, $5, :JOB_STATE_PLANNING FROM running WHERE n < $6
    ON CONFLICT (owner_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload, stream)
    SELECT $7, $8, $9, :STREAM_JOBS FROM ins
)
SELECT EXISTS (SELECT FROM ins), n >= $6
FROM running;

-- name: job_drop_work shared
WITH ended AS (
    SELECT id, state FROM jobs WHERE id = $1 AND ended_at IS NOT NULL
), tasks AS (
    DELETE FROM job_tasks WHERE job_id IN (SELECT id FROM ended WHERE state = :JOB_STATE_SUCCEEDED)
), parts AS (
    DELETE FROM job_parts WHERE job_id IN (SELECT id FROM ended)
)
DELETE FROM job_results r
USING ended
WHERE r.job_id = ended.id AND (r.task <> :JOB_WHOLE_TABLE OR ended.state <> :JOB_STATE_SUCCEEDED);

-- name: job_cancel
UPDATE jobs
SET state = :JOB_STATE_CANCELLED, ended_at = now()
WHERE id = $1 AND owner_id = $2 AND ended_at IS NULL;
