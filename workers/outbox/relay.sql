-- name: relay_unpublished read_only
-- Rows for streams that only a newer release knows ($4 is the number of those known here) are left to its relay.
SELECT id, partition, payload, stream, coalesce(settled_epoch, 0)
FROM outbox
WHERE published_at IS NULL AND id >= $3 AND id < $1 AND stream < $4::integer
ORDER BY id
LIMIT $2;

-- name: relay_mark
UPDATE outbox
SET published_at = now()
WHERE id = ANY($1) AND id >= $2 AND id <= $3
  AND $4 = (SELECT epoch FROM redis_epochs WHERE epoch = $4 AND NOT superseded FOR SHARE);

-- name: relay_new_epochs read_only
-- The newest epoch not yet told; from when to when what was published went to a Redis before it (what a gateway had put
-- there and had yet to mark is marked two seconds after); whether there was one before it; and before when what was
-- published is settled (struct window).
SELECT max(epoch),
       floor(extract(epoch FROM greatest(upkeep_keep_from($2), 'epoch')) * 1000)::bigint,
       ceil(extract(epoch FROM max(opened_at) + interval '2 seconds') * 1000)::bigint,
       max(epoch) > (SELECT min(epoch) FROM redis_epochs),
       floor(extract(epoch FROM max(opened_at) - make_interval(secs => $3)) * 1000)::bigint
FROM redis_epochs
WHERE NOT republished AND epoch <= $1 AND opened_at NOT BETWEEN now() - interval '2 seconds' AND now()
HAVING max(epoch) IS NOT NULL;

-- name: relay_reopen
WITH again AS (
    UPDATE outbox
    SET published_at = NULL,
        settled_epoch = CASE WHEN published_at < to_timestamp($5::bigint / 1000.0) THEN $6 ELSE settled_epoch END
    WHERE id > $1
      AND id IN (SELECT id
                 FROM outbox
                 WHERE id > $1
                   AND published_at >= to_timestamp($2::bigint / 1000.0)
                   AND published_at < to_timestamp($3::bigint / 1000.0)
                 ORDER BY id
                 LIMIT $4)
    RETURNING id
)
SELECT count(*), coalesce(max(id), 0)
FROM again;

-- name: relay_reopened
UPDATE redis_epochs
SET republished = true
WHERE epoch <= $1;
