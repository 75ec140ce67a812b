-- name: graph_lock_follower
-- MAX_FOLLOWING is counted under it, by one follow of the account at a time. A transaction that needs both takes the
-- pair's lock first.
SELECT pg_advisory_xact_lock(hashtextextended('follows of ' || $1::bigint, 0));

-- name: graph_lock_pair
SELECT pg_advisory_xact_lock(hashtextextended(least($1, $2) || ':' || greatest($1, $2), 0));

-- name: graph_follow
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), blocked AS (
    SELECT 1 FROM blocks WHERE (account_id = $1 AND target_id = $2) OR (account_id = $2 AND target_id = $1)
), full_up AS (
    SELECT 1 FROM (SELECT 1 FROM follows WHERE follower_id = $1 LIMIT $6) f HAVING count(*) >= $6
), ins AS (
    INSERT INTO follows (follower_id, followee_id, id)
    SELECT $1, $2, $3 FROM target WHERE NOT EXISTS (SELECT FROM blocked) AND NOT EXISTS (SELECT FROM full_up)
    ON CONFLICT DO NOTHING
    RETURNING 1
), ver AS (
    UPDATE account_stats
    SET follower_version = follower_version + 1
    WHERE account_id = $2 AND EXISTS (SELECT FROM ins)
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM ins)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM ins),
       EXISTS (SELECT FROM blocked), EXISTS (SELECT FROM full_up),
       EXISTS (SELECT FROM follows WHERE follower_id = $1 AND followee_id = $2);

-- name: graph_unfollow
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), del AS (
    DELETE FROM follows WHERE follower_id = $1 AND followee_id = $2
    RETURNING 1
), ver AS (
    UPDATE account_stats
    SET follower_version = follower_version + 1
    WHERE account_id = $2 AND EXISTS (SELECT FROM del)
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM del)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM del);

-- name: graph_block
-- The event must say which follows ended, and its payload is made before the statement runs: so the payload is chosen
-- among four, by what was deleted ($5 none, $6 following, $7 being followed, $8 both).
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), ins AS (
    INSERT INTO blocks (account_id, target_id)
    SELECT $1, $2 FROM target
    ON CONFLICT DO NOTHING
    RETURNING 1
), mine AS (
    DELETE FROM follows WHERE follower_id = $1 AND followee_id = $2
    RETURNING 1
), theirs AS (
    DELETE FROM follows WHERE follower_id = $2 AND followee_id = $1
    RETURNING 1
), ver AS (
    UPDATE account_stats
    SET follower_version = follower_version + 1
    WHERE (account_id = $2 AND EXISTS (SELECT FROM mine))
       OR (account_id = $1 AND EXISTS (SELECT FROM theirs))
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, CASE WHEN EXISTS (SELECT FROM mine) AND EXISTS (SELECT FROM theirs) THEN $8::bytea
                        WHEN EXISTS (SELECT FROM theirs) THEN $7
                        WHEN EXISTS (SELECT FROM mine) THEN $6
                        ELSE $5 END
    WHERE EXISTS (SELECT FROM ins)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM ins),
       EXISTS (SELECT FROM mine)::int + 2 * EXISTS (SELECT FROM theirs)::int;

-- name: graph_unblock
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), changed AS (
    DELETE FROM blocks WHERE account_id = $1 AND target_id = $2
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM changed)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM changed);

-- name: graph_mute
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), changed AS (
    INSERT INTO mutes (account_id, target_id)
    SELECT $1, $2 FROM target
    ON CONFLICT DO NOTHING
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM changed)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM changed);

-- name: graph_unmute
WITH target AS (
    SELECT 1 FROM accounts WHERE id = $2
), changed AS (
    DELETE FROM mutes WHERE account_id = $1 AND target_id = $2
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM changed)
)
SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM changed);

-- name: graph_list_followers read_only
SELECT a.id, a.handle, a.display_name, f.id
FROM follows f JOIN accounts a ON a.id = f.follower_id
WHERE f.followee_id = $1 AND f.id < $2
  AND NOT EXISTS (SELECT FROM blocks b
                  WHERE (b.account_id = $3 AND b.target_id = a.id) OR (b.account_id = a.id AND b.target_id = $3))
ORDER BY f.id DESC
LIMIT $4;

-- name: graph_list_following read_only
SELECT a.id, a.handle, a.display_name, f.id
FROM follows f JOIN accounts a ON a.id = f.followee_id
WHERE f.follower_id = $1 AND f.id < $2
  AND NOT EXISTS (SELECT FROM blocks b
                  WHERE (b.account_id = $3 AND b.target_id = a.id) OR (b.account_id = a.id AND b.target_id = $3))
ORDER BY f.id DESC
LIMIT $4;

-- name: graph_standing read_only
SELECT EXISTS (SELECT FROM follows WHERE follower_id = $1 AND followee_id = $2),
       EXISTS (SELECT FROM follows WHERE follower_id = $2 AND followee_id = $1),
       EXISTS (SELECT FROM blocks WHERE account_id = $1 AND target_id = $2),
       EXISTS (SELECT FROM mutes WHERE account_id = $1 AND target_id = $2),
       EXISTS (SELECT FROM blocks WHERE account_id = $2 AND target_id = $1);
