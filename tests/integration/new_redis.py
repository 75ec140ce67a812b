#!/usr/bin/python3
"""A Redis that comes back empty is told the window's events again: what every timeline was built with is not delivered
once more, and everything else is. Prints TAP. Starts servers and daemons of its own."""
import os
import re
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

OLD = 30
CHUNK = 10
ROLES = "relay,fanout,chunks,counts"


def marked(stack):
    return stack.sql("SELECT count(*) FROM outbox WHERE published_at IS NULL") == "0"


def handled(stack):
    return marked(stack) and stack.settled("events", "fanout") and stack.settled("chunks", "chunks")


def write(stack, authors, readers):
    """Posts of long ago, and one published just before Redis goes, of each author: (old, recent)."""
    for reader in readers:
        for author in authors:
            reader.follow(author)
    # As long ago as what the window has no more: told again, they would have the timelines built once more.
    eventually(lambda: handled(stack))
    stack.sql("DELETE FROM outbox")
    old = [author.post(f"{i}") for i in range(OLD) for author in authors]
    eventually(lambda: handled(stack))
    stack.sql("UPDATE outbox SET published_at = published_at - interval '10 minutes'")
    recent = [author.post("just before") for author in authors]
    eventually(lambda: handled(stack))
    return old, recent


UNMARKABLE = ("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$; "
              "CREATE TRIGGER refuse BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()")


def replace_redis(stack, author):
    """A new, empty Redis in whose epoch no worker has done anything. Of two posts, one had come to the old one, but the
    gateway could not mark it as published until later; the other was written while there was no Redis."""
    stack.stop("worker-1")
    stack.sql(UNMARKABLE)
    unmarked = author.post("published, and not marked")
    stack.kill("redis")
    stack.sh('wait "$(pidfile_pid "$DATA/run/redis.pid")" || :; rm -rf "$DATA/redis"; make_private_folder "$DATA/redis"')
    away = author.post("while Redis was away")
    stack.sh("redis_start redis")
    eventually(lambda: stack.sql("SELECT count(*) = 2 AND max(opened_at) < now() - interval '3 seconds'"
                                 " FROM redis_epochs") == "t")
    stack.sql("DROP TRIGGER refuse ON outbox")
    time.sleep(0.5)  # for the gateway to try again
    return [away, unmarked]


def deliveries(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as reply:
        return int(re.search(r"^rookery_deliveries_total (\d+)$", reply.read().decode(), re.MULTILINE).group(1))


def is_wrong(stack, person, once, twice):
    """Is not each entry on the list as often as that?"""
    elements = [e.lstrip("-") for e in stack.timeline(person)]
    return any(elements.count(e) != 1 for e in once) or any(elements.count(e) != 2 for e in twice)


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_CHUNK_AUDIENCE=CHUNK)
        stack.worker("worker-1", ROOKERY_ROLES=ROLES)
        stack.wait_for_relay()
        big, small = stack.person("big"), stack.person("small")
        readers = stack.people("reader", CHUNK)
        extra = stack.person("extra")
        extra.follow(big)
        old, recent = write(stack, (big, small), readers)
        away = replace_redis(stack, small)
        newest = [*away, *recent[::-1], *old[::-1]]
        for reader in readers:
            eventually(lambda r=reader: r.home() == newest and stack.timeline(r) != [])
        address = "127.0.0.1:" + stack.sh("free_port")
        stack.worker("worker-2", ROOKERY_ROLES=ROLES, ROOKERY_METRICS_LISTEN=address)
        stack.wait_for_relay()
        check("a new Redis is told everything again", eventually(
            lambda: handled(stack) and sum(stack.redis("XLEN", f"events:{{{p}}}") for p in range(4)) >= len(newest)))
        expected = len(readers) * (len(away) + len(recent))
        check("what every timeline was built with is not delivered again, the rest is",
              eventually(lambda: deliveries(address) == expected), f"{deliveries(address)}, not {expected}")
        wrong = [r.handle for r in readers if is_wrong(stack, r, once=old, twice=[*away, *recent])]
        check("so it is on each list once", wrong == [], wrong)
        wrong = [r.handle for r in readers if r.home() != newest]
        check("home timelines are right", wrong == [], wrong)
        later = [big.post("after"), small.post("after")]
        check("what is written from then on arrives",
              eventually(lambda: all(r.home() == [*later[::-1], *newest][:100] for r in readers)))
    done_testing()


main()
