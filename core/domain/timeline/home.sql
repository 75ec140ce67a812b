-- name: home_top_of_authors read_only
SELECT s.place, p.id, p.author_id, coalesce(p.reply_to_account_id, 0), coalesce(p.repost_of_id, 0),
       coalesce(o.author_id, 0), p.repost_of_id IS NOT NULL AND coalesce(o.deleted, true)
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS s(author_id, before, place)
CROSS JOIN LATERAL (
    SELECT id, author_id, reply_to_account_id, repost_of_id
    FROM posts
    WHERE author_id = s.author_id AND id < s.before AND NOT deleted
    ORDER BY id DESC
    LIMIT $3
) p
LEFT JOIN posts o ON o.id = p.repost_of_id;
