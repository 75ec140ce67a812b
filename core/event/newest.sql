-- name: epoch_newest read_only
-- Milliseconds, by the server's clock, for which some process may still read in the epoch before; none when there was
-- none.
SELECT n.epoch, n.superseded,
       CASE WHEN EXISTS (SELECT FROM redis_epochs WHERE epoch < n.epoch)
            THEN ceil(greatest(0, least($1, $1 - extract(epoch FROM clock_timestamp() - n.opened_at) * 1000)))::bigint
            ELSE 0 END
FROM redis_epochs n
ORDER BY n.epoch DESC
LIMIT 1;
