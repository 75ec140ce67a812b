#!/usr/bin/python3
"""PostgreSQL is restored to what it was some time ago: what is shown from then on is what it holds, whatever caches, tokens and lists
remember of the time that is lost. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402


def pages(person):
    def ids(size):
        reply = person.call("TimelineService/GetHomeTimeline", pageSize=size)
        return [item["id"] for item in reply.get("items", [])]
    return ids(1), ids(20)


def newest_epoch(stack):
    return int(stack.sql("SELECT max(epoch) FROM redis_epochs"))


def stop_postgres(stack):
    stack.sh('kill -s INT "$(pidfile_pid "$DATA/run/postgres.pid")"; '
             'wait "$(pidfile_pid "$DATA/run/postgres.pid")" 2>/dev/null || :')


def restored(stack):
    """The clients are there all the time; only the server goes, and comes back with older files."""
    ada, grace, bob = stack.people("back", 3)
    ada.follow(grace)
    before = grace.post("kept")
    check("a post is shown", eventually(lambda: ada.home() == [before]))
    stop_postgres(stack)
    stack.sh('cp -a "$DATA/postgres" "$DATA/postgres.then" && postgres_start')
    check("what is kept is there", eventually(lambda: home_or_nothing(ada) == [before]))
    # All of this will not have happened.
    ada.call("GraphService/Unfollow", accountId=grace.id)
    bob.follow(grace)
    lost = grace.post("lost")
    check("the unfollow is heeded", ada.home() == [])
    check("and the follow", eventually(lambda: bob.home() == [lost, before]))
    check("the worker knows the followers of then", eventually(lambda: is_delivered(stack)))
    epoch = newest_epoch(stack)
    stop_postgres(stack)
    stack.sh('rm -rf "$DATA/postgres" && mv "$DATA/postgres.then" "$DATA/postgres" && postgres_start')
    check("a new epoch is opened, with a number that was never used", eventually(lambda: newest_epoch_or_0(stack) > epoch))
    check("the lost unfollow is forgotten", eventually(lambda: home_or_nothing(ada) == [before]), home_or_nothing(ada))
    check("the lost follow and post are gone", bob.home() == [])
    check("first pages agree", pages(ada) == ([before], [before]), pages(ada))
    # What is told again makes lists be built anew: only then does it count who a post is delivered to.
    check("the events of before are told again", eventually(lambda: is_told_again(stack, newest_epoch(stack))))
    check("and handled", eventually(lambda: is_delivered(stack)))
    check("nothing has changed", eventually(lambda: ada.home() == [before]))
    after = grace.post("after")
    check("life goes on", eventually(lambda: ada.home() == [after, before]), ada.home())
    check("it is told", '"message":"PostgreSQL went back' in stack.log("gateway-1") + stack.log("worker-1"))


def is_told_again(stack, epoch):
    return stack.sql(f"SELECT republished FROM redis_epochs WHERE epoch = {epoch}") == "t"


def is_delivered(stack):
    """All that is on the streams has been handled by the fan-out."""
    script = ("for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do"
              " if g[2] == 'fanout' then return g[6] == 0 and g[12] == 0 and 1 or 0 end end")
    return all(stack.redis("EVAL", script, 1, f"events:{{{p}}}") == 1 for p in range(4))


def home_or_nothing(person):
    try:
        return person.home()
    except RuntimeError:
        return None


def newest_epoch_or_0(stack):
    try:
        return newest_epoch(stack)
    except RuntimeError:
        return 0


def rows_put_back(stack):
    """A restore of rows into the same server, whose log goes on: the beat tells."""
    ada, grace = stack.people("rows", 2)
    ada.follow(grace)
    post = grace.post("kept")
    check("a post is shown", eventually(lambda: ada.home() == [post]))
    epoch = newest_epoch(stack)
    beat = int(stack.sql("SELECT beat FROM pulse"))
    check("the pulse beats", eventually(lambda: int(stack.sql("SELECT beat FROM pulse")) > beat + 2))
    ada.call("GraphService/Unfollow", accountId=grace.id)
    check("the unfollow is heeded", ada.home() == [])
    stack.sql(f"INSERT INTO follows (follower_id, followee_id, id) VALUES ({ada.id}, {grace.id}, 1);"
              f"UPDATE pulse SET beat = {beat}")
    check("a new epoch is opened", eventually(lambda: newest_epoch(stack) > epoch))
    check("the lost unfollow is forgotten", eventually(lambda: ada.home() == [post]), ada.home())


def quiet(stack):
    """Nothing went back: however much is going on, no epoch is opened."""
    epoch = newest_epoch(stack)
    ada = stack.person("quiet")
    written, refused = [], []

    def write():
        for _ in range(100):
            try:
                written.append(ada.post("hello"))
            except Exception as error:  # pylint: disable=broad-except
                refused.append(str(error))
    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    check("much is going on", written and not refused, f"{len(written)} written, {len(refused)} refused: {refused[:3]}")
    beat = int(stack.sql("SELECT beat FROM pulse"))
    eventually(lambda: int(stack.sql("SELECT beat FROM pulse")) > beat + 4)
    check("a database that goes on is no reason for a new epoch", newest_epoch(stack) == epoch)


def main():
    with Stack() as stack:
        stack.gateway("gateway-1")
        stack.worker("worker-1")
        stack.wait_ready("worker-1")
        quiet(stack)
        rows_put_back(stack)
        restored(stack)
    done_testing()


main()
