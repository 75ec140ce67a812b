-- name: outbox_mark_published
-- The bounds let PostgreSQL skip partitions.
UPDATE outbox
SET published_at = now()
WHERE id = ANY($1) AND id >= $2 AND id <= $3 AND published_at IS NULL
  AND $4 = (SELECT epoch FROM redis_epochs WHERE epoch = $4 AND NOT superseded FOR SHARE);
