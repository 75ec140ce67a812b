#!/usr/bin/python3
"""Limits of an account, of a network and by the hour: what is refused, what is said of it, and who does not notice; every limit
of the gateway's table is driven to its refusal. Sessions beyond their number end. Behind a trusted proxy the client that it names is
limited. The settings are small here, so that they are reached quickly. Prints TAP."""
import http.client
import json
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import ROOT, Stack  # noqa: E402
from siege import Raw, ask, request  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually  # noqa: E402

BURST = 10  # seconds' worth
SETTINGS = {"ROOKERY_LIMIT_LOOKUPS": 4, "ROOKERY_LIMIT_POSTS": 12, "ROOKERY_LIMIT_FOLLOWS": 3, "ROOKERY_LIMIT_TOKENS": 1,
            "ROOKERY_LIMIT_STRANGERS": 3, "ROOKERY_SESSIONS_PER_ACCOUNT": 3}


def statuses(at, source, payload, n):
    raw = Raw(at, source)
    seen = []
    for _ in range(n):
        raw.send(payload)
        seen.append(raw.status())
    raw.close()
    return seen


def refusal(reply, words):
    status, error = reply
    return (status == 429 and error["code"] == "resource_exhausted" and words in error["message"] and
            any(detail["type"] == "google.rpc.RetryInfo" for detail in error.get("details", [])))


def by_account(at, ada, bob):
    lookup = request("AccountService/GetAccount", {"id": ada.id}, ada.token)
    seen = statuses(at, "127.0.0.1", lookup, 4 * BURST + 20)
    check("an account may look up as much as its limit says, and no more",
          set(seen) == {200, 429} and seen.index(429) >= 4 * BURST, seen)
    reply = ask(at, "AccountService/GetAccount", {"id": ada.id}, ada.token)
    check("the refusal says what, how much, and when to try again",
          reply[0] == 200 or refusal(reply, "too many lookups by this account: at most 4 a second"), reply)
    check("another account does not notice", ask(at, "AccountService/GetAccount", {"id": ada.id}, bob.token)[0] == 200)
    check("nor do other calls of that one", ask(at, "TimelineService/GetHomeTimeline", {}, ada.token)[0] == 200)
    check("it is served at its rate", eventually(lambda: ask(at, "AccountService/GetAccount", {"id": ada.id}, ada.token)[0] == 200))


def by_the_hour(at, ada, bob, others):
    posts = [ask(at, "PostService/CreatePost", {"text": f"post {i}"}, ada.token) for i in range(14)]
    check("posts have a limit by the hour", [reply[0] for reply in posts] == [200] * 12 + [429] * 2, posts[-1])
    check("which is said", refusal(posts[-1], "too many posts by this account: at most 12 an hour"), posts[-1])
    repost = {"postId": posts[0][1]["post"]["id"]}
    check("reposts count, too", ask(at, "PostService/Repost", repost, ada.token)[0] == 429)
    check("likes do not", ask(at, "PostService/Like", repost, ada.token)[0] == 200)
    check("others post", ask(at, "PostService/CreatePost", {"text": "hello"}, bob.token)[0] == 200)
    follows = [ask(at, "GraphService/Follow", {"accountId": other.id}, ada.token) for other in others]
    check("follows have one", [reply[0] for reply in follows] == [200] * 3 + [429], follows[-1])
    check("unfollowing has not", ask(at, "GraphService/Unfollow", {"accountId": others[0].id}, ada.token)[0] == 200)


def by_network(at, ada):
    wrong = request("TimelineService/GetHomeTimeline", {}, "not-a-token")
    seen = statuses(at, "127.0.0.7", wrong, 70)
    check("wrong tokens are refused before SQL is asked", seen[0] == 401 and seen.index(429) >= 50 and set(seen[51:]) <= {401, 429}, seen)
    check("a right one from there is served", ask(at, "TimelineService/GetHomeTimeline", {}, ada.token, "127.0.0.7")[0] == 200)
    fresh = ask(at, "AccountService/Login", {"handle": ada.handle, "password": "correct horse battery"}, source="127.0.3.9")[1]
    check("so is one that this gateway has not met", ask(at, "TimelineService/GetHomeTimeline", {}, fresh["token"], "127.0.0.7")[0] == 200)
    check("its session ends", ask(at, "AccountService/Logout", {}, fresh["token"])[0] == 200)
    seen = statuses(at, "127.0.0.10", request("TimelineService/GetHomeTimeline", {}, fresh["token"]), 70)
    check("a token that ended counts as wrong from then on", seen[0] == 401 and 429 in seen[50:] and set(seen) == {401, 429}, seen)
    check("and a wrong one elsewhere is only wrong", ask(at, "TimelineService/GetHomeTimeline", {}, "not-a-token")[0] == 401)
    seen = statuses(at, "127.0.0.7", request("AccountService/Login", {"handle": "", "password": ""}), 3 * BURST + 10)
    check("calls without a session are limited by network", seen[0] == 400 and 429 in seen, seen)
    reply = ask(at, "AccountService/Login", {"handle": "", "password": ""}, source="127.0.0.8")
    check("of which each has its own", reply[0] == 400, reply)


