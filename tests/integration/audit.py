#!/usr/bin/python3
"""rookery-worker audit: finds what is planted behind everybody's back, of every kind, and is quiet otherwise.

What is planted in SQL and Redis, a real gateway shows. What our gateway cannot be brought to do, one in between does: it
passes calls on and bends what comes back.
"""
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from stack import (BUILD, ENVIRONMENT, GATEWAY, Person, check, done_testing, eventually, free_port,  # noqa: E402
                   page, redis, sql, worker)
from rookery.v1 import timeline_pb2, timeline_pb2_grpc  # noqa: E402

# Between two posts of somebody who writes all along: far from the hour's limit, however slow the audits are.
PACE_S = 0.1
KINDS = "gap|vanished|duplicate|leak|order|stale"


def audit(*options):
    """(exit status, {(kind, account, entry, author)}, everything printed)"""
    run = worker("audit", *options)
    found = set(re.findall(rf"^({KINDS}) +(\S+) +(\d+) +(\S+) ", run.stdout, re.M))
    return run.returncode, found, run.stdout + run.stderr


def places(said, kind, entry):
    """Where an entry was found to differ: {"ADDR:PORT: page 1", ...}."""
    line = re.search(rf"^{kind} +\S+ +{entry} .* of \d+ +(.*)$", said, re.M)
    gateways = [text.split(": ") for text in line[1].split("; ")] if line else []
    return {f"{address}: {place}" for address, listed in gateways for place in listed.split(", ")}


def expect(name, person, found, *options, maybe=frozenset()):
    """Returns what was printed. maybe: what the gateway may have noticed by itself by then."""
    status, differences, said = audit("--account", person.handle, *options)
    check(name, status == (1 if differences else 0) and differences - maybe == found, said)
    return said


def through(*gateways):
    return [word for gateway in gateways for word in ("--gateway", gateway)]


@contextlib.contextmanager
def another_gateway():
    """A second gateway on the stack's servers: its address."""
    address = f"127.0.0.1:{free_port()}"
    daemon = subprocess.Popen([f"{BUILD}/rookery-gateway"], env={**ENVIRONMENT, "ROOKERY_LISTEN": address},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready():
        try:
            return bool(page(address, "/readyz"))
        except OSError:
            return False
    try:
        check("another gateway is up", eventually(ready))
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)


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
    planted = {gap, ("leak", bob.handle, carols, carol.handle), ("gap", bob.handle, undelivered, ada.handle)}
    # Without their events gateways learn of these when they refresh what they keep, which audit's own reads make them do.
    refreshed = {("leak", bob.handle, written[5], ada.handle), ("stale", bob.handle, written[6], ada.handle)}
    expect("so is one that was never delivered; an unfollowed one is a leak", bob, planted, maybe=refreshed)
    expect("it is all the same with small pages", bob, planted, "--page-size", "3", maybe=refreshed)

    redis("RPUSH", key, "-" + written[3])
    sql("INSERT INTO follows SELECT * FROM kept_follow; DROP TABLE kept_follow")
    sql(f"UPDATE posts SET deleted = false WHERE id = {written[5]}")
    sql(f"UPDATE posts SET edit_count = edit_count - 1 WHERE id = {written[6]}")
    sql(f"DELETE FROM posts WHERE id = {undelivered}")
    eventually(lambda: written[5] in bob.home())
    expect("without all that, all is right again", bob, set())
    check("no session is left behind",
          sql("SELECT count(*) FROM sessions WHERE user_agent = 'rookery-worker audit'") == [["0"]])
    return written


def lists_story(ada, bob, carol, other, written):
    """Lists that claim more than they hold."""
    carols, key = bob.home()[0], bob.timeline_key()
    redis("LREM", key, 0, carols)
    redis("LREM", key, 0, "-" + carols)
    said = expect("the newest entry, gone from the list, is a gap on first pages, through every gateway", bob,
                  {("gap", bob.handle, carols, carol.handle)}, *through(GATEWAY, other))
    wanted = {f"{gateway}: {place}" for gateway in (GATEWAY, other)
              for place in ("page 1", "page 5", "page 20", "page 20 again", "whole")}
    check("it says where", places(said, "gap", carols) == wanted, said)
    check("and through how much it looked", "through 2 gateways, by 24 first pages, 6 whole timelines" in said, said)

    redis("DEL", key)
    redis("RPUSH", key, "f0")
    expect("a floor that promises what the list does not hold makes gaps", bob,
           {("gap", bob.handle, carols, carol.handle)}
           | {("gap", bob.handle, entry, ada.handle) for entry in written}, *through(GATEWAY, other))
    redis("DEL", key)
    expect("without the list, all is right again", bob, set(), *through(GATEWAY, other))


