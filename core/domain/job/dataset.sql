-- name: dataset_find_by_key read_only
SELECT id, owner_id, name, source, state, size_bytes, received_bytes, row_count, error,
       sha256, dialect, query, columns, hash_state
FROM datasets
WHERE owner_id = $1 AND idempotency_key = $2;

-- name: dataset_lock_owner
-- The account's row is locked first, and only then are its datasets counted: so two concurrent creations cannot
-- exceed the limit.
SELECT id
FROM accounts
WHERE id = $1
FOR NO KEY UPDATE;

-- name: dataset_drop_stale
DELETE FROM datasets
WHERE owner_id = $1 AND source = :DATASET_SOURCE_UPLOAD AND state = :DATASET_STATE_FILLING AND id < $2;

-- name: dataset_insert
-- An upload's first message is put into the outbox when it is complete (dataset_complete).
WITH owned AS (
    SELECT count(*) AS n, coalesce(sum(greatest(size_bytes, received_bytes)), 0) AS bytes
    FROM datasets
    WHERE owner_id = $2
), ins AS (
    INSERT INTO datasets (id, owner_id, name, idempotency_key, source, state, size_bytes, sha256, dialect, query)
    SELECT $1, $2, $3, $4, $5, :DATASET_STATE_FILLING, $6, $7, $8, $9
    FROM owned
    WHERE n < $10 AND bytes + $6::bigint <= $11
    ON CONFLICT (owner_id, idempotency_key) DO NOTHING
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload, stream)
    SELECT $12, $13, $14, :STREAM_JOBS FROM ins WHERE $5 <> :DATASET_SOURCE_UPLOAD
)
SELECT EXISTS (SELECT FROM ins), n >= $10, bytes::bigint
FROM owned;

-- name: dataset_append
WITH moved AS (
    UPDATE datasets
    SET received_bytes = received_bytes + length($4::bytea), hash_state = $5
    WHERE id = $1 AND state = :DATASET_STATE_FILLING AND attempts = $6 AND received_bytes = $2
    RETURNING id
)
INSERT INTO dataset_chunks (dataset_id, seq, bytes)
SELECT id, $3, $4 FROM moved;

-- name: dataset_complete
WITH done AS (
    UPDATE datasets
    SET state = :DATASET_STATE_DESCRIBING, size_bytes = received_bytes, attempts = 0, touched_at = now()
    WHERE id = $1 AND state = :DATASET_STATE_FILLING AND attempts = $5
    RETURNING id
)
INSERT INTO outbox (id, partition, payload, stream)
SELECT $2, $3, $4, :STREAM_JOBS FROM done;

-- name: dataset_drop_upload
DELETE FROM datasets
WHERE id = $1 AND source = $2 AND state = :DATASET_STATE_FILLING;

-- name: dataset_get read_only
SELECT id, owner_id, name, source, state, size_bytes, received_bytes, row_count, error,
       sha256, dialect, query, columns, hash_state
FROM datasets d
WHERE id = $1 AND NOT (source = :DATASET_SOURCE_UPLOAD AND state = :DATASET_STATE_FILLING)
  AND (owner_id = $2
       OR EXISTS (SELECT FROM dataset_shares s WHERE s.dataset_id = d.id AND s.account_id = $2));

-- name: dataset_list read_only
SELECT id, owner_id, name, source, state, size_bytes, received_bytes, row_count, error
FROM datasets
WHERE id IN (
    (SELECT id
     FROM datasets
     WHERE owner_id = $1 AND id < $2 AND NOT (source = :DATASET_SOURCE_UPLOAD AND state = :DATASET_STATE_FILLING)
     ORDER BY id DESC
     LIMIT $3)
    UNION
    (SELECT dataset_id FROM dataset_shares WHERE account_id = $1 AND dataset_id < $2 ORDER BY dataset_id DESC LIMIT $3))
ORDER BY id DESC
LIMIT $3;

-- name: dataset_chunk read_only
SELECT bytes
FROM dataset_chunks
WHERE dataset_id = $1 AND seq = $2;

-- name: dataset_shares read_only
SELECT ARRAY(SELECT account_id FROM dataset_shares WHERE dataset_id = $1 AND $2 = 0 ORDER BY 1);

-- name: dataset_share
WITH there AS (
    SELECT count(*) AS n, coalesce(bool_or(account_id = $2), false) AS already
    FROM dataset_shares
    WHERE dataset_id = $1
), ins AS (
    INSERT INTO dataset_shares (dataset_id, account_id)
    SELECT $1, $2 FROM there WHERE n < $3
    ON CONFLICT DO NOTHING
)
SELECT already OR n < $3
FROM there;

-- name: dataset_unshare
DELETE FROM dataset_shares
WHERE dataset_id = $1 AND account_id = $2;

-- name: dataset_delete
DELETE FROM datasets
WHERE id = $1 AND owner_id = $2;
