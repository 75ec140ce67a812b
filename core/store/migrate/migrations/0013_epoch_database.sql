-- The database in which the epoch was opened, and when its server had been started. A dump that takes a database's place in a running
-- server is another database, and a copy or a promoted standby has another server. NULL: a process of an older release opened it.
ALTER TABLE redis_epochs ADD COLUMN database oid, ADD COLUMN server_started timestamptz;
