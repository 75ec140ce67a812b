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
-- Deleted ones that were replied to are among them: post_below says which of them are to be shown.
(SELECT id, id
 FROM posts
 WHERE reply_to_id = $1 AND id > $2 AND NOT deleted
 ORDER BY id
 LIMIT $3)
UNION ALL
(SELECT id, id
 FROM posts p
 WHERE reply_to_id = $1 AND id > $2 AND deleted
   AND (EXISTS (SELECT FROM posts r WHERE r.reply_to_id = p.id AND NOT r.deleted)
        OR EXISTS (SELECT FROM posts r WHERE r.reply_to_id = p.id AND r.deleted))
 ORDER BY id
 LIMIT $3)
ORDER BY 1
LIMIT $3;

-- name: post_below read_only
-- Those of the posts $1, which are hidden from a viewer, that a post stands below which is not: by an account that is
-- not in $2, and not deleted. Goes down through hidden posts only, $3 posts in all, since nobody bounds their number.
WITH RECURSIVE below AS (
    SELECT t.id AS top, t.id,
           EXISTS (SELECT FROM posts r WHERE r.reply_to_id = t.id AND NOT r.deleted AND r.author_id <> ALL ($2::bigint[]))
               AS is_over
    FROM unnest($1::bigint[]) t (id)
    UNION ALL
    SELECT b.top, h.id,
           EXISTS (SELECT FROM posts r WHERE r.reply_to_id = h.id AND NOT r.deleted AND r.author_id <> ALL ($2))
    FROM below b
    CROSS JOIN LATERAL (
        SELECT p.id FROM posts p WHERE p.reply_to_id = b.id AND p.deleted
        UNION ALL
        SELECT p.id FROM posts p WHERE p.reply_to_id = b.id AND NOT p.deleted) h
    WHERE NOT b.is_over
)
SELECT DISTINCT top
FROM (SELECT top, is_over FROM below LIMIT $3) found
WHERE is_over;

-- name: post_ancestors read_only
-- Goes up to the start of the thread, through deleted posts too.
WITH RECURSIVE up AS (
    SELECT reply_to_id AS id, 1 AS depth FROM posts WHERE id = $1
    UNION ALL
    SELECT p.reply_to_id, up.depth + 1 FROM posts p JOIN up ON p.id = up.id WHERE up.depth < $3
)
SELECT p.id
FROM up JOIN posts p ON p.id = up.id
WHERE $2 = 0
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
-- The row is locked first, so that the kept history has no gaps; and the time is read when the row is locked, since now()
-- is from before the wait for it. It is never before the last edit's or the post's own, which is another clock's.
WITH old AS (
    SELECT id, author_id, text, edit_count, edited_at
    FROM posts
    WHERE id = $1 AND NOT deleted AND repost_of_id IS NULL
      AND NOT EXISTS (SELECT FROM blocks b
                      WHERE (b.account_id = $2 AND b.target_id = posts.author_id)
                         OR (b.account_id = posts.author_id AND b.target_id = $2))
    FOR UPDATE
), stamped AS (
    SELECT id, author_id, text, edit_count,
           greatest(clock_timestamp(), edited_at,
                    to_timestamp(((id >> 22) + :SNOWFLAKE_EPOCH_MS) / 1000.0)) AS edited_at
    FROM old
), kept AS (
    INSERT INTO post_edits (post_id, edit, text, edited_at)
    SELECT id, edit_count, text, edited_at FROM stamped WHERE author_id = $2 AND text <> $6
    RETURNING edited_at
), changed AS (
    UPDATE posts
    SET text = $6, edited_at = (SELECT edited_at FROM kept), edit_count = posts.edit_count + 1,
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
-- The row is read before the statement that uses it, for the event; locked in the statement itself. No row when $2 may
-- not see the post; its author may delete it again.
WITH old AS (
    SELECT id, author_id, deleted
    FROM posts
    WHERE id = $1 AND repost_of_id IS NULL
      AND (author_id = $2
           OR NOT deleted
              AND NOT EXISTS (SELECT FROM blocks b
                              WHERE (b.account_id = $2 AND b.target_id = posts.author_id)
                                 OR (b.account_id = posts.author_id AND b.target_id = $2)))
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
