-- name: post_create
-- Rows without a key meet no conflict, and avoid the cost of ON CONFLICT.
WITH input AS (
    SELECT *
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
                $6::bigint[], $7::text[], $8::text[], $9::integer[], $10::bytea[]) WITH ORDINALITY
        AS t (id, author_id, text, reply_to_id, reply_to_account_id,
              thread_id, hashtags, key, partition, payload, place)
), plain AS (
    INSERT INTO posts (id, author_id, text, reply_to_id, reply_to_account_id, thread_id, hashtags, idempotency_key)
    SELECT id, author_id, text, nullif(reply_to_id, 0), nullif(reply_to_account_id, 0), thread_id,
           CASE WHEN hashtags <> '' THEN string_to_array(hashtags, ' ') END, key
    FROM input
    WHERE key IS NULL
), keyed AS (
    INSERT INTO posts (id, author_id, text, reply_to_id, reply_to_account_id, thread_id, hashtags, idempotency_key)
    SELECT id, author_id, text, nullif(reply_to_id, 0), nullif(reply_to_account_id, 0), thread_id,
           CASE WHEN hashtags <> '' THEN string_to_array(hashtags, ' ') END, key
    FROM input
    WHERE key IS NOT NULL
    ON CONFLICT (author_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT id, partition, payload
    FROM input
    WHERE key IS NULL OR id IN (SELECT id FROM keyed)
)
SELECT place, key IS NULL OR id IN (SELECT id FROM keyed)
FROM input;

-- name: post_find_parent read_only
-- $1 post, $2 who replies. No row when $2 may not see it.
SELECT p.author_id, p.thread_id
FROM posts p
WHERE p.id = $1 AND NOT p.deleted AND p.repost_of_id IS NULL
  AND NOT EXISTS (SELECT FROM blocks b
                  WHERE (b.account_id = $2 AND b.target_id = p.author_id)
                     OR (b.account_id = p.author_id AND b.target_id = $2));

-- name: post_find_by_key read_only
-- By the text as it was first posted: it may have been edited since.
SELECT p.id, p.deleted,
       coalesce(p.reply_to_id, 0) = $4
       AND coalesce((SELECT e.text FROM post_edits e WHERE e.post_id = p.id AND e.edit = 0), p.text) = $3
FROM posts p
WHERE p.author_id = $1 AND p.idempotency_key = $2;
