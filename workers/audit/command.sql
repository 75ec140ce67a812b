-- name: audit_count_accounts read_only
SELECT count(*)
FROM accounts;

-- name: audit_choose read_only
SELECT id
FROM accounts
ORDER BY random()
LIMIT $1;

-- name: audit_next_of_all read_only
SELECT id, handle
FROM accounts
WHERE id > $1
ORDER BY id
LIMIT $2;

-- name: audit_of_chosen read_only
SELECT id, handle
FROM accounts
WHERE id = ANY($1)
ORDER BY id;
