-- name: counts_apply
-- Times become ids, below those of that millisecond; 600000 are the ten minutes for which a row stays in the outbox.
WITH safe AS MATERIALIZED (
    SELECT CASE WHEN server_started = pg_postmaster_start_time()
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                THEN ((extract(epoch FROM opened_at) * 1000)::bigint - :SNOWFLAKE_EPOCH_MS + $12 * 1000) << 22
                ELSE 9223372036854775807 END AS from_id
    FROM redis_epochs
    ORDER BY epoch DESC
    LIMIT 1
), there AS (
    SELECT id FROM outbox WHERE id = ANY($1) AND id BETWEEN $10 AND $11
), input AS (
    SELECT DISTINCT *
    FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[],
                $6::bigint[], $7::integer[], $8::integer[], $9::integer[])
        AS t (event_id, post_id, likes, reposts, replies, account_id, posts, following, followers)
    WHERE event_id >= (SELECT counted_below FROM upkeep)
      AND (event_id > (SELECT from_id FROM safe)
           OR event_id < ((extract(epoch FROM now()) * 1000)::bigint - :SNOWFLAKE_EPOCH_MS - 600000) << 22
           OR event_id IN (SELECT id FROM there))
), fresh AS (
    INSERT INTO counted_events (event_id)
    SELECT DISTINCT event_id FROM input ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING event_id
), counted AS (
    SELECT input.* FROM input JOIN fresh USING (event_id)
), to_posts AS (
    INSERT INTO post_counts AS c (post_id, likes, reposts, replies)
    SELECT post_id, sum(likes), sum(reposts), sum(replies)
    FROM counted
    WHERE post_id <> 0
    GROUP BY post_id
    ORDER BY post_id
    ON CONFLICT (post_id) DO UPDATE
    SET likes = c.likes + excluded.likes, reposts = c.reposts + excluded.reposts, replies = c.replies + excluded.replies
)
UPDATE account_stats s
SET post_count = s.post_count + d.posts,
    following_count = s.following_count + d.following,
    follower_count = s.follower_count + d.followers
FROM (SELECT account_id, sum(posts) AS posts, sum(following) AS following, sum(followers) AS followers
      FROM counted
      WHERE account_id <> 0
      GROUP BY account_id
      ORDER BY account_id) d
WHERE s.account_id = d.account_id;
