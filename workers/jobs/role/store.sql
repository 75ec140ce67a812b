-- name: role_begin_plan
UPDATE jobs j
SET attempts = attempts + 1, touched_at = now()
WHERE id = $1 AND state = :JOB_STATE_PLANNING
RETURNING attempts, tasks, spec, dataset_id,
          (SELECT name FROM datasets d WHERE d.id = j.dataset_id),
          (SELECT dialect FROM datasets d WHERE d.id = j.dataset_id);

-- name: role_begin_task
UPDATE job_tasks t
SET attempts = t.attempts + 1
FROM jobs j
WHERE j.id = $1 AND j.state = :JOB_STATE_RUNNING AND t.job_id = $1 AND t.task = $2 AND NOT t.done
RETURNING t.attempts, j.tasks;

-- name: role_begin_combine
UPDATE jobs
SET attempts = attempts + 1, touched_at = now()
WHERE id = $1 AND state = :JOB_STATE_COMBINING
RETURNING attempts, tasks, spec;

-- name: role_find_dataset read_only
SELECT name, dialect
FROM datasets
WHERE id = $1;

-- name: role_end_plan
WITH moved AS (
    UPDATE jobs
    SET state = :JOB_STATE_RUNNING, tasks = $2, notes = $3, attempts = 0, touched_at = now()
    WHERE id = $1 AND state = :JOB_STATE_PLANNING
    RETURNING id
), made AS (
    INSERT INTO job_tasks (job_id, task)
    SELECT id, generate_series(0, $2 - 1) FROM moved
)
INSERT INTO outbox (id, partition, payload, stream)
SELECT m.id, m.partition, m.payload, :STREAM_JOBS
FROM moved, unnest($4::bigint[], $5::integer[], $6::bytea[]) AS m (id, partition, payload);

-- name: role_lock_job
-- Tasks of a job end one after the other, so that the last one sees that it is the last. Parts stay until the job has ended:
-- another worker may be reading them, for the same task.
SELECT id
FROM jobs
WHERE id = $1
FOR NO KEY UPDATE;

-- name: role_end_task
WITH ended AS (
    UPDATE job_tasks t
    SET done = true
    FROM jobs j
    WHERE j.id = $1 AND j.state = :JOB_STATE_RUNNING AND t.job_id = $1 AND t.task = $2 AND NOT t.done
    RETURNING t.task
), next AS (
    INSERT INTO outbox (id, partition, payload, stream)
    SELECT $3, $4, $5, :STREAM_JOBS FROM ended WHERE $6
)
SELECT count(*)
FROM ended;

-- name: role_end_tasks
WITH moved AS (
    UPDATE jobs
    SET state = CASE WHEN EXISTS (SELECT FROM job_tasks WHERE job_id = $1 AND NOT done) THEN :JOB_STATE_RUNNING
                     ELSE :JOB_STATE_COMBINING END,
        touched_at = now()
    WHERE id = $1 AND state = :JOB_STATE_RUNNING
    RETURNING state
), next AS (
    INSERT INTO outbox (id, partition, payload, stream)
    SELECT $2, $3, $4, :STREAM_JOBS FROM moved WHERE state = :JOB_STATE_COMBINING
)
SELECT count(*)
FROM moved
WHERE state = :JOB_STATE_COMBINING;

-- name: role_end_job
UPDATE jobs
SET state = :JOB_STATE_SUCCEEDED, result_bytes = $3, notes = coalesce($4, notes), tasks = greatest(tasks, 1),
    ended_at = now()
WHERE id = $1 AND state = $2;

-- name: role_job_fail
UPDATE jobs
SET state = :JOB_STATE_FAILED, error = $2, ended_at = now()
WHERE id = $1 AND ended_at IS NULL;
