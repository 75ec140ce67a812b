-- name: pg_check shared
-- In the order of the columns in check.c. The last one makes commits of the session durable, where the server's
-- default is that they are not.
SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
       pg_is_in_recovery(), current_setting('default_transaction_read_only'),
       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', false) END;
