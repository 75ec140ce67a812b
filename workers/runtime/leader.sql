-- name: leader_lead
INSERT INTO role_leases AS l (name, holder, expires_at)
VALUES ($1, $2, now() + $3 * interval '1 second')
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at < now()
RETURNING 1;
