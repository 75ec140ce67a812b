-- name: post_load read_only
SELECT p.id, p.author_id, coalesce(p.reply_to_account_id, 0), coalesce(p.repost_of_id, 0), coalesce(o.author_id, 0),
       p.text, coalesce(p.reply_to_id, 0), p.thread_id, p.edited_at, p.edit_count,
       p.deleted OR (p.repost_of_id IS NOT NULL AND coalesce(o.deleted, true)),
       coalesce(c.likes, 0), coalesce(c.reposts, 0), coalesce(c.replies, 0)
FROM posts p
LEFT JOIN posts o ON o.id = p.repost_of_id
LEFT JOIN post_counts c ON c.post_id = p.id
WHERE p.id = ANY($1);

-- name: post_replies read_only
SELECT id, id
FROM posts
WHERE reply_to_id = $1 AND id > $2 AND NOT deleted
ORDER BY id
LIMIT $3;

-- name: post_ancestors read_only
-- Goes up to the start of the thread. A deleted post on the way is left out, and does not end it.
WITH RECURSIVE up AS (
    SELECT reply_to_id AS id, 1 AS depth FROM posts WHERE id = $1
    UNION ALL
    SELECT p.reply_to_id, up.depth + 1 FROM posts p JOIN up ON p.id = up.id WHERE up.depth < $3
)
SELECT p.id
FROM up JOIN posts p ON p.id = up.id
WHERE NOT p.deleted AND $2 = 0
ORDER BY p.id;

-- name: post_by_author read_only
SELECT id
FROM posts
WHERE author_id = $1 AND id < $2 AND NOT deleted
ORDER BY id DESC
LIMIT $3;

-- name: post_edits read_only
SELECT edit, text, edited_at
FROM post_edits
WHERE post_id = $1 AND edit < $2
ORDER BY edit DESC
LIMIT $3;

-- name: post_edit
-- The row is locked first, so that the kept history has no gaps.
WITH old AS (
    SELECT id, author_id, text, edit_count
    FROM posts
    WHERE id = $1 AND NOT deleted AND repost_of_id IS NULL
    FOR UPDATE
), kept AS (
    INSERT INTO post_edits (post_id, edit, text, edited_at)
    SELECT id, edit_count, text, now() FROM old WHERE author_id = $2 AND text <> $6
    RETURNING 1
), changed AS (
    UPDATE posts
    SET text = $6, edited_at = now(), edit_count = posts.edit_count + 1,
        hashtags = CASE WHEN $7 <> '' THEN string_to_array($7, ' ') END
    FROM old
    WHERE posts.id = old.id AND EXISTS (SELECT FROM kept)
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM changed)
)
SELECT author_id = $2, EXISTS (SELECT FROM changed)
FROM old;

-- name: post_delete
-- The row is read before the statement that uses it, for the event; locked in the statement itself.
WITH old AS (
    SELECT id, author_id, deleted
    FROM posts
    WHERE id = $1 AND repost_of_id IS NULL
    FOR UPDATE
), gone AS (
    UPDATE posts
    SET deleted = true
    FROM old
    WHERE posts.id = old.id AND old.author_id = $2 AND NOT old.deleted
    RETURNING 1
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM gone)
)
SELECT author_id = $2, EXISTS (SELECT FROM gone)
FROM old;
