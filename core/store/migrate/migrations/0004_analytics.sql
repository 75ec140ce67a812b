-- What analysts' queries may read: what every account can see through the API, without texts, and nothing that is for
-- some eyes only (sessions, passwords, blocks, mutes, who read what). A view is added here with that in mind: whoever
-- may read one of them may read all. They are barriers, so that a function in a query sees no row that the view hides.
CREATE SCHEMA analytics;

-- The time that a snowflake tells is (id >> 22) milliseconds after 2024-01-01.
CREATE VIEW analytics.accounts WITH (security_barrier) AS
    SELECT a.id, a.handle, to_timestamp(((a.id >> 22) + 1704067200000) / 1000.0) AS created_at,
           s.follower_count, s.following_count, s.post_count
    FROM public.accounts a JOIN public.account_stats s ON s.account_id = a.id;

CREATE VIEW analytics.posts WITH (security_barrier) AS
    SELECT p.id, p.author_id, to_timestamp(((p.id >> 22) + 1704067200000) / 1000.0) AS created_at,
           p.reply_to_id, p.repost_of_id, length(p.text) AS characters, coalesce(cardinality(p.hashtags), 0) AS hashtags,
           p.edit_count, coalesce(c.likes, 0) AS likes, coalesce(c.reposts, 0) AS reposts,
           coalesce(c.replies, 0) AS replies
    FROM public.posts p LEFT JOIN public.post_counts c ON c.post_id = p.id WHERE NOT p.deleted;

CREATE VIEW analytics.post_hashtags WITH (security_barrier) AS
    SELECT p.id AS post_id, t.hashtag FROM public.posts p, unnest(p.hashtags) AS t (hashtag) WHERE NOT p.deleted;

CREATE VIEW analytics.likes WITH (security_barrier) AS
    SELECT l.post_id, l.account_id, to_timestamp(((l.id >> 22) + 1704067200000) / 1000.0) AS created_at
    FROM public.likes l JOIN public.posts p ON p.id = l.post_id AND NOT p.deleted;

CREATE VIEW analytics.follows WITH (security_barrier) AS
    SELECT follower_id, followee_id, to_timestamp(((id >> 22) + 1704067200000) / 1000.0) AS created_at
    FROM public.follows;

-- Lets a role read them. For workers, who know the role's name; of no use to others.
CREATE FUNCTION let_read_analytics(reader text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA analytics TO %I', reader);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO %I', reader);
END $$;
REVOKE EXECUTE ON FUNCTION let_read_analytics(text) FROM PUBLIC;
