-- expires_at never goes back, not even with the database's clock, and is not before the time of any id made under the
-- lease: $4 and, when the lease is given back, $3 are the holder's own time.

-- name: lease_take
UPDATE node_leases
SET holder = $1, expires_at = greatest(now() + $2 * interval '1 ms', to_timestamp($4::bigint / 1000.0))
WHERE node = (SELECT node
              FROM node_leases
              WHERE expires_at < now() - $3 * interval '1 ms'
              ORDER BY node
              LIMIT 1
              FOR UPDATE SKIP LOCKED)
RETURNING node, clock_timestamp();

-- name: lease_renew
UPDATE node_leases
SET expires_at = greatest(expires_at, now() + $3 * interval '1 ms', to_timestamp($4::bigint / 1000.0))
WHERE node = $1::integer AND holder = $2
RETURNING node, clock_timestamp();

-- name: lease_return
UPDATE node_leases
SET holder = '', expires_at = greatest(now(), to_timestamp($3::bigint / 1000.0))
WHERE node = $1::integer AND holder = $2;
