#!/usr/bin/python3
"""The wall clock of a gateway or a worker is stepped while it works: ids, order, timelines and sessions do not see it. Prints TAP.
Starts servers and daemons of its own."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402


def first_page(person, size):
    reply = person.call("TimelineService/GetHomeTimeline", pageSize=size)
    return [item["id"] for item in reply.get("items", [])]


def made_ms(post):
    return (int(post) >> 22) + 1704067200000


def main():
    with Stack() as stack:
        clock, workers_clock = stack.clock(), stack.clock()
        stack.gateway("gateway-1", paths=[clock])
        stepped = stack.address
        stack.gateway("gateway-2")
        right = stack.address
        stack.worker("worker-1", paths=[workers_clock])
        stack.wait_ready("worker-1")
        ada, grace, reader = stack.people("clock", 3)
        reader.follow(ada)
        reader.follow(grace)
        check("there is a timeline", reader.home() == [])
        posts = []
        for seconds in (30, -30, 5, -5, 3600):
            clock.step_to(seconds)
            workers_clock.step_to(-seconds)
            for i in range(3):
                stack.address = stepped
                posts.append(ada.post(f"{seconds} s off, {i}"))
                stack.address = right
                posts.append(grace.post(f"right, {i}"))
            off = max(abs(made_ms(post) - time.time() * 1000) for post in posts[-6:])
            check(f"ids made while a gateway's clock is {seconds} s off carry the right time", off < 4000, f"{off} ms off")
            for name, address in (("stepped", stepped), ("other", right)):
                stack.address = address
                newest = sorted(posts, key=int, reverse=True)  # two gateways' times differ by what a round trip takes
                # By first pages, the shortest first: a longer one makes a gateway look further from then on.
                wrong = []
                for size in (1, 5, 20):
                    if not eventually(lambda: first_page(reader, size) == newest[:size]):
                        wrong.append(f"of the first {size}: {first_page(reader, size)}")
                check(f"and are shown so, through the {name} one", not wrong, "\n".join(wrong))
    done_testing()


main()
