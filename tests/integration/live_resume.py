#!/usr/bin/python3
"""Live streams that are cut and resumed, on any gateway: they bring what was published after their token, once, or say "reset".
Prints TAP. Starts servers and daemons of its own."""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, Feed, People  # noqa: E402
from own_stack import Stack  # noqa: E402
from rookery.v1 import post_pb2 as posts, timeline_pb2 as tl  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually, fails_with  # noqa: E402

PARTITIONS = 4
LATE_S = 12  # more than any clock that ids are compared with may be wrong
CUTS = 40
ROUNDS = 4
AGAIN = "local e = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]; redis.call('XADD', KEYS[1], '*', unpack(e[2]))"
AND_TRIM = "; redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)"


def streams():
    return [f"events:{{{p}}}" for p in range(PARTITIONS)]


def lengths(stack):
    return {key: stack.redis("XLEN", key) for key in streams()}


def published(stack, action):
    """Runs it: what it returned, and the stream that its event is on."""
    before = lengths(stack)
    result = action()
    return result, next(key for key, length in lengths(stack).items() if length > before[key])


def cut_streams(stack):
    for key in streams():
        stack.redis("XTRIM", key, "MAXLEN", 0)


def token_now(person, author):
    """A token up to which everything has been told."""
    feed = Feed(person)
    marker = author.post("marker")
    feed.wait("item", lambda m: m.item.id == marker.id)
    feed.close()
    return feed.token


def told(person, token, last):
    """What a resumed stream says up to the item `last`: its kinds, with ids for items."""
    feed, seen = Feed(person, token=token), []

    def note(message):
        kind = message.WhichOneof("event")
        seen.append(message.item.id if kind == "item" else kind)
        return kind == "item" and message.item.id == last.id
    while True:
        message = feed.messages.get(timeout=60)
        if note(message):
            feed.close()
            return [kind for kind in seen if kind != "heartbeat"]


# --- what a resumed stream brings -------------------------------------------------------------------------------------
def late_commit(stack, ada, bob):
    """Ids are made before the commit, which may take its time."""
    made = []
    lock = stack.lock("posts")
    thread = threading.Thread(target=lambda: made.append(ada.post("committed late")))
    thread.start()
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'posts'::regclass"
    eventually(lambda: stack.sql(waiting) == "t")
    time.sleep(LATE_S)
    feed = Feed(bob)
    feed.close()
    lock.close()
    thread.join()
    seen = told(bob, feed.token, ada.post("after"))
    check("a post that is committed long after its id was made", made and seen[:1] == [made[0].id], seen)


def changes(ada, bob, cleo):
    kept, gone, original = ada.post("to be edited"), ada.post("to be deleted"), cleo.post("of somebody else")
    repost = ada.repost(original)
    token = token_now(bob, ada)
    ada.edit(kept, "edited")
    ada.delete(gone)
    cleo.edit(original, "of somebody else, edited")
    short = ada.post("deleted before anybody resumed")
    ada.delete(short)
    liked = ada.post("liked meanwhile")
    bob.like(liked)
    last = ada.post("last")
    feed, messages = Feed(bob, token=token), []
    while not messages or messages[-1].item.id != last.id:
        messages.append(feed.messages.get(timeout=60))
    feed.close()
    repeated = told(bob, messages[-1].resume_token, ada.post("after"))
    check("after that, none of it again", repeated[:-1] == [], repeated)
    items = [m for m in messages if m.WhichOneof("event") == "item"]
    check("items, without those that are gone", [m.item.id for m in items] == [liked.id, last.id], messages)
    check("with what the reader has done meanwhile", items[0].item.post.liked_by_viewer)
    edited = [m.edited.id for m in messages if m.WhichOneof("event") == "edited"]
    deleted = [m.deleted_id for m in messages if m.WhichOneof("event") == "deleted_id"]
    check("edits, of what was reposted too", edited == [kept.id, original.id], (edited, repost))
    check("deletions", deleted == [gone.id, short.id], deleted)


