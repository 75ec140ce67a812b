#!/usr/bin/python3
"""An author whose audience grows past ROOKERY_PULL_AUDIENCE: posts from before, during and after the switch are read
exactly once, in order, by everybody and through every gateway. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402


def all_read(stack, readers, expected):
    """Through the gateway that the stack speaks to now."""
    return eventually(lambda: all(r.home()[:len(expected)] == expected for r in readers))


def switch(stack, star, other, readers):
    """Posts all the time while the author becomes pulled: what was written, oldest first."""
    written = [star.post("before")]
    check("a post from before the switch is read by all", all_read(stack, readers[:-6], written))
    for reader in readers[-6:]:
        reader.follow(star)
    flagged = threading.Event()

    def keep_posting():
        while not flagged.is_set() or len(written) % 10 != 0:
            written.append((star if len(written) % 3 else other).post(f"during {len(written)}"))

    poster = threading.Thread(target=keep_posting)
    poster.start()
    check("the author becomes pulled", eventually(
        lambda: stack.sql(f"SELECT pulled FROM account_stats WHERE account_id = {star.id}") == "t"))
    flagged.set()
    poster.join()
    check("posts from during the switch are read by all, once, in order", all_read(stack, readers, written[::-1]),
          [written[::-1], readers[0].home()])
    return written


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_CHUNK_AUDIENCE=10, ROOKERY_PULL_AUDIENCE=15)
        first = stack.address
        stack.gateway("gateway-2", ROOKERY_CHUNK_AUDIENCE=10, ROOKERY_PULL_AUDIENCE=15)
        second, stack.address = stack.address, first
        stack.worker("worker-1")
        stack.wait_for_relay()
        star, other = stack.person("star"), stack.person("other")
        readers = stack.people("reader", 24)
        for reader in readers:
            reader.follow(other)
        for reader in readers[:-6]:
            reader.follow(star)
        eventually(lambda: stack.settled("events", "fanout"))
        for reader in readers:
            reader.home()
        stack.address = second
        for reader in readers:
            reader.home()
        stack.address = first
        written = switch(stack, star, other, readers)
        written.append(star.post("after"))
        check("a post from after the switch is read by all", all_read(stack, readers, written[::-1]))
        check("and was delivered to nobody",
              eventually(lambda: stack.settled("events", "fanout") and stack.settled("chunks", "chunks")) and
              not any(written[-1] in stack.timeline(r) for r in readers))
        check("the author reads their own", star.home()[0] == written[-1])
        stack.address = second
        check("another gateway, which wrote none of them, shows the same", all_read(stack, readers, written[::-1]))
        stack.gateway("gateway-3", ROOKERY_CHUNK_AUDIENCE=10, ROOKERY_PULL_AUDIENCE=15)
        check("so does one that started after the switch", all_read(stack, readers, written[::-1]))
        written.append(star.post("through the newest gateway"))
        stack.address = first
        check("which knows that the author is pulled", all_read(stack, readers, written[::-1]) and
              not any(written[-1] in stack.timeline(r) for r in readers))
        late = stack.person("late")
        late.follow(star)
        theirs = [p for p in written if p in star.home()]
        check("who follows after the switch reads all of it", all_read(stack, [late], theirs[::-1]), late.home())
    done_testing()


main()
