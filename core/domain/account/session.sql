-- name: session_beyond read_only
-- All but the newest $2 of the account's sessions.
SELECT ARRAY(SELECT id FROM (SELECT id FROM sessions WHERE account_id = $1 ORDER BY id DESC OFFSET $2) s ORDER BY id);

-- name: session_insert
-- $6: sessions that end for it; the event of that is in the outbox only if there are any.
WITH del AS (
    DELETE FROM sessions WHERE account_id = $2 AND id = ANY($6)
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $7, $8, $9 WHERE EXISTS (SELECT FROM del)
), ins AS (
    INSERT INTO sessions (id, account_id, token_hash, expires_at, user_agent)
    VALUES ($1, $2, $3, to_timestamp($4 / 1000.0), $5)
)
SELECT EXISTS (SELECT FROM del);

-- name: session_find read_only
-- The last: how long it is still valid, in milliseconds.
SELECT id, account_id, expires_at, user_agent, (extract(epoch FROM expires_at - now()) * 1000)::bigint
FROM sessions
WHERE token_hash = $1 AND expires_at > now();

-- name: session_list read_only
SELECT id, account_id, expires_at, user_agent
FROM sessions
WHERE account_id = $1 AND id < $2 AND expires_at > now()
ORDER BY id DESC
LIMIT $3;

-- name: session_filter_valid read_only
SELECT ARRAY(SELECT id FROM sessions WHERE id = ANY($1) AND expires_at > now() ORDER BY id);

-- name: session_others read_only
SELECT ARRAY(SELECT id FROM sessions WHERE account_id = $1 AND id <> $2);

-- name: session_revoke
WITH del AS (
    DELETE FROM sessions WHERE account_id = $1 AND id = ANY($2)
    RETURNING id
), out AS (
    INSERT INTO outbox (id, partition, payload)
    SELECT $3, $4, $5 WHERE EXISTS (SELECT FROM del)
)
SELECT EXISTS (SELECT FROM sessions WHERE id = ANY($2) AND account_id <> $1);
