#!/usr/bin/python3
"""A gateway that was stopped for some seconds while its streams were cut: it must notice that it missed events, and show
nothing of what it knew before. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

PARTITIONS = 4
STOPPED_S = 2  # longer than what was heard before is believed, much shorter than streams are kept
WATCHED_S = 6  # longer than a hub needs to be fresh again, and its caches to be refreshed


class Gateways:
    """Two of them; `at(i)` is whom people speak to from then on."""

    def __init__(self, stack):
        self.stack, self.addresses = stack, []
        for name in ("gateway-1", "gateway-2"):
            stack.gateway(name)
            self.addresses.append(stack.address)

    def at(self, i):
        self.stack.address = self.addresses[i]


def texts(person):
    return {i["id"]: i["post"]["text"] for i in person.call("TimelineService/GetHomeTimeline", pageSize=100).get("items", [])}


def refused(call):
    try:
        call()
        return False
    except RuntimeError as error:
        return " 401 " in str(error)


def cut_streams(stack):
    for p in range(PARTITIONS):
        stack.redis("XTRIM", f"events:{{{p}}}", "MAXLEN", 0)


def main():
    with Stack() as stack:
        gateways = Gateways(stack)
        stack.worker("worker-1", ROOKERY_ROLES="fanout")
        ada, bob, other = stack.person("ada"), stack.person("bob"), stack.person("other")
        bob.follow(ada)
        edited, deleted = ada.post("to be edited"), ada.post("to be deleted")
        gateways.at(0)
        eventually(lambda: len(texts(bob)) == 2)
        texts(bob)
        other.home()
        stack.kill("gateway-1", "STOP")
        gateways.at(1)
        ada.call("PostService/EditPost", postId=edited, text="edited")
        ada.call("PostService/DeletePost", postId=deleted)
        other.call("AccountService/Logout")
        eventually(lambda: stack.settled("events", "fanout"))
        cut_streams(stack)
        time.sleep(STOPPED_S)
        stack.kill("gateway-1", "CONT")
        gateways.at(0)
        wrong, accepted, until = [], 0, time.monotonic() + WATCHED_S
        while time.monotonic() < until:
            seen = texts(bob)
            if seen != {edited: "edited"}:
                wrong.append(seen)
            accepted += not refused(other.home)
        check("what a stopped gateway missed does not show in posts", wrong == [], (len(wrong), wrong[:1]))
        check("nor in sessions", accepted == 0, accepted)
        check("it has noticed", "events may have been missed" in stack.log("gateway-1"))
        later = ada.post("after")
        check("and goes on", eventually(lambda: later in texts(bob)))
    done_testing()


main()