def twice(stack, ada, bob):
    feed = Feed(bob)
    first, key = published(stack, lambda: ada.post("published twice"))
    feed.wait("item", lambda m: m.item.id == first.id)
    stack.redis("EVAL", AGAIN, 1, key)
    marker, seen = ada.post("marker"), []
    feed.wait("item", lambda m: seen.append(m.item.id) or m.item.id == marker.id)
    feed.close()
    check("what is published again is not told again", seen == [marker.id], seen)
    stack.redis("EVAL", AGAIN, 1, key)
    last = ada.post("last")
    check("nor after a cut", told(bob, feed.token, last) == [last.id])
    both, _ = published(stack, lambda: ada.post("twice during a cut"))
    stack.redis("EVAL", AGAIN, 1, key)
    last_of_all = ada.post("last of all")
    seen = told(bob, feed.token, last_of_all)
    check("nor when both are missed", seen == [last.id, both.id, last_of_all.id], seen)


def idle_partitions(stack, ada, bob):
    """A stream of which nothing is left, and nothing was missed."""
    token = token_now(bob, ada)
    cut_streams(stack)
    after = [ada.post(f"after trimming {i}") for i in range(3)]
    seen = told(bob, token, after[-1])
    check("a stream that was trimmed to nothing is no gap when all of it had been told", seen == [p.id for p in after], seen)


# --- when it must be read again ---------------------------------------------------------------------------------------
def trimmed(stack, ada, bob):
    """A gateway keeps what it has heard; one that was started later knows what is on the streams."""
    token = token_now(bob, ada)
    gone = ada.post("trimmed")
    cut_streams(stack)
    last = ada.post("last")
    seen = told(bob, token, last)
    check("what was heard is brought, although it has been trimmed", seen == [gone.id, last.id], seen)
    later = bob.at(another_gateway(stack, "gateway-3"))
    feed = Feed(later, token=token)
    message = feed.messages.get(timeout=60)
    check("a gateway that never heard it resets", message.WhichOneof("event") == "reset", message)
    feed.close()
    more = ada.post("more")
    check("and its token is good to go on from", told(later, message.resume_token, more) == [more.id], last.id)
    newest = bob.at(another_gateway(stack, "gateway-4"))
    seen = told(newest, message.resume_token, more)
    check("what is on the streams is brought by a gateway that was started later", seen == [more.id], seen)
    for name in ("gateway-3", "gateway-4"):
        stack.stop(name)


def another_gateway(stack, name, **settings):
    first = stack.address
    stack.gateway(name, **settings)
    channel = connect("%s:%d" % stack.address)
    stack.address = first
    return channel


def forgotten(stack, ada, bob):
    """More has happened than is kept."""
    small = bob.at(another_gateway(stack, "gateway-5", ROOKERY_RESUME_BYTES=65536))
    token = token_now(small, ada)
    one = ada.post("liked")
    for _ in range(150):
        bob.like(one)
        bob.posts.Unlike(posts.UnlikeRequest(post_id=one.id), **bob.me)
    last = ada.post("last")
    feed = Feed(small, token=token)
    message = feed.wait(("item", "reset"))
    check("a reset when it is not kept any more", message.WhichOneof("event") == "reset", message)
    feed.close()
    seen = told(bob, token, last)
    check("a gateway that keeps more brings it", seen == [one.id, last.id], seen)
    stack.stop("gateway-5")


def relation_changed(ada, bob, cleo):
    token = token_now(bob, ada)
    bob.follow(cleo)
    bob.unfollow(cleo)
    feed = Feed(bob, token=token)
    check("a reset when the reader's relations have changed", feed.messages.get(timeout=60).WhichOneof("event") == "reset")
    feed.close()


def followed_meanwhile(ada, bob, cleo):
    """Of the relations of others, only their blocks are the reader's."""
    token = token_now(bob, ada)
    cleo.follow(bob)
    cleo.mute(bob)
    cleo.unmute(bob)
    cleo.unfollow(bob)
    last = ada.post("last")
    seen = told(bob, token, last)
    check("no reset when others follow or mute the reader", seen == [last.id], seen)
    cleo.block(bob)
    feed = Feed(bob, token=token)
    check("a reset when one has blocked them", feed.wait(("item", "reset")).WhichOneof("event") == "reset")
    feed.close()
    cleo.unblock(bob)


