-- name: post_bookmark
-- As post_like; $3 is the bookmark's id.
WITH post AS (
    SELECT id, author_id FROM posts WHERE id = $2 AND NOT deleted AND repost_of_id IS NULL
), blocked AS (
    SELECT 1
    FROM blocks b, post
    WHERE (b.account_id = $1 AND b.target_id = post.author_id)
       OR (b.account_id = post.author_id AND b.target_id = $1)
), added AS (
    INSERT INTO bookmarks (account_id, post_id, id)
    SELECT $1, $2, $3 FROM post WHERE NOT EXISTS (SELECT FROM blocked)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT EXISTS (SELECT FROM blocked), EXISTS (SELECT FROM added)
FROM post;

-- name: post_unbookmark
DELETE FROM bookmarks WHERE account_id = $1 AND post_id = $2;

-- name: post_bookmarks read_only
SELECT b.post_id, b.id
FROM bookmarks b
JOIN posts p ON p.id = b.post_id AND NOT p.deleted
WHERE b.account_id = $1 AND b.id < $2
ORDER BY b.id DESC
LIMIT $3;
