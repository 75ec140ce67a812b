-- The spine: accounts, sessions, graph, posts, likes, and the outbox of their events.
-- Ids are snowflakes (64-bit, time-ordered). Times that an id tells are not stored again.

CREATE TABLE accounts (
    id bigint PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    display_name text NOT NULL,
    bio text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    registration_key text
);

-- What changes often is kept apart from what is read often.
CREATE TABLE account_stats (
    account_id bigint PRIMARY KEY REFERENCES accounts,
    -- Moves in the transaction of every change to the account's followers: a cached follower list with another version is stale.
    follower_version bigint NOT NULL DEFAULT 0,
    follower_count bigint NOT NULL DEFAULT 0,
    following_count bigint NOT NULL DEFAULT 0,
    post_count bigint NOT NULL DEFAULT 0,
    -- The audience is so big that readers merge this author's posts. Never taken back.
    pulled boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX account_stats_pulled ON account_stats (account_id) WHERE pulled;

CREATE TABLE sessions (
    id bigint PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts,
    token_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    user_agent text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_account ON sessions (account_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE follows (
    follower_id bigint NOT NULL,
    followee_id bigint NOT NULL,
    id bigint NOT NULL, -- when: for lists in order of following
    PRIMARY KEY (followee_id, follower_id) -- in the order the fan-out reads
);
CREATE INDEX follows_following ON follows (follower_id, id);
CREATE INDEX follows_followers ON follows (followee_id, id);

CREATE TABLE blocks (
    account_id bigint NOT NULL,
    target_id bigint NOT NULL,
    PRIMARY KEY (account_id, target_id)
);
CREATE INDEX blocks_target ON blocks (target_id);

CREATE TABLE mutes (
    account_id bigint NOT NULL,
    target_id bigint NOT NULL,
    PRIMARY KEY (account_id, target_id)
);

-- Posts and reposts: both are entries of timelines. A repost has no text and points at a post.
CREATE TABLE posts (
    id bigint PRIMARY KEY,
    author_id bigint NOT NULL,
    text text NOT NULL,
    reply_to_id bigint,
    reply_to_account_id bigint,
    thread_id bigint NOT NULL,
    repost_of_id bigint,
    hashtags text[],
    idempotency_key text,
    edit_count integer NOT NULL DEFAULT 0,
    edited_at timestamptz,
    deleted boolean NOT NULL DEFAULT false
);
-- With what the home timeline filters by, so that a rebuild need not visit the rows.
CREATE INDEX posts_author ON posts (author_id, id) INCLUDE (reply_to_account_id, repost_of_id) WHERE NOT deleted;
CREATE INDEX posts_replies ON posts (reply_to_id, id) WHERE reply_to_id IS NOT NULL AND NOT deleted;
CREATE INDEX posts_reposts ON posts (repost_of_id, id) WHERE repost_of_id IS NOT NULL AND NOT deleted;
CREATE UNIQUE INDEX posts_one_repost ON posts (author_id, repost_of_id) WHERE repost_of_id IS NOT NULL AND NOT deleted;
CREATE UNIQUE INDEX posts_idempotency ON posts (author_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE post_edits (
    post_id bigint NOT NULL,
    edit integer NOT NULL, -- 0 is the text as first posted
    text text NOT NULL,
    edited_at timestamptz NOT NULL, -- the text stood until then
    PRIMARY KEY (post_id, edit)
);

CREATE TABLE likes (
    post_id bigint NOT NULL,
    account_id bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (post_id, account_id)
);
CREATE INDEX likes_post ON likes (post_id, id);
CREATE INDEX likes_account ON likes (account_id, post_id);

CREATE TABLE post_counts (
    post_id bigint PRIMARY KEY,
    likes bigint NOT NULL DEFAULT 0,
    reposts bigint NOT NULL DEFAULT 0,
    replies bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Which events the counts have in them, so that applying one twice changes nothing.
CREATE TABLE counted_events (
    event_id bigint PRIMARY KEY
) PARTITION BY RANGE (event_id);
CREATE TABLE counted_events_default PARTITION OF counted_events DEFAULT;

-- Every change that others must hear of, written in its own transaction. published_at is set once Redis has it; kept for
-- a while after, because a Redis that comes back older is given the window again.
CREATE TABLE outbox (
    id bigint NOT NULL,
    partition smallint NOT NULL,
    payload bytea NOT NULL,
    published_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX outbox_id ON outbox (id);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;

-- How far every consumer group has come: what was published before processed_until is done with, in every role.
CREATE TABLE stream_progress (
    partition smallint PRIMARY KEY,
    processed_until timestamptz NOT NULL
);

-- Each server process that Redis has been, in order. Timelines belong to an epoch; a new run_id opens a new one.
CREATE TABLE redis_epochs (
    epoch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL UNIQUE,
    opened_at timestamptz NOT NULL DEFAULT now(),
    republished boolean NOT NULL DEFAULT false
);

-- One holder at a time: the relay's leader and the like.
CREATE TABLE role_leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE node_leases (
    node smallint PRIMARY KEY,
    holder text NOT NULL DEFAULT '',
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO node_leases (node) SELECT generate_series(0, 1023);

-- Secrets that all gateways share, made by the first to need them.
CREATE TABLE secrets (
    name text PRIMARY KEY,
    value bytea NOT NULL
);
