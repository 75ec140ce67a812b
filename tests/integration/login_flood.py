#!/usr/bin/python3
"""Floods of logins and of registrations, and guessing of one account's password, over raw sockets, against a gateway with the
default settings. Somebody honest, elsewhere, logs in meanwhile and reads, as if nothing was. Prints TAP."""
import os
import secrets
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import Stack  # noqa: E402
from siege import Honest, ask, attack, request  # noqa: E402
from tap import check, done_testing, note  # noqa: E402

PASSWORD, HOME = "correct horse battery", "127.0.0.2"
SECONDS = 3


def is_wrong(reply):
    return reply[0] == 401


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_PASSWORD_MEMORY_KIB=19456, ROOKERY_PASSWORD_PASSES=2)
        at = stack.address
        handle = "owner_" + secrets.token_hex(4)
        status, made = ask(at, "AccountService/Register", {"handle": handle, "password": PASSWORD}, source=HOME)
        check("an owner registers", status == 200, made)

        def login(source, password=PASSWORD):
            return ask(at, "AccountService/Login", {"handle": handle, "password": password}, source=source)

        def read(source):
            return ask(at, "TimelineService/GetHomeTimeline", {"pageSize": 10}, made["token"], source)

        def wrong_login(number):
            return request("AccountService/Login", {"handle": f"nobody{number % 997}", "password": "a wrong password"})

        def registration(_):
            return request("AccountService/Register", {"handle": "bot_" + secrets.token_hex(8), "password": PASSWORD})

        calm = Honest(HOME, login).calm(10)
        with Honest(HOME, login, pause_s=0.1) as owner, Honest(HOME, read) as reader:
            seen = attack(at, "127.0.0.66", wrong_login, 150, SECONDS)
        note(f"logins: {seen}")
        check("a flood of logins is refused but for a part", 0 < seen.get(401, 0) <= 400 and seen.get(429, 0) > 0, seen)
        check("and none waits until its deadline", 504 not in seen, seen)
        owner.check("nobody else's login is refused", calm)
        reader.check("and nobody else's reading")

        with Honest(HOME, login, pause_s=0.1) as owner, Honest(HOME, read) as reader:
            seen = attack(at, "127.0.0.67", registration, 150, SECONDS)
        note(f"registrations: {seen}")
        check("a flood of registrations gets what it may", 0 < seen.get(200, 0) <= 620 and 504 not in seen, seen)
        owner.check("nobody else's login is refused", calm)
        reader.check("and nobody else's reading")

        begun, replies = time.monotonic(), [login("127.0.0.68", f"guess number {i}") for i in range(25)]
        refused = [reply for reply in replies if reply[0] == 429]
        slow_s = time.monotonic() - begun
        check("who guesses is slowed", len(refused) >= 25 - 5 - 2 * (1 + int(slow_s).bit_length()), (len(refused), slow_s))
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
