#!/usr/bin/python3
"""Partitions: made ahead, dropped when nobody can want them any more, and not a moment (or a row) earlier."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from stack import Own, Person, check, done_testing, eventually, metrics, sql  # noqa: E402

MIGRATIONS = sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                           "../../core/store/migrate/migrations/*.sql")))
HOUR = "upkeep_this_hour()"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def names(own, parent):
    return {row[0] for row in own.sql(f"SELECT name FROM upkeep_partitions('{parent}')")}


def exists(own, table):
    return own.sql(f"SELECT to_regclass('{table}') IS NOT NULL") == [["t"]]


def migration_story(own):
    """Rows that a database has had for long are in the first partition afterwards."""
    old = f"{own.name}_old"
    database = own.database.replace(own.name, old)
    own.sql(f"CREATE DATABASE {old}")
    by_partitions = next(i for i, path in enumerate(MIGRATIONS) if path.endswith("_partitions.sql"))
    for path in MIGRATIONS[:by_partitions]:
        sql(read(path), database)
    sql("INSERT INTO outbox (id, partition, payload) VALUES (1, 0, 'a'), (2, 0, 'b');"
        "INSERT INTO counted_events VALUES (7)", database)
    sql(read(MIGRATIONS[by_partitions]), database)
    rows = sql("SELECT count(*), min(tableoid::regclass::text) LIKE 'outbox_until_%' FROM outbox", database)
    check("the migration keeps the rows there are, in a partition of their own", rows == [["2", "t"]], rows)
    check("and those of what was counted", sql("SELECT event_id FROM counted_events", database) == [["7"]])
    check("the default partitions are empty", sql("SELECT count(*) FROM outbox_default", database) == [["0"]])
    own.sql(f"DROP DATABASE {old}")


def old_hours(own):
    """The partitions of a Rookery that has run for hours: in place of the first, one each for hours long over."""
    for parent in ("outbox", "counted_events"):
        first = own.sql(f"SELECT name FROM upkeep_partitions('{parent}') ORDER BY until LIMIT 1")[0][0]
        own.sql(f"DROP TABLE {first}")
        for until in range(-7, 3):
            own.sql(f"""DO $$ BEGIN EXECUTE format('CREATE TABLE {parent}_until_%s PARTITION OF {parent}
                FOR VALUES FROM (%s) TO (%s)', {HOUR} + {until}, upkeep_hour_id({HOUR} + {until} - 1),
                upkeep_hour_id({HOUR} + {until})); END $$""")
    own.sql("UPDATE upkeep SET counted_below = 0")


def hour(own, offset):
    return own.number(f"SELECT {HOUR} + {offset}")


def outbox_row(own, hours, payload, published):
    """A row in the middle of an hour that many hours ago; its id."""
    row = own.number(f"SELECT upkeep_hour_id({HOUR} + {hours}) + (30 * 60000::bigint << 22)")
    own.sql(f"INSERT INTO outbox (id, partition, payload, published_at) VALUES ({row}, 0, '\\x{payload}', {published})")
    return row


def old_event(own, row, actor):
    """An event as it would have been then: (payload in hex). Field 1: id, 2: actor, 3: a post of the actor's."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])
    post = b"\x08" + varint(row)
    return (b"\x08" + varint(row) + b"\x10" + varint(int(actor)) + b"\x1a" + varint(len(post)) + post).hex()


def add_event(own, payload):
    own.redis("EVAL", "local raw = string.gsub(ARGV[1], '..', function(h) return string.char(tonumber(h, 16)) end)\n"
              "return redis.call('XADD', KEYS[1], '*', 'e', raw)", 1, "events:{0}", payload)


def posts_counted(own, person):
    return own.number(f"SELECT post_count FROM account_stats WHERE account_id = {person.id}")


