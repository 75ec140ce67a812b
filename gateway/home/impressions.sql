-- name: impressions_insert
INSERT INTO impressions (post_id, viewer_id)
SELECT DISTINCT * FROM unnest($1::bigint[], $2::bigint[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: impressions_drop_old
DELETE FROM impressions
WHERE ctid = ANY (ARRAY(SELECT ctid
                        FROM impressions
                        WHERE shown_at < now() - $1 * interval '1 day'
                        ORDER BY shown_at
                        LIMIT $2));
