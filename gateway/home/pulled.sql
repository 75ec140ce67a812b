-- name: pulled_authors read_only
SELECT account_id
FROM account_stats
WHERE pulled;
