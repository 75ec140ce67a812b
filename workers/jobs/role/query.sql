-- name: role_begin_query
UPDATE datasets d
SET attempts = attempts + 1, received_bytes = 0, touched_at = now()
WHERE id = $1 AND state = :DATASET_STATE_FILLING AND source <> :DATASET_SOURCE_UPLOAD
RETURNING query, attempts,
          (SELECT coalesce(sum(greatest(size_bytes, received_bytes)), 0)::bigint
           FROM datasets o
           WHERE o.owner_id = d.owner_id AND o.id <> d.id);

-- name: role_drop_chunks
DELETE FROM dataset_chunks
WHERE dataset_id = $1 AND EXISTS (SELECT FROM datasets WHERE id = $1 AND state = :DATASET_STATE_FILLING);

-- name: role_let_read
SELECT let_read_analytics($1) IS NULL
WHERE EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'analytics' AND c.relkind = 'v'
                AND NOT (has_schema_privilege($1, n.oid, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT')));
