#!/usr/bin/python3
"""Servers with settings under which promises cannot hold: daemons refuse to start with a sentence that names the setting, and are
not ready while a server that they knew turns out to be such. Prints TAP. Starts servers and daemons of its own."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

ROLES = "relay,fanout,chunks,counts"


def is_ready(stack):
    return stack.sh(f"http_is_ok 127.0.0.1 {stack.address[1]} /readyz && echo yes || echo no") == "yes"


def refuses(stack, name, program, sentence, **settings):
    stack.start(name, program, **settings)
    status = stack.wait(name)
    check(f"{program} ends with 1 and says: {sentence}", status == 1 and sentence in stack.log(name),
          (status, stack.log(name)[-600:]))


def redis_story(stack):
    stack.redis("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    sentence = "set maxmemory-policy to noeviction"
    refuses(stack, "worker-evicting", "rookery-worker", sentence, ROOKERY_ROLES=ROLES)
    refuses(stack, "gateway-evicting", "rookery-gateway", sentence, ROOKERY_LISTEN="127.0.0.1:0")


def later_story(stack, ada, bob):
    """A worker that has long been at work meets such a Redis at its next connection."""
    stack.redis("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    stack.worker("worker-1", ROOKERY_ROLES=ROLES)
    stack.wait_ready("worker-1")
    first = ada.post("first")
    check("with volatile-lru all is well", eventually(lambda: first in bob.home()))
    stack.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    stack.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    check("a connection made later is refused, with an error in the log", eventually(
        lambda: any('"level":"error"' in line and "set maxmemory-policy to noeviction" in line
                    for line in stack.log("worker-1").splitlines())), stack.log("worker-1")[-600:])
    stack.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    second = ada.post("second")
    check("once it is set right, work goes on", eventually(lambda: bob.home()[:2] == [second, first]))


def postgres_story(stack):
    stack.sql("ALTER ROLE rookery SET default_transaction_read_only = on")
    sentence = "default_transaction_read_only is on"
    refuses(stack, "worker-reading", "rookery-worker", sentence, ROOKERY_ROLES=ROLES)
    refuses(stack, "gateway-reading", "rookery-gateway", sentence, ROOKERY_LISTEN="127.0.0.1:0")
    stack.sql("ALTER ROLE rookery RESET default_transaction_read_only")
    stack.sql("ALTER ROLE rookery SET synchronous_commit = off")
    stack.stop("worker-1")
    stack.worker("worker-2", ROOKERY_ROLES=ROLES)
    stack.wait_ready("worker-2")
    check("synchronous_commit off is warned of once",
          stack.log("worker-2").count("synchronous_commit is off") == 1, stack.log("worker-2"))


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_RECLAIM_MS=300)
        ada, bob = stack.person("ada"), stack.person("bob")
        bob.follow(ada)
        redis_story(stack)
        later_story(stack, ada, bob)
        postgres_story(stack)
        check("the gateway serves", is_ready(stack))
    done_testing()


main()
