#!/usr/bin/python3
"""rookery-worker dlq and backlog: what roles give up can be seen, tried again and dropped; what waits is counted."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from stack import Own, Person, check, done_testing, eventually, metrics  # noqa: E402


def partition_of(own, entry):
    """Where the event of this post went."""
    return own.number(f"SELECT partition FROM outbox WHERE id = {entry}")


def letters(own, *options):
    return [json.loads(line) for line in own.worker("dlq", "list", "--json", *options).stdout.splitlines()]


def backlog(own):
    run = own.worker("backlog", "--json")
    return {line["role"]: line for line in map(json.loads, run.stdout.splitlines())}


def handled(own, post):
    """The counts role has counted it."""
    return own.number(f"SELECT count(*) FROM counted_events WHERE event_id = {post}") == 1


def refused_story(own):
    """The counts role refuses, because its table is not there; the fan-out role is content."""
    ada, bob = Person("ada", own.gateway), Person("bob", own.gateway)
    bob.follow(ada)
    bob.home()
    before = ada.post("before")
    check("events are counted", eventually(lambda: handled(own, before)))
    own.sql("ALTER TABLE counted_events RENAME TO counted_events_away")
    posts = [ada.post(f"refused {i}") for i in range(3)]
    check("what a role refuses again and again becomes dead letters", eventually(lambda: len(letters(own)) == 3),
          own.worker("dlq", "list").stdout)
    check("others have had it", eventually(lambda: bob.home() == posts[::-1] + [before]), bob.home())
    found = letters(own)
    check("a letter says everything", [(l["role"], l["stream"], l["deliveries"], l["message"]["postCreated"]["postId"])
                                       for l in found] == [("counts", "events", "3", post) for post in posts], found)
    check("and why", all("counted_events" in l["reason"] for l in found), found)
    listed = own.worker("dlq", "list").stdout
    check("list prints a line each for people", all(l["id"] in listed for l in found)
          and len(listed.splitlines()) == 4, listed)
    shown = own.worker("dlq", "show", found[0]["id"]).stdout
    check("show prints the message as JSON", f'"postId":"{posts[0]}"' in shown and "counted_events" in shown, shown)
    check("others' letters are not listed", letters(own, "--role", "fanout") == [])
    run = own.worker("dlq", "list", "--role", "fan-out")
    check("a role that does not exist is refused", run.returncode == 2 and 'no role "fan-out"' in run.stderr, run)

    own.sql("ALTER TABLE counted_events_away RENAME TO counted_events")
    length = own.redis("LLEN", bob.timeline_key(own))
    run = own.worker("dlq", "replay", found[0]["id"])
    check("replay gives one back", run.returncode == 0 and run.stdout == "replayed 1 dead letter\n", run)
    check("and its role handles it", eventually(lambda: handled(own, posts[0])))
    check("the others stay", [l["id"] for l in letters(own)] == [l["id"] for l in found[1:]])
    run = own.worker("dlq", "replay", "--role", "counts")
    check("replay gives all of a role back", run.stdout == "replayed 2 dead letters\n" and letters(own) == [], run)
    check("and all are handled", eventually(lambda: all(handled(own, post) for post in posts)))
    count = own.number(f"SELECT post_count FROM account_stats WHERE account_id = {ada.id}")
    check("each is counted once", count == 4, count)
    after = ada.post("after")
    check("the stream goes on", eventually(lambda: bob.home()[0] == after))
    now = own.redis("LLEN", bob.timeline_key(own))
    check("the other role was not given them again", int(now) == int(length) + 1, (length, now))

    # As if the operator's command had died between adding and removing.
    partition = partition_of(own, posts[1])
    payload = own.sql(f"SELECT encode(payload, 'hex') FROM outbox WHERE id = {posts[1]}")[0][0]
    own.redis("EVAL", "local raw = string.gsub(ARGV[1], '..', function(h) return string.char(tonumber(h, 16)) end)\n"
              "return redis.call('XADD', KEYS[1], '*', 'e', raw, 'to', 'counts')", 1, f"events:{{{partition}}}", payload)
    again = ada.post("again")
    check("an event that is replayed twice is counted once", eventually(lambda: handled(own, again))
          and own.number(f"SELECT post_count FROM account_stats WHERE account_id = {ada.id}") == 6)


def garbage_story(own):
    for p in range(2):
        own.redis("XADD", f"events:{{{p}}}", "*", "e", "this is no event")
    check("what is no event becomes a dead letter of every role that reads it",
          eventually(lambda: sorted(l["role"] for l in letters(own)) == ["counts", "counts", "fanout", "fanout"]))
    check("it is shown as it is", all("payload" in l and "message" not in l for l in letters(own)))
    first = letters(own)[0]["id"]
    run = own.worker("dlq", "drop", first)
    check("drop asks for --yes", run.returncode == 2 and "--yes" in run.stderr and len(letters(own)) == 4, run)
    run = own.worker("dlq", "drop", first, "--yes")
    check("drop deletes one", run.stdout == "dropped 1 dead letter\n" and first not in [l["id"] for l in letters(own)])
    run = own.worker("dlq", "drop", first, "--yes")
    check("one that is gone is said", run.returncode == 1 and f"there is no dead letter {first}" in run.stderr, run)
    run = own.worker("dlq", "replay", "--all")
    check("what cannot be handled comes back", run.stdout == "replayed 3 dead letters\n"
          and eventually(lambda: len(letters(own)) == 3), run)
    worker_page = metrics(own.metrics)
    check("letters are on /metrics", worker_page["rookery_dead_letters_kept"] == 3, worker_page)
    own.worker("dlq", "drop", "--role", "fanout", "--yes")
    check("drop deletes those of a role", {l["role"] for l in letters(own)} == {"counts"})
    own.worker("dlq", "drop", "--all", "--yes")
    check("or all", own.worker("dlq", "list").stdout == "there are no dead letters\n")
    own.redis("XADD", "dead:{0}", "*", "role", "bygone", "reason", "old", "e", "x")
    run = own.worker("dlq", "replay", "--all")
    check("a letter of a role that is not there stays", run.returncode == 1 and '"bygone"' in run.stderr
          and len(letters(own)) == 1, run)
    own.worker("dlq", "drop", "--all", "--yes")


def complaints(own):
    for words, sentence in (([], "say what to do"), (["look"], 'there is no "look"'), (["show"], "show needs an ID"),
                            (["replay"], "replay needs one of"), (["drop", "--yes"], "drop needs one of"),
                            (["replay", "--all", "--role", "counts"], "needs one of"),
                            (["replay", "--role", "nobody"], 'no role "nobody"'), (["list", "--role"], "needs a value"),
                            (["show", "7:x"], '"7:x" is not PARTITION:MS-SEQUENCE'),
                            (["show", "99:1-1"], "partition from 0 to 1"), (["list", "--all"], "list does not take")):
        run = own.worker("dlq", *words)
        check(f"dlq {' '.join(words)}: one sentence, and 2",
              run.returncode == 2 and sentence in run.stderr and run.stderr.count("\n") == 1, run)
    run = own.worker("backlog", "--all")
    check("backlog --all: one sentence, and 2", run.returncode == 2 and "--all" in run.stderr, run)


def backlog_story(own, worker):
    ada = Person("ada", own.gateway)
    check("nothing waits while workers work", eventually(
        lambda: all(role["entries"] == 0 for role in backlog(own).values())), backlog(own))
    own.stop(worker)
    for i in range(5):
        ada.post(f"waits {i}")
    found = backlog(own)
    check("with workers stopped, everything waits", all(
        (found[r]["lag"], found[r]["pending"], found[r]["entries"]) == (5, 0, 5) for r in ("fanout", "counts")), found)
    check("and grows old", eventually(lambda: backlog(own)["fanout"]["oldest_age_ms"] > 300))

    partition = own.number(f"SELECT partition FROM outbox ORDER BY id DESC LIMIT 1")
    key = f"events:{{{partition}}}"
    own.redis("XREADGROUP", "GROUP", "counts", "a_dead_worker", "COUNT", 2, "STREAMS", key, ">")
    found = backlog(own)
    check("what a dead worker has in hand is pending", (found["counts"]["lag"], found["counts"]["pending"],
                                                        found["counts"]["entries"]) == (3, 2, 5), found)

    unread = own.redis("XRANGE", key, "-", "+").split()
    ids = [word for word in unread if word.count("-") == 1 and word.replace("-", "").isdigit()][-5:]
    own.redis("XDEL", key, ids[3])
    groups = own.redis("XINFO", "GROUPS", key)
    check("Redis has no lag to tell after a deletion", "lag\n\n" in groups + "\n", groups)
    check("but we have", backlog(own)["counts"]["lag"] == 2, backlog(own))
    own.redis("XTRIM", key, "MAXLEN", 1)
    check("nor does trimming what was not read mislead us",
          [backlog(own)[r]["lag"] for r in ("fanout", "counts")] == [1, 1], (backlog(own), groups))

    own.sql("UPDATE outbox SET published_at = NULL WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT 2)")
    check("events that are on no stream count for the roles that wait for them", eventually(
        lambda: [backlog(own)[r]["unpublished"] for r in ("fanout", "counts")] == [2, 2]), backlog(own))
    table = own.worker("backlog").stdout
    check("people get a table", "UNPUBLISHED" in table and "fanout" in table, table)
    own.start("worker")
    check("once there is a worker again, all is done", eventually(
        lambda: all(role["entries"] == 0 for role in backlog(own).values())), backlog(own))
    page = metrics(own.metrics)
    check("a worker tells it on /metrics", all(
        page[f'rookery_backlog_{name}{{role="{role}"}}'] == 0 for role in ("fanout", "counts")
        for name in ("entries", "oldest_age_seconds", "lag_entries", "pending_entries"))
        and page["rookery_backlog_unpublished_entries"] == 0, page)


def main():
    with Own(ROOKERY_PARTITIONS="2", ROOKERY_MAX_DELIVERIES="3", ROOKERY_RECLAIM_MS="500",
             ROOKERY_PASSWORD_MEMORY_KIB="8192") as own:
        own.start("gateway")
        worker = own.start("worker")
        refused_story(own)
        garbage_story(own)
        complaints(own)
        backlog_story(own, worker)
    done_testing()


main()
