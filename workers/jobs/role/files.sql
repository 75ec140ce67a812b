-- name: role_part_chunk read_only
SELECT bytes
FROM job_parts
WHERE job_id = $1 AND task = $2 AND seq = $3;

-- name: role_result_chunk read_only
SELECT bytes
FROM job_results
WHERE job_id = $1 AND task = $2 AND seq = $3;

-- name: role_put_part
-- The job's row is locked, so that it cannot end before what is put here is there to be dropped (job_drop_work).
INSERT INTO job_parts (job_id, task, seq, bytes)
SELECT id, $2, $3, $4 FROM (SELECT id FROM jobs WHERE id = $1 AND state = :JOB_STATE_PLANNING FOR SHARE) j
ON CONFLICT DO NOTHING;

-- name: role_put_result
-- The lock as in role_put_part.
INSERT INTO job_results (job_id, task, seq, bytes)
SELECT id, $2, $3, $4 FROM (SELECT id FROM jobs WHERE id = $1 AND ended_at IS NULL FOR SHARE) j
ON CONFLICT DO NOTHING;
