-- name: role_begin_describing
UPDATE datasets
SET attempts = attempts + 1, touched_at = now()
WHERE id = $1 AND state = :DATASET_STATE_DESCRIBING
RETURNING name, dialect, attempts;

-- name: role_store_description
UPDATE datasets
SET state = :DATASET_STATE_READY, columns = $2, row_count = $3
WHERE id = $1 AND state = :DATASET_STATE_DESCRIBING;

-- name: role_dataset_fail
UPDATE datasets
SET state = :DATASET_STATE_FAILED, error = $2
WHERE id = $1 AND state IN (:DATASET_STATE_FILLING, :DATASET_STATE_DESCRIBING);