def dropping_story(own, ada):
    published = "now() - interval '2 hours'"
    at = {offset: own.number(f"SELECT upkeep_hour_id({HOUR} + {offset}) + (30 * 60000::bigint << 22)")
          for offset in (-9, -7, -6, -5, -4)}
    over = outbox_row(own, -7, old_event(own, at[-7], ada.id), published)
    unpublished = outbox_row(own, -6, old_event(own, at[-6], ada.id), "NULL")
    lately = outbox_row(own, -5, old_event(own, at[-5], ada.id), "now() - interval '10 minutes'")
    outbox_row(own, -4, old_event(own, at[-4], ada.id), published)
    stray = outbox_row(own, -9, old_event(own, at[-9], ada.id), published)
    check("a row of an hour without a partition is in the default one",
          own.number(f"SELECT count(*) FROM outbox_default WHERE id = {stray}") == 1)
    detached = f"outbox_until_{hour(own, -20)}"
    own.sql(f"CREATE TABLE {detached} (LIKE outbox INCLUDING DEFAULTS); INSERT INTO {detached} (id, partition, payload, published_at)"
            f" VALUES ({stray + 1}, 0, '\\x{old_event(own, stray + 1, ada.id)}', NULL),"
            f" ({stray + 2}, 0, '\\x', {published})")
    own.sql(f"INSERT INTO counted_events VALUES ({over}), ({lately}), ({stray})")
    own.sql("INSERT INTO sessions (id, account_id, token_hash, expires_at)"
            f" SELECT n, {ada.id}, n::text::bytea, now() - (3 - n) * interval '1 hour' FROM generate_series(1, 4) n")
    before = {offset: f"outbox_until_{hour(own, offset + 1)}" for offset in (-7, -6, -5, -4)}
    counted = posts_counted(own, ada)
    own.redis("XADD", "dead:{1}", "*", "role", "counts", "e", "x")

    worker = own.start("worker")
    check("partitions are made a day ahead", eventually(
        lambda: all(exists(own, f"{parent}_until_{hour(own, 24)}") for parent in ("outbox", "counted_events"))))
    check("a partition that is over, published and processed is dropped", eventually(
        lambda: not exists(own, before[-7]) and not exists(own, before[-4])), names(own, "outbox"))
    check("a row left in the default partition is deleted", eventually(
        lambda: own.number(f"SELECT count(*) FROM outbox WHERE id = {stray}") == 0))
    check("one with a row that was published lately stays", exists(own, before[-5])
          and own.number(f"SELECT count(*) FROM {before[-5]} WHERE id = {lately}") == 1, names(own, "outbox"))
    check("one with an unpublished row stays, and the row is published",
          eventually(lambda: own.number("SELECT count(*) FROM outbox WHERE published_at > now() - interval '5 minutes'"
                                        f" AND id = {unpublished}") == 1) and exists(own, before[-6]))
    check("of a partition that was being dropped, the unpublished row is taken back, and published", eventually(
        lambda: not exists(own, detached) and own.number("SELECT count(*) FROM outbox WHERE published_at IS NOT NULL"
                                                         f" AND id = {stray + 1}") == 1))
    check("the others of it are gone", own.number(f"SELECT count(*) FROM outbox WHERE id = {stray + 2}") == 0)
    check("both are counted", eventually(lambda: posts_counted(own, ada) == counted + 2), posts_counted(own, ada))
    check("sessions that have expired are deleted, others stay", eventually(
        lambda: own.sql("SELECT id FROM sessions WHERE id < 5 ORDER BY id") == [["3"], ["4"]]
        or own.sql("SELECT id FROM sessions WHERE id < 5 ORDER BY id") == [["4"]]))
    page = metrics(own.metrics)
    check("it is on /metrics", page["rookery_partitions_dropped_total"] >= 2
          and page["rookery_outbox_rows_saved_total"] == 1 and page["rookery_sessions_expired_total"] >= 2,
          {name: value for name, value in page.items() if "partitions" in name or "expired" in name or "saved" in name})
    check("while there are dead letters, what was counted is not forgotten",
          own.number("SELECT counted_below FROM upkeep") == 0)
    return worker, over, counted + 2


