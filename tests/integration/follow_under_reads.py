#!/usr/bin/python3
"""Whoever follows somebody while their home is being read finds all of it at the next read (P2): a timeline that is built at
that moment is built with the new follow, or not kept. And however many follows come at once, they stop at the limit. Prints
TAP. Starts servers and daemons of its own."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

AUTHORS = 30
NEWCOMERS = 15
READERS = 2


def first_page(person, size):
    reply = person.call("TimelineService/GetHomeTimeline", pageSize=size)
    return [item["id"] for item in reply.get("items", [])]


def waiting_for(stack, table):
    return stack.sql(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass") != "0"


def between_look_and_rebuild(stack):
    """The read has looked, and found no list; it waits with what it knows of its viewer."""
    ada, grace = stack.people("held", 2)
    post = grace.post("before")
    lock = stack.lock("likes")
    reader = threading.Thread(target=ada.home)
    reader.start()
    check("the read waits in the middle", eventually(lambda: waiting_for(stack, "likes")))
    ada.follow(grace)
    lock.close()
    reader.join()
    check("a follow acknowledged between a read's look and its rebuild is not missed", ada.home() == [post], ada.home())


def follow_all(stack, number, authors, posts, troubles):
    """A newcomer follows everybody, one after the other, while clients read the home without pause."""
    newcomer = stack.person(f"new{number}")
    over = threading.Event()

    def read():
        while not over.is_set():
            newcomer.home()

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for author in authors:
        newcomer.follow(author)
    over.set()
    for reader in readers:
        reader.join()
    for size in (1, 5, 20, 100):
        if first_page(newcomer, size) != posts[:size]:
            missing = len(set(posts[:size]) - set(first_page(newcomer, size)))
            troubles.append(f"newcomer {number}: {missing} of the first {size} entries are missing")


MAX_FOLLOWING = 10000


def follow_at_once(stack):
    """With room for two, six follows come at the same moment."""
    ada = stack.person("eager")
    others = stack.people("followed", 6)
    stack.sql(f"INSERT INTO follows (follower_id, followee_id, id) SELECT {ada.id}, i, i FROM generate_series(1, {MAX_FOLLOWING - 2}) i")
    refused = []

    def follow(other):
        try:
            ada.follow(other)
        except RuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=follow, args=[other]) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("follows at the same moment stop at the limit", len(refused) == 4 and all("10000" in text for text in refused) and
          stack.sql(f"SELECT count(*) FROM follows WHERE follower_id = {ada.id}") == str(MAX_FOLLOWING), refused)


def main():
    with Stack() as stack:
        stack.gateway()
        stack.worker("worker-1")
        stack.wait_ready("worker-1")
        between_look_and_rebuild(stack)
        follow_at_once(stack)
        authors = stack.people("author", AUTHORS)
        posts = [author.post("hello") for author in authors][::-1]
        troubles = []
        for number in range(NEWCOMERS):
            follow_all(stack, number, authors, posts, troubles)
        check(f"{NEWCOMERS} accounts that follow while they are read have no gap", not troubles, "\n".join(troubles))
    done_testing()


main()
