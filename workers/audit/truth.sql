-- name: audit_expected read_only
-- The rule of the home timeline again, as sets, and written independently of
-- core/domain/timeline/home.c: an audit that shared the code it checks would share its mistakes. One statement, so
-- one snapshot.
WITH source AS (
    SELECT $1::bigint AS id
    UNION SELECT followee_id FROM follows WHERE follower_id = $1
), hidden AS (
    SELECT target_id AS id FROM blocks WHERE account_id = $1
    UNION SELECT account_id FROM blocks WHERE target_id = $1
    UNION SELECT target_id FROM mutes WHERE account_id = $1
), newest AS (
    SELECT e.id
    FROM (SELECT id FROM source EXCEPT SELECT id FROM hidden) AS author
    CROSS JOIN LATERAL (
        SELECT p.id
        FROM posts p LEFT JOIN posts original ON original.id = p.repost_of_id
        WHERE p.author_id = author.id AND NOT p.deleted
          AND (p.repost_of_id IS NULL
               OR NOT original.deleted AND original.author_id NOT IN (SELECT id FROM hidden))
          AND (p.reply_to_account_id IS NULL
               OR p.author_id = $1
               OR p.reply_to_account_id NOT IN (SELECT id FROM hidden)
                  AND (p.reply_to_account_id = p.author_id OR p.reply_to_account_id IN (SELECT id FROM source)))
        ORDER BY p.id DESC
        LIMIT $2
    ) AS e
    ORDER BY e.id DESC
    LIMIT $2
)
SELECT p.id, p.author_id, coalesce(original.edit_count, p.edit_count), coalesce(s.pulled, false)
FROM newest
JOIN posts p USING (id)
LEFT JOIN posts original ON original.id = p.repost_of_id
LEFT JOIN account_stats s ON s.account_id = p.author_id
ORDER BY p.id DESC;

-- name: audit_open_sessions
INSERT INTO sessions (id, account_id, token_hash, expires_at, user_agent)
SELECT id, account_id, token_hash, now() + $4 * interval '1 second', 'rookery-worker audit'
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS t (id, account_id, token_hash);

-- name: audit_close_sessions
DELETE FROM sessions
WHERE id = ANY($1);
