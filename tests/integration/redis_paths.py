#!/usr/bin/python3
"""What becomes of home timelines when the ways to Redis fail: commands that are executed long after they were sent, a gateway that is
cut off, and a Redis that is used again after another one was. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack, as_dict  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

FAST = {"ROOKERY_RECLAIM_MS": 1000}


def first_page(person, size):
    reply = person.call("TimelineService/GetHomeTimeline", pageSize=size)
    return [item["id"] for item in reply.get("items", [])]


def check_home(name, person, posts):
    """First pages before longer ones, since reading far makes a gateway look further from then on."""
    newest = posts[::-1]
    seen = {size: first_page(person, size) for size in (1, 5, 20, 100)}
    wrong = [f"of the first {size}: {len(set(newest[:size]) & set(ids))} are there" for size, ids in seen.items()
             if ids != newest[:size]]
    check(name, not wrong, "\n".join(wrong))


def marked(stack):
    return stack.sql("SELECT count(*) FROM outbox WHERE published_at IS NULL") == "0"


def epochs(stack):
    return int(stack.sql("SELECT count(*) FROM redis_epochs"))


def entries_added(stack):
    """To the event streams of the stack's own Redis, ever."""
    return {p: as_dict(stack.redis("XINFO", "STREAM", f"events:{{{p}}}"))["entries-added"] for p in stack.groups("events")}


def handled(stack):
    return marked(stack) and stack.settled("events", "fanout")


def executed_late():
    """A worker's deliveries are held on their way while it is killed. Another one delivers the same posts, and newer ones; then what
    was held arrives: to the right of everything, though it is the oldest."""
    with Stack() as stack:
        way = stack.path_to_redis()
        stack.gateway(**FAST)
        ada, grace = stack.people("late", 2)
        ada.follow(grace)
        check("there is a timeline", ada.home() == [])
        posts = [grace.post(f"held {i}") for i in range(30)]
        lock = stack.lock("account_stats")  # the worker reads all of them, and waits
        stack.worker("worker-1", paths=[way])
        check("a worker has them in hand", eventually(lambda: in_hand(stack) >= 30), in_hand(stack))
        way.stall("requests")
        lock.close()
        check("deliveries are held", eventually(lambda: way.state()["requests_held"] > 30 * 20), way.state())
        stack.kill("worker-1")
        stack.worker("worker-2")
        check("another worker delivers them", eventually(lambda: ada.home() == posts[::-1]))
        time.sleep(11)  # older than anything that is prompt
        posts += [grace.post(f"new {i}") for i in range(30)]
        check("and newer ones", eventually(lambda: ada.home() == posts[::-1]))
        before = stack.redis("LLEN", timeline_key(stack, ada))
        way.go_on()
        check("what was held arrives", eventually(lambda: stack.redis("LLEN", timeline_key(stack, ada)) >= before + 30))
        time.sleep(0.5)
        check_home("deliveries that Redis executes late hide nothing", ada, posts)


def in_hand(stack):
    return sum(groups["fanout"]["pending"] for groups in stack.groups("events").values() if "fanout" in groups)


def timeline_key(stack, person):
    return f"tl:{stack.sql('SELECT max(epoch) FROM redis_epochs')}:{{{person.id}}}"


