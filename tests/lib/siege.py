"""For tests that attack a gateway over raw sockets and watch what others notice of it.

    with Honest(address, "127.0.0.2", call) as honest:    # calls all the time, from there
        attack(address, "127.0.0.66", request, threads=40, seconds=5)
    honest.check("nobody else is refused")

A request is the bytes of one over HTTP/1.1; addresses of loopback stand for networks. Latencies are printed, and checked
with a generous limit only.
"""
import collections
import http.client
import json
import socket
import threading
import time

from tap import PATIENCE_S, check, note

ENOUGH_S = 10


def ask(address, method, message, token="", source="127.0.0.1"):
    """One call on a connection of its own: its status, and the reply or the error."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S, source_address=(source, 0))
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = "Bearer " + token
    connection.request("POST", "/rookery.v1." + method, json.dumps(message), headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body)


def request(method, message, token=""):
    body = json.dumps(message)
    auth = f"authorization: Bearer {token}\r\n" if token else ""
    return (f"POST /rookery.v1.{method} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{auth}"
            f"content-length: {len(body)}\r\n\r\n{body}").encode()


class Raw:
    """A connection that sends requests and reads nothing of the answers but their status."""

    def __init__(self, address, source):
        self.socket = socket.create_connection(address, PATIENCE_S, (source, 0))
        self.read = b""

    def send(self, payload):
        self.socket.sendall(payload)

    def _line(self):
        while b"\r\n" not in self.read:
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.read += got
        line, self.read = self.read.split(b"\r\n", 1)
        return line

    def status(self):
        status, length = int(self._line().split()[1]), 0
        while line := self._line():
            name, value = line.split(b":", 1)
            length = int(value) if name.lower() == b"content-length" else length
        while len(self.read) < length:
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.read += got
        self.read = self.read[length:]
        return status

    def close(self):
        self.socket.close()


def attack(address, source, make, threads, seconds):
    """Requests one after the other on each of the connections; {status: how many}. make(n) is the n-th request."""
    seen, lock, number, end = collections.Counter(), threading.Lock(), iter(range(10**9)), time.monotonic() + seconds

    def go_on():
        mine, raw = collections.Counter(), None
        while time.monotonic() < end:
            try:
                raw = raw or Raw(address, source)
                raw.send(make(next(number)))
                mine[raw.status()] += 1
            except OSError:
                mine["lost"] += 1
                if raw:
                    raw.close()
                raw = None
        if raw:
            raw.close()
        with lock:
            seen.update(mine)

    running = [threading.Thread(target=go_on) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return dict(seen)


class Honest:
    """call(source) is made over and over; it returns (status, reply)."""

    def __init__(self, source, call, pause_s=0.02, pid=None):
        self.source, self.call, self.pause_s, self.pid = source, call, pause_s, pid
        self.times, self.trouble, self.most_kib = [], [], 0
        self.stop, self.thread = threading.Event(), threading.Thread(target=self._go_on)

    def once(self):
        begun = time.monotonic()
        try:
            status, reply = self.call(self.source)
            if status != 200:
                self.trouble.append(f"{status} {reply}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.trouble.append(repr(error))
        self.times.append(time.monotonic() - begun)

    def _go_on(self):
        while not self.stop.wait(self.pause_s):
            self.once()
            if self.pid:
                self.most_kib = max(self.most_kib, rss_kib(self.pid))

    def calm(self, times=50):
        """The p99 without an attack, in ms."""
        for _ in range(times):
            self.once()
        p99, self.times = self.p99_ms(), []
        return p99

    def p99_ms(self):
        return 1000 * sorted(self.times)[int(len(self.times) * 0.99)] if self.times else 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def check(self, name, calm_ms=0):
        note(f"{len(self.times)} honest calls, p99 {self.p99_ms():.1f} ms" + (f", {calm_ms:.1f} ms without the attack" if calm_ms else ""))
        check(name, not self.trouble and len(self.times) > 3, (len(self.times), self.trouble[:5]))
        check("nor waits for long", max(self.times, default=0) < ENOUGH_S, max(self.times, default=0))


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
