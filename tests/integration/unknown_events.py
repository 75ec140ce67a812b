#!/usr/bin/python3
"""Events of a kind that a worker does not know, as an older worker meets them during an upgrade: what is not for a role is passed
over, the rest stays pending for a newer worker, ends nowhere as a dead letter, stops nothing, and is acknowledged and counted
when none has come for long enough. Prints TAP. Starts servers and daemons of its own."""
import os
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from callers import connect, People  # noqa: E402
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

RECLAIM_MS = 150
ROUNDS = 12  # of being taken over: more than make a suspect, or a dead letter
# Id 123, for an event actor 9, and field 200 of the oneof: a message without fields.
EVENT, JOB = r"'\8\123\16\9\194\12\0'", r"'\8\123\194\12\0'"
COUNTS, LIVE = 2, 16


def add(stack, stream, *fields):
    payload = JOB if stream.startswith("jobs") else EVENT
    script = f"return redis.call('XADD', KEYS[1], '*', 'e', {payload}, unpack(ARGV))"
    return stack.redis("EVAL", script, 1, stream, *fields)


def pending(stack, stream, group):
    """How often each pending entry has been delivered, by id."""
    return {row[0]: row[3] for row in stack.redis("XPENDING", stream, group, "-", "+", 1000)}


def read_by_all(stack):
    groups = (("events:{0}", "fanout"), ("events:{0}", "counts"), ("jobs:{0}", "jobs"))
    return all(str(stack.redis("EVAL", "for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do "
                                       "if g[2] == ARGV[1] then return tostring(g[12]) end end", 1, key, group)) == "0"
               for key, group in groups)


def dead(stack):
    return sum(int(stack.redis("XLEN", f"dead:{{{p}}}")) for p in range(4))


def left_in_outbox(stack):
    return stack.sql("SELECT string_agg(id::text, ' ') FROM outbox WHERE published_at IS NULL")


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        text = page.read().decode()
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith(name + "{")}


def unknown(port):
    return metric(port, "rookery_events_unknown_total")


with Stack() as stack:
    stack.gateway("gateway-1")
    port = int(stack.sh("free_port"))
    stack.worker("worker-old", ROOKERY_RECLAIM_MS=RECLAIM_MS, ROOKERY_METRICS_LISTEN=f"127.0.0.1:{port}")
    stack.wait_ready("worker-old")
    ada, bob = People(connect("%s:%d" % stack.address)).named("ada", "bob")
    bob.follow(ada)
    anybodys = add(stack, "events:{0}")
    lives = add(stack, "events:{0}", "k", f"200 {LIVE}")
    counted = add(stack, "events:{0}", "k", f"200 {COUNTS}")
    step = add(stack, "jobs:{0}")
    check("all is read", eventually(lambda: read_by_all(stack)))
    check("what may be for anybody waits in each role",
          eventually(lambda: set(pending(stack, "events:{0}", "fanout")) == {anybodys}), pending(stack, "events:{0}", "fanout"))
    check("what is for others is passed over", eventually(lambda: set(pending(stack, "events:{0}", "counts")) == {anybodys, counted}),
          pending(stack, "events:{0}", "counts"))
    check("a step of a job waits too", eventually(lambda: set(pending(stack, "jobs:{0}", "jobs")) == {step}))
    seen = set()

    def taken_over_often():
        seen.update(pending(stack, "events:{0}", "counts").values())
        return metric(port, "rookery_events_reclaimed_total")['rookery_events_reclaimed_total{role="counts"}'] >= 2 * ROUNDS

    check("they are taken over again and again", eventually(taken_over_often))
    check("nobody becomes a suspect of it", max(seen) <= 2, seen)
    check("nothing is a dead letter", dead(stack) == 0)
    post = ada.post("life goes on")
    check("and life goes on", eventually(lambda: bob.home_ids() == [post.id]))
    check("counts too", eventually(lambda: bob.standing(ada).post_count == 1))
    stack.kill("worker-old")
    port = int(stack.sh("free_port"))
    stack.worker("worker-late", ROOKERY_RECLAIM_MS=RECLAIM_MS, ROOKERY_UNKNOWN_KEEP_S=0, ROOKERY_METRICS_LISTEN=f"127.0.0.1:{port}")
    stack.wait_ready("worker-late")
    check("after its time it is acknowledged", eventually(
        lambda: not pending(stack, "events:{0}", "fanout") and not pending(stack, "events:{0}", "counts")
        and not pending(stack, "jobs:{0}", "jobs")))
    wanted = {'rookery_events_unknown_total{role="fanout"}': 1, 'rookery_events_unknown_total{role="counts"}': 2,
              'rookery_events_unknown_total{role="jobs"}': 1}
    check("and counted", eventually(lambda: {k: v for k, v in unknown(port).items() if v} == wanted),
          unknown(port))
    check("still nothing is a dead letter", dead(stack) == 0)
    stack.sql("INSERT INTO outbox (id, partition, payload, stream) VALUES (124, 0, '', 99), (125, 0, '\\x087d1009', 0)")
    check("the relay passes over what is for a stream that it does not know", eventually(lambda: left_in_outbox(stack) == "124"),
          left_in_outbox(stack))
    check("what nobody knew has no trace at the gateway", "error" not in stack.log("gateway-1"))
done_testing()
