-- The database in which the epoch was opened. A dump that takes a database's place in a running server is another one. NULL: a
-- process of an older release opened it.
ALTER TABLE redis_epochs ADD COLUMN database oid;
