-- name: pull_author
WITH flag AS (
    UPDATE account_stats SET pulled = true WHERE account_id = $1 AND NOT pulled
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $2, $3, $4 WHERE EXISTS (SELECT FROM flag)
)
SELECT EXISTS (SELECT FROM flag);
