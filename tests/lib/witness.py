"""For tests that attack the shared gateway over raw sockets: honest clients who call all the time, and its memory.

    watch = Watch()                    # registers one account
    watch.calm()                       # calls without an attack: the latencies to compare with
    with watch:
        ...                            # the attack; from 127.0.0.1, unless a socket says otherwise
    watch.check()                      # TAP: no honest call refused, none lost in waiting, memory below the bound

Honest is who calls from another address (127.0.0.2) or with a token. Each call is on a new connection: whether it gets
one is part of the question. Their p99 is checked as siege.py says.
"""
import http.client
import os
import secrets
import socket
import threading
import time

import siege
from siege import check_memory, check_p99, p99_ms, rss_kib
from tap import PATIENCE_S, check, note

HOST, PORT = os.environ["ROOKERY_GATEWAY"].rsplit(":", 1)
PORT = int(PORT)
ELSEWHERE = "127.0.0.2"
CALM_S = 1.5


def gateway_pid():
    with open(f"{os.environ['ROOKERY_TEST_STACK']}/run/gateway-1.pid", encoding="ascii") as file:
        return int(file.read().split()[0])


def stranger(address="127.0.0.1", receive_bytes=0):
    """A raw connection to the gateway."""
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    s.settimeout(PATIENCE_S)
    s.bind((address, 0))
    s.connect((HOST, PORT))
    return s


def has_ended(s):
    """Whether the gateway has closed the connection; what it sent is thrown away."""
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def ask(method, message, token="", address="127.0.0.1"):
    """One call on a connection of its own: (status, reply)."""
    return siege.ask((HOST, PORT), method, message, token, address)


def register(name):
    status, reply = ask("AccountService/Register",
                        {"handle": f"{name}_{secrets.token_hex(4)}", "password": "correct horse battery"})
    if status != 200:
        raise RuntimeError(f"Register: {status} {reply}")
    return reply["account"], reply["token"]


class Watch:
    def __init__(self):
        self.account, self.token = register("honest")
        self.pid = gateway_pid()
        self.before, self.during, self.trouble, self.most_kib = [], [], [], 0
        self.stop, self.threads = threading.Event(), []

    # --- calls ---
    def _call(self, times, method, message, token, address):
        begun = time.monotonic()
        try:
            status, reply = ask(method, message, token, address)
            if status != 200:
                self.trouble.append(f"{method} from {address}: {status} {reply}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.trouble.append(f"{method} from {address}: {error!r} after {(time.monotonic() - begun) * 1000:.0f} ms")
        times.append(time.monotonic() - begun)

    def _go_on(self, times, stop, address):
        while not stop.wait(0.01):
            self._call(times, "TimelineService/GetHomeTimeline", {"pageSize": 10}, self.token, address)
            self._call(times, "AccountService/GetAccount", {"id": self.account["id"]}, self.token, address)

    def _look_at_memory(self):
        while not self.stop.wait(0.05):
            self.most_kib = max(self.most_kib, rss_kib(self.pid))

    def calm(self):
        stop = threading.Event()
        threads = [threading.Thread(target=self._go_on, args=(self.before, stop, a)) for a in (ELSEWHERE, "127.0.0.1")]
        for thread in threads:
            thread.start()
        time.sleep(CALM_S)
        stop.set()
        for thread in threads:
            thread.join()

    def __enter__(self):
        self.threads = [threading.Thread(target=self._go_on, args=(self.during, self.stop, a))
                        for a in (ELSEWHERE, "127.0.0.1")] + [threading.Thread(target=self._look_at_memory)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    # --- what came of it ---
    def check(self):
        calm_ms, attacked_ms = p99_ms(self.before), p99_ms(self.during)
        note(f"honest calls: {len(self.before)} before, {len(self.during)} during the attack; p99 {calm_ms:.1f} ms and "
             f"{attacked_ms:.1f} ms")
        check("no honest call is refused", not self.trouble and len(self.during) > 5,
              "\n".join([f"{len(self.trouble)} of {len(self.during)}", *self.trouble[:5]]))
        check("calls without the attack were measured", len(self.before) > 5, len(self.before))
        check_p99("no honest call waits for long", calm_ms, attacked_ms)
        check("and each is answered", max(self.during, default=0) < PATIENCE_S / 2, max(self.during, default=0))
        check_memory(self.most_kib)
