-- name: role_stalled
-- What is to be done next. Of a running job: in each chain of tasks the first that is not done.
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
SELECT CASE state WHEN :JOB_STATE_PLANNING THEN :JOB_STEP_PLAN ELSE :JOB_STEP_COMBINE END::bigint, id, 0::bigint
FROM j
WHERE state IN (:JOB_STATE_PLANNING, :JOB_STATE_COMBINING)
UNION ALL
SELECT :JOB_STEP_TASK, j.id, min(t.task)
FROM j JOIN job_tasks t ON t.job_id = j.id
WHERE j.state = :JOB_STATE_RUNNING AND NOT t.done
GROUP BY j.id, t.task % $2
UNION ALL
SELECT CASE state WHEN :DATASET_STATE_FILLING THEN :JOB_STEP_QUERY ELSE :JOB_STEP_DESCRIBE END, id, 0
FROM d
LIMIT $3;