def relation_changed_live(ada, bob, cleo):
    feed = Feed(bob)
    for _ in range(10):
        bob.mute(cleo)
        bob.unmute(cleo)
    seen = kinds_up_to_now(feed, ada)
    check("a connected stream is reset when the reader's relations change", "reset" in seen, seen)
    cleo.follow(bob)
    seen = kinds_up_to_now(feed, ada)
    check("not when those of others do", seen == ["item"], seen)
    feed.close()


def kinds_up_to_now(feed, author):
    """What comes up to an item that is posted now, or after a reset."""
    kinds, last = [], author.post("marker").id
    while True:
        message = feed.wait(("item", "reset", "edited", "deleted_id"))
        kinds.append(message and message.WhichOneof("event"))
        if kinds[-1] == "reset":
            last = author.post("marker after a reset").id
        elif kinds[-1] != "item" or message.item.id == last:
            return kinds


def too_much(ada, bob):
    token = token_now(bob, ada)
    for i in range(201):
        ada.post(f"one of many {i}")
    feed = Feed(bob, token=token)
    message = feed.messages.get(timeout=60)
    check("a reset when too much was missed", message.WhichOneof("event") == "reset", message)
    feed.close()


def forged(ada, bob):
    token = token_now(bob, ada)
    def resume(text):
        request = tl.StreamHomeTimelineRequest(resume_token=text)
        return lambda: list(bob.timelines.StreamHomeTimeline(request, metadata=bob.me["metadata"], timeout=60))
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    fails_with("an altered token is refused", invalid, resume(token[:-1] + ("A" if token[-1] != "A" else "E")), "resume_token")
    fails_with("one that was made up, too", invalid, resume("not a token"), "resume_token")
    fails_with("and the token of a page", invalid, resume(bob.home(2).next_page_token), "resume_token")


def missed_by_the_hub(stack, ada, bob):
    """Entries that no gateway can have read, while the reader is connected."""
    feed = Feed(bob)
    marker, key = published(stack, lambda: ada.post("marker"))
    feed.wait("item", lambda m: m.item.id == marker.id)
    stack.redis("EVAL", AGAIN + AND_TRIM, 1, key)
    check("a connected stream is told to read again when events were missed", feed.wait("reset"))
    last = ada.post("after")
    check("and goes on", feed.wait("item", lambda m: m.item.id == last.id))
    feed.close()


def epochs(stack):
    return int(stack.sql("SELECT count(*) FROM redis_epochs"))


def resets_before(feed, author):
    """How often a feed says "reset", up to an item that was posted after its last one."""
    resets, last = 0, None
    while True:
        message = feed.messages.get(timeout=PATIENCE_S)
        kind = message.WhichOneof("event")
        if kind == "reset":
            resets, last = resets + 1, author.post("after")
        if last and kind == "item" and message.item.id == last.id:
            return resets


def another_epoch(stack, ada, bob):
    connected = Feed(bob)
    token = token_now(bob, ada)
    before = epochs(stack)
    stack.sh('stop_process "$DATA/run/redis.pid" KILL 10; redis_start redis')
    eventually(lambda: epochs(stack) > before)
    # A gateway that does not know of it yet resumes the stream, and tells it as it tells those who are connected.
    resumed = Feed(bob, token=token)
    check("a reset when Redis is another one, and the stream goes on", resets_before(resumed, ada) > 0)
    resets, opened = resets_before(connected, ada), epochs(stack) - before
    check("for those who are connected, too, once", resets <= opened, (resets, opened))
    resumed.close()
    connected.close()


# --- all at once ------------------------------------------------------------------------------------------------------
class Writers:
    """Two authors who post without pause, on a gateway of their own."""

    def __init__(self, authors):
        self.made, self.stop = [], threading.Event()
        self.threads = [threading.Thread(target=self.write, args=[a]) for a in authors]
        for thread in self.threads:
            thread.start()

    def write(self, author):
        i = 0
        while not self.stop.is_set():
            self.made.append(author.post(f"{i}").id)
            i += 1
            time.sleep(random.random() * 0.02)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def let_expire(stack, eve):
    """No event tells of it, and no heartbeat is due: the gateway knows when."""
    soon = eve.with_token(eve.login())
    stack.sql("UPDATE sessions SET expires_at = now() + interval '4 s' WHERE id = (SELECT max(id) FROM sessions)")
    return Feed(soon)


