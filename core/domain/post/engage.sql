-- name: post_like
-- $1 actor, $2 post. No row: the post does not exist.
WITH post AS (
    SELECT id, author_id FROM posts WHERE id = $2 AND NOT deleted AND repost_of_id IS NULL
), blocked AS (
    SELECT 1
    FROM blocks b, post
    WHERE (b.account_id = $1 AND b.target_id = post.author_id)
       OR (b.account_id = post.author_id AND b.target_id = $1)
), ins AS (
    INSERT INTO likes (post_id, account_id, id)
    SELECT $2, $1, $3 FROM post WHERE NOT EXISTS (SELECT FROM blocked)
    ON CONFLICT DO NOTHING
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM ins)
)
SELECT EXISTS (SELECT FROM blocked), EXISTS (SELECT FROM ins)
FROM post;

-- name: post_unlike
-- Removing a like is always allowed, whatever the state of the post or the relation.
WITH del AS (
    DELETE FROM likes WHERE post_id = $2 AND account_id = $1
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM del)
)
SELECT false, EXISTS (SELECT FROM del);

-- name: post_repost
-- As post_like.
WITH post AS (
    SELECT id, author_id FROM posts WHERE id = $2 AND NOT deleted AND repost_of_id IS NULL
), blocked AS (
    SELECT 1
    FROM blocks b, post
    WHERE (b.account_id = $1 AND b.target_id = post.author_id)
       OR (b.account_id = post.author_id AND b.target_id = $1)
), ins AS (
    INSERT INTO posts (id, author_id, text, thread_id, repost_of_id)
    SELECT $3, $1, '', $3, $2 FROM post WHERE NOT EXISTS (SELECT FROM blocked)
    ON CONFLICT (author_id, repost_of_id) WHERE repost_of_id IS NOT NULL AND NOT deleted DO NOTHING
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM ins)
)
SELECT EXISTS (SELECT FROM blocked), EXISTS (SELECT FROM ins)
FROM post;

-- name: post_find_repost read_only
SELECT id
FROM posts
WHERE author_id = $1 AND repost_of_id = $2 AND NOT deleted;

-- name: post_unrepost
WITH gone AS (
    UPDATE posts SET deleted = true WHERE id = $1 AND NOT deleted
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $2, $3, $4 WHERE EXISTS (SELECT FROM gone)
)
SELECT EXISTS (SELECT FROM gone);

-- name: post_find_last_repost read_only
-- The repost, or the last one that was removed.
SELECT id, gone
FROM (
    (SELECT id, false AS gone FROM posts WHERE author_id = $1 AND repost_of_id = $2 AND NOT deleted)
    UNION ALL
    (SELECT id, true FROM posts WHERE author_id = $1 AND repost_of_id = $2 AND deleted ORDER BY id DESC LIMIT 1)
) r
ORDER BY gone
LIMIT 1;

-- name: post_likers read_only
SELECT account_id, id
FROM likes
WHERE post_id = $1 AND id < $3
  AND NOT EXISTS (SELECT FROM blocks b
                  WHERE (b.account_id = $2 AND b.target_id = likes.account_id)
                     OR (b.account_id = likes.account_id AND b.target_id = $2))
ORDER BY id DESC
LIMIT $4;

-- name: post_reposters read_only
SELECT author_id, id
FROM posts
WHERE repost_of_id = $1 AND id < $3 AND NOT deleted
  AND NOT EXISTS (SELECT FROM blocks b
                  WHERE (b.account_id = $2 AND b.target_id = posts.author_id)
                     OR (b.account_id = posts.author_id AND b.target_id = $2))
ORDER BY id DESC
LIMIT $4;

-- name: post_reposts read_only
SELECT author_id, id
FROM posts
WHERE repost_of_id = $1 AND id > $2 AND NOT deleted
ORDER BY id
LIMIT $3;

-- name: post_engagements read_only
-- A column for each kind of enum engagement, in its order; also below.
SELECT ARRAY(SELECT post_id FROM likes WHERE account_id = $1 ORDER BY post_id DESC LIMIT $2),
       ARRAY(SELECT repost_of_id
             FROM posts
             WHERE author_id = $1 AND repost_of_id IS NOT NULL AND NOT deleted
             ORDER BY repost_of_id DESC
             LIMIT $2),
       ARRAY(SELECT post_id FROM bookmarks WHERE account_id = $1 ORDER BY post_id DESC LIMIT $2);

-- name: post_engaged_in read_only
SELECT ARRAY(SELECT post_id FROM likes WHERE account_id = $1 AND post_id = ANY($2)),
       ARRAY(SELECT repost_of_id FROM posts WHERE author_id = $1 AND repost_of_id = ANY($2) AND NOT deleted),
       ARRAY(SELECT post_id FROM bookmarks WHERE account_id = $1 AND post_id = ANY($2));
