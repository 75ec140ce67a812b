-- name: post_is_visible read_only
-- A row that has been dropped was published long ago.
SELECT NOT EXISTS (SELECT FROM outbox WHERE id = $1 AND published_at IS NULL)
       OR (SELECT superseded FROM redis_epochs ORDER BY epoch DESC LIMIT 1);
