-- name: role_stalled
-- What is to be done next, as the kinds of requeue.c: a job's by its state, a dataset's by 10 + its state. Of a running job:
-- in each chain of tasks the first that is not done.
WITH j AS (
    UPDATE jobs
    SET touched_at = now()
    WHERE id IN (SELECT id
                 FROM jobs
                 WHERE ended_at IS NULL AND touched_at < now() - $1 * interval '1 second'
                 ORDER BY touched_at
                 LIMIT 20
                 FOR UPDATE SKIP LOCKED)
    RETURNING id, state
), d AS (
    UPDATE datasets
    SET touched_at = now()
    WHERE id IN (SELECT id
                 FROM datasets
                 WHERE (state = :DATASET_STATE_DESCRIBING
                        OR (state = :DATASET_STATE_FILLING AND source <> :DATASET_SOURCE_UPLOAD))
                   AND touched_at < now() - $1 * interval '1 second'
                 ORDER BY touched_at
                 LIMIT 20
                 FOR UPDATE SKIP LOCKED)
    RETURNING id, state
)
SELECT state::bigint, id, 0::bigint
FROM j
WHERE state IN (:JOB_STATE_PLANNING, :JOB_STATE_COMBINING)
UNION ALL
SELECT :JOB_STATE_RUNNING, j.id, min(t.task)
FROM j JOIN job_tasks t ON t.job_id = j.id
WHERE j.state = :JOB_STATE_RUNNING AND NOT t.done
GROUP BY j.id, t.task % $2
UNION ALL
SELECT 10 + state, id, 0
FROM d
LIMIT $3;