def gateway_cut_off():
    """A gateway without its way to Redis acknowledges a post only when other gateways show it (P6)."""
    with Stack() as stack:
        way = stack.path_to_redis()
        stack.gateway("gateway-1")
        whole = stack.address
        stack.gateway("gateway-2", paths=[way])
        cut_off = stack.address
        stack.worker("worker-1")
        stack.wait_ready("worker-1")
        ada = stack.person("cut")
        posts = [ada.post("before")]
        check("both gateways show it", ada.home() == posts)
        stack.address = whole
        check("both gateways show it", ada.home() == posts)
        for what in (way.stall, way.cut):
            what()
            time.sleep(4)  # the gateway notices a silent connection after 3 s
            stack.address = cut_off
            posts.append(ada.post("cut off"))
            stack.address = whole
            check(f"a post through a gateway that is cut off ({what.__name__}) is there through others when it is acknowledged",
                  ada.home() == posts[::-1], ada.home())
            way.heal()
        stack.kill("redis")
        stack.sh('wait "$(pidfile_pid "$DATA/run/redis.pid")" || :')
        posts.append(ada.post("nobody has Redis"))
        for address in (whole, cut_off):
            stack.address = address
            check("without any Redis posts are taken, and shown", ada.home() == posts[::-1], ada.home())


def used_again():
    """All processes go from Redis A to B and back to A, which has its old lists."""
    with Stack() as stack:
        way = stack.path_to_redis()
        stack.gateway(paths=[way])
        stack.worker("worker-1", paths=[way])
        stack.wait_ready("worker-1")
        ada, grace = stack.people("moves", 2)
        ada.follow(grace)
        check("there is a timeline", ada.home() == [])
        posts = [grace.post(f"on A {i}") for i in range(3)]
        check("A has delivered", eventually(lambda: ada.home() == posts[::-1] and marked(stack)))
        way.switch(stack.another_redis("redis-b"))
        check("B is used", eventually(lambda: epochs(stack) == 2))
        posts += [grace.post(f"on B {i}") for i in range(3)]
        check("B has delivered", eventually(lambda: ada.home() == posts[::-1] and marked(stack)))
        way.switch(stack.redis_socket())
        check("A is used again, as if it were another",
              eventually(lambda: epochs(stack) == 3))
        check_home("nothing of what B delivered is missing on A", ada, posts)
        check("all that was published is marked", eventually(lambda: marked(stack)))
        posts += [grace.post(f"on A again {i}") for i in range(3)]
        check("and marked from then on", eventually(lambda: handled(stack)))
        check_home("and deliveries go on", ada, posts)


def emptied():
    """FLUSHALL: the same process, without its data."""
    with Stack() as stack:
        stack.gateway()
        stack.worker("worker-1")
        stack.wait_ready("worker-1")
        ada, grace = stack.people("empty", 2)
        ada.follow(grace)
        posts = [grace.post("before")]
        check("it is shown", eventually(lambda: ada.home() == posts))
        stack.redis("FLUSHALL")
        posts.append(grace.post("after"))
        check("a Redis that was emptied is one that lost its data",
              eventually(lambda: epochs(stack) == 2))
        check("its events come again", eventually(lambda: handled(stack) and ada.home() == posts[::-1]))


def nobody_reaches_it():
    """All ways to Redis fail for a while; Redis and its lists live on. What was posted meanwhile is shown as soon as it is back."""
    with Stack() as stack:
        way = stack.path_to_redis()
        stack.gateway(paths=[way])
        stack.worker("worker-1", paths=[way])
        stack.wait_ready("worker-1")
        ada = stack.person("alone")
        posts = [ada.post("before")]
        check("there is a timeline", eventually(lambda: ada.home() == posts))
        for what in (way.cut, way.stall):
            what()
            time.sleep(4)
            posts.append(ada.post("nobody reaches Redis"))
            way.heal()
            missing, end = 0, time.monotonic() + 5
            while time.monotonic() < end:
                missing += ada.home() != posts[::-1]
            check(f"an outage ({what.__name__}) of Redis for all hides no post after it", missing == 0, f"{missing} reads lack it")


