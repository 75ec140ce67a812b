-- name: backlog_unpublished read_only
SELECT stream, count(*), min(id)
FROM (SELECT stream, id
      FROM outbox
      WHERE published_at IS NULL AND id < $1
      ORDER BY id
      LIMIT 1000000) AS waiting
GROUP BY stream;

-- name: backlog_newest read_only
SELECT coalesce(max(id), 0)
FROM outbox;

-- name: backlog_unpublished_up_to read_only
SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND id <= $1);