def sessions(at, cleo):
    tokens = [cleo.token]
    for i in range(3):
        status, reply = ask(at, "AccountService/Login", {"handle": cleo.handle, "password": "correct horse battery"},
                            source=f"127.0.3.{i + 1}")
        tokens.append(reply.get("token"))
    status = lambda token: ask(at, "TimelineService/GetHomeTimeline", {}, token)[0]  # noqa: E731
    check("the oldest session ends when there are too many", eventually(lambda: status(tokens[0]) == 401))
    check("the others stay", [status(token) for token in tokens[1:]] == [200] * 3)
    listed = ask(at, "AccountService/ListSessions", {}, tokens[-1])[1]["sessions"]
    check("as their list says", len(listed) == 3, listed)


# --- every limit of the table -----------------------------------------------------------------------------------------
def stream(at, method, message, token, source):
    """The first error of a stream, as ask() has it: in the end of a reply whose status is 200."""
    connection = http.client.HTTPConnection(*at, timeout=PATIENCE_S, source_address=(source, 0))
    body = json.dumps(message).encode()
    connection.request("POST", "/rookery.v1." + method, b"\0" + struct.pack(">I", len(body)) + body,
                       {"content-type": "application/connect+json", "authorization": "Bearer " + token})
    error = json.loads(connection.getresponse().read()[5:])["error"]
    connection.close()
    return 429 if error["code"] == "resource_exhausted" else 400, error


def login(at, number, source, forwarded=""):
    return ask(at, "AccountService/Login", {"handle": f"nobody{number}", "password": "a wrong password"}, source=source,
               forwarded=forwarded)


# The limit's name in settings and metrics: its number here, and a call that takes from it, of this person from this address. Most
# calls are refused for something else as well; a limit comes before that.
EVERY = {
    "lookups": (1, lambda at, who, source, i: ask(at, "AccountService/GetAccount", {"id": who.id}, who.token, source)),
    "pages": (1, lambda at, who, source, i: ask(at, "TimelineService/GetHomeTimeline", {}, who.token, source)),
    "changes": (1, lambda at, who, source, i: ask(at, "PostService/Like", {"postId": "1"}, who.token, source)),
    "publishes": (1, lambda at, who, source, i: ask(at, "PostService/EditPost", {"postId": "1", "text": "x"}, who.token, source)),
    "passwords": (2, lambda at, who, source, i: ask(at, "AccountService/ChangePassword", {
        "currentPassword": "a wrong password", "newPassword": "correct horse battery"}, who.token, source)),
    "streams": (1, lambda at, who, source, i: stream(at, "JobService/WatchJob", {"jobId": "1"}, who.token, source)),
    "work": (1, lambda at, who, source, i: ask(at, "JobService/CreateJob", {}, who.token, source)),
    "posts": (3, lambda at, who, source, i: ask(at, "PostService/CreatePost", {"text": f"post {i}"}, who.token, source)),
    "follows": (4, lambda at, who, source, i: ask(at, "GraphService/Follow", {"accountId": "1"}, who.token, source)),
    "strangers": (2, lambda at, who, source, i: ask(at, "AccountService/Login", {"handle": "", "password": ""}, source=source)),
    "tokens": (1, lambda at, who, source, i: ask(at, "TimelineService/GetHomeTimeline", {}, f"not-a-token-{i}", source)),
    "logins": (3, lambda at, who, source, i: login(at, i, source)),
    "registrations": (2, lambda at, who, source, i: ask(at, "AccountService/Register", {
        "handle": f"new_{source.replace('.', '_')}_{i}", "password": "correct horse battery"}, source=source)),
}
PERIODS = {1: "a second", 60: "a minute", 3600: "an hour"}


def table():
    """The rows of LIMIT_TABLE: [(name, seconds of a period, periods in one go, by account?, what)]."""
    with open(f"{ROOT}/gateway/limit/limit.h", encoding="utf-8") as file:
        rows = re.findall(r'X\(\w+, limit_(\w+), (\d+), (\d+), (true|false), "([^"]+)"\)', file.read())
    return [(name, int(period_s), int(periods), by_account == "true", what) for name, period_s, periods, by_account, what in rows]


def counted(stack):
    """{limit: refusals} of /metrics."""
    found = {re.fullmatch(r'rookery_limit_refusals_total\{limit="(\w+)"\}', series): value for series, value in stack.metrics().items()}
    return {match[1]: value for match, value in found.items() if match}


