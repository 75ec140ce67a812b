#!/usr/bin/python3
"""A model of live streams: whatever happens, what a client knows from its stream alone is what the server shows.

Several people write, follow, block and mute at random, through several gateways, while others listen. Events are published
twice, streams are cut and resumed elsewhere, gateways are killed and started again, the worker that delivers stalls, and Redis
is replaced by an empty one. A client keeps a *picture* by the rules in rookery/v1/timeline.proto, and by nothing else. After
each round, when everything has been published and delivered, the picture at a heartbeat is the home timeline (entries newer
than the beginning, without counts); and between two resets nothing was sent twice.

    live_model.py [--seed N] [--seconds S]     a long form: --seconds 3600

Prints TAP, with the seed. Starts servers and daemons of its own."""
import argparse
import concurrent.futures
import os
import queue
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, Feed, People  # noqa: E402
from own_stack import Stack  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually, failures, note  # noqa: E402

PARTITIONS = 4
GATEWAYS = 3
WRITERS = 6
READERS = 4
ACTIONS = 60  # in a round
AT_ONCE = 6
CHAPTER = 400  # entries: far from the length of a home timeline
AGAIN = """local e = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1]); e = e[#e]
if e then redis.call('XADD', KEYS[1], '*', unpack(e[2])) end return 0"""


# --- the client -------------------------------------------------------------------------------------------------------
class Repeat(Exception):
    """Something was sent twice."""


class Picture:
    """What a client shows: the rules of StreamHomeTimeline, as its proto says them."""

    def __init__(self, beginning):
        self.beginning = beginning  # entries at or below it are none of its business
        self.entries = {}           # id -> (id of the post, its text, who reposted it)
        self.forget_life()

    def forget_life(self):
        self.items, self.deleted, self.edits = set(), set(), {}

    def read(self, items):
        self.entries = {i.id: shown(i) for i in items if i.id > self.beginning}

    def item(self, item):
        once(self.items, item.id, "item")
        if item.id > self.beginning:
            self.entries[item.id] = shown(item)

    def gone(self, gone_id):
        once(self.deleted, gone_id, "deletion")
        self.entries = {i: e for i, e in self.entries.items() if gone_id not in (i, e[0])}

    def edited(self, post, made):
        self.edits[post.id] = self.edits.get(post.id, 0) + 1
        if self.edits[post.id] > made:
            raise Repeat(f"edit of {post.id}: {self.edits[post.id]} times, and it was edited {made} times")
        for i, entry in self.entries.items():
            if entry[0] == post.id:
                self.entries[i] = (post.id, post.text, entry[2])


def shown(item):
    return item.post.id, item.post.text, item.reposted_by_id


def once(known, what, kind):
    if what in known:
        raise Repeat(f"{kind} {what}")
    known.add(what)


class Client:
    """Somebody who listens, in a thread of its own. `at_heartbeat` is the picture at the last heartbeat, with its number."""

    def __init__(self, story, person):
        self.story, self.person = story, person
        self.picture, self.token, self.must_read = Picture(story.beginning), "", False
        self.heartbeats, self.at_heartbeat, self.resets, self.streams, self.wrong = 0, {}, 0, 0, None
        self.cut, self.stop = threading.Event(), threading.Event()
        self.live = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.listen(self.story.gateway())
        except Repeat as error:
            self.wrong = f"sent twice: {error}"
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = repr(error)
        self.live.set()

    def listen(self, gateway):
        """One stream, until it ends or is cut."""
        feed = Feed(self.person.at(gateway.channel), token=self.token, read=False)
        feed.start()
        self.streams += 1
        self.cut.clear()
        while not self.stop.is_set() and not self.cut.is_set():
            try:
                message = feed.messages.get(timeout=0.02)
            except queue.Empty:
                if feed.ended.is_set():
                    self.note_end(feed)
                    break
                continue
            if not self.take(message, gateway):
                break
        feed.close()

    def note_end(self, feed):
        if feed.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED,
                             grpc.StatusCode.DEADLINE_EXCEEDED):
            raise RuntimeError(f"the stream ended with {feed.code}: {feed.details}")
        time.sleep(0.05)

    def take(self, message, gateway):
        """Returns False when the timeline had to be read and could not be: then the message is not taken."""
        kind = message.WhichOneof("event")
        if kind == "reset":
            self.must_read = True
            self.resets += 1
            self.picture.forget_life()
        if self.must_read:
            # Of a reset, the token stands even if the timeline cannot be read now.
            if kind == "reset":
                self.token = message.resume_token
            if not self.read_home(gateway):
                return False
        if kind == "item":
            self.picture.item(message.item)
        elif kind == "deleted_id":
            self.picture.gone(message.deleted_id)
        elif kind == "edited":
            self.picture.edited(message.edited, self.story.edits.get(message.edited.id, 0))
        self.token = message.resume_token
        if kind == "heartbeat":
            self.at_heartbeat = dict(self.picture.entries)
            self.heartbeats += 1
            self.live.set()
        return True

    def read_home(self, gateway):
        try:
            self.picture.read(home_since(self.person.at(gateway.channel), self.picture.beginning))
        except grpc.RpcError:
            return False
        self.must_read = False
        return True

    def end(self):
        self.stop.set()
        self.thread.join(PATIENCE_S)


