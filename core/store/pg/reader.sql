-- name: reader_role_fits
-- The owner of what is read is who made the schema.
SELECT NOT u.rolsuper AND NOT u.rolcreaterole AND NOT pg_has_role(current_user, s.nspowner, 'MEMBER')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname || '.' || c.relname = $2
                         AND has_table_privilege(current_user, c.oid, 'SELECT, INSERT, UPDATE, DELETE'))
FROM pg_catalog.pg_roles u, pg_catalog.pg_namespace s
WHERE u.rolname = current_user AND s.nspname = $1;
