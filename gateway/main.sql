-- name: gateway_page_secret
-- Every gateway must read every other's page tokens, and know the session tokens that it gave out: the first to start makes the secret.
WITH made AS (
    INSERT INTO secrets (name, value) VALUES ('page_tokens', $1)
    ON CONFLICT DO NOTHING
    RETURNING value
)
SELECT value FROM made
UNION ALL
SELECT value FROM secrets WHERE name = 'page_tokens'
LIMIT 1;