def home_since(person, beginning):
    items, token = [], ""
    while True:
        page = person.home(100, token)
        items += [i for i in page.items if i.id > beginning]
        token = page.next_page_token
        if not token or not page.items or page.items[-1].id <= beginning:
            return items


# --- the story --------------------------------------------------------------------------------------------------------
class Gateway:
    def __init__(self, stack, name, heartbeat_ms):
        self.stack, self.name, self.heartbeat_ms = stack, name, heartbeat_ms
        self.start()

    def start(self):
        self.stack.gateway(self.name, ROOKERY_HEARTBEAT_MS=self.heartbeat_ms, ROOKERY_CHUNK_AUDIENCE=10)
        self.channel = connect("%s:%d" % self.stack.address)


class Story:
    def __init__(self, stack, seed):
        self.stack, self.random, self.lock = stack, random.Random(seed), threading.Lock()
        self.gateways = [Gateway(stack, f"gateway-{i + 1}", 200) for i in range(GATEWAYS)]
        stack.worker("worker-1", ROOKERY_ROLES="relay,fanout,chunks,counts")
        self.away = None  # a gateway that is being started again
        people = People(self.gateways[0].channel)
        self.readers = people.named(*[f"reader{i}" for i in range(READERS)])
        self.people = self.readers + people.named(*[f"writer{i}" for i in range(WRITERS)])
        self.posts, self.edits, self.acts = [], {}, {}
        self.beginning, self.clients, self.resets, self.streams, self.heartbeats = 0, [], 0, 0, 0
        for reader in self.readers:
            for writer in self.random.sample(self.people[READERS:], 3):
                reader.follow(writer)
        self.begin_chapter()

    def chance(self, method, *arguments):
        with self.lock:
            return getattr(self.random, method)(*arguments)

    def gateway(self):
        return self.chance("choice", [g for g in self.gateways if g is not self.away])

    def someone(self):
        return self.chance("choice", self.people).at(self.gateway().channel)

    # --- chapters: each begins with new streams ---
    def begin_chapter(self):
        self.quiet()
        self.posts = []
        self.beginning = int(self.stack.sql("SELECT coalesce(max(id), 0) FROM posts"))
        self.clients = [Client(self, r) for r in self.readers for _ in range(1 if r is not self.readers[0] else 2)]
        for client in self.clients:
            client.live.wait(PATIENCE_S)

    def end_chapter(self):
        for client in self.clients:
            client.end()
        self.resets += sum(c.resets for c in self.clients)
        self.streams += sum(c.streams for c in self.clients)
        self.heartbeats += sum(c.heartbeats for c in self.clients)

    # --- what people do ---
    def write(self):
        me, others = self.someone(), self.people
        what = self.chance("choices", list(WRITES), list(WRITES.values()))[0]
        post = self.chance("choice", self.posts[-40:]) if self.posts else None
        other = self.chance("choice", [p for p in others if p.id != me.id])
        self.acts[what] = self.acts.get(what, 0) + 1
        try:
            self.act(what, me, post, other)
        except grpc.RpcError:
            pass  # it may have happened or not: the server's timeline says it

    def act(self, what, me, post, other):
        if what == "post" or post is None:
            self.posts.append((me.post(f"{self.chance('random')}"), me))
        elif what == "reply":
            self.posts.append((me.reply(post[0], f"re {self.chance('random')}"), me))
        elif what == "repost":
            me.repost(post[0])
        elif what == "unrepost":
            me.unrepost(post[0])
        elif what == "edit":
            with self.lock:
                self.edits[post[0].id] = self.edits.get(post[0].id, 0) + 1
            post[1].at(me.channel).edit(post[0], f"edited {self.chance('random')}")
        elif what == "delete":
            post[1].at(me.channel).delete(post[0])
        elif what == "change and change back":
            me.unfollow(other)
            me.follow(other)
        else:
            getattr(me, what)(other)

    # --- what happens to them ---
    def publish_again(self):
        key = f"events:{{{self.chance('randrange', PARTITIONS)}}}"
        self.stack.redis("EVAL", AGAIN, 1, key, self.chance("randint", 1, 30))

    def cut(self):
        self.chance("choice", self.clients).cut.set()

    def restart_a_gateway(self):
        gateway = self.chance("choice", self.gateways)
        self.away = gateway
        self.stack.stop(gateway.name, self.chance("choice", ["KILL", "TERM"]))
        gateway.start()
        self.away = None

    def stall_the_worker(self):
        """What is published meanwhile is told, and not delivered."""
        self.stack.kill("worker-1", "STOP")
        time.sleep(1)
        self.stack.kill("worker-1", "CONT")

    def new_redis(self):
        before = self.stack.sql("SELECT count(*) FROM redis_epochs")
        self.stack.sh('stop_process "$DATA/run/redis.pid" KILL 10; redis_start redis')
        eventually(lambda: self.stack.sql("SELECT count(*) FROM redis_epochs") != before)

    # --- rounds ---
    def round(self, blow=None):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            acts = [pool.submit(self.write) for _ in range(ACTIONS)]
            if blow:
                blow()
            for _ in range(10):
                self.chance("choice", [self.publish_again, self.cut, self.cut])()
                time.sleep(self.chance("random") * 0.05)
            for act in acts:
                act.result()

    def quiet(self):
        """Until everything has been published and delivered."""
        self.stack.wait_for_relay()
        unpublished = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
        eventually(lambda: self.stack.sql(unpublished) == "0")
        eventually(lambda: self.stack.settled("events", "fanout") and self.stack.settled("chunks", "chunks"))

    def differences(self):
        """What each client has wrong, once its picture no longer changes for the better."""
        found = []
        for client in self.clients:
            if not self.agrees(client):
                found.append(self.say(client))
        return found

    def agrees(self, client):
        at = client.person.at(self.gateway().channel)
        def same():
            wanted = {i.id: shown(i) for i in home_since(at, self.beginning)}
            seen = client.heartbeats
            eventually(lambda: client.heartbeats > seen or client.wrong)
            return client.wrong or client.at_heartbeat == wanted
        return eventually(same) and not client.wrong

    def say(self, client):
        if client.wrong:
            return f"{client.person.handle}: {client.wrong}"
        wanted = {i.id: shown(i) for i in home_since(client.person.at(self.gateway().channel), self.beginning)}
        have = client.at_heartbeat
        return "\n".join([f"{client.person.handle}, after {client.resets} resets and {client.streams} streams:",
                          f"  missing {[(i, e) for i, e in wanted.items() if i not in have]}",
                          f"  too many {[(i, e) for i, e in have.items() if i not in wanted]}",
                          f"  different {[(e, have[i]) for i, e in wanted.items() if i in have and have[i] != e]}"])


