-- What was shown to whom on home timelines, as far as it was sampled: once per post and viewer, the first time. Who read
-- what is private: analysts see it by cohort and hour only.
CREATE TABLE impressions (
    post_id bigint NOT NULL,
    viewer_id bigint NOT NULL,
    shown_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (post_id, viewer_id)
);
CREATE INDEX impressions_shown ON impressions (shown_at);

-- A row per sampled impression of another's post and hashtag of the post (one with no hashtag when it has none).
--   author_id, author      who wrote the post
--   viewer_cohort          the viewer then: new (account younger than 7 days), else by how many accounts they follow:
--                          casual (under 20), regular (under 200), avid
--   hashtag                without the #; missing when the post has none
--   hour, hour_of_day      when it was shown, in UTC: hours since 1970, and 0 to 23
--   features               post_age_minutes (when shown), author_followers (now), characters, hashtags (how many),
--                          is_reply
--   outcome                liked, reposted, replied: 1 when the viewer did, at any time; engaged: any of them
CREATE VIEW analytics.engagement WITH (security_barrier) AS
    SELECT p.author_id, a.handle AS author,
           CASE WHEN i.shown_at < to_timestamp(((i.viewer_id >> 22) + 1704067200000) / 1000.0) + interval '7 days' THEN 'new'
                WHEN v.following_count < 20 THEN 'casual' WHEN v.following_count < 200 THEN 'regular'
                ELSE 'avid' END AS viewer_cohort,
           t.hashtag, floor(extract(epoch FROM i.shown_at) / 3600)::bigint AS hour,
           extract(hour FROM i.shown_at AT TIME ZONE 'UTC')::integer AS hour_of_day,
           greatest(0, round(extract(epoch FROM i.shown_at) / 60 - ((p.id >> 22) + 1704067200000) / 60000.0, 1))
               AS post_age_minutes,
           s.follower_count AS author_followers, length(p.text) AS characters,
           coalesce(cardinality(p.hashtags), 0) AS hashtags, (p.reply_to_id IS NOT NULL)::integer AS is_reply,
           o.liked, o.reposted, o.replied, greatest(o.liked, o.reposted, o.replied) AS engaged
    FROM public.impressions i
    JOIN public.posts p ON p.id = i.post_id AND NOT p.deleted AND p.author_id <> i.viewer_id
    JOIN public.accounts a ON a.id = p.author_id
    JOIN public.account_stats s ON s.account_id = p.author_id
    JOIN public.account_stats v ON v.account_id = i.viewer_id
    LEFT JOIN LATERAL unnest(p.hashtags) AS t (hashtag) ON true
    CROSS JOIN LATERAL (SELECT
        EXISTS (SELECT FROM public.likes l WHERE l.post_id = p.id AND l.account_id = i.viewer_id)::integer AS liked,
        EXISTS (SELECT FROM public.posts r WHERE r.author_id = i.viewer_id AND r.repost_of_id = p.id AND NOT r.deleted)::integer
            AS reposted,
        EXISTS (SELECT FROM public.posts r WHERE r.reply_to_id = p.id AND r.author_id = i.viewer_id AND NOT r.deleted)::integer
            AS replied) o;

-- A row per hashtag and hour in which something was done with a post of that hashtag.
--   hashtag, hour          as above
--   posts                  written in that hour
--   likes, reposts, replies   given in that hour to posts of any age
--   engagement             their sum
--   impressions            sampled
CREATE VIEW analytics.hashtag_hours WITH (security_barrier) AS
    SELECT t.hashtag, e.hour, sum(e.posts) AS posts, sum(e.likes) AS likes, sum(e.reposts) AS reposts,
           sum(e.replies) AS replies, sum(e.likes + e.reposts + e.replies) AS engagement, sum(e.impressions) AS impressions
    FROM (SELECT id AS post_id, ((id >> 22) + 1704067200000) / 3600000 AS hour, 1 AS posts, 0 AS likes, 0 AS reposts,
                 0 AS replies, 0 AS impressions FROM public.posts WHERE NOT deleted
          UNION ALL SELECT post_id, ((id >> 22) + 1704067200000) / 3600000, 0, 1, 0, 0, 0 FROM public.likes
          UNION ALL SELECT repost_of_id, ((id >> 22) + 1704067200000) / 3600000, 0, 0, 1, 0, 0
              FROM public.posts WHERE repost_of_id IS NOT NULL AND NOT deleted
          UNION ALL SELECT reply_to_id, ((id >> 22) + 1704067200000) / 3600000, 0, 0, 0, 1, 0
              FROM public.posts WHERE reply_to_id IS NOT NULL AND NOT deleted
          UNION ALL SELECT post_id, floor(extract(epoch FROM shown_at) / 3600)::bigint, 0, 0, 0, 0, 1
              FROM public.impressions) e
    JOIN public.posts p ON p.id = e.post_id AND NOT p.deleted
    CROSS JOIN LATERAL unnest(p.hashtags) AS t (hashtag)
    GROUP BY t.hashtag, e.hour;