def forgetting_story(own, ada, worker, over, counted):
    """The two old rows are published now: make them old again, so that nothing before this hour is wanted any more."""
    add_event(own, old_event(own, over, ada.id))
    last = ada.post("last")
    check("an event that comes again is not counted again", eventually(
        lambda: own.number(f"SELECT count(*) FROM counted_events WHERE event_id = {last}") == 1)
        and posts_counted(own, ada) == counted + 1, posts_counted(own, ada))
    own.redis("DEL", "dead:{1}")
    own.sql(f"UPDATE outbox SET published_at = now() - interval '2 hours' WHERE id < upkeep_hour_id({HOUR} - 2)")
    oldest = f"counted_events_until_{hour(own, -6)}"
    check("without dead letters the mark moves", eventually(
        lambda: own.sql(f"SELECT counted_below > {over} FROM upkeep") == [["t"]]), own.sql("SELECT * FROM upkeep"))
    check("but nothing is forgotten at once", exists(own, oldest))
    own.sql("UPDATE upkeep SET counted_below_since = now() - interval '2 minutes'")
    check("a while later it is", eventually(lambda: not exists(own, oldest)), names(own, "counted_events"))
    add_event(own, old_event(own, over, ada.id))
    last = ada.post("the very last")
    check("and an event that comes again even then is not counted again", eventually(
        lambda: own.number(f"SELECT count(*) FROM counted_events WHERE event_id = {last}") == 1)
        and posts_counted(own, ada) == counted + 2, posts_counted(own, ada))
    own.stop(worker)


def behind_story(own, ada):
    """A role that is behind: what it has not processed is kept, however old, and a new Redis is told of it."""
    post = ada.post("not processed")
    check("the event is published", eventually(lambda: own.number(
        f"SELECT count(*) FROM outbox WHERE id = {post} AND published_at IS NOT NULL") == 1))
    payload = own.sql(f"SELECT encode(payload, 'hex') FROM outbox WHERE id = {post}")[0][0]
    old = outbox_row(own, -3, payload, "now() - interval '90 minutes'")
    own.sql("UPDATE upkeep SET processed_until = now() - interval '100 minutes'")
    kept = own.number("SELECT upkeep_detach_outbox(3600) + (SELECT count(*) FROM outbox WHERE id = %d)" % old)
    check("a partition that some role has not processed is not dropped", kept == 1, names(own, "outbox"))
    # To the relay this looks like another Redis; to us the streams are lost.
    own.redis("DEL", "events:{0}", "events:{1}")
    own.sql("INSERT INTO redis_epochs (epoch, run_id, republished) OVERRIDING SYSTEM VALUE VALUES (0, 'gone', true);"
            "UPDATE redis_epochs SET republished = false, opened_at = now() WHERE epoch > 0")
    worker = own.start("worker")
    check("a Redis that lost its streams is told of it again", eventually(lambda: own.number(
        "SELECT count(*) FROM outbox WHERE published_at > now() - interval '5 minutes' AND id = %d" % old) == 1))
    check("and what nobody had processed is counted", eventually(lambda: own.number(
        f"SELECT count(*) FROM counted_events WHERE event_id = {post}") == 1))
    own.stop(worker)


def main():
    with Own(ROOKERY_PARTITIONS="2", ROOKERY_PASSWORD_MEMORY_KIB="8192") as own:
        migration_story(own)
        own.start("gateway")
        ada = Person("ada", own.gateway)
        first = own.start("worker")
        check("how far the roles have come is noted", eventually(lambda: own.sql(
            "SELECT processed_until > now() - interval '1 hour' FROM upkeep") == [["t"]]))
        own.stop(first)
        old_hours(own)
        worker, over, counted = dropping_story(own, ada)
        forgetting_story(own, ada, worker, over, counted)
        behind_story(own, ada)
    done_testing()


main()
