-- name: chunks_ranges read_only
-- The last id of each full range behind an id, sorted: so many at most.
SELECT follower_id
FROM (SELECT follower_id, row_number() OVER (ORDER BY follower_id) AS n
      FROM follows
      WHERE followee_id = $1 AND follower_id > $2
      ORDER BY follower_id
      LIMIT $3::bigint * $4::bigint) f
WHERE n % $3 = 0
ORDER BY n;