class Crooked(timeline_pb2_grpc.TimelineServiceServicer):
    """Passes calls on to the gateway, and bends what comes back: items of a page, messages of a stream."""

    def __init__(self, bend, bend_stream=None):
        self.bend, self.bend_stream = bend, bend_stream
        self.real = timeline_pb2_grpc.TimelineServiceStub(grpc.insecure_channel(GATEWAY))

    def GetHomeTimeline(self, request, context):
        token = dict(context.invocation_metadata())["authorization"]
        reply = self.real.GetHomeTimeline(request, metadata=(("authorization", token),), timeout=60)
        items = list(reply.items)
        del reply.items[:]
        reply.items.extend(self.bend(items, request))
        return reply

    def StreamHomeTimeline(self, request, context):
        token = dict(context.invocation_metadata())["authorization"]
        stream = self.real.StreamHomeTimeline(request, metadata=(("authorization", token),))
        context.add_callback(stream.cancel)
        try:
            yield from self.bend_stream(stream)
        except grpc.RpcError:
            pass


@contextlib.contextmanager
def crooked(*bends):
    """A gateway in between: its address."""
    server = grpc.server(futures.ThreadPoolExecutor(16))
    timeline_pb2_grpc.add_TimelineServiceServicer_to_server(Crooked(*bends), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def straight(items, _request):
    return items


def shows_edit(person, post):
    items = person.call("TimelineService/GetHomeTimeline", pageSize=20)["items"]
    return any(item["id"] == post and item["post"].get("editCount", 0) > 0 for item in items)


def crooked_story(ada, bob, carol, written):
    newest = bob.home()[0]

    def expect_of(name, bend, found):
        with crooked(bend) as address:
            return expect(name, bob, found, "--gateway", address)

    def repeat(items, request):
        return items + items[-1:] if request.page_size == 100 else items

    def swap(items, _request):
        items[1:3] = items[1:3][::-1]
        return items

    def short(items, request):
        return items[:-1] if request.page_size == 5 else items

    expect_of("a gateway in between that does nothing is no difference", straight, set())
    expect_of("an entry that is shown again is a duplicate", repeat,
              {("duplicate", bob.handle, written[0], ada.handle)})
    said = expect_of("two entries that change places are out of order", swap,
                     {("order", bob.handle, written[-1], ada.handle)})
    check("a page of one cannot show it", not any("page 1" in place for place in places(said, "order", written[-1])), said)
    said = expect_of("a page shorter than asked is a gap", short, {("gap", bob.handle, written[4], ada.handle)})
    check("on pages of that size only", {place.split(": ")[1] for place in places(said, "gap", written[4])} == {"page 5"},
          said)

    deep = threading.Event()

    def repaired_by_depth(items, request):
        if request.page_size == 100:
            deep.set()
        return items if deep.is_set() else [item for item in items if item.id != int(newest)]

    said = expect_of("what a whole read repairs is found on first pages", repaired_by_depth,
                     {("gap", bob.handle, newest, carol.handle)})
    check("of every size, at every look before it",
          {place.split(": ")[1] for place in places(said, "gap", newest)} == {"page 1", "page 5", "page 20", "page 20 again"}
          and " 3 of 4 " in said, said)

    def of_before_its_edit(items, _request):
        for item in items:
            if item.id == int(written[4]):
                item.post.edit_count = 0
        return items

    ada.call("PostService/EditPost", postId=written[4], text="post 4, edited")
    check("an edit is shown", eventually(lambda: shows_edit(bob, written[4])))
    expect_of("so is an edited one no difference", straight, set())
    said = expect_of("a post as it was before its edit is stale", of_before_its_edit,
                     {("stale", bob.handle, written[4], ada.handle)})
    check("on the pages that reach it",
          {place.split(": ")[1] for place in places(said, "stale", written[4])} == {"page 5", "page 20", "page 20 again", "whole"},
          said)

    left = [1]

    def once(items, request):
        if request.page_size == 5 and left and left.pop():
            return items[1:]
        return items

    said = expect_of("a gap that is seen once counts", once,
                     {("gap", bob.handle, newest, carol.handle)})
    check("it says that it was seen once", " 1 of 4 " in said, said)

    def leak_once(items, request):
        if request.page_size == 1 and not leaked:
            leaked.append(1)
            items[0].id += 1
        return items

    leaked = []
    expect_of("a leak that is seen once may have been a post that was deleted", leak_once, set())
    check("it was shown", leaked == [1])


def monotonic_story(bob, carol, other):
    """One gateway shows an entry, another does not any more."""
    newest = bob.home()[0]
    shown = [0]

    def forgetful(items, request):
        shown[0] += request.page_size == 20
        return items if shown[0] % 2 else items[1:]

    with crooked(forgetful) as address:
        said = expect("what another gateway has shown, and this one does not later, has vanished", bob,
                      {(kind, bob.handle, newest, carol.handle) for kind in ("gap", "vanished")},
                      *through(other, address), "--page-size", "50")
        check("it is this one's fault", places(said, "vanished", newest) == {f"{address}: page 20 again"}, said)


def live_story(ada, bob, other):
    """Streams, while somebody writes."""
    stop, posts = threading.Event(), []

    def write():
        while not stop.wait(PACE_S):
            post = ada.post(f"live {len(posts)}")
            posts.append(post)
            if len(posts) % 3 == 0:
                ada.call("PostService/DeletePost", postId=post)

    def audit_stream(*gateways):
        status, found, said = audit("--account", bob.handle, *through(*gateways), "--live", "2")
        return status, {kind for kind, _, _, _ in found}, {entry for _, _, entry, _ in found}, said

    def nothing(stream):
        yield from (message for message in stream if not message.HasField("item"))

    def everything_twice(stream):
        for message in stream:
            yield message
            yield message

    def strangers(stream):
        for message in stream:
            yield message
            if message.HasField("item"):
                message.item.id += 1
                yield message

    def broken_off(stream):
        yield next(stream)

    def restless(stream):
        for message in stream:
            if message.HasField("item"):
                message.reset.SetInParent()
            yield message

    writer = threading.Thread(target=write)
    writer.start()
    try:
        status, _, _, said = audit_stream(GATEWAY, other)
        check("streams that bring everything are no difference", status == 0 and " and 2 live streams, in" in said, said)
        for name, bend, kind in (("what a stream does not bring is a gap", nothing, "gap"),
                                 ("what it brings twice is a duplicate", everything_twice, "duplicate"),
                                 ("what SQL does not have is a leak", strangers, "leak")):
            with crooked(straight, bend) as address:
                status, kinds, entries, said = audit_stream(address)
            possible = {str(int(post) + (bend is strangers)) for post in posts}
            check(name, status == 1 and kinds == {kind} and entries <= possible and f"{address}: live" in said, said)
        for name, bend in (("a stream that ends owes nothing more", broken_off),
                           ("one that asks to read again does not, either", restless)):
            with crooked(straight, bend) as address:
                status, _, _, said = audit_stream(address)
            check(name, status == 0 and "1 live stream (1 of them ended early)" in said, said)
    finally:
        stop.set()
        writer.join()


def moving_story(ada, bob, carol, other):
    """While people write, nothing that is on its way is taken for a difference."""
    stop = threading.Event()

    def write():
        count, follows, changed = 0, True, time.monotonic()
        while not stop.wait(PACE_S):
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
    results = [audit("--account", bob.handle, *through(GATEWAY, other), "--live", n % 2) for n in range(4)]
    sample = audit("--sample", "200", *through(GATEWAY, other))
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
            ("too many gateways", through(*["127.0.0.1:1"] * 11), "at most 10 gateways"),
            ("two ways to choose", ["--account", "ada", "--sample", "3"], "exclude each other")):
        run = worker("audit", *options)
        check(f"{name} is a usage error", run.returncode == 2 and sentence in run.stderr, run)
    run = worker("audit", "--account", "nobody_of_this_name")
    check("an account that does not exist is said", run.returncode == 1 and "there is no account" in run.stderr, run)
    run = worker("audit", "--account", b"\xFFada")
    check("so is what is no handle", run.returncode == 1 and "a handle must be 1 to 30 of a-z" in run.stderr, run)
    run = worker("audit", "--gateway", "127.0.0.1:1")
    check("a gateway that does not answer is said", run.returncode == 1 and "127.0.0.1:1: " in run.stderr and "--gateway ADDR:PORT says" in run.stderr, run)
    run = worker("audit", "--help")
    check("--help explains", run.returncode == 0 and "LOOKS says how often" in run.stdout, run)


def main():
    ada, bob, carol = Person("ada"), Person("bob"), Person("carol")
    bob.follow(ada)
    bob.follow(carol)
    written = planted_story(ada, bob, carol)
    with another_gateway() as other:
        lists_story(ada, bob, carol, other, written)
        crooked_story(ada, bob, carol, written)
        monotonic_story(bob, carol, other)
        moving_story(ada, bob, carol, other)
        live_story(ada, bob, other)
    complaints()
    done_testing()


main()