WRITES = {"post": 30, "reply": 12, "repost": 12, "unrepost": 8, "edit": 12, "delete": 8, "follow": 4, "unfollow": 2, "mute": 1,
          "unmute": 2, "block": 1, "unblock": 3, "change and change back": 1}


def tell(stack, seed, seconds):
    story = Story(stack, seed)
    blows = [story.stall_the_worker, story.restart_a_gateway, None, story.new_redis, None]
    end, rounds, wrong = time.monotonic() + seconds, 0, []
    while not wrong and (rounds < len(blows) or time.monotonic() < end):
        story.round(blows[rounds % len(blows)])
        story.quiet()
        wrong = story.differences()
        rounds += 1
        if len(story.posts) > CHAPTER and not wrong:
            story.end_chapter()
            story.begin_chapter()
    story.end_chapter()
    note(f"seed {seed}: {rounds} rounds, {sum(story.acts.values())} acts, {story.streams} streams, {story.resets} resets, "
         f"{story.heartbeats} heartbeats")
    check(f"seed {seed}: in {rounds} rounds each picture was the home timeline, and nothing was sent twice", not wrong,
          "\n".join(wrong))


def main():
    options = argparse.ArgumentParser(description="A model of live streams")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options.add_argument("--seconds", type=float, default=0)
    options = options.parse_args()
    note(f"seed {options.seed}")
    with Stack() as stack:
        tell(stack, options.seed, options.seconds)
    done_testing()


main()
