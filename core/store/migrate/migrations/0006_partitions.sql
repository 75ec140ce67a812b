-- Outbox and counted_events by the hour: made ahead of time, dropped whole when nobody can want them any more.
--
-- A partition is called PARENT_until_HOUR: its ids are below that hour's first (hours since 1970; an id's upper bits are its
-- time). What no partition covers goes to the default partition, so a missing partition costs speed, never a row.
-- The relay's leader calls the functions below (workers/outbox/upkeep.c, where the proofs are). Each is one transaction, waits at most
-- 200 ms for a lock, since writers queue up behind it, and may be run by several leaders at once.

CREATE TABLE upkeep (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- What was published before is done with, in every role.
    processed_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Events with lower ids have been counted, and are never counted again.
    counted_below bigint NOT NULL DEFAULT 0,
    counted_below_since timestamptz NOT NULL DEFAULT now()
);
INSERT INTO upkeep DEFAULT VALUES;
DROP TABLE stream_progress;

-- The first id of an hour.
CREATE FUNCTION upkeep_hour_id(hour bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT greatest(hour * 3600000 - 1704067200000, 0) << 22';

CREATE FUNCTION upkeep_this_hour() RETURNS bigint LANGUAGE sql STABLE AS
    'SELECT floor(extract(epoch FROM now()) / 3600)::bigint';

-- Every partition by the hour: attached ones, and those that were detached to be dropped.
CREATE FUNCTION upkeep_partitions(parent text, OUT name text, OUT until bigint, OUT attached boolean)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, substring(c.relname FROM '_until_(\d+)$')::bigint, c.relispartition
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ ('^' || parent || '_until_\d+$')
    ORDER BY 2
$$;

-- Outbox rows published from here on may be published again: the relay's window, and what some role has yet to process.
CREATE FUNCTION upkeep_keep_from(window_s integer) RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT least(now() - window_s * interval ''1 second'', processed_until) FROM upkeep';

-- Makes the partitions of the hours to come. A default partition is scanned under lock when another is attached beside it: one that
-- has grown large (there was no leader for long) is left to be emptied row by row first. An hour of which the default has rows is
-- passed over.
CREATE FUNCTION upkeep_create(parent text, ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    name text;
    from_hour bigint;
BEGIN
    IF pg_relation_size((parent || '_default')::regclass) > 256 * 1024 * 1024 THEN
        RETURN 0;
    END IF;
    PERFORM set_config('lock_timeout', '200ms', true);
    SELECT greatest(max(p.until), upkeep_this_hour()) + 1 INTO from_hour FROM upkeep_partitions(parent) p;
    FOR hour IN coalesce(from_hour, upkeep_this_hour() + 1) .. upkeep_this_hour() + 1 + ahead LOOP
        name := parent || '_until_' || hour;
        BEGIN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', name, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, name,
                           upkeep_hour_id(hour - 1), upkeep_hour_id(hour));
            made := made + 1;
        EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    RETURN made;
END $$;

-- Takes one outbox partition out whose hour is long over and in which nothing is unpublished or kept. 1 when there was one.
CREATE FUNCTION upkeep_detach_outbox(window_s integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    p record;
    wanted boolean;
    keep_from timestamptz := upkeep_keep_from(window_s);
BEGIN
    FOR p IN SELECT * FROM upkeep_partitions('outbox') u
             WHERE u.attached AND u.until * 3600 < extract(epoch FROM now()) - window_s - 600 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE published_at IS NULL OR published_at >= $1)', p.name)
            INTO wanted USING keep_from;
        CONTINUE WHEN wanted;
        PERFORM set_config('lock_timeout', '200ms', true);
        EXECUTE format('ALTER TABLE outbox DETACH PARTITION %I', p.name);
        RETURN 1;
    END LOOP;
    RETURN 0;
EXCEPTION WHEN lock_not_available OR undefined_table THEN
    RETURN 0;
END $$;

-- Drops what was detached. A row that must be kept after all, because it came while the partition was being taken out, goes back to
-- the outbox first. How many did.
CREATE FUNCTION upkeep_drop_outbox(window_s integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    p record;
    moved bigint;
    saved bigint := 0;
    keep_from timestamptz := upkeep_keep_from(window_s);
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    FOR p IN SELECT * FROM upkeep_partitions('outbox') u WHERE NOT u.attached LOOP
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', p.name);
        EXECUTE format('INSERT INTO outbox SELECT * FROM %I WHERE published_at IS NULL OR published_at >= $1', p.name)
            USING keep_from;
        GET DIAGNOSTICS moved = ROW_COUNT;
        saved := saved + moved;
        EXECUTE format('DROP TABLE %I', p.name);
    END LOOP;
    RETURN saved;
EXCEPTION WHEN lock_not_available OR undefined_table THEN
    RETURN 0;
END $$;

-- Moves the mark below which everything is counted: to the hour of the lowest id that is still in the outbox. The caller answers for
-- dead letters: there may be none.
CREATE FUNCTION upkeep_move_counted_below(window_s integer) RETURNS bigint LANGUAGE sql AS $$
    UPDATE upkeep SET counted_below = t.id, counted_below_since = now()
    FROM (SELECT upkeep_hour_id(least(((SELECT min(id) FROM outbox) >> 22) + 1704067200000,
                                      (extract(epoch FROM now()) * 1000)::bigint - (window_s + 600) * 1000::bigint) / 3600000) AS id) t
    WHERE t.id > counted_below AND NOT EXISTS (SELECT FROM upkeep_partitions('outbox') u WHERE NOT u.attached)
    RETURNING counted_below
$$;

-- Drops one partition of what was counted below the mark. A minute later, so that no statement that began before the mark moved
-- still runs. 1 when there was one.
CREATE FUNCTION upkeep_drop_counted() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT u.name FROM upkeep_partitions('counted_events') u, upkeep k
             WHERE upkeep_hour_id(u.until) <= k.counted_below AND k.counted_below_since < now() - interval '1 minute' LOOP
        PERFORM set_config('lock_timeout', '200ms', true);
        EXECUTE format('DROP TABLE %I', p.name);
        RETURN 1;
    END LOOP;
    RETURN 0;
EXCEPTION WHEN lock_not_available OR undefined_table THEN
    RETURN 0;
END $$;

-- The start: what there is so far becomes the first partition, up to the end of the next hour, and new default ones are empty.
DO $$
DECLARE
    parent text;
    until bigint := upkeep_this_hour() + 2;
BEGIN
    FOREACH parent IN ARRAY ARRAY['outbox', 'counted_events'] LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, parent || '_default');
        EXECUTE format('ALTER TABLE %I RENAME TO %I', parent || '_default', parent || '_until_' || until);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)', parent,
                       parent || '_until_' || until, upkeep_hour_id(until));
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_default', parent);
        PERFORM upkeep_create(parent, 24);
    END LOOP;
END $$;
