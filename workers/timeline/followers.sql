-- name: followers_versions read_only
SELECT account_id, follower_version
FROM account_stats
WHERE account_id = ANY($1);

-- name: followers_lists read_only
-- Version and list in one snapshot; one id more than are kept tells a big audience.
SELECT s.account_id, s.follower_version,
       ARRAY(SELECT follower_id FROM follows WHERE followee_id = s.account_id ORDER BY follower_id LIMIT $2 + 1)
FROM account_stats s
WHERE s.account_id = ANY($1);

-- name: followers_audiences read_only
SELECT a.place,
       ARRAY(SELECT f.follower_id
             FROM follows f
             WHERE f.followee_id = a.author_id AND f.follower_id BETWEEN a.first AND a.last
               AND (a.hears_too = 0
                    OR f.follower_id = a.hears_too
                    OR EXISTS (SELECT FROM follows g
                               WHERE g.followee_id = a.hears_too AND g.follower_id = f.follower_id))
             ORDER BY f.follower_id)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS a (author_id, hears_too, first, last, place);
