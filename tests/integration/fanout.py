#!/usr/bin/python3
"""Fan-out with big audiences: chunk tasks on their own stream, small posts that do not wait for them (P4),
coalescing, replies. Prints TAP. Starts servers and daemons of its own."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

CHUNK = 10


def entries(stack, person):
    """The entries of a list, without floor and marks."""
    return [e for e in stack.timeline(person) if e.lstrip("-").isdigit()]


def materialise(stack, people):
    """Everybody gets a list in Redis, and nothing is under way that would delete it again."""
    eventually(lambda: stack.settled("events", "fanout"))
    for person in people:
        person.home()


def big_and_small_story(stack, big, small, readers):
    """No worker with the chunks role runs: what is big waits, what is small does not."""
    few = readers[:CHUNK]
    for reader in readers:
        reader.follow(big)
        if reader in few:
            reader.follow(small)
    materialise(stack, readers)
    first = big.post("to many")
    second = small.post("to few")
    check("a small author's post arrives while a big one's waits",
          eventually(lambda: all(second in r.home() for r in few)))
    check("the big author's post waits", not any(first in r.home() for r in readers))
    check("the big author sees their own post all the same", big.home() == [first])
    tasks = sum(stack.redis("XLEN", f"chunks:{{{p}}}") for p in range(4))
    check("it waits as one task", tasks == 1, tasks)
    stack.worker("worker-chunks-1", ROOKERY_ROLES="chunks")
    stack.worker("worker-chunks-2", ROOKERY_ROLES="chunks")
    check("with workers for chunks it arrives too, everywhere",
          eventually(lambda: all(first in r.home() for r in readers)))
    check("nothing is left to do", eventually(lambda: stack.settled("chunks", "chunks")), stack.groups("chunks"))
    wrong = [r.id for r in readers if entries(stack, r).count(first) != 1]
    check("on each timeline once", wrong == [], wrong)
    tasks = sum(stack.redis("XLEN", f"chunks:{{{p}}}") for p in range(4))
    check("it was divided into chunks", tasks == 1 + len(readers) // CHUNK + 1, tasks)


def coalescing_story(stack, big, small, readers):
    """What was written while no worker ran is delivered together: each post once, oldest first."""
    names = ["worker-fanout-1", "worker-chunks-1", "worker-chunks-2"]
    for name in names:
        stack.stop(name)
    before = {r.id: len(entries(stack, r)) for r in readers}
    written = [author.post(f"{i}") for i in range(12) for author in (big, small)]
    stack.worker("worker-all", ROOKERY_ROLES="relay,fanout,chunks,counts")
    few, others = readers[0], readers[-1]
    check("a reader of both gets all that was written meanwhile, newest first",
          eventually(lambda: few.home()[:24] == written[::-1]), few.home()[:24])
    check("a reader of one gets theirs", eventually(lambda: others.home()[:12] == written[::2][::-1]),
          others.home()[:12])
    check("all is handled", eventually(lambda: stack.settled("events", "fanout") and stack.settled("chunks", "chunks")))
    wrong = [r.id for r in readers if len(set(entries(stack, r))) != len(entries(stack, r))
             or len(entries(stack, r)) - before[r.id] != (24 if r in readers[:CHUNK] else 12)]
    check("nothing was delivered twice", wrong == [], wrong)
    parts = [e for e in entries(stack, few) if e in written[1::2]]
    check("posts of one batch are in order", parts == written[1::2], parts)


def answers_story(stack, big, small, readers):
    """A reply goes to those who hear both, whichever of the two is big."""
    both, one = readers[:CHUNK], readers[CHUNK:]
    big_answers = big.post("re", replyToId=small.post("small's"))
    small_answers = small.post("re", replyToId=big.post("big's"))
    check("a big author's reply to a small one reaches who follows both",
          eventually(lambda: all(big_answers in r.home() for r in both)))
    check("a small author's reply to a big one reaches who follows both",
          eventually(lambda: all(small_answers in r.home() for r in both)))
    check("all is handled", eventually(lambda: stack.settled("events", "fanout") and stack.settled("chunks", "chunks")))
    check("it was not put on the timelines of others",
          not any(big_answers in entries(stack, r) or small_answers in entries(stack, r) for r in one))


def pending(stack):
    return sum(groups["chunks"]["pending"] for groups in stack.groups("chunks").values() if "chunks" in groups)


def killed_story(stack, big, readers):
    """A worker that is killed with a chunk in its hands: another takes it over."""
    stack.stop("worker-all")
    stack.worker("worker-fanout-2", ROOKERY_ROLES="relay,fanout,counts")
    big.post("for the fan-out to know that they are big")
    eventually(lambda: stack.settled("events", "fanout"))
    lock = stack.lock("follows")
    stack.worker("worker-dying", ROOKERY_ROLES="chunks")
    post = big.post("in dying hands")
    check("a worker has the task in hand", eventually(lambda: pending(stack) > 0), stack.groups("chunks"))
    stack.kill("worker-dying")
    stack.wait("worker-dying")
    lock.close()
    stack.worker("worker-chunks-3", ROOKERY_ROLES="chunks")
    check("another worker takes over what a killed one had", eventually(lambda: all(post in r.home() for r in readers)))
    stack.stop("worker-chunks-3")


def new_redis_story(stack, big, readers):
    """Redis starts anew, with its old data, while a task of the old epoch waits on its stream."""
    post = big.post("before the restart")
    check("the task waits", eventually(lambda: not stack.settled("chunks", "chunks")))
    stack.kill("redis")
    stack.sh("redis_start redis")
    eventually(lambda: stack.sql("SELECT count(*) > 1 FROM redis_epochs") == "t")
    later = big.post("after the restart")
    stack.worker("worker-chunks-4", ROOKERY_ROLES="chunks")
    check("both posts are on every timeline, once",
          eventually(lambda: all(r.home()[:2] == [later, post] for r in readers)), readers[0].home()[:3])
    check("all is handled", eventually(lambda: stack.settled("events", "fanout") and stack.settled("chunks", "chunks")))


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_CHUNK_AUDIENCE=CHUNK, ROOKERY_RECLAIM_MS=300)
        stack.worker("worker-fanout-1", ROOKERY_ROLES="relay,fanout,counts")
        stack.wait_for_relay()
        big, small = stack.person("big"), stack.person("small")
        readers = stack.people("reader", 2 * CHUNK + 5)
        big_and_small_story(stack, big, small, readers)
        coalescing_story(stack, big, small, readers)
        answers_story(stack, big, small, readers)
        killed_story(stack, big, readers)
        new_redis_story(stack, big, readers)
    done_testing()


main()