def let_vanish(stack, fay):
    """Nobody could know of it: it is looked at now and then."""
    feed = Feed(fay.with_token(fay.login()))
    stack.sql(f"DELETE FROM sessions WHERE account_id = {fay.id}")
    return feed


def has_ended(feed):
    return eventually(feed.ended.is_set) and feed.code == grpc.StatusCode.UNAUTHENTICATED


def sessions_end(stack, ada, eve, fay):
    """A session's stream ends when it expires, and not only when all are looked at: a look would also end the stream of a session
    that vanished before. So that one still hears of a post that was made when the other had ended. The look may come
    in between; then it has just been when the next round begins."""
    fay.follow(ada)
    ended, heard = [], None
    while heard is None and len(ended) < ROUNDS:
        vanished, expired = let_vanish(stack, fay), let_expire(stack, eve)
        was_live = expired.token != ""
        expired_ended = has_ended(expired)
        last = ada.post("when the session had expired")
        if was_live:
            heard = vanished.wait("item", lambda m, last=last: m.item.id == last.id)
        ended.append((expired_ended, has_ended(vanished)))
    check("the stream of a session that expired has been ended, and of one that is gone", ended == [(True, True)] * len(ended), ended)
    check("the one that expired when it did, before all are looked at", heard, ended)


def cut_again_and_again(reader_at, authors):
    """Two gateways in turn; each stream is left in the middle of whatever it is sending."""
    first = Feed(reader_at[0])
    first.close()
    token, seen, resets = first.token, [], 0
    writers = Writers(authors)

    def read(feed, enough):
        nonlocal token, resets
        while not enough():
            try:
                message = feed.messages.get(timeout=0.1)
            except Exception:
                continue
            token = message.resume_token
            if message.WhichOneof("event") == "item":
                seen.append(message.item.id)
            resets += message.WhichOneof("event") == "reset"
    for i in range(CUTS):
        feed = Feed(reader_at[i % 2], token=token)
        end = time.monotonic() + random.random() * 0.2
        read(feed, lambda e=end: time.monotonic() > e)
        feed.close()
    writers.end()
    feed = Feed(reader_at[0], token=token)
    wanted, patience = set(writers.made), time.monotonic() + 60
    read(feed, lambda: wanted <= set(seen) or time.monotonic() > patience)
    feed.close()
    check(f"{CUTS} cuts amid {len(wanted)} posts: no gap, no reset", wanted <= set(seen) and resets == 0,
          (len(wanted - set(seen)), resets))
    check("and no repeat", len(seen) == len(set(seen)), len(seen) - len(set(seen)))


with Stack() as stack:
    addresses = []
    for name in ("gateway-1", "gateway-2"):
        stack.gateway(name, ROOKERY_HEARTBEAT_MS=600000)
        addresses.append("%s:%d" % stack.address)
    stack.worker("worker-1", ROOKERY_ROLES="fanout")
    channels = [connect(a) for a in addresses]
    people = People(channels[0])
    ada, bob, cleo, dora = people.named("ada", "bob", "cleo", "dora")
    bob.follow(ada)
    eve, fay = people.named("eve", "fay")
    late_commit(stack, ada, bob)
    changes(ada, bob, cleo)
    twice(stack, ada, bob)
    idle_partitions(stack, ada, bob)
    trimmed(stack, ada, bob)
    forgotten(stack, ada, bob)
    relation_changed(ada, bob, cleo)
    followed_meanwhile(ada, bob, cleo)
    relation_changed_live(ada, bob, cleo)
    too_much(ada, bob)
    forged(ada, bob)
    dora.follow(ada)
    dora.follow(cleo)
    cut_again_and_again([dora, dora.at(channels[1])], [ada, cleo.at(channels[1])])
    sessions_end(stack, ada, eve, fay)
    missed_by_the_hub(stack, ada, bob)
    another_epoch(stack, ada, bob)
done_testing()
