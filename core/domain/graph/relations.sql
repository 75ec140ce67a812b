-- name: relations_load_many read_only
SELECT ARRAY(SELECT followee_id FROM follows WHERE follower_id = v.id ORDER BY 1),
       ARRAY(SELECT target_id FROM blocks WHERE account_id = v.id
             UNION SELECT account_id FROM blocks WHERE target_id = v.id
             ORDER BY 1),
       ARRAY(SELECT target_id FROM mutes WHERE account_id = v.id ORDER BY 1)
FROM unnest($1::bigint[]) WITH ORDINALITY AS v(id, position)
ORDER BY v.position;

-- name: relations_load read_only
SELECT ARRAY(SELECT followee_id FROM follows WHERE follower_id = $1 ORDER BY 1),
       ARRAY(SELECT target_id FROM blocks WHERE account_id = $1
             UNION SELECT account_id FROM blocks WHERE target_id = $1
             ORDER BY 1),
       ARRAY(SELECT target_id FROM mutes WHERE account_id = $1 ORDER BY 1);
