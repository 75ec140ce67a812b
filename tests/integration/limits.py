#!/usr/bin/python3
"""Limits of an account, of a network and by the hour: what is refused, what is said of it, and who does not notice. Sessions beyond
their number end. The settings are small here, so that they are reached quickly. Prints TAP."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import ROOT, Stack  # noqa: E402
from siege import Raw, ask, request  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

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
        stack.stop("gateway-1")
        log = stack.log("gateway-1")
        check("the log counts what was refused", '"limit_posts":' in log and '"limit_follows":1' in log, log[-2000:])
    done_testing()


main()
