#!/usr/bin/python3
"""rookery-worker audit: finds what is planted behind everybody's back, of every kind, and is quiet otherwise."""
import os
import re
import sys
import threading
import time
from concurrent import futures

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from stack import GATEWAY, Person, check, done_testing, eventually, redis, sql, worker  # noqa: E402
from rookery.v1 import timeline_pb2, timeline_pb2_grpc  # noqa: E402


def audit(*options):
    """(exit status, {(kind, account, entry, author)}, everything printed)"""
    run = worker("audit", *options)
    found = set(re.findall(r"^(gap|duplicate|leak|order|stale) +(\S+) +(\d+) +(\S+) ", run.stdout, re.M))
    return run.returncode, found, run.stdout + run.stderr


def expect(name, person, found, *options):
    status, differences, said = audit("--account", person.handle, *options)
    check(name, status == (1 if found else 0) and differences == found, said)


def planted_story(ada, bob, carol):
    written = [ada.post(f"post {i}") for i in range(8)]
    carols = carol.post("of carol")
    check("the follower reads them", eventually(lambda: bob.home() == [carols] + written[::-1]))
    key = bob.timeline_key()
    expect("a timeline that is right is found right", bob, set())

    redis("RPUSH", key, written[2])
    expect("an entry that the list holds twice is shown once: no difference", bob, set())
    redis("LREM", key, 0, written[3])
    redis("LREM", key, 0, "-" + written[3])
    gap = ("gap", bob.handle, written[3], ada.handle)
    expect("an entry that is gone from the list is a gap", bob, {gap})

    follow = f"follower_id = {bob.id} AND followee_id = {carol.id}"
    sql(f"CREATE TABLE kept_follow AS SELECT * FROM follows WHERE {follow}; DELETE FROM follows WHERE {follow}")
    sql(f"UPDATE posts SET deleted = true WHERE id = {written[5]}")
    sql(f"UPDATE posts SET edit_count = edit_count + 1 WHERE id = {written[6]}")
    undelivered = str(int(written[-1]) + 4096)
    sql("INSERT INTO posts (id, author_id, text, thread_id)"
        f" VALUES ({undelivered}, {ada.id}, 'no event', {undelivered})")
    planted = {gap, ("leak", bob.handle, carols, carol.handle), ("leak", bob.handle, written[5], ada.handle),
               ("stale", bob.handle, written[6], ada.handle), ("gap", bob.handle, undelivered, ada.handle)}
    expect("so is one that was never delivered; unfollowed and deleted ones are leaks, an unedited one is stale",
           bob, planted)
    expect("it is all the same with small pages", bob, planted, "--page-size", "3")

    redis("RPUSH", key, "-" + written[3])
    sql("INSERT INTO follows SELECT * FROM kept_follow; DROP TABLE kept_follow")
    sql(f"UPDATE posts SET deleted = false WHERE id = {written[5]}")
    sql(f"UPDATE posts SET edit_count = edit_count - 1 WHERE id = {written[6]}")
    sql(f"DELETE FROM posts WHERE id = {undelivered}")
    expect("without all that, all is right again", bob, set())
    check("no session is left behind",
          sql("SELECT count(*) FROM sessions WHERE user_agent = 'rookery-worker audit'") == [["0"]])
    return written


class Crooked(timeline_pb2_grpc.TimelineServiceServicer):
    """Passes calls on to the gateway, and bends what comes back."""

    def __init__(self, bend):
        self.bend, self.real = bend, timeline_pb2_grpc.TimelineServiceStub(grpc.insecure_channel(GATEWAY))

    def GetHomeTimeline(self, request, context):
        token = dict(context.invocation_metadata())["authorization"]
        reply = self.real.GetHomeTimeline(request, metadata=(("authorization", token),), timeout=60)
        items = list(reply.items)
        del reply.items[:]
        reply.items.extend(self.bend(items))
        return reply


def crooked_story(ada, bob, written):
    """What our gateway cannot be brought to do, another one does."""
    def expect_of(name, bend, found):
        server = grpc.server(futures.ThreadPoolExecutor(4))
        timeline_pb2_grpc.add_TimelineServiceServicer_to_server(Crooked(bend), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        expect(name, bob, found, "--gateway", f"127.0.0.1:{port}")
        server.stop(None)

    def repeat(items):
        return items + items[-1:]

    def swap(items):
        items[1], items[2] = items[2], items[1]
        return items

    expect_of("a gateway in between that does nothing is no difference", lambda items: items, set())
    expect_of("an entry that is shown again is a duplicate", repeat,
              {("duplicate", bob.handle, written[0], ada.handle)})
    expect_of("two entries that change places are out of order", swap,
              {("order", bob.handle, written[-1], ada.handle)})


def moving_story(ada, bob, carol):
    """While people write, nothing that is on its way is taken for a difference."""
    stop = threading.Event()

    def write():
        count, follows, changed = 0, True, time.monotonic()
        while not stop.is_set():
            post = ada.post(f"moving {count}")
            if count % 3 == 0:
                ada.call("PostService/DeletePost", postId=post)
            # Not more often than once in an audit's look: what changes twice in one cannot be told from a fault.
            if time.monotonic() - changed > 1:
                bob.call("GraphService/Unfollow" if follows else "GraphService/Follow", accountId=carol.id)
                follows, changed = not follows, time.monotonic()
            carol.post(f"moving too {count}")
            count += 1

    writer = threading.Thread(target=write)
    writer.start()
    results = [audit("--account", bob.handle) for _ in range(5)]
    sample = audit("--sample", "200")
    stop.set()
    writer.join()
    check("audits of a timeline that moves find nothing", all(r[0] == 0 and not r[1] for r in results), results)
    check("so does one of a sample", sample[0] == 0, sample[2])
    status, _, said = audit()
    check("and one of everybody", status == 0, said)
    check("it counts them", f"audited {sql('SELECT count(*) FROM accounts')[0][0]} accounts" in said, said)


def complaints():
    for name, options, sentence in (
            ("an unknown option", ["--all"], 'there is no option "--all"'),
            ("a sample that is no number", ["--sample", "many"], "--sample must be a whole number from 1 to"),
            ("an option without its value", ["--account"], "--account needs a value"),
            ("two ways to choose", ["--account", "ada", "--sample", "3"], "exclude each other")):
        run = worker("audit", *options)
        check(f"{name} is a usage error", run.returncode == 2 and sentence in run.stderr, run)
    run = worker("audit", "--account", "nobody_of_this_name")
    check("an account that does not exist is said", run.returncode == 1 and "there is no account" in run.stderr, run)
    run = worker("audit", "--gateway", "127.0.0.1:1")
    check("a gateway that does not answer is said", run.returncode == 1 and "127.0.0.1:1" in run.stderr, run)
    run = worker("audit", "--help")
    check("--help explains", run.returncode == 0 and "only lasting differences" in run.stdout, run)


def main():
    ada, bob, carol = Person("ada"), Person("bob"), Person("carol")
    bob.follow(ada)
    bob.follow(carol)
    written = planted_story(ada, bob, carol)
    crooked_story(ada, bob, written)
    moving_story(ada, bob, carol)
    complaints()
    done_testing()


main()