def half_elsewhere():
    """One gateway is led to another Redis than the rest, and its is the newer one: the rest shows what SQL says, and nothing of the
    Redis it is still connected to."""
    with Stack() as stack:
        way = stack.path_to_redis()
        stack.gateway("gateway-1")
        left = stack.address
        stack.gateway("gateway-2", paths=[way])
        led_away = stack.address
        stack.worker("worker-1")
        stack.wait_ready("worker-1")
        ada, bob = stack.people("half", 2)
        stack.address = left
        ada.follow(bob)
        post = bob.post("hello")
        check("ada sees bob", eventually(lambda: ada.home() == [post]))
        epochs_before = epochs(stack)
        way.switch(stack.another_redis("redis-b"))
        check("a new epoch begins there", eventually(lambda: epochs(stack) > epochs_before))
        check("the others say that theirs is not the newest",
              eventually(lambda: "Redis superseded" in stack.log("gateway-1") and "Redis superseded" in stack.log("worker-1")))
        for i in range(5):
            stack.address = led_away
            bob.call("GraphService/Block", accountId=ada.id)
            stack.address = left
            try:
                ada.call("PostService/GetPost", postId=post)
                seen = True
            except RuntimeError:
                seen = False
            check("a block through the one is heeded by the other", not seen and ada.home() == [])
            stack.address = led_away
            bob.call("GraphService/Unblock", accountId=ada.id)
        number = epochs(stack)
        # What the relay would publish, as often as it looks: it could not mark it.
        stack.sql("UPDATE outbox SET published_at = NULL")
        grown = entries_added(stack)
        time.sleep(3)
        check("the two do not take turns", epochs(stack) == number, f"{epochs(stack) - number} more epochs")
        check("what cannot be marked is not published, over and over, to the one that was left",
              entries_added(stack) == grown and not marked(stack), f"{grown}, then {entries_added(stack)}")
        stack.kill("gateway-2")
        stack.address = left
        check("when it is gone the rest goes on", eventually(lambda: epochs(stack) > number))
        new = bob.post("after")
        check("and delivers", eventually(lambda: marked(stack)) and bob.home()[0] == new)


class OwnWrites:
    """Posts through one gateway and then the other, and looks whether both show it: what they lack."""

    def __init__(self, author, gateways):
        self.author, self.gateways = author, gateways
        self.posts, self.lacking, self.stop = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.is_set():
            try:
                self.write()
            except Exception as error:  # a gateway refuses what it should take
                self.lacking.append(str(error))

    def write(self):
        self.posts += 1
        wrote = self.posts % 2
        post = self.author.at(self.gateways[wrote]).post(f"{self.posts}")
        for read in (1 - wrote, wrote):
            if post not in first_page(self.author.at(self.gateways[read]), 5):
                self.lacking.append(f"post {self.posts}, written at gateway {wrote + 1}, by gateway {read + 1}")

    def end(self):
        self.stop.set()
        self.thread.join()


def own_writes_on_the_move():
    """One gateway is led to another Redis, and for a moment the other does not know: whoever posts through either sees it through
    both (P6)."""
    with Stack() as stack:
        ways = [stack.path_to_redis(), stack.path_to_redis()]
        gateways = []
        for i, way in enumerate(ways):
            stack.gateway(f"gateway-{i + 1}", paths=[way])
            gateways.append(stack.address)
        stack.worker("worker-1", paths=[ways[0]])
        stack.wait_ready("worker-1")
        writes = OwnWrites(stack.person("moving"), gateways)
        for name in ("redis-b", "redis-c", "redis-d"):
            before, server = epochs(stack), stack.another_redis(name)
            ways[0].switch(server)
            check("another Redis is used", eventually(lambda: epochs(stack) > before))
            time.sleep(1)  # the second gateway finds out by itself
            ways[1].switch(server)
            time.sleep(4)
        writes.end()
        check("one's own posts are shown by both gateways, whichever of them knows of the other Redis first",
              writes.posts > 0 and not writes.lacking, f"of {writes.posts} lack {len(writes.lacking)}: {writes.lacking[:5]}")


for part in (executed_late, gateway_cut_off, used_again, emptied, nobody_reaches_it, half_elsewhere,
             own_writes_on_the_move):
    part()
done_testing()
