-- name: relations_load read_only
SELECT ARRAY(SELECT followee_id FROM follows WHERE follower_id = $1 ORDER BY 1),
       ARRAY(SELECT target_id FROM blocks WHERE account_id = $1
             UNION SELECT account_id FROM blocks WHERE target_id = $1
             ORDER BY 1),
       ARRAY(SELECT target_id FROM mutes WHERE account_id = $1 ORDER BY 1);