def drive(stack, row, who, other, source, elsewhere):
    name, period_s, periods, by_account, what = row
    number, call = EVERY[name]
    before, replies = counted(stack), []
    while not (replies and replies[-1][0] == 429) and len(replies) < 4 * number * periods + 20:
        replies.append(call(stack.address, who, source, len(replies)))
    check(f"{name}: as many as may be in one go are not refused", len(replies) > number * periods, [r[0] for r in replies])
    said = f"too many {what} {'by this account' if by_account else 'from this network'}: at most {number} {PERIODS[period_s]}"
    check(f"{name}: what is too much is, and the refusal says what", refusal(replies[-1], said), replies[-1])
    reply = call(stack.address, other, source, 1000) if by_account else call(stack.address, who, elsewhere, 1000)
    check(f"{name}: {'another account' if by_account else 'another network'} does not notice", reply[0] != 429, reply)
    grown = {limit: value - before.get(limit, 0) for limit, value in counted(stack).items() if value != before.get(limit, 0)}
    check(f"{name}: it is counted, and no other", grown == {name: 1}, grown)


def every_limit(stack):
    rows = table()
    check("there is a call for every limit of the table", {row[0] for row in rows} == set(EVERY), rows)
    other, *people = stack.people("driver", 1 + len(rows))
    stack.gateway("gateway-2", **{f"ROOKERY_LIMIT_{name.upper()}": number for name, (number, _) in EVERY.items()})
    for i, (row, who) in enumerate(zip(rows, people)):
        drive(stack, row, who, other, f"127.0.4.{i + 1}", f"127.0.5.{i + 1}")
    stack.stop("gateway-2")


# --- proxies ----------------------------------------------------------------------------------------------------------
def by_proxy(stack):
    stack.gateway("gateway-3", ROOKERY_LIMIT_LOGINS=1, ROOKERY_LIMIT_STRANGERS=2, ROOKERY_TRUSTED_PROXIES="127.0.6.1")
    at, proxy, liar = stack.address, "127.0.6.1", "127.0.6.2"
    seen = [login(at, i, proxy, "198.51.100.1")[0] for i in range(2)]
    check("behind a trusted proxy the client that it names is limited", seen == [401, 429], seen)
    check("and no other client of the proxy", login(at, 3, proxy, "198.51.100.2")[0] == 401)
    seen = [login(at, i, proxy, f"2001:db8:1:1::{i + 1}")[0] for i in range(2)]
    check("of an IPv6 client its /64", seen == [401, 429], seen)
    check("the last that is no proxy counts, not what a client put before", login(at, 4, proxy, "203.0.113.9, 198.51.100.1")[0] == 429)
    seen = [login(at, i, liar, f"198.51.100.{i + 3}")[0] for i in range(3)]
    check("who is not trusted is limited whatever it names", seen == [401, 429, 429], seen)
    check("and takes nothing from whom it names", login(at, 5, proxy, "198.51.100.3")[0] == 401)
    empty = {"handle": "", "password": ""}
    seen = [ask(at, "AccountService/Login", empty, source=proxy, forwarded="198.51.100.50")[0] for _ in range(2 * BURST + 20)]
    check("so it is with calls without a session", seen[:2 * BURST] == [400] * 2 * BURST and 429 in seen, seen)
    reply = ask(at, "AccountService/Login", empty, source=proxy, forwarded="198.51.100.51")
    check("which another client may make", reply[0] == 400, reply)
    stack.stop("gateway-3")


def methods(stack):
    build = os.environ.get("ROOKERY_BUILD", os.path.join(ROOT, "build"))
    printed = subprocess.run([os.path.join(build, "rookery-gateway"), "methods"], capture_output=True, text=True, check=True,
                             env={"ROOKERY_LIMIT_POSTS": "77"}).stdout.splitlines()
    line = next(line for line in printed if "PostService/CreatePost " in line)
    check("the list of methods has each one's limits", line.endswith("published changes, posts"), line)
    check("and what they are with these settings",
          any(line.split() == "posts an account 77 an hour, 77 in one go".split() for line in printed), printed[-15:])


def main():
    with Stack() as stack:
        stack.gateway(**SETTINGS)
        at = stack.address
        ada, bob, cleo, *others = stack.people("someone", 7)
        by_the_hour(at, ada, bob, others)
        by_account(at, ada, bob)
        sessions(at, cleo)
        by_network(at, ada)
        methods(stack)
        every_limit(stack)
        by_proxy(stack)
        stack.stop("gateway-1")
        log = stack.log("gateway-1")
        check("the log counts what was refused", '"limit_posts":' in log and '"limit_follows":1' in log, log[-2000:])
    done_testing()


main()
