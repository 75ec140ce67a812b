#!/usr/bin/python3
"""A stranger opens every connection there is: from one address, idle, over and over, and then from many addresses until the
gateway is full. Honest clients go on. An authenticated connection of the attacked address stays, also when its account's neighbours
attack; one account's connections are bounded, too. Prints TAP."""
import http.client
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from stack import GATEWAY  # noqa: E402,F401  this test takes the shared stack for itself
from tap import check, done_testing, eventually  # noqa: E402
from witness import HOST, PORT, Watch, has_ended, register, stranger  # noqa: E402

PER_NETWORK = 256
PER_ACCOUNT = 512
files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
# 20 x 256 is more than all anonymous connections, if this test may open as many files.
NETWORKS = min(20, (files - 1200) // PER_NETWORK) if files != resource.RLIM_INFINITY else 20
ATTACK_S = 3

class Kept:
    """A connection that a client keeps, with a token."""

    def __init__(self, account, token):
        self.account, self.token = account, token
        self.connection = http.client.HTTPConnection(HOST, PORT, timeout=60)
        self.connection.connect()
        self.connection.auto_open = 0  # no new one instead

    def is_served(self):
        try:
            self.connection.request("POST", "/rookery.v1.AccountService/GetAccount", json.dumps({"id": self.account["id"]}),
                                    {"content-type": "application/json", "authorization": "Bearer " + self.token})
            response = self.connection.getresponse()
            response.read()
            return response.status == 200
        except (OSError, http.client.HTTPException):
            return False

def attack_from(address, number, kept):
    for _ in range(number):
        kept.append(stranger(address))

watch = Watch()
watch.calm()
early = Kept(watch.account, watch.token)
check("a connection with a token is served", early.is_served())
idle = []
with watch:
    begun = time.monotonic()
    while time.monotonic() - begun < ATTACK_S or len(idle) < 4 * PER_NETWORK:
        attack_from("127.0.0.1", 64, idle)
    check("one address keeps no more connections than its share",
          eventually(lambda: sum(not has_ended(s) for s in idle) <= PER_NETWORK), len(idle))
    check("the newest of them are open", not has_ended(idle[-1]) and has_ended(idle[0]))
    check("the connection with a token is still served", early.is_served())
    for s in idle:
        s.close()
    idle.clear()
    for i in range(NETWORKS):
        attack_from(f"127.0.1.{i + 1}", PER_NETWORK, idle)
    check("all strangers together keep no more than theirs",
          eventually(lambda: sum(not has_ended(s) for s in idle) <= 4096), len(idle))
    check("the connection with a token is served in a crowd", early.is_served())

watch.check()
for s in idle:
    s.close()

account, token = register("many")
mine = []
for _ in range(PER_ACCOUNT + 20):
    one = Kept(account, token)
    if not one.is_served():
        break
    mine.append(one)
check("an account may open as many connections as it likes", len(mine) == PER_ACCOUNT + 20, len(mine))
check("but keeps no more than its share",
      eventually(lambda: sum(not has_ended(k.connection.sock) for k in mine) <= PER_ACCOUNT))
check("another account's connection is served all the while", early.is_served())
done_testing()
