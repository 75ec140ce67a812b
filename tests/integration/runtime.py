#!/usr/bin/python3
"""The consumer runtime against real servers that come and go: poison, backends that are away, workers that are killed
or asked to stop, and the names they leave behind. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

RECLAIM_MS = 300
ROLES = "relay,fanout,chunks,counts"


def arrives(reader, post):
    return eventually(lambda: post in reader.home())


def consumers(stack, group="fanout", stream="events"):
    """{name: what is pending}, over all partitions."""
    found = {}
    for p in stack.groups(stream):
        for consumer in stack.members(stream, p, group):
            found[consumer["name"]] = found.get(consumer["name"], 0) + consumer["pending"]
    return found


def dead_letters(stack):
    return [dict(zip(fields[::2], fields[1::2])) for p in range(4)
            for _, fields in stack.redis("XRANGE", f"dead:{{{p}}}", "-", "+")]


def poison_story(stack, ada, bob):
    """Entries that no role can handle, among good ones."""
    stack.kill("worker-1", "STOP")
    before = ada.post("before the poison")
    for p in range(4):
        stack.redis("XADD", f"events:{{{p}}}", "*", "e", "this is no event")
        stack.redis("XADD", f"chunks:{{{p}}}", "*", "e", "nor is this a chunk")
    after = ada.post("after the poison")
    stack.kill("worker-1", "CONT")
    check("the neighbours of poison arrive", arrives(bob, before) and arrives(bob, after))
    expected = sorted(["fanout", "counts", "chunks"] * 4)
    check("each role gives its poison to the dead letters, once",
          eventually(lambda: sorted(letter["role"] for letter in dead_letters(stack)) == expected), dead_letters(stack))
    check("with the reason and the payload",
          all(letter["reason"] and letter["e"].startswith(("this is no", "nor is this"))
              for letter in dead_letters(stack)), dead_letters(stack))
    check("nothing of it is left pending", eventually(lambda: stack.settled("events", "fanout") and
                                                      stack.settled("chunks", "chunks")), stack.groups("events"))


def absence_story(stack, ada, bob):
    """PostgreSQL is away while a worker has events in hand; then Redis is."""
    stack.kill("worker-1", "STOP")
    written = [ada.post(f"while the worker sleeps {i}") for i in range(5)]
    stack.sh('stop_group INT 60 postgres')
    stack.kill("worker-1", "CONT")
    check("with the database away the events stay pending",
          eventually(lambda: sum(consumers(stack).values()) > 0), consumers(stack))
    stack.sh("postgres_start")
    check("when it is back they are delivered", eventually(lambda: bob.home()[:5] == written[::-1]), bob.home()[:5])
    check("none of them is a dead letter", sum(stack.redis("XLEN", f"dead:{{{p}}}") for p in range(4)) == 12)
    stack.kill("redis")
    written = [ada.post(f"without Redis {i}") for i in range(3)]
    stack.sh("redis_start redis")
    check("what was written while Redis was away arrives", eventually(lambda: bob.home()[:3] == written[::-1]))


def killed_story(stack, ada, bob):
    """A worker that is stopped with events in its hands, then killed: another takes them over."""
    stack.stop("worker-1")
    stack.worker("worker-dying", ROOKERY_ROLES=ROLES)
    stack.wait_ready("worker-dying")
    bob.home()
    lock = stack.lock("account_stats")
    written = [ada.post(f"in dying hands {i}") for i in range(3)]
    check("it has some in hand", eventually(lambda: sum(consumers(stack).values()) > 0), consumers(stack))
    dying = max(consumers(stack).items(), key=lambda item: item[1])[0]
    stack.kill("worker-dying")
    stack.wait("worker-dying")
    lock.close()
    stack.worker("worker-2", ROOKERY_ROLES=ROLES)
    check("another worker takes over what a killed one had in hand",
          eventually(lambda: bob.home()[:3] == written[::-1]), bob.home()[:3])
    check("the killed one's name is forgotten after a while", eventually(lambda: dying not in consumers(stack)),
          consumers(stack))


def fresh_entries(stack, number):
    """The partition and ids of the newest entries, which are of one author."""
    ids = {p: [entry for entry, _ in stack.redis("XRANGE", f"events:{{{p}}}", "-", "+")] for p in range(4)}
    p = max(ids, key=lambda p: [int(part) for part in (ids[p] or ["0-0"])[-1].split("-")])
    return p, ids[p][-number:]


def deadly_story(stack, ada, bob):
    """Entries that were in the hands of many workers when those died: the first is guilty, the others were beside it."""
    stack.stop("worker-2")
    written = [ada.post(f"in many hands {i}") for i in range(3)]
    p, fresh = fresh_entries(stack, 3)
    stack.redis("XREADGROUP", "GROUP", "fanout", "ghost", "COUNT", "100", "STREAMS", f"events:{{{p}}}", ">")
    for entry, deliveries in zip(fresh, (1000, 5, 5)):
        stack.redis("XCLAIM", f"events:{{{p}}}", "fanout", "ghost", "0", entry, "IDLE", "10000000", "RETRYCOUNT",
                    str(deliveries))
    stack.worker("worker-2", ROOKERY_ROLES=ROLES)

    def convicted():
        return [letter for letter in dead_letters(stack) if letter["entry"] in fresh]

    check("what killed many workers goes to the dead letters untried",
          eventually(lambda: [letter["entry"] for letter in convicted()] == fresh[:1]), dead_letters(stack))
    check("and says so", "workers died" in convicted()[0]["reason"], convicted())
    check("its neighbours arrive", eventually(lambda: set(written[1:]) <= set(bob.home())), bob.home()[:3])
    check("nothing is left pending", eventually(lambda: stack.settled("events", "fanout")))
    stack.redis("XGROUP", "DELCONSUMER", f"events:{{{p}}}", "fanout", "ghost")


def stopped_story(stack, ada, bob):
    """SIGTERM: what is in hand is finished, or handed back at once; the exit status is 0."""
    check("a worker with nothing to do stops with 0", stack.stop("worker-2") == 0)
    check("and leaves no name behind", consumers(stack) == {}, consumers(stack))
    # Long enough that taking over by age is out of the question.
    patient = {"ROOKERY_ROLES": ROLES, "ROOKERY_RECLAIM_MS": 3600000}
    stack.worker("worker-3", ROOKERY_DRAIN_MS=1500, **patient)
    stack.wait_ready("worker-3")
    lock = stack.lock("account_stats")
    written = [ada.post(f"handed back {i}") for i in range(3)]
    check("it has some in hand", eventually(lambda: sum(consumers(stack).values()) > 0), consumers(stack))
    check("a worker that cannot finish in time stops with 0 all the same", stack.stop("worker-3") == 0)
    check("what it had in hand is still pending", sum(consumers(stack).values()) > 0, consumers(stack))
    lock.close()
    stack.worker("worker-4", **patient)
    check("another takes it at once", eventually(lambda: bob.home()[:3] == written[::-1]), bob.home()[:3])
    lock = stack.lock("account_stats")
    written = [ada.post(f"finished {i}") for i in range(3)]
    check("the next worker has events in hand", eventually(lambda: sum(consumers(stack).values()) > 0))
    stack.kill("worker-4", "TERM")
    lock.close()
    check("a worker that can finish in time stops with 0", stack.wait("worker-4") == 0)
    check("having finished", sum(consumers(stack).values()) == 0, consumers(stack))
    stack.worker("worker-5", ROOKERY_ROLES=ROLES)
    check("the rest is delivered by the next", eventually(lambda: bob.home()[:3] == written[::-1]), bob.home()[:3])


def innocent_story(stack, ada, bob):
    """PostgreSQL holds a role up while its workers are killed, more often than any entry may be delivered."""
    stack.stop("worker-5")
    rough = {"ROOKERY_ROLES": ROLES, "ROOKERY_RECLAIM_MS": 100, "ROOKERY_MAX_DELIVERIES": 3}
    letters = len(dead_letters(stack))
    bob.home()
    lock = stack.lock("account_stats")
    written = [ada.post(f"held up {i}") for i in range(3)]
    p, _ = fresh_entries(stack, 3)

    def in_hand(name):
        """The number of deliveries of the entry that this worker has taken over alone and been excused for."""
        held = stack.redis("XPENDING", f"events:{{{p}}}", "fanout", "-", "+", 100)
        return [entry[3] for entry in held if name in entry[1]]

    counts = []
    for i in range(8):
        stack.worker(f"worker-rough-{i}", **rough)
        pid = stack.sh(f'pidfile_pid "$DATA/run/worker-rough-{i}.pid"')
        # A suspect whose wait has been excused has the number it had before.
        eventually(lambda: len(in_hand(f"-{pid}-")) > 0 and max(in_hand(f"-{pid}-")) <= 3)
        counts.append(in_hand(f"-{pid}-"))
        stack.kill(f"worker-rough-{i}")
        stack.wait(f"worker-rough-{i}")
    lock.close()
    stack.worker("worker-6", ROOKERY_ROLES=ROLES)
    check("posts that were held up while workers were killed arrive",
          eventually(lambda: bob.home()[:3] == written[::-1]), counts)
    check("none of them is a dead letter", len(dead_letters(stack)) == letters, dead_letters(stack)[letters:])


def led_story(stack, ada, bob):
    """What another leads, a worker leaves alone."""
    stack.sql("UPDATE role_leases SET holder = 1, expires_at = now() + interval '1 hour' WHERE name = 'relay'")
    post = ada.post("published again")
    unpublished = lambda: stack.sql("SELECT count(*) FROM outbox WHERE published_at IS NULL")  # noqa: E731
    check("it arrives, and is marked as published", arrives(bob, post) and eventually(lambda: unpublished() == "0"))
    stack.person("carol")
    check("so is what makes an account", eventually(lambda: unpublished() == "0"), unpublished())
    stack.sql("UPDATE outbox SET published_at = NULL WHERE id = (SELECT max(id) FROM outbox)")
    time.sleep(4)  # well past the age at which the one that leads publishes
    check("a relay that does not lead publishes nothing", unpublished() == "1", unpublished())
    stack.sql("UPDATE role_leases SET expires_at = now() WHERE name = 'relay'")
    check("when it leads again, it does", eventually(lambda: unpublished() == "0"))
    check("there is no stream for a partition that is none", stack.redis("EXISTS", "events:{4}", "chunks:{4}") == 0)


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_RECLAIM_MS=RECLAIM_MS)
        stack.worker("worker-1", ROOKERY_ROLES=ROLES)
        stack.wait_for_relay()
        ada, bob = stack.person("ada"), stack.person("bob")
        bob.follow(ada)
        check("a post arrives", arrives(bob, ada.post("first")))
        poison_story(stack, ada, bob)
        absence_story(stack, ada, bob)
        killed_story(stack, ada, bob)
        deadly_story(stack, ada, bob)
        stopped_story(stack, ada, bob)
        innocent_story(stack, ada, bob)
        led_story(stack, ada, bob)
    done_testing()


main()
