#!/usr/bin/python3
"""Floods of logins, of registrations and of logins with 900 kB of handle, and guessing of one account's password, over raw
sockets, against a gateway with the default settings. Somebody honest, elsewhere, logs in meanwhile and reads, as if nothing
was. Prints TAP."""
import os
import secrets
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import Stack  # noqa: E402
from siege import Honest, ask, attack, check_memory, request  # noqa: E402
from tap import check, done_testing, note  # noqa: E402

PASSWORD, HOME = "correct horse battery", "127.0.0.2"
SECONDS = 3
SLOWED = "rookery_logins_slowed_total"
# 900 kB: no login needs so much; and each of its characters would take long to decompose.
LARGE = "\u1e69" * 300_000


def is_wrong(reply):
    return reply[0] == 401


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_PASSWORD_MEMORY_KIB=19456, ROOKERY_PASSWORD_PASSES=2)
        at = stack.address
        handle = "owner_" + secrets.token_hex(4)
        pid = stack.pid("gateway-1")
        status, made = ask(at, "AccountService/Register", {"handle": handle, "password": PASSWORD}, source=HOME)
        check("an owner registers", status == 200, made)

        def login(source, password=PASSWORD):
            return ask(at, "AccountService/Login", {"handle": handle, "password": password}, source=source)

        def read(source):
            return ask(at, "TimelineService/GetHomeTimeline", {"pageSize": 10}, made["token"], source)

        def wrong_login(number):
            return request("AccountService/Login", {"handle": f"nobody{number % 997}", "password": "a wrong password"})

        large = request("AccountService/Login", {"handle": LARGE, "password": PASSWORD})

        def large_login(_):
            return large

        def registration(_):
            return request("AccountService/Register", {"handle": "bot_" + secrets.token_hex(8), "password": PASSWORD})

        calm_owner, calm_reader = Honest(HOME, login).calm(10), Honest(HOME, read).calm()
        most_kib = 0

        def flood(source, make, connections):
            """What it got, while the owner logs in and reads elsewhere."""
            nonlocal most_kib
            with Honest(HOME, login, pause_s=0.1, pid=pid) as owner, Honest(HOME, read, pid=pid) as reader:
                seen = attack(at, source, make, connections, SECONDS)
            most_kib = max(most_kib, owner.most_kib, reader.most_kib)
            note(f"{make.__name__}: {seen}")
            owner.check("nobody else's login is refused", calm_owner)
            reader.check("and nobody else's reading", calm_reader)
            return seen

        seen = flood("127.0.0.66", wrong_login, 150)
        check("a flood of logins is refused but for a part", 0 < seen.get(401, 0) <= 400 and seen.get(429, 0) > 0, seen)
        check("and none waits until its deadline", 504 not in seen, seen)
        seen = flood("127.0.0.67", registration, 150)
        check("a flood of registrations gets what it may", 0 < seen.get(200, 0) <= 620 and 504 not in seen, seen)
        seen = flood("127.0.0.69", large_login, 16)
        check("logins with large handles are refused, and none is worked on for long",
              sum(seen.values()) >= 16 and set(seen) <= {400, 413, 429, "lost"}, seen)
        check_memory(most_kib)

        before = stack.metrics()[SLOWED]
        begun, replies = time.monotonic(), [login("127.0.0.68", f"guess number {i}") for i in range(25)]
        refused = [reply for reply in replies if reply[0] == 429]
        slow_s = time.monotonic() - begun
        check("who guesses is slowed", len(refused) >= 25 - 5 - 2 * (1 + int(slow_s).bit_length()), (len(refused), slow_s))
        counted = stack.metrics()[SLOWED] - before
        check("each such refusal is counted", counted == len(refused), (counted, len(refused)))
        check("is told what it is", refused and "too many wrong passwords" in refused[-1][1]["message"], replies[-1])
        check("and when to try again", any("RetryInfo" in detail["type"] for detail in refused[-1][1].get("details", [])), refused[-1])
        check("the right password does not help where it was guessed", login("127.0.0.68")[0] == 429)
        check("the owner is let in at home", login(HOME)[0] == 200)
        for i in range(150):
            login(f"127.0.1.{i + 1}", "guessed from everywhere")
        check("also while many networks guess", login(HOME)[0] == 200)
        check("where a wrong password is only wrong", is_wrong(login(HOME, "oops")) and login(HOME)[0] == 200)
        check("and on a journey", login("127.0.2.1")[0] == 200)
        stack.stop("gateway-1")
        log = stack.log("gateway-1")
        check("the log says what was refused", '"calls refused by limits in a minute"' in log and '"logins_slowed":' in log,
              log[-2000:])
    done_testing()


main()
