-- name: account_get read_only
SELECT a.id, a.handle, a.display_name, a.bio, s.follower_count, s.following_count, s.post_count, s.pulled
FROM accounts a JOIN account_stats s ON s.account_id = a.id
WHERE a.id = $1;

-- name: account_get_by_handle read_only
SELECT a.id, a.handle, a.display_name, a.bio, s.follower_count, s.following_count, s.post_count, s.pulled,
       a.password_hash, coalesce(a.registration_key, '')
FROM accounts a JOIN account_stats s ON s.account_id = a.id
WHERE a.handle = lower($1);

-- name: account_summaries read_only
SELECT id, handle, display_name
FROM accounts
WHERE id = ANY($1);

-- name: account_insert
WITH ins AS (
    INSERT INTO accounts (id, handle, display_name, password_hash, registration_key)
    VALUES ($1, $2, $3, $4, nullif($5, ''))
    ON CONFLICT (handle) DO NOTHING
    RETURNING id
), stats AS (
    INSERT INTO account_stats (account_id)
    SELECT id FROM ins
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $6, $7, $8 FROM ins
)
SELECT id
FROM ins;

-- name: account_get_hash read_only
SELECT password_hash
FROM accounts
WHERE id = $1;

-- name: account_set_hash
UPDATE accounts
SET password_hash = $2
WHERE id = $1 AND password_hash = $3;

-- name: account_update_profile
WITH upd AS (
    UPDATE accounts
    SET display_name = coalesce($2, display_name), bio = coalesce($3, bio)
    WHERE id = $1
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $4, $5, $6 FROM upd
)
SELECT id
FROM upd;

-- name: account_set_analyst
UPDATE accounts
SET analyst = $2
WHERE id = $1;

-- name: account_is_analyst read_only
SELECT analyst
FROM accounts
WHERE id = $1;
